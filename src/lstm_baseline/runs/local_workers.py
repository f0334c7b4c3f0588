"""Runs in processes of this machine."""

import os
import pickle
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeAlias

from lstm_baseline.engine.cores import num_cores
from lstm_baseline.engine.errors import LSTMBaselineError, WorkerError
from lstm_baseline.runs import worker_process
from lstm_baseline.runs.progress import title
from lstm_baseline.runs.run import RESULT, RunResult, carry_out_run, read_history, record_failure
from lstm_baseline.runs.second_look import look_again, needs_second_look, score_again
from lstm_baseline.runs.spec import RunSpec
from lstm_baseline.runs.stopping import unstopped
from lstm_baseline.runs.worker_process import read_message, write_message
from lstm_baseline.runs.workers import killed_reason
from lstm_baseline.training import Record

Job: TypeAlias = Callable[[RunSpec, Path], RunResult]

MOST_KILLS = 3
"""Number of times that a run's process is killed before the run counts as failed."""

# A training step frees memory that the next one asks for again. By default glibc returns it to the
# system in between, which costs a sixth of a run's time. Other systems ignore these settings.
WORKER_ENVIRONMENT = {
    "MALLOC_TRIM_THRESHOLD_": str(2**28),
    "MALLOC_MMAP_THRESHOLD_": str(2**28),
}


@contextmanager
def local_workers(
    folder: Path, num_workers: int, num_threads: int | None = None
) -> Iterator["LocalWorkers"]:
    """Yield processes of this machine. Leaving the context stops whatever is still running.

    If ``num_threads`` is None, they share the cores among them.
    """
    workers = LocalWorkers(folder, num_workers, num_threads or max(1, num_cores() // num_workers))
    try:
        yield workers
    finally:
        # After an error or an interrupt, do not wait for the runs under way.
        with unstopped():
            workers.stop()


class LocalWorkers:
    """Processes of this machine, each with one run at a time: one that ends shows which run did it.

    A process that has run a user's class runs nothing else: the class may have changed something
    for whoever comes next. Two more processes take a second look at the model that it trained.

    A run whose process was killed is done again from its checkpoint. When its process has been
    killed three times, it is recorded as failed.
    """

    def __init__(self, folder: Path, num_workers: int, num_threads: int) -> None:
        self._folder = folder
        self._environment = {**WORKER_ENVIRONMENT, "OMP_NUM_THREADS": str(num_threads)}
        self._names = [str(k) for k in range(num_workers)]
        self._processes: dict[str, _Process] = {}
        # Each thread waits for the answer of a process.
        self._threads = ThreadPoolExecutor(num_workers)
        self._busy: dict[Future[RunResult], str] = {}
        self._kills: Counter[str] = Counter()

    def stop(self) -> None:
        """End all processes, and with them the runs under way."""
        for process in self._processes.values():
            process.kill()
        self._threads.shutdown()
        for process in self._processes.values():
            process.close()

    def free(self) -> list[str]:
        """Return the names of the idle processes."""
        return [worker for worker in self._names if worker not in self._busy.values()]

    def submit(self, spec: RunSpec, worker: str) -> Future[RunResult]:
        """Start a run in a free process.

        Raises
        ------
        WorkerError
            If no process can be started.
        """
        owner = spec.contestant.model if spec.contestant.is_user_class else None
        processes = [self._process(worker, owner)]
        if owner is not None and spec.stage == "final":
            looks, scores = _others(worker)
            processes += [self._process(looks, owner), self._process(scores, None)]
        future = self._threads.submit(_carry_out, spec, self._folder / spec.name, *processes)
        self._busy[future] = worker
        return future

    def result(self, spec: RunSpec, future: Future[RunResult]) -> RunResult | None:
        """Return the result of a run; None if its process was killed and it must be done again.

        Raises
        ------
        FileError
            If its files cannot be read or written.
        WorkerError
            If the run cannot be sent to another process.
        """
        worker = self._busy.pop(future)
        try:
            return future.result()
        except _KilledError:
            for name in (worker, *_others(worker)):
                self._remove(name)
        except LSTMBaselineError:
            raise
        except Exception as error:  # a run's content may have any error in store
            raise WorkerError(
                f"{title(spec)} cannot be carried out in another process: {error}"
            ) from error
        self._kills[spec.name] += 1
        if self._kills[spec.name] < MOST_KILLS:
            return None
        folder = self._folder / spec.name
        return record_failure(spec, folder, killed_reason(MOST_KILLS), read_history(folder))

    def history(self, spec: RunSpec) -> list[Record]:
        """Return the history that a run has written so far."""
        return read_history(self._folder / spec.name)

    def _process(self, name: str, owner: str | None) -> "_Process":
        """Return the process of a name, another one if it is gone or was another class's."""
        known = self._processes.get(name)
        if known is not None and (known.has_ended() or known.owner not in (None, owner)):
            self._remove(name)  # killed between two runs: neither caused it
        if name not in self._processes:
            with unstopped():  # a process that nobody knows could not be ended
                self._processes[name] = _Process(self._environment)
        self._processes[name].owner = owner
        return self._processes[name]

    def _remove(self, name: str) -> None:
        """Forget a process, if there is one; the next run that needs it gets another."""
        if (process := self._processes.pop(name, None)) is not None:
            process.kill()
            process.close()


def _others(worker: str) -> tuple[str, str]:
    """Return the names of the processes that look again at what a worker has trained."""
    return f"{worker} looks again", f"{worker} scores again"


def _carry_out(
    spec: RunSpec, folder: Path, trains: "_Process", *second_look: "_Process"
) -> RunResult:
    """Have a run carried out in a process, and its model looked at in others.

    Whether that is needed is not for the process to say in which the model was trained.
    """
    had_ended = (folder / RESULT).exists()
    result = trains.do(carry_out_run, spec, folder)
    needed = needs_second_look(spec, result, folder) if had_ended else result.status == "finished"
    if second_look and needed:
        for process, job in zip(second_look, (look_again, score_again), strict=True):
            result = process.do(job, spec, folder)
            if result.score is None:
                break
    return result


class _KilledError(Exception):
    """A process has ended without an answer."""


class _Process:
    """A process that carries out runs, one after the other, and ends when this one does."""

    owner: str | None = None
    """The user's class that it runs."""

    def __init__(self, environment: dict[str, str]) -> None:
        command = [sys.executable, "-P", worker_process.__file__]
        try:
            with _ctrl_c_blocked():
                self._process = subprocess.Popen(
                    command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    env=os.environ | environment,
                )
        except OSError as error:
            raise WorkerError(f"no process can be started for runs: {error.strerror}") from error
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._messages, self._answers = self._process.stdin, self._process.stdout

    def do(self, job: Job, spec: RunSpec, folder: Path) -> RunResult:
        """Have a job done and wait for its result.

        Raises
        ------
        _KilledError
            If the process ends before.
        Exception
            Whatever the job ended with there, or kept it from being sent.
        """
        message = pickle.dumps((sys.path, pickle.dumps((job, (spec, folder)))))
        try:
            write_message(self._messages, message)
            answer = read_message(self._answers)
        except (OSError, EOFError):
            raise _KilledError from None
        found = pickle.loads(answer)
        if isinstance(found, BaseException):
            raise found
        assert isinstance(found, RunResult)
        return found

    def has_ended(self) -> bool:
        """Return True if the process is gone."""
        return self._process.poll() is not None

    def kill(self) -> None:
        """End the process, whatever it is doing."""
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        """Close the pipes to a process that is gone."""
        for pipe in (self._messages, self._answers):
            with suppress(OSError):  # of a message that it never read
                pipe.close()


@contextmanager
def _ctrl_c_blocked() -> Iterator[None]:
    """Start processes that Ctrl-C does not reach before they ignore it themselves."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
