"""Checks that an entrant computes the right thing.

Right is what the reference engine says in float64. A float32 answer differs from it by rounding,
in proportion to the numbers that were added up, so each array's largest difference is held against
its largest entry.
"""

from typing import NamedTuple

import numpy as np

from lstm_baseline.benchmarks.cases import Problem, make_model
from lstm_baseline.benchmarks.entrants import Answer, Entrant
from lstm_baseline.benchmarks.ours import answer_of

TOLERANCE = 2e-5
"""Largest difference of an array from the right one, over the largest entry of the right one.

Some thirty times what float32 rounding comes to at the sizes timed here; a swapped gate, a dropped
bias or a faster but coarser activation is far beyond it.
"""


class Check(NamedTuple):
    """Distance of an answer from the right one."""

    error: float
    """The largest of all arrays, as a share of the array's largest entry; infinite for NaN."""
    worst: str
    """The array that has it."""

    @property
    def right(self) -> bool:
        """True if rounding explains the distance."""
        return self.error <= TOLERANCE


def right_answer(problem: Problem) -> Answer:
    """Return what the reference engine answers in float64."""
    model = make_model(problem.case, np.float64, engine="reference")
    for name, value in problem.model.params.items():
        model.params[name][...] = value
    return answer_of(problem, model)


def check(entrant: Entrant, right: Answer) -> Check:
    """Hold an entrant's answer against the right one; an array that is missing is wrong too."""
    given = entrant.answer()
    checks = [Check(_error(given.get(name), value), name) for name, value in right.items()]
    return max(checks, key=lambda check: check.error)


def _error(given: object, right: np.ndarray) -> float:
    array = np.asarray(given, np.float64)
    if array.shape != right.shape:
        return float("inf")
    error = float(np.abs(array - right).max() / np.abs(right).max())
    return error if np.isfinite(error) else float("inf")
