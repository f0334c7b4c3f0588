"""Parity: the number of ones, modulo 2.

    s = s' xor k                                   two states, and as many answers

Inputs: tokens (B, T), the bits, each 1 with probability ½. Targets and ladder: ``automaton.py``. A
rule that leaves out a single bit scores chance, ½.

Source: Minsky and Papert 1969, chapter 3; as a test of what recurrent networks can keep track of,
Delétang et al. 2023 (arXiv 2207.02098).
"""

from functools import cached_property
from typing import final

import numpy as np

from lstm_baseline.engine.shapes import IntArray
from lstm_baseline.tasks.automaton import AutomatonTask
from lstm_baseline.tasks.strings import Lengths


@final
class Parity(AutomatonTask):
    """Tell whether the ones are odd in number; arguments are those of ``AutomatonTask``."""

    name = "parity"
    summary = "bits are shown; is the number of ones odd?"
    symbols, answers = ("0", "1"), ("no", "yes")
    question = "is the number of ones odd"

    def __init__(self, lengths: Lengths = 20, every_step: bool = False) -> None:
        super().__init__(lengths, every_step)

    @cached_property
    def transitions(self) -> IntArray:
        """δ(s, k) = s xor k."""
        return np.array([[0, 1], [1, 0]])

    @cached_property
    def answer_of_state(self) -> IntArray:
        """The state itself."""
        return np.arange(2)
