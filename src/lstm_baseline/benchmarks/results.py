"""The results of a benchmark: pure data, and the JSON that holds it.

``bench.json`` is one object. Times are seconds of one call.

- ``format``: "lstm-baseline bench 1".
- ``quick``: whether the short form ran.
- ``machine``: ``cpu``, ``cores``, ``system``, ``engine``, ``instruction_set`` (null for the
  reference engine), ``versions``.
- ``peers``: version of each peer, null where it is not installed.
- ``peak_gflops``: NumPy's float32 matrix product in 10⁹ operations a second, by threads.
- ``others_cores``: how many cores other processes used meanwhile, null where nobody knows.
- ``tolerance``: the largest error that counts as right.
- ``rows``: one for each case and number of threads.

  - ``case`` (its name), ``kind``, ``model``, ``B``, ``T``, ``I``, ``H``, ``threads``;
  - ``flops`` that the case cannot do without;
  - ``contestants``: ``name``, ``peer``, ``error`` (null if it is not finite), ``right``, and where
    the answer is right ``median_s``, ``low_s``, ``high_s`` (quartiles), ``rounds`` and ``calls``
    (in a round);
  - ``best_peer``: the entrant with the smallest median that is not ours, ``ratio``: its median
    over ours, ``share_of_peak``: flops / our median / peak; each null where there is none.

- ``summary``: one for each case, each side with the number of threads that suits it best: ``case``,
  ``ours_s``, ``ours_threads``, ``best_peer``, ``best_peer_s``, ``best_peer_threads``, ``ratio``.
- ``memory``: ``case``, ``name``, ``peer``, ``call_bytes`` and ``process_bytes``, as
  ``benchmarks/memory.py`` says; empty where it cannot be measured.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from lstm_baseline.benchmarks.answers import TOLERANCE, Check
from lstm_baseline.benchmarks.cases import Case
from lstm_baseline.benchmarks.entrants import OURS
from lstm_baseline.benchmarks.machine import Machine
from lstm_baseline.benchmarks.memory import Memory
from lstm_baseline.benchmarks.timing import Timing

FORMAT = "lstm-baseline bench 1"


class Entry(NamedTuple):
    """An entrant in a row."""

    name: str
    peer: str
    check: Check
    timing: Timing | None
    """None where the answer is wrong: its time means nothing."""


class Row(NamedTuple):
    """A case at a number of threads."""

    case: Case
    threads: int
    flops: int
    entries: tuple[Entry, ...]

    @property
    def ours(self) -> float | None:
        """Our median; None where our answer is wrong."""
        return self.median(OURS.name)

    @property
    def best_peer(self) -> Entry | None:
        """The fastest entry that is not ours."""
        return _fastest([entry for entry in self.entries if entry.peer != OURS.name])

    @property
    def ratio(self) -> float | None:
        """The best peer's median over ours: above 1, ours is the faster."""
        best = self.best_peer
        return None if best is None else _ratio(best.timing, self.ours)

    def median(self, peer: str) -> float | None:
        """Return the median of the fastest entry of a peer."""
        best = _fastest([entry for entry in self.entries if entry.peer == peer])
        return None if best is None or best.timing is None else best.timing.median

    def is_wrong(self, peer: str) -> bool:
        """Return whether an answer of a peer is wrong."""
        return any(not entry.check.right for entry in self.entries if entry.peer == peer)


class Summary(NamedTuple):
    """A case over all numbers of threads: each side at its best."""

    case: Case
    ours: float
    ours_threads: int
    best_peer: Entry
    best_peer_threads: int

    @property
    def ratio(self) -> float:
        """The best peer's median over ours."""
        ratio = _ratio(self.best_peer.timing, self.ours)
        assert ratio is not None
        return ratio


class Report(NamedTuple):
    """A whole benchmark."""

    quick: bool
    machine: Machine
    peers: dict[str, str | None]
    """Version of each; None where it is not installed."""
    peaks: dict[int, float]
    """Matrix-product peak in GFLOP/s, by number of threads."""
    rows: tuple[Row, ...]
    memory: tuple[Memory, ...]
    others: float | None
    """Cores that other processes used meanwhile; None where nobody knows."""

    @property
    def groups(self) -> dict[str, list[Row]]:
        """Rows by what their cases have in common."""
        groups: dict[str, list[Row]] = {}
        for row in self.rows:
            groups.setdefault(row.case.group, []).append(row)
        return groups

    @property
    def wrong(self) -> list[tuple[Row, Entry]]:
        """All wrong answers."""
        return [(row, entry) for row in self.rows for entry in row.entries if not entry.check.right]

    @property
    def summaries(self) -> list[Summary]:
        """Every case that ours and a peer finished."""
        cases = dict.fromkeys(row.case for row in self.rows)
        found = (_summary([row for row in self.rows if row.case == case]) for case in cases)
        return [summary for summary in found if summary is not None]

    def share_of_peak(self, row: Row) -> float | None:
        """Return which share of the peak at the same number of threads ours reaches."""
        if row.ours is None:
            return None
        return row.flops / row.ours / (self.peaks[row.threads] * 1e9)


def to_json(report: Report) -> dict[str, Any]:
    """Return a report in the form described above."""
    return {
        "format": FORMAT,
        "quick": report.quick,
        "machine": report.machine._asdict(),
        "peers": report.peers,
        "peak_gflops": {str(threads): peak for threads, peak in report.peaks.items()},
        "others_cores": report.others,
        "tolerance": TOLERANCE,
        "rows": [_row_to_json(row, report) for row in report.rows],
        "summary": [_summary_to_json(summary) for summary in report.summaries],
        "memory": [
            {
                "case": memory.case.name,
                "name": memory.entrant,
                "peer": memory.peer,
                "call_bytes": memory.call,
                "process_bytes": memory.process,
            }
            for memory in report.memory
        ],
    }


def _row_to_json(row: Row, report: Report) -> dict[str, Any]:
    case, best = row.case, row.best_peer
    return {
        "case": case.name,
        "kind": case.kind,
        "model": case.model,
        **{name: getattr(case, name) for name in "BTIH"},
        "threads": row.threads,
        "flops": row.flops,
        "contestants": [_entry_to_json(entry) for entry in row.entries],
        "best_peer": None if best is None else best.name,
        "ratio": row.ratio,
        "share_of_peak": report.share_of_peak(row),
    }


def _entry_to_json(entry: Entry) -> dict[str, Any]:
    error, timing = entry.check.error, entry.timing
    about: dict[str, Any] = {
        "name": entry.name,
        "peer": entry.peer,
        "error": error if math.isfinite(error) else None,
        "right": entry.check.right,
    }
    if timing is not None:
        about |= {
            "median_s": timing.median,
            "low_s": timing.low,
            "high_s": timing.high,
            "rounds": timing.rounds,
            "calls": timing.calls,
        }
    return about


def _summary_to_json(summary: Summary) -> dict[str, Any]:
    timing = summary.best_peer.timing
    return {
        "case": summary.case.name,
        "ours_s": summary.ours,
        "ours_threads": summary.ours_threads,
        "best_peer": summary.best_peer.name,
        "best_peer_s": None if timing is None else timing.median,
        "best_peer_threads": summary.best_peer_threads,
        "ratio": summary.ratio,
    }


def _summary(rows: Sequence[Row]) -> Summary | None:
    """Return the summary of one case's rows."""
    ours = [(row.ours, row.threads) for row in rows if row.ours is not None]
    peers = [(best, row.threads) for row in rows if (best := row.best_peer) is not None]
    if not ours or not peers:
        return None
    seconds, threads = min(ours)
    peer, peer_threads = min(peers, key=lambda found: _median(found[0]))
    return Summary(rows[0].case, seconds, threads, peer, peer_threads)


def _fastest(entries: Sequence[Entry]) -> Entry | None:
    right = [entry for entry in entries if entry.timing is not None]
    return min(right, key=_median, default=None)


def _median(entry: Entry) -> float:
    return math.inf if entry.timing is None else entry.timing.median


def _ratio(peer: Timing | None, ours: float | None) -> float | None:
    return None if peer is None or ours is None else peer.median / ours
