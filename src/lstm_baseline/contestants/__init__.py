"""Contestants of a race, all of one size: the package's models, users' classes, PyTorch modules."""
