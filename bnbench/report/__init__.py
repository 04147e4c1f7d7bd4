"""Shows a comparison as tables, sentences, pictures, an HTML page; judges gates. No torch."""
