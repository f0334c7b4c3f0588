"""Carry out a race's runs on all cores, one process a run, with live progress."""

import signal
import time
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

from loky import ProcessPoolExecutor, cpu_count
from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

from lstm_baseline.comparison.plan import RunSpec
from lstm_baseline.comparison.run import RunResult, execute, read_history, read_result
from lstm_baseline.errors import WorkerError

_POLL_SECONDS = 0.25

# A training step frees what the next one asks for again. Left to itself, glibc hands it back to the
# system in between, which costs a sixth of a run's time. Other systems take no notice.
_WORKER_ENVIRONMENT = {
    "MALLOC_TRIM_THRESHOLD_": str(2**28),
    "MALLOC_MMAP_THRESHOLD_": str(2**28),
}


def run_all(
    specs: list[RunSpec],
    folder: Path,
    *,
    num_workers: int | None,
    console: Console,
    scheduler=None,
    on_record=None,
) -> list[RunResult]:
    """Carry out every run that has not ended yet, and return all results in the order given.

    Parameters
    ----------
    specs
        The runs.
    folder
        Where each run has its folder, by its name.
    num_workers
        Processes; one a core when None.
    console
        Where progress shows; a line for each run that ends, bars where it is a terminal.

    Raises
    ------
    WorkerError
        If a worker was killed; finished runs stay.
    KeyboardInterrupt
        If interrupted. Workers are stopped first; finished runs stay, the others keep their
        checkpoints, and the same call goes on from there.
    """
    results = {spec.name: read_result(spec, folder / spec.name) for spec in specs}
    waiting = [spec for spec in specs if results[spec.name] is None]
    if len(waiting) < len(specs):
        console.print(f"{len(specs) - len(waiting)} of {len(specs)} runs have ended before")
    if waiting:
        # The longest first, so that all cores end together.
        waiting.sort(key=RunSpec.estimated_work, reverse=True)
        workers = min(num_workers or cpu_count(), len(waiting))
        pool = ProcessPoolExecutor(
            max_workers=workers,
            initializer=_leave_interrupts_to_parent,
            # Each worker has its share of the cores.
            env={**_WORKER_ENVIRONMENT, "OMP_NUM_THREADS": str(max(1, cpu_count() // workers))},
        )
        try:
            futures = {pool.submit(execute, spec, folder / spec.name): spec for spec in waiting}
            with _progress(console) as progress:
                results |= _follow(futures, folder, progress)
        except BrokenProcessPool as error:
            raise WorkerError(
                "a process was killed from outside, often for lack of memory; "
                "give fewer --workers: the same command goes on from the finished runs"
            ) from error
        finally:
            # After an error or an interrupt nobody waits for the runs under way. A second Ctrl-C
            # must not come between.
            handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
            pool.shutdown(wait=True, kill_workers=True)
            signal.signal(signal.SIGINT, handler)
    return [result for spec in specs if (result := results[spec.name]) is not None]


def _follow(
    futures: dict[Future[RunResult], RunSpec], folder: Path, progress: Progress
) -> dict[str, RunResult]:
    """Show how far every run is until all have ended."""
    work = {spec.name: spec.estimated_work() for spec in futures.values()}
    total = progress.add_task("all runs", total=sum(work.values()))
    bars: dict[str, TaskID] = {}
    pending, results = dict(futures), {}
    while pending:
        time.sleep(_POLL_SECONDS)
        for future in [future for future in pending if future.done()]:
            spec = pending.pop(future)
            results[spec.name] = result = future.result()
            if spec.name in bars:
                progress.remove_task(bars.pop(spec.name))
            progress.console.print(_describe(spec, result))
        completed = sum(work[name] for name in results)
        for future, spec in pending.items():
            history = read_history(folder / spec.name) if future.running() else []
            if not history:
                continue
            if spec.name not in bars:
                bars[spec.name] = progress.add_task(_title(spec), total=spec.settings.num_steps)
            progress.update(
                bars[spec.name],
                completed=history[-1].step,
                description=f"{_title(spec)}  {history[-1].metric:.3f}",
            )
            completed += work[spec.name] * history[-1].step / spec.settings.num_steps
        progress.update(total, completed=completed)
    return results


def _title(spec: RunSpec) -> str:
    return f"{spec.task.name}  {spec.model}  {spec.title}"


def _describe(spec: RunSpec, result: RunResult) -> str:
    if result.status == "failed":
        return f"{_title(spec)}  failed: {result.reason}"
    return f"{_title(spec)}  {spec.task.metric.name} {result.score or result.validation_score:.3f}  {result.seconds:.1f} s"


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=12),
        TextColumn("{task.percentage:>3.0f}%"),
        TextColumn("left"),
        TimeRemainingColumn(compact=True),
        console=console,
    )


def _leave_interrupts_to_parent() -> None:
    """Ctrl-C reaches the whole process group; the parent decides what happens to workers."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
