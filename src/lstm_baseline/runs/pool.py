"""Carry out a race's runs, here or on many machines, with live progress."""

import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from rich.console import Console

from lstm_baseline.engine.cores import num_cores
from lstm_baseline.engine.errors import InputError
from lstm_baseline.engine.wording import counted
from lstm_baseline.runs.local_workers import local_workers
from lstm_baseline.runs.progress import Bars, show_bars
from lstm_baseline.runs.run import RunResult, held_to_its_size, read_result
from lstm_baseline.runs.second_look import needs_second_look
from lstm_baseline.runs.spec import RunSpec
from lstm_baseline.runs.workers import Workers
from lstm_baseline.training import Record

OnRecord = Callable[[RunSpec, Record], None]

_POLL_SECONDS = 0.25


def carry_out_runs(
    specs: list[RunSpec],
    folder: Path,
    *,
    num_workers: int | None,
    console: Console,
    scheduler: str | None = None,
    modules: Sequence[Path] = (),
    on_record: OnRecord | None = None,
) -> list[RunResult]:
    """Carry out every run that has not ended yet, and return all results in the given order.

    A run that fails, whatever its model raises, is recorded with the reason and stops no other run.
    A run whose process is killed is done again; if that happens several times, it is recorded as
    failed, too.

    Parameters
    ----------
    specs
        The runs.
    folder
        Folder that holds the folder of each run, named after the run.
    num_workers
        Number of processes on this machine; if None, one for each core that this process
        may use. A scheduler has its own workers.
    console
        Console that shows progress: a line for each run that ends, and bars on a terminal.
    scheduler
        Address of a Dask scheduler, such as ``tcp://host:8786``, whose workers carry out the runs
        instead of this machine. They need no common file system; the files of a run are written
        here when it has ended.
    modules
        Python files, such as a contestant's, that the scheduler's workers need besides their
        installation.
    on_record
        Called here with each line of a run's history, in order, while it runs. A run that goes on
        from a checkpoint, or is done again, is reported from its first line, each line once. A run
        that had ended before is not reported.

    Raises
    ------
    FileError
        If a file of a run cannot be read or written.
    InputError
        If Dask is not installed.
    WorkerError
        If the scheduler cannot be reached or is lost, or a worker cannot be used.
    KeyboardInterrupt
        If interrupted. Workers are stopped first.

    After any of these errors the finished runs stay, and the same call goes on from there; on this
    machine it also goes on from the checkpoints of the other runs.
    """
    results = {spec.name: _ended(spec, folder / spec.name) for spec in specs}
    waiting = [spec for spec in specs if results[spec.name] is None]
    if len(waiting) < len(specs):
        console.print(f"{len(specs) - len(waiting)} of {len(specs)} runs have ended before")
    if waiting:
        # The longest runs first, so that all workers end at about the same time.
        waiting.sort(key=RunSpec.estimated_work, reverse=True)
        found: AbstractContextManager[Workers]
        if scheduler is None:
            found = local_workers(folder, min(num_workers or num_cores(), len(waiting)))
        else:
            found = _dask_workers(folder, scheduler, modules)
        with found as workers:
            if scheduler is not None:
                number = counted(len(workers.free()), "worker")
                console.print(f"{scheduler} has {number}", soft_wrap=True)
            with show_bars(console, waiting) as bars:
                results |= _keep_busy(waiting, workers, bars, on_record)
    return [result for spec in specs if (result := results[spec.name]) is not None]


def _ended(spec: RunSpec, folder: Path) -> RunResult | None:
    """Return the result of a run that has ended, if nothing remains to be done about it."""
    result = read_result(spec, folder)
    return None if result is not None and needs_second_look(spec, result, folder) else result


def _dask_workers(
    folder: Path, scheduler: str, modules: Sequence[Path]
) -> AbstractContextManager[Workers]:
    try:
        from lstm_baseline.runs.dask_workers import dask_workers
    except ImportError as error:
        raise InputError(
            f"Dask cannot be imported ({error}); pip install 'lstm-baseline[dask]'"
        ) from error
    return dask_workers(folder, scheduler, modules)


def _keep_busy(
    specs: list[RunSpec], workers: Workers, bars: Bars, on_record: OnRecord | None
) -> dict[str, RunResult]:
    """Keep all workers busy with the runs, in the given order, until every run has ended."""
    waiting = deque(specs)
    under_way: dict[Future[Any], RunSpec] = {}
    reported: Counter[str] = Counter()
    results = {}

    def report(spec: RunSpec, history: list[Record]) -> None:
        for record in history[reported[spec.name] :]:
            reported[spec.name] += 1
            bars.update(spec, record)
            if on_record is not None:
                on_record(spec, record)

    while waiting or under_way:
        for worker in workers.free()[: len(waiting)]:
            spec = waiting.popleft()
            under_way[workers.submit(spec, worker)] = spec
        if not under_way:  # no worker has connected yet
            time.sleep(_POLL_SECONDS)
        ended, _ = wait(under_way, timeout=_POLL_SECONDS, return_when=FIRST_COMPLETED)
        for future in ended:
            spec = under_way.pop(future)
            result = workers.result(spec, future)
            if result is None:
                bars.say(spec, "its process was killed; it is done again")
                waiting.appendleft(spec)
            else:
                report(spec, result.history)
                result = results[spec.name] = held_to_its_size(spec, result)
                bars.end(spec, result)
        for spec in under_way.values():
            report(spec, workers.history(spec))
    return results
