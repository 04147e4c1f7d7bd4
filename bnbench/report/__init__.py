"""What a comparison shows: tables, sentences, pictures, a page, gates. No torch."""
