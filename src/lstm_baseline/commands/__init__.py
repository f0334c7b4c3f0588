"""The command line, one file a command; ``cli.py`` assembles them."""
