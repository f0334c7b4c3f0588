"""The word problem of a group: elements come one by one, and their product is asked for.

    s = s' · k                                     s₀ the identity

Groups: "A5", the even permutations of five things, 60 elements; "S5", all of them, 120; "Z60", the
whole numbers modulo 60. A5 and S5 are not solvable, so that a network of fixed depth without
recurrence cannot multiply words of any length (unless TC⁰ = NC¹); Z60 is as large as A5, and easy.

Inputs: tokens (B, T), the elements, all equally likely. Targets: the product, by default after
every element. Ladder: ``automaton.py``; as each element is as likely as any other, a rule that
leaves out one scores chance from the second step on.

Source: Merrill, Petty and Sabharwal 2024 (arXiv 2404.08819), section 5; Barrington 1989.
"""

from functools import cached_property
from itertools import permutations
from typing import final

import numpy as np

from lstm_baseline.engine.inputs import one_of
from lstm_baseline.engine.shapes import IntArray
from lstm_baseline.tasks.automaton import AutomatonTask
from lstm_baseline.tasks.strings import Lengths

GROUPS = ("A5", "S5", "Z60")


@final
class WordProblem(AutomatonTask):
    """Multiply elements of a group; the module's docstring says which.

    Parameters
    ----------
    group : {"A5", "S5", "Z60"}
        The group.
    lengths, every_step
        As ``AutomatonTask`` has them.

    Raises
    ------
    InputError
        A parameter is out of range.
    """

    name = "word-problem"
    summary = "elements of a group are shown; what is their product so far?"
    question = "what is their product"

    def __init__(self, group: str = "A5", lengths: Lengths = 20, every_step: bool = True) -> None:
        self.group = one_of("group", group, GROUPS)
        self._elements = _elements(group)
        self.symbols = self.answers = [_written(element) for element in self._elements]
        super().__init__(lengths, every_step)

    @cached_property
    def transitions(self) -> IntArray:
        """The group's table: δ(s, k) = s · k, first s and then k."""
        if self.group == "Z60":
            numbers = np.arange(60)
            return (numbers[:, None] + numbers) % 60
        place = {element: k for k, element in enumerate(self._elements)}
        return np.array(
            [[place[tuple(b[i] for i in a)] for b in self._elements] for a in self._elements]
        )

    @cached_property
    def answer_of_state(self) -> IntArray:
        """The element."""
        return np.arange(len(self._elements))


def _elements(group: str) -> list[tuple[int, ...]]:
    """Return the elements, the identity first: permutations as tuples, numbers as tuples of one."""
    if group == "Z60":
        return [(k,) for k in range(60)]
    every = list(permutations(range(5)))
    return every if group == "S5" else [p for p in every if _is_even(p)]


def _is_even(p: tuple[int, ...]) -> bool:
    inversions = sum(p[i] > p[j] for i in range(5) for j in range(i + 1, 5))
    return inversions % 2 == 0


def _written(element: tuple[int, ...]) -> str:
    """Return a permutation by where it sends 1 to 5, a number as it is."""
    return str(element[0]) if len(element) == 1 else "".join(str(i + 1) for i in element)
