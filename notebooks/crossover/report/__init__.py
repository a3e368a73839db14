"""What a reader sees: figures, tables, sentences, the HTML page."""
