"""A benchmark's outcome in the terminal, within 80 columns."""

from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from lstm_baseline.benchmarks.entrants import OURS
from lstm_baseline.benchmarks.memory import Memory
from lstm_baseline.benchmarks.results import Report, Row, Summary
from lstm_baseline.engine.wording import counted
from lstm_baseline.plots.formats import NOTHING, listing

_DISTURBING = 0.1
"""Cores."""

_UNITS = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns"))


def print_report(report: Report, console: Console) -> None:
    """Print what was measured: machine, times, each side at its best, memory, wrong answers."""
    console.print(_heading(report))
    _print_times(report, console)
    if report.summaries:
        _print_title(console, "Each side with the number of threads that suits it best")
        _print_summaries(report.summaries, console)
    if report.memory:
        _print_title(console, "Memory of the calls alone, and of the whole process")
        _print_memory(report, console)
    console.print()
    if report.others is not None and report.others > _DISTURBING:
        console.print(
            Text(
                f"Disturbed: other processes used {report.others:.2f} cores meanwhile. Times on "
                "several threads suffer most.",
                "bold",
            )
        )
    for row, entry in report.wrong:
        console.print(
            Text(
                f"wrong answer: {entry.name} in {row.case.name} on {counted(row.threads, 'thread')}"
                f", {entry.check.worst} is off by {entry.check.error:.1e} of its largest entry",
                "bold red",
            ),
            soft_wrap=True,
        )


def _print_title(console: Console, title: str) -> None:
    console.print()
    console.rule(Text(title), align="left", style="dim")


def seconds(value: float | None) -> str:
    """Return a time with three digits."""
    if value is None:
        return NOTHING
    rounded = float(f"{value:.3g}")
    size, unit = next((entry for entry in _UNITS if rounded >= entry[0]), _UNITS[-1])
    return f"{_three_digits(value / size)} {unit}"


def times(ratio: float | None) -> str:
    """Return a ratio, as in 2.31×."""
    return NOTHING if ratio is None else f"{_three_digits(ratio)}×"


def _three_digits(value: float) -> str:
    rounded = float(f"{value:.3g}")
    decimals = 2 if rounded < 10 else 1 if rounded < 100 else 0
    return f"{rounded:,.{decimals}f}"


def _heading(report: Report) -> Text:
    machine = report.machine
    engine = " ".join(filter(None, (machine.engine, machine.instruction_set)))
    peaks = [
        f"{peak:.0f} GFLOP/s on {counted(threads, 'thread')}"
        for threads, peak in report.peaks.items()
    ]
    there = [f"{name} {version}" for name, version in report.peers.items() if version]
    missing = [name for name, version in report.peers.items() if version is None]
    lines = [
        f"{machine.cpu}, {counted(machine.cores, 'core')}; engine: {engine}",
        f"matrix product: {listing(peaks)}",
        f"peers: {listing(there) if there else 'none'}",
    ]
    if missing:
        lines.append(f"not installed: {listing(missing)}")
    return Text("\n".join(lines))


def _print_times(report: Report, console: Console) -> None:
    peers = [OURS.name, *(name for name, version in report.peers.items() if version)]
    # Two words stand one below the other.
    columns = {"threads": 7, **{peer.replace(" ", "\n"): 8 for peer in peers}}
    columns |= {"best peer\n/ ours": 10, "of peak": 8}
    for k, (group, rows) in enumerate(report.groups.items()):
        table = _table(columns, show_header=k == 0)
        for place, row in enumerate(rows):
            again = place > 0 and rows[place - 1].case == row.case
            table.add_row(
                "" if again else row.case.sizes,
                str(row.threads),
                *(_cell(row, peer, peers) for peer in peers),
                times(row.ratio),
                _percent(report.share_of_peak(row)),
            )
        _print_group(console, group, table)


def _print_summaries(summaries: Sequence[Summary], console: Console) -> None:
    groups: dict[str, list[Summary]] = {}
    for summary in summaries:
        groups.setdefault(summary.case.group, []).append(summary)
    columns = {"ours (threads)": 14, "best peer (threads)": 35, "ratio": 7}
    for k, (group, members) in enumerate(groups.items()):
        table = _table(columns, show_header=k == 0)
        for summary in members:
            best = summary.best_peer
            median = None if best.timing is None else best.timing.median
            table.add_row(
                summary.case.sizes,
                f"{seconds(summary.ours)} ({summary.ours_threads})",
                f"{best.name} {seconds(median)} ({summary.best_peer_threads})",
                times(summary.ratio),
            )
        _print_group(console, group, table)


def _print_memory(report: Report, console: Console) -> None:
    groups: dict[str, list[Memory]] = {}
    for memory in report.memory:
        groups.setdefault(memory.case.group, []).append(memory)
    for k, (group, members) in enumerate(groups.items()):
        table = _table({"contestant": 22, "calls": 10, "process": 9}, show_header=k == 0)
        for place, memory in enumerate(members):
            again = place > 0 and members[place - 1].case == memory.case
            table.add_row(
                "" if again else memory.case.sizes,
                memory.entrant,
                f"{memory.call / 1e6:,.1f} MB",
                f"{memory.process / 1e6:,.0f} MB",
            )
        _print_group(console, group, table)


def _table(columns: dict[str, int], *, show_header: bool) -> Table:
    """Return a table of columns of fixed widths, so that those of several groups line up."""
    table = Table(box=box.SIMPLE_HEAD, padding=0, show_edge=False, show_header=show_header)
    table.add_column("B×T×I×H", width=15)
    for name, width in columns.items():
        table.add_column(name, width=width, justify="right", no_wrap=True)
    return table


def _print_group(console: Console, group: str, table: Table) -> None:
    console.print()
    console.print(Text(group, style="bold"))
    console.print(table)


def _percent(share: float | None) -> str:
    if share is None:
        return NOTHING
    return f"{share:.1%}" if share < 0.1 else f"{share:.0%}"


def _cell(row: Row, peer: str, peers: Sequence[str]) -> Text:
    """Return the fastest of a peer, in bold if nobody is faster."""
    if row.is_wrong(peer):
        return Text("wrong", style="bold red")
    medians = {name: row.median(name) for name in peers}
    fastest = min((m for m in medians.values() if m is not None), default=None)
    return Text(seconds(medians[peer]), style="bold" if medians[peer] == fastest else "")
