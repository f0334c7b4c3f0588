"""What a race needs of whoever carries out its runs: processes here, or on other machines."""

from concurrent.futures import Future
from types import TracebackType
from typing import Any, Protocol, Self

from lstm_baseline.runs.run import RunResult
from lstm_baseline.runs.spec import RunSpec
from lstm_baseline.training import Record


class Workers(Protocol):
    """Processes that carry out one run at a time each; left, they stop what is under way."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...

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


def killed_reason(times: int) -> str:
    """Return why a run failed that did not outlive its processes."""
    return f"its process was killed {times} times, often for lack of memory"
