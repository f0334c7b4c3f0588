"""A task as a user might write it, in a file of its own that tests may spoil."""

import importlib
import sys
from itertools import count

MAJORITY = """
import numpy as np

from lstm_baseline.tasks import ACCURACY, MEAN_SQUARED_ERROR, Batch, GeneratedTask, Predictor


def certain(yes):
    return np.eye(2)[yes.astype(int)]


class Majority(GeneratedTask):
    name = "majority"
    summary = "votes are shown; is the majority for it?"
    input_size, output_size = 1, 2
    loss, metric, per_step = "cross_entropy", ACCURACY, False
    validation_size, test_size, ladder_size = 400, 4000, 4000

    def __init__(self, voters=25):
        self.voters = voters

    def sample(self, size, rng):
        votes = rng.integers(2, size=(size, self.voters, 1))
        y = (votes.mean(axis=(1, 2)) > 0.5).astype(int)
        return Batch(votes.astype(np.float32), y)

    def predictors(self):
        return [
            Predictor("chance", "chance", "either", lambda x: np.zeros((len(x), 2))),
            Predictor("last", "heuristic", "the last vote", lambda x: certain(x[:, -1, 0])),
            Predictor("oracle", "oracle", "the count", lambda x: certain(x.mean((1, 2)) > 0.5)),
        ]
"""
"""Answers are of a whole row."""

ECHO = """
import numpy as np

from lstm_baseline.tasks import ACCURACY, Batch, GeneratedTask, Predictor


def before(x):
    bits = x[..., 0].astype(int)
    bits[:, 1:] = x[:, :-1, 0]
    return bits


class Echo(GeneratedTask):
    name = "echo"
    summary = "bits are shown; what was the one before, and first the first itself?"
    input_size, output_size = 1, 2
    loss, metric, per_step = "cross_entropy", ACCURACY, True
    validation_size, test_size, ladder_size = 400, 4000, 4000

    def __init__(self, length=30):
        self.length = length

    def sample(self, size, rng):
        x = rng.integers(2, size=(size, self.length, 1)).astype(np.float32)
        lengths = rng.integers(20, self.length + 1, size=size)
        y = before(x)
        return Batch(x, y, lengths)

    def predictors(self):
        return [
            Predictor("chance", "chance", "either", lambda x: np.zeros((*x.shape[:2], 2))),
            Predictor("now", "heuristic", "this bit", lambda x: np.eye(2)[x[..., 0].astype(int)]),
            Predictor("oracle", "oracle", "the bit before", lambda x: np.eye(2)[before(x)]),
        ]

    def tell(self, x):
        return " ".join(str(int(bit)) for bit in x[:, 0])

    def answer(self, row):
        return " ".join(map(str, row if row.ndim == 1 else row.argmax(axis=-1)))
"""
"""Answers are of every step, and rows differ in length."""

_numbers = count()


def write_task(folder, source=MAJORITY, *changes):
    """Write a task's module and return its name, which no other one has.

    ``changes`` are pairs of what is replaced in the source and by what.
    """
    for old, new in changes:
        assert old in source, old
        source = source.replace(old, new)
    name = f"own_tasks_{next(_numbers)}"
    (folder / f"{name}.py").write_text(source)
    return name


def load_task(folder, monkeypatch, source=MAJORITY, *changes):
    """Return the class of a task in a file that processes find."""
    name = write_task(folder, source, *changes)
    monkeypatch.syspath_prepend(str(folder))
    module = importlib.import_module(name)
    monkeypatch.setitem(sys.modules, name, module)
    return next(
        value
        for value in vars(module).values()
        if isinstance(value, type) and value.__module__ == name
    )
