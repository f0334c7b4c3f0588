"""Memory that a case takes, each entrant in a fresh process of its own.

The process imports what it needs, makes weights, data and entrant, hands free heap back to the
system and resets the kernel's record of its peak. Then it makes a few calls. ``call`` is how far
resident memory rose above where it stood: activations, gradients, workspaces, whatever the
library keeps; code that was paged in meanwhile is not counted. ``process`` is the peak of the whole
process, libraries included. All on one thread. It works where Linux shows ``/proc``; elsewhere
nothing is measured.
"""

import json
import subprocess
import sys
from typing import NamedTuple

from lstm_baseline.benchmarks.cases import Case, make_problem
from lstm_baseline.benchmarks.entrants import OURS, PEERS
from lstm_baseline.engine.errors import WorkerError
from lstm_baseline.engine.threads import limit_threads
from lstm_baseline.runs.peak_memory import peak_since, read_memory, reset_peak

_CALLS = 3


class Memory(NamedTuple):
    """Bytes that an entrant took."""

    case: Case
    entrant: str
    peer: str
    call: int
    """Peak above what was there before the calls."""
    process: int
    """Peak of the whole process."""


def measure_memory(case: Case, entrant: str, peer: str) -> Memory:
    """Return what an entrant takes for a case, in a fresh process.

    Raises
    ------
    WorkerError
        If the process ended without saying.
    """
    ended = subprocess.run(
        [sys.executable, "-m", __name__, json.dumps([case, entrant, peer])],
        capture_output=True,
        text=True,
        check=False,
    )
    try:
        call, process = json.loads(ended.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        lines = ended.stderr.strip().splitlines() or ["no reason given"]
        raise WorkerError(
            f"the memory of {entrant} in {case.name} could not be measured: {lines[-1]}"
        ) from None
    return Memory(case, entrant, peer, call, process)


def measure_here(case: Case, entrant: str, peer: str) -> tuple[int, int]:
    """Return bytes of the calls and of the process, as they are in this process."""
    library = {p.name: p for p in (OURS, *PEERS)}[peer]
    with limit_threads(1):
        found = {c.name: c for c in library.entrants(make_problem(case), 1)}[entrant]
        before = reset_peak()
        with found.during():
            for _ in range(_CALLS):
                found.call()
        return peak_since(before), read_memory().peak


def _main() -> None:
    case, entrant, peer = json.loads(sys.argv[1])
    print(json.dumps(measure_here(Case(*case), entrant, peer)))


if __name__ == "__main__":
    _main()
