"""The number of threads that linear algebra and the compiled core use.

The number of threads changes the order in which NumPy sums a product, and so the bits of the
result; it does not change the core's results. At this package's sizes, one process for each run,
with one thread of linear algebra, is also the fastest.
"""

from contextlib import AbstractContextManager
from functools import cache
from typing import Any

import threadpoolctl
from threadpoolctl import ThreadpoolController

from lstm_baseline.engine.core import load_core


class _CoreController(threadpoolctl.LibController):  # type: ignore[misc]
    """The compiled core as threadpoolctl sees it."""

    user_api = "lstm_baseline"
    internal_api = "lstm_baseline"
    filename_prefixes = ("_core.",)
    check_symbols = ("lstm_baseline_get_num_threads", "lstm_baseline_set_num_threads")

    def get_num_threads(self) -> int:
        threads: int = self.dynlib.lstm_baseline_get_num_threads()
        return threads

    def set_num_threads(self, num_threads: int) -> None:
        self.dynlib.lstm_baseline_set_num_threads(num_threads)

    def get_version(self) -> None:
        return None


threadpoolctl.register(_CoreController)


@cache
def _controller() -> ThreadpoolController:
    load_core()  # threadpoolctl finds only loaded libraries
    return ThreadpoolController()


def one_thread() -> AbstractContextManager[Any]:
    """Return a context in which NumPy's linear algebra runs on one thread."""
    context: AbstractContextManager[Any] = _controller().limit(limits=1, user_api="blas")
    return context


def linear_algebra() -> str:
    """Return the libraries of linear algebra that NumPy uses, each with the processor it is for."""
    found = {
        f"{library['internal_api']} {library.get('architecture') or ''}".strip()
        for library in _controller().info()
        if library["user_api"] == "blas"
    }
    return ", ".join(sorted(found))


def limit_threads(num_threads: int) -> AbstractContextManager[Any]:
    """Return a context that limits linear algebra and the compiled core to a number of threads."""
    context: AbstractContextManager[Any] = _controller().limit(limits=num_threads)
    return context
