"""Report of a race: figures, sentences, page, tables and files."""
