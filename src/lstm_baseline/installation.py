"""Description of this installation: versions, engine, Python and system, gathered in one place."""

import platform
from typing import NamedTuple

import numpy as np

from lstm_baseline import __version__
from lstm_baseline.engine.backend import describe
from lstm_baseline.engine.cores import num_cores
from lstm_baseline.engine.threads import linear_algebra


class Installation(NamedTuple):
    """Versions of the package and its dependencies, its engine, and the system."""

    version: str
    """Version of this package."""
    engine: str
    """native; reference if there is no compiled core."""
    instruction_set: str | None
    """Instruction set that the native engine uses."""
    available: tuple[str, ...]
    """Instruction sets that it could use here."""
    threads: int | None
    """Threads of the native engine."""
    why_not_native: str | None
    """Reason for running the reference; None if the engine is native."""
    python: str
    numpy: str
    platform: str
    """System with its release, processor and C library."""
    system: str
    """System and processor alone."""
    cores: int
    """Cores that this process may use."""


def describe_installation() -> Installation:
    """Return the description of this installation."""
    engine = describe()
    return Installation(
        version=__version__,
        engine=engine["engine"],
        instruction_set=engine.get("instruction_set"),
        available=tuple(engine.get("available", ())),
        threads=engine.get("threads"),
        why_not_native=engine.get("reason"),
        python=platform.python_version(),
        numpy=np.__version__,
        platform=platform.platform(),
        system=f"{platform.system()} {platform.machine()}",
        cores=num_cores(),
    )


def arithmetic() -> str:
    """Return how this processor computes: the core's instruction set, and linear algebra's kernels.

    The bits of a result depend on both. Numbers differ between them by rounding, and after training
    by what training makes of it.
    """
    here = describe_installation()
    return ", ".join(filter(None, (here.instruction_set or here.engine, linear_algebra())))


def results_depend_on() -> dict[str, str]:
    """Return everything besides the processor that the bits of a result depend on."""
    here = describe_installation()
    return {"lstm-baseline": here.version, "NumPy": here.numpy, "engine": here.engine}
