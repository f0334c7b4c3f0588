"""Runs on the workers of a Dask scheduler, on this machine or on many.

The machines share nothing but the scheduler's address. A worker carries out a run in a temporary
folder and returns its files; the process that started the race writes them. Each record of a run's
history is sent before them, as an event. Encryption and certificates are Dask's own configuration.
"""

import asyncio
import logging
import pickle
import secrets
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any, TypedDict

from distributed import Client, KilledWorker, Security, Worker, get_worker, rpc
from distributed import Future as DaskFuture
from distributed.comm import CommClosedError

from lstm_baseline import __version__
from lstm_baseline.engine.errors import FileError, WorkerError
from lstm_baseline.installation import results_depend_on
from lstm_baseline.runs.local_workers import local_workers
from lstm_baseline.runs.run import RunResult, carry_out_run, record_failure, store
from lstm_baseline.runs.spec import RunSpec
from lstm_baseline.runs.stopping import unstopped
from lstm_baseline.runs.workers import killed_reason
from lstm_baseline.tasks import Task
from lstm_baseline.training import Record

_CONNECT_SECONDS = 10
_POLL_SECONDS = 0.25


@contextmanager
def dask_workers(folder: Path, scheduler: str, modules: Sequence[Path]) -> Iterator["DaskWorkers"]:
    """Connect to a scheduler, check the workers that it has already, and yield them all.

    Leaving the context stops whatever is still running.

    Parameters
    ----------
    folder
        Folder that holds the folder of each run, named after the run.
    scheduler
        Address of the scheduler.
    modules
        Python files to send to the workers.

    Raises
    ------
    FileError
        If a module does not exist.
    WorkerError
        If nothing answers, or a worker cannot be used.
    """
    with ExitStack() as stack:
        stack.enter_context(_quiet())
        client = stack.enter_context(_connect(scheduler))
        workers = DaskWorkers(client, scheduler, folder)
        for module in modules:
            if not module.is_file():
                raise FileError(f"cannot read {module}: there is no such file")
        try:
            for module in modules:
                client.upload_file(str(module))
            client.run(_check_worker, results_depend_on())
        except WorkerError:
            raise
        except Exception as error:  # whatever another installation may raise
            raise _unusable(error) from error
        connection = stack.pop_all()
    try:
        yield workers
    finally:
        # The scheduler drops the work of a client that has disconnected.
        with unstopped():
            connection.close()


def _connect(scheduler: str) -> Client:
    try:
        # In a thread, because a notebook has an event loop of its own.
        with ThreadPoolExecutor(1) as thread:
            thread.submit(asyncio.run, _ask_who_answers(scheduler)).result()
        with warnings.catch_warnings():
            # _check_worker tells whether the installations agree in what matters here.
            warnings.simplefilter("ignore")
            return Client(scheduler, timeout=_CONNECT_SECONDS, set_as_default=False)
    except Exception as error:  # a wrong address, network or certificate
        reason = str(error) or f"silent for {_CONNECT_SECONDS} s"
        raise WorkerError(
            f"no Dask scheduler answers at {scheduler!r} ({reason}); start one with "
            "`dask scheduler` and give the address that it prints"
        ) from error


class DaskWorkers:
    """Workers of a Dask scheduler, each with one thread.

    A run is sent only to an idle worker, so that no other run is blamed if the worker is killed.
    Dask then does the run again elsewhere, as often as the scheduler's ``allowed-failures`` says. A
    task is sent to a worker once, however many of its runs are done there.
    """

    def __init__(self, client: Client, scheduler: str, folder: Path) -> None:
        self._client, self._scheduler, self._folder = client, scheduler, folder
        self._executor = client.get_executor(pure=False, allow_other_workers=True)
        self._topic = f"lstm-baseline-{secrets.token_hex(8)}"
        client.subscribe_topic(self._topic, self._hear)
        self._installation = results_depend_on()
        self._busy: dict[Future[dict[str, bytes]], str] = {}
        self._tasks: dict[int, DaskFuture] = {}
        self._histories: dict[str, list[Record]] = {}

    def free(self) -> list[str]:
        """Return the addresses of the idle workers.

        Raises
        ------
        WorkerError
            If the scheduler is lost.
        """
        if self._client.status != "running":
            raise self._lost()
        try:
            present = list(self._client.nthreads())
        except (Exception, asyncio.CancelledError) as error:  # whatever was going on
            raise self._lost() from error
        free = [worker for worker in present if worker not in self._busy.values()]
        # If a busy worker is gone, another one does its run.
        return free[: max(0, len(present) - len(self._busy))]

    def submit(self, spec: RunSpec, worker: str) -> Future[dict[str, bytes]]:
        """Start a run on a free worker.

        Raises
        ------
        WorkerError
            If the scheduler is lost, or the run cannot be sent.
        """
        others = {f.name: getattr(spec, f.name) for f in fields(spec) if f.init}
        others.pop("task")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # a user's arrays may be large
                if (key := id(spec.task)) not in self._tasks:  # it lives as long as the runs
                    # It is not scattered: data that a lost worker held could not be made again.
                    self._tasks[key] = self._client.submit(_unpacked, _packed(spec.task))
                future: Future[dict[str, bytes]] = self._executor.submit(
                    _run_on_worker,
                    self._tasks[key],
                    _packed(others),
                    self._installation,
                    self._topic,
                    workers=[worker],
                )
        except Exception as error:
            raise self._reason(error) from error
        self._busy[future] = worker
        self._histories.setdefault(spec.name, [])
        return future

    def result(self, spec: RunSpec, future: Future[dict[str, bytes]]) -> RunResult:
        """Write a run's files into its folder and return how it ended.

        Raises
        ------
        FileError
            If they cannot be written, here or on the worker.
        WorkerError
            If the scheduler is lost, or the worker cannot be used.
        """
        del self._busy[future]
        folder, history = self._folder / spec.name, self._histories.pop(spec.name)
        try:
            return store(spec, folder, future.result())
        except KilledWorker as error:
            reason = killed_reason(error.allowed_failures + 1)
            return record_failure(spec, folder, reason, history)
        except CancelledError as error:
            raise self._lost() from error
        except (FileError, WorkerError):
            raise
        except Exception as error:
            raise self._reason(error) from error

    def history(self, spec: RunSpec) -> list[Record]:
        """Return the part of a run's history that has arrived."""
        return self._histories[spec.name]

    def _hear(self, event: tuple[float, "_Message"]) -> None:
        """Take a record from a worker; ignore it if a run that is done again repeats it."""
        _, message = event
        history = self._histories.get(message["run"])
        record = Record(*message["record"])
        if history is not None and (not history or history[-1].step < record.step):
            history.append(record)

    def _reason(self, error: Exception) -> WorkerError:
        """Return the cause of an error of Dask's: a lost scheduler or an unusable worker."""
        if isinstance(error, CommClosedError) or self._client.status != "running":
            return self._lost()
        return _unusable(error)

    def _lost(self) -> WorkerError:
        return WorkerError(
            f"lost the scheduler at {self._scheduler}; given again, the same command goes on"
        )


class _Message(TypedDict):
    """Message of a worker about a run under way."""

    run: str
    """Its name."""
    record: list[Any]
    """The fields of a ``Record``."""


class _NotWanted(BaseException):
    """The process that asked for a run is gone."""


def _run_on_worker(
    task: Task, others: bytes, expected: dict[str, str], topic: str
) -> dict[str, bytes]:
    """Carry out a run on a worker and return its files by name."""
    worker = get_worker()
    _check_worker(expected, worker)
    spec, key = RunSpec(task=task, **pickle.loads(others)), worker.get_current_task()

    def tell(record: Record) -> None:
        if worker.state.tasks[key].state == "cancelled":
            raise _NotWanted
        worker.log_event(topic, _Message(run=spec.name, record=list(record)))

    with tempfile.TemporaryDirectory(dir=worker.local_directory) as name:
        folder = Path(name)
        if spec.contestant.is_user_class:
            _carry_out_elsewhere(spec, folder, tell)
        else:
            carry_out_run(spec, folder / spec.name, tell)
        return {path.name: path.read_bytes() for path in (folder / spec.name).iterdir()}


def _carry_out_elsewhere(spec: RunSpec, folder: Path, tell: Callable[[Record], None]) -> None:
    """Carry out a run of a user's class in processes of its own, as on the machine of the race."""
    told, result = 0, None
    with local_workers(folder, 1, num_threads=1) as processes:
        while result is None:  # a process that was killed is started again, a few times
            future = processes.submit(spec, processes.free()[0])
            ended = False
            while not ended:
                ended = bool(wait([future], timeout=_POLL_SECONDS).done)
                history = processes.history(spec)
                for record in history[told:]:
                    tell(record)
                told = max(told, len(history))
            result = processes.result(spec, future)


async def _ask_who_answers(address: str) -> None:
    """Refuse an address where no scheduler answers: a client might wait there for ever."""

    async def ask() -> str:
        connection = Security().get_connection_args("client")
        async with rpc(address, timeout=_CONNECT_SECONDS, connection_args=connection) as server:
            return str((await server.identity())["type"])

    kind = await asyncio.wait_for(ask(), _CONNECT_SECONDS + 1)
    if kind != "Scheduler":
        raise ValueError(f"a {kind} is there")


def _packed(content: object) -> bytes:
    """Return what only a worker unpacks: a scheduler need not have the modules of the user's."""
    return pickle.dumps(content)


def _unpacked(content: bytes) -> object:
    return pickle.loads(content)


def _check_worker(expected: dict[str, str], dask_worker: Worker) -> None:
    """Refuse a worker whose results could differ, or which does several runs at a time."""
    where, num_threads = dask_worker.address, dask_worker.state.nthreads
    for name, own in results_depend_on().items():
        if own != expected[name]:
            raise WorkerError(
                f"worker {where} has {name} {own}, this machine {expected[name]}, and their "
                "results could differ; install the same on both"
            )
    if num_threads != 1:
        raise WorkerError(
            f"worker {where} has {num_threads} threads, and runs need a process each; "
            f"start it with `dask worker --nthreads 1 --nworkers {num_threads}`"
        )


def _unusable(error: Exception) -> WorkerError:
    return WorkerError(
        f"a worker cannot carry out runs ({type(error).__name__}: {error}); "
        f"install lstm-baseline {__version__} with the extra dask on every machine"
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Dask's log off the terminal; this package's errors say what matters in it."""
    names = [n for n in logging.root.manager.loggerDict if n.startswith(("distributed", "tornado"))]
    levels = {name: logging.getLogger(name).level for name in names}
    for name in names:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
