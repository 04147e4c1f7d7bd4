"""The pictures of the report: drawings in pixels, written as SVG. No torch."""
