"""Runs carried out: one in its folder, all of a race here or on many machines."""
