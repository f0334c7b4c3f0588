"""The engine against its peers: the answer is checked, then the time is taken."""
