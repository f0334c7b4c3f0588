"""Training runs, each in its folder; workers that carry out many, here or on other machines."""
