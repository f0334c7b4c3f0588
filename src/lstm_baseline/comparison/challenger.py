"""Temporary."""

import numpy as np


def load_class(path):
    import importlib

    m, _, n = path.partition(":")
    return getattr(importlib.import_module(m), n)


def width_argument(cls):
    return getattr(cls, "width_argument", "hidden_size")


def make_challenger(cls, i, o, arguments, seed):
    return cls(input_size=i, output_size=o, rng=np.random.default_rng(seed), **arguments)


def check_challenger(make, task, name):
    pass
