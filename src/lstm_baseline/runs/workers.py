"""What a race needs of whoever carries out its runs: processes here, or on other machines."""

import signal
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any, Protocol

from lstm_baseline.runs.run import RunResult
from lstm_baseline.runs.spec import RunSpec
from lstm_baseline.training import Record


class Workers(Protocol):
    """Processes that carry out one run at a time each."""

    def free(self) -> list[str]:
        """Return the names of those that have nothing to do."""

    def submit(self, spec: RunSpec, worker: str) -> Future[Any]:
        """Start a run on a free one."""

    def result(self, spec: RunSpec, future: Future[Any]) -> RunResult | None:
        """Return how a run ended, its files being in its folder; None if it is to be done again.

        Raises
        ------
        FileError
            If its files cannot be read or written.
        WorkerError
            If it could not be carried out for a reason that is not its own.
        """

    def history(self, spec: RunSpec) -> list[Record]:
        """Return what is known of the history of a run under way."""


@contextmanager
def no_second_interrupt() -> Iterator[None]:
    """Ignore Ctrl-C: one that is already being dealt with must not be followed by another."""
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)


def killed_reason(times: int) -> str:
    """Return why a run failed that did not outlive its processes."""
    return f"its process was killed {times} times, often for lack of memory"
