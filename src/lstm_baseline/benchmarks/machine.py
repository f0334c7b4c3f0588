"""The machine that a benchmark ran on, and the matrix-product peak that it is held against."""

import os
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np

from lstm_baseline.engine.cores import num_cores
from lstm_baseline.installation import describe_installation, processor_name

_SIZE, _REPEATS = 1024, 5


class Machine(NamedTuple):
    """The machine and the software of a measurement."""

    cpu: str
    cores: int
    """Cores that this process may use."""
    system: str
    engine: str
    """native, or reference where there is no compiled core."""
    instruction_set: str | None
    """Instruction set that the native engine uses."""
    versions: dict[str, str]
    """Versions of Python, NumPy and this package."""


def describe_machine() -> Machine:
    """Return what this process runs on."""
    here = describe_installation()
    return Machine(
        cpu=processor_name(),
        cores=num_cores(),
        system=here.platform,
        engine=here.engine,
        instruction_set=here.instruction_set,
        versions={"Python": here.python, "NumPy": here.numpy, "lstm-baseline": here.version},
    )


def matrix_product_gflops() -> float:
    """Return the speed of NumPy's float32 matrix product, 1024³, best of five.

    The caller limits the threads. A peak is the best of several because everything that disturbs
    makes it slower.
    """
    rng = np.random.default_rng(0)
    a, b = (rng.standard_normal((_SIZE, _SIZE), np.float32) for _ in "ab")
    out = a @ b
    seconds = []
    for _ in range(_REPEATS):
        started = time.perf_counter()
        np.matmul(a, b, out=out)
        seconds.append(time.perf_counter() - started)
    return 2 * _SIZE**3 / min(seconds) / 1e9


class Neighbours:
    """Share of the machine that other processes use, from when this is made."""

    def __init__(self) -> None:
        self._before = _busy_elsewhere(), time.perf_counter()

    def cores(self) -> float | None:
        """Return how many cores others used on average; None where the system does not say."""
        seconds, started = self._before
        now = _busy_elsewhere()
        if seconds is None or now is None:
            return None
        return max(0.0, now - seconds) / (time.perf_counter() - started)


def _busy_elsewhere() -> float | None:
    """Return the seconds of all cores that neither were idle nor went to this process."""
    statistics = Path("/proc/stat")
    if not statistics.exists():
        return None
    user, nice, system, _idle, _wait, irq, soft_irq, steal = map(
        int, statistics.read_text().split()[1:9]
    )
    ticks = user + nice + system + irq + soft_irq + steal
    return ticks / os.sysconf("SC_CLK_TCK") - sum(os.times()[:4])
