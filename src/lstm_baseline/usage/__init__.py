"""One model outside a race: trained for use, and run over the user's data."""
