"""Who can race: our models, classes of the user's, networks of PyTorch; all at one size."""
