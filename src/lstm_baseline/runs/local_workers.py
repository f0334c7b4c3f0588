"""Runs in processes of this machine."""

import os
import signal
import threading
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path

from loky import ProcessPoolExecutor, cpu_count
from loky.process_executor import TerminatedWorkerError

from lstm_baseline.engine.errors import WorkerError
from lstm_baseline.runs.progress import title
from lstm_baseline.runs.run import RunResult, carry_out_run, read_history, record_failure
from lstm_baseline.runs.spec import RunSpec
from lstm_baseline.runs.workers import killed_reason, no_second_interrupt
from lstm_baseline.training import Record

MOST_KILLS = 3
"""So many times a run's process may be killed before the run counts as failed."""

# A training step frees what the next one asks for again. Left to itself, glibc hands it back to the
# system in between, which costs a sixth of a run's time. Other systems take no notice.
WORKER_ENVIRONMENT = {
    "MALLOC_TRIM_THRESHOLD_": str(2**28),
    "MALLOC_MMAP_THRESHOLD_": str(2**28),
}


@contextmanager
def local_workers(folder: Path, num_workers: int) -> Iterator["LocalWorkers"]:
    """Give processes of this machine; leaving the context stops whatever is still running."""
    workers = LocalWorkers(folder, num_workers)
    with warnings.catch_warnings():
        # Loky gives a process that has grown a new one, and takes growth for a leak: the first run
        # of a contestant that imports PyTorch is none.
        warnings.filterwarnings("ignore", message="A worker was restarted")
        try:
            yield workers
        finally:
            # After an error or an interrupt nobody waits for the runs under way.
            with no_second_interrupt():
                workers.stop()


class LocalWorkers:
    """Processes of this machine, each a pool of its own: a broken pool names the run that broke it.

    A run whose process was killed is done again from its checkpoint, and recorded as failed when
    that has happened three times.
    """

    def __init__(self, folder: Path, num_workers: int) -> None:
        self._folder = folder
        self._environment = {
            **WORKER_ENVIRONMENT,
            # Each worker has its share of the cores.
            "OMP_NUM_THREADS": str(max(1, cpu_count() // num_workers)),
        }
        self._pools = {str(k): self._new_pool() for k in range(num_workers)}
        self._busy: dict[Future[RunResult], str] = {}
        self._kills: Counter[str] = Counter()

    def stop(self) -> None:
        """End all processes, and with them the runs under way."""
        for pool in self._pools.values():
            pool.shutdown(wait=True, kill_workers=True)

    def free(self) -> list[str]:
        """Return the names of the processes that have nothing to do."""
        return [worker for worker in self._pools if worker not in self._busy.values()]

    def submit(self, spec: RunSpec, worker: str) -> Future[RunResult]:
        """Start a run in a free process."""
        future: Future[RunResult]
        try:
            future = self._pools[worker].submit(carry_out_run, spec, self._folder / spec.name)
        except BrokenProcessPool:  # killed between two runs: neither is to blame
            self._replace(worker)
            future = self._pools[worker].submit(carry_out_run, spec, self._folder / spec.name)
        self._busy[future] = worker
        return future

    def result(self, spec: RunSpec, future: Future[RunResult]) -> RunResult | None:
        """Return how a run ended; None if its process was killed, so that it is to be done again.

        Raises
        ------
        FileError
            If its files cannot be read or written.
        WorkerError
            If it cannot be sent to another process.
        """
        worker = self._busy.pop(future)
        try:
            return future.result()
        except TerminatedWorkerError:
            self._replace(worker)
        except BrokenProcessPool as error:
            reason = error.__cause__ or error
            raise WorkerError(
                f"{title(spec)} cannot be sent to another process: {reason}"
            ) from error
        self._kills[spec.name] += 1
        if self._kills[spec.name] < MOST_KILLS:
            return None
        folder = self._folder / spec.name
        return record_failure(spec, folder, killed_reason(MOST_KILLS), read_history(folder))

    def history(self, spec: RunSpec) -> list[Record]:
        """Return what a run has written of its history."""
        return read_history(self._folder / spec.name)

    def _new_pool(self) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(
            max_workers=1, initializer=_follow, initargs=(os.getpid(),), env=self._environment
        )

    def _replace(self, worker: str) -> None:
        """Give a worker a new process in place of one that is gone."""
        self._pools[worker].shutdown(wait=True, kill_workers=True)
        self._pools[worker] = self._new_pool()


def _follow(parent: int) -> None:
    """Let the parent decide what happens to this process, and end it when the parent is gone.

    Ctrl-C reaches the whole process group. A parent that was killed decides nothing any more; given
    again, the race would have a second process at work in the folder of the same run.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def watch() -> None:
        while os.getppid() == parent:  # on Windows it stays what it was
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
