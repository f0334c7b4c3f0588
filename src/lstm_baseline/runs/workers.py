"""Protocol of the workers that carry out a race's runs, on this machine or on others."""

from concurrent.futures import Future
from typing import Any, Protocol

from lstm_baseline.runs.run import RunResult
from lstm_baseline.runs.spec import RunSpec
from lstm_baseline.training import Record


class Workers(Protocol):
    """Processes, each of which carries out one run at a time."""

    def free(self) -> list[str]:
        """Return the names of the idle workers."""

    def submit(self, spec: RunSpec, worker: str) -> Future[Any]:
        """Start a run on a free worker."""

    def result(self, spec: RunSpec, future: Future[Any]) -> RunResult | None:
        """Return the result of a run whose files are in its folder; None if it must be done again.

        Raises
        ------
        FileError
            If the files of the run cannot be read or written.
        WorkerError
            If the run could not be carried out for a reason other than its own.
        """

    def history(self, spec: RunSpec) -> list[Record]:
        """Return the known part of the history of a run under way."""


def killed_reason(times: int) -> str:
    """Return the reason of failure of a run whose processes were killed."""
    return f"its process was killed {times} times, often for lack of memory"
