"""Cases small enough for tests, and a report made by hand."""

import numpy as np

from lstm_baseline.benchmarks.answers import Check
from lstm_baseline.benchmarks.cases import Case
from lstm_baseline.benchmarks.entrants import Entrant
from lstm_baseline.benchmarks.machine import Machine
from lstm_baseline.benchmarks.memory import Memory
from lstm_baseline.benchmarks.results import Entry, Report, Row
from lstm_baseline.benchmarks.timing import Timing

TINY = (
    Case("step", "lstm", 2, 1, 3, 5),
    Case("forward", "lstm", 2, 4, 3, 5),
    Case("gradient", "lstm", 2, 4, 3, 5),
    Case("training", "lstm", 3, 4, 3, 5),
    Case("training", "relational", 3, 2, 3, 64),
)

RIGHT, WRONG = Check(1e-7, "W"), Check(float("inf"), "b")


def fake(name="someone", call=lambda: None, **answer):
    """Return an entrant with this answer."""
    return Entrant(name, name, lambda: answer, call)


def entry(name, median, peer=None):
    """Return an entry that took so many seconds, or one whose answer is wrong."""
    if median is None:
        return Entry(name, peer or name, WRONG, None)
    return Entry(name, peer or name, RIGHT, Timing(median, 0.9 * median, 1.2 * median, 5, 10))


def make_report(rows=None, *, missing=(), memory=(), others=0.0):
    """Return a report; without rows, one with two entrants of a peer and a wrong answer."""
    forward, training = (
        Case("forward", "lstm", 128, 35, 512, 512),
        Case("training", "lstm", 2, 3, 4, 5),
    )
    if rows is None:
        rows = [
            Row(
                forward,
                1,
                4_000_000,
                (
                    entry("ours", 2e-3),
                    entry("fast", 1e-3, "PyTorch"),
                    entry("slow", 9e-3, "PyTorch"),
                    entry("JAX", 3e-3),
                ),
            ),
            Row(forward, 2, 4_000_000, (entry("ours", 5e-4), entry("fast", 4e-3, "PyTorch"))),
            Row(training, 1, 100, (entry("ours", 1e-6), entry("ONNX Runtime", None))),
            Row(training, 2, 100, (entry("ours", None), entry("JAX", 12.5))),
        ]
    names = ("PyTorch", "ONNX Runtime", "JAX")
    return Report(
        quick=True,
        machine=Machine("a processor", 2, "a system", "native", "avx512", {"NumPy": "2.4"}),
        peers={name: None if name in missing else "1.0" for name in names},
        peaks={1: 100.0, 2: 200.0},
        rows=tuple(rows),
        memory=tuple(memory),
        others=others,
    )


def some_memory():
    """Return what two entrants took."""
    case = Case("gradient", "lstm", 64, 100, 64, 128)
    return [
        Memory(case, "ours", "ours", 45_000_000, 108_000_000),
        Memory(case, "PyTorch eager module", "PyTorch", 1_102_000_000, 12_359_000_000),
    ]


def right_array():
    """Return numbers to be right or wrong about."""
    return np.arange(6.0).reshape(2, 3)
