"""A whole benchmark: check, time, measure memory; then tables, JSON and picture."""

import io
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from lstm_baseline.benchmarks.answers import check, right_answer
from lstm_baseline.benchmarks.cases import Case, Problem, flops, make_problem
from lstm_baseline.benchmarks.drawing import ratios, ratios_figure
from lstm_baseline.benchmarks.entrants import PEERS, Answer, Peer, gather
from lstm_baseline.benchmarks.machine import Neighbours, describe_machine, matrix_product_gflops
from lstm_baseline.benchmarks.memory import Memory, measure_memory
from lstm_baseline.benchmarks.results import Entry, Report, Row, to_json
from lstm_baseline.benchmarks.table import print_report
from lstm_baseline.benchmarks.timing import QUICK, Pace, time_in_turns, wait_until_quiet
from lstm_baseline.engine.storage import write_json, write_whole
from lstm_baseline.engine.threads import limit_threads
from lstm_baseline.engine.wording import counted
from lstm_baseline.plots.svg import to_svg
from lstm_baseline.runs.peak_memory import can_measure

JSON, PNG, SVG = "bench.json", "bench.png", "bench.svg"


def bench(
    cases: Sequence[Case],
    thread_counts: Sequence[int],
    folder: Path,
    *,
    quick: bool,
    console: Console,
) -> Report:
    """Carry out a benchmark, print its tables and write its files.

    Parameters
    ----------
    cases
        What to time.
    thread_counts
        Each case is timed with each of them.
    folder
        Where JSON and pictures go.
    quick
        Whether to measure for a shorter time.
    console
        Where progress and tables show.

    Raises
    ------
    LSTMBaselineError
        If a peer or a process that measures memory fails, or a file cannot be written.
    """
    pace = QUICK if quick else Pace()
    report = measure(cases, thread_counts, pace, quick=quick, console=console)
    print_report(report, console)
    write_json(folder / JSON, to_json(report))
    figure = ratios_figure(ratios(report))
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=150, facecolor="white")
    write_whole(folder / PNG, content.getvalue())
    write_whole(folder / SVG, to_svg(figure))
    return report


def measure(
    cases: Sequence[Case],
    thread_counts: Sequence[int],
    pace: Pace,
    *,
    quick: bool,
    console: Console,
) -> Report:
    """Check and time every case with every number of threads, then measure memory."""
    peers = [peer for peer in PEERS if peer.installed]
    peaks = dict.fromkeys(thread_counts, 0.0)
    rows: list[Row] = []
    neighbours = Neighbours()
    with _progress(console) as progress:
        bar = progress.add_task("", total=len(cases) * len(thread_counts))
        for case in cases:
            problem = make_problem(case)
            right = right_answer(problem)
            for threads in thread_counts:
                progress.update(bar, description=f"{case.name}, {counted(threads, 'thread')}")
                with limit_threads(threads):
                    # Measured again and again: the best of a whole run is nearer to the peak.
                    peaks[threads] = max(peaks[threads], matrix_product_gflops())
                    rows.append(
                        _row(
                            problem,
                            right,
                            threads,
                            peers,
                            pace,
                            lambda: progress.advance(bar, 1 / pace.max_rounds),
                        )
                    )
                progress.update(bar, completed=len(rows))
        memory = _memory(rows, progress)
    versions = {peer.name: peer.version for peer in PEERS}
    return Report(
        quick, describe_machine(), versions, peaks, tuple(rows), memory, neighbours.cores()
    )


def _row(
    problem: Problem,
    right: Answer,
    threads: int,
    peers: Sequence[Peer],
    pace: Pace,
    on_round: Callable[[], None],
) -> Row:
    """Check everybody, then time those who are right."""
    entrants = gather(problem, threads, peers)
    checks = [check(entrant, right) for entrant in entrants]
    timed = [c for c, found in zip(entrants, checks, strict=True) if found.right]
    wait_until_quiet()
    # No idle worker spins meanwhile if there is one thread.
    settle = wait_until_quiet if threads > 1 else lambda: None
    timings = iter(time_in_turns(timed, pace, settle=settle, on_round=on_round))
    entries = tuple(
        Entry(c.name, c.peer, found, next(timings) if found.right else None)
        for c, found in zip(entrants, checks, strict=True)
    )
    return Row(problem.case, threads, flops(problem), entries)


def _memory(rows: Sequence[Row], progress: Progress) -> tuple[Memory, ...]:
    """Measure the memory of whoever took part in the cases that are chosen for it."""
    wanted = dict.fromkeys(
        (row.case, entry.name, entry.peer)
        for row in rows
        for entry in row.entries
        if row.case.memory and can_measure()
    )
    bar = progress.add_task("memory, each in a process of its own", total=len(wanted))
    found = []
    for case, name, peer in wanted:
        found.append(measure_memory(case, name, peer))
        progress.advance(bar)
    return tuple(found)


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=12),
        TextColumn("{task.percentage:>3.0f}%"),
        TimeElapsedColumn(),
        console=console,
        transient=True,
    )
