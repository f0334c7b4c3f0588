"""What came out, for people: figures, sentences, page, tables and files."""
