"""The fair race: equal size, the same data, paired seeds, every run a plain folder."""
