"""Cycle navigation: where steps on a circle of five places end.

    s = (s' + d) mod 5                             d = 0, +1 or −1 for stay, forward, back

Inputs: tokens (B, T), the steps, all equally likely. Targets and ladder: ``automaton.py``.

Source: Delétang et al. 2023 (arXiv 2207.02098), table 1.
"""

from functools import cached_property
from typing import final

import numpy as np

from lstm_baseline.engine.shapes import IntArray
from lstm_baseline.tasks.automaton import AutomatonTask
from lstm_baseline.tasks.strings import Lengths

PLACES = 5


@final
class CycleNavigation(AutomatonTask):
    """Tell the place on a circle after some steps; arguments are those of ``AutomatonTask``."""

    name = "cycle-navigation"
    summary = "steps on a circle of five places are shown; where do they end?"
    symbols, answers = ("stay", "forward", "back"), tuple("12345")
    question = "from place 1 of 5 on a circle, where do they end"

    def __init__(self, lengths: Lengths = 20, every_step: bool = False) -> None:
        super().__init__(lengths, every_step)

    @cached_property
    def transitions(self) -> IntArray:
        """δ(s, k) = (s + d_k) mod 5."""
        moved: IntArray = (np.arange(PLACES)[:, None] + np.array([0, 1, -1])) % PLACES
        return moved

    @cached_property
    def answer_of_state(self) -> IntArray:
        """The place."""
        return np.arange(PLACES)
