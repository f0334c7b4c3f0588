"""Which engine runs a cell over time.

An engine is the pair ``unroll`` and ``unroll_backward`` of ``cells/recurrence.py``. The reference
is those very functions; a faster engine gives the same numbers from the same arguments.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from lstm_baseline.cells.recurrence import unroll, unroll_backward
from lstm_baseline.inputs import one_of


class Engine(NamedTuple):
    """Runs cells over time, forward and backward."""

    name: str
    unroll: Callable[..., Any]
    unroll_backward: Callable[..., Any]


_ENGINES = {"reference": Engine("reference", unroll, unroll_backward)}


def select_engine(name: str = "auto") -> Engine:
    """Return the engine of that name; "auto" takes the fastest there is."""
    one_of("engine", name, ("auto", *_ENGINES))
    return _ENGINES["reference" if name == "auto" else name]
