"""One thread for linear algebra, so that the same seed gives the same bits on any machine's cores.

A product that is split over threads sums in another order. At this package's sizes one thread a
process, and a process for each run, is also the fastest.
"""

from contextlib import AbstractContextManager
from functools import cache
from typing import Any

from threadpoolctl import ThreadpoolController


@cache
def _controller() -> ThreadpoolController:
    return ThreadpoolController()


def one_thread() -> AbstractContextManager[Any]:
    """Return a context in which NumPy's linear algebra runs on one thread."""
    context: AbstractContextManager[Any] = _controller().limit(limits=1, user_api="blas")
    return context
