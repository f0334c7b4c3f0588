"""Even pairs: whether the number of neighbours that differ, 01 and 10, is even.

A string changes an even number of times if and only if it ends as it began, so the answer is
whether the first bit equals the last: a task that looks like counting, and is not.

Inputs: tokens (B, T), the bits, each 1 with probability ½. Targets and ladder: ``automaton.py``.
The oracle needs the first bit and the last.

Source: Delétang et al. 2023 (arXiv 2207.02098), table 1.
"""

from functools import cached_property
from typing import final

import numpy as np

from lstm_baseline.engine.shapes import IntArray
from lstm_baseline.tasks.automaton import AutomatonTask
from lstm_baseline.tasks.strings import Lengths


@final
class EvenPairs(AutomatonTask):
    """Tell whether a string ends as it began; arguments are those of ``AutomatonTask``."""

    name = "even-pairs"
    summary = "bits are shown; do 01 and 10 occur an even number of times?"
    symbols, answers = ("0", "1"), ("no", "yes")
    question = "do 01 and 10 occur an even number of times"
    way = "whether the first bit equals the last"

    def __init__(self, lengths: Lengths = 20, every_step: bool = False) -> None:
        super().__init__(lengths, every_step)

    @cached_property
    def transitions(self) -> IntArray:
        """State 0 before the first bit; then 1 + 2 · first + last."""
        after_first = [[1 + 2 * first + now for now in (0, 1)] for first in (0, 0, 1, 1)]
        return np.array([[1, 4], *after_first])

    @cached_property
    def answer_of_state(self) -> IntArray:
        """Yes where first = last."""
        return np.array([1, 1, 0, 0, 1])
