"""What runs here: versions, engine, Python and system, gathered once for all who say it."""

import os
import platform
from typing import NamedTuple

import numpy as np

from lstm_baseline import __version__
from lstm_baseline.engine.backend import describe


class Installation(NamedTuple):
    """Versions of the package and of what it stands on, its engine, and the system below."""

    version: str
    """Version of this package."""
    engine: str
    """native, or reference where there is no compiled core."""
    instruction_set: str | None
    """Instruction set that the native engine uses."""
    available: tuple[str, ...]
    """Instruction sets that it could use here."""
    threads: int | None
    """Threads of the native engine."""
    why_not_native: str | None
    """Reason for the reference; None if the engine is native."""
    python: str
    numpy: str
    platform: str
    """System with its release, processor and C library."""
    system: str
    """System and processor alone."""
    cores: int | None


def describe_installation() -> Installation:
    """Return what runs here."""
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
        cores=os.cpu_count(),
    )


def results_depend_on() -> dict[str, str]:
    """Return what the bits of a result depend on, besides the processor."""
    here = describe_installation()
    return {"lstm-baseline": here.version, "NumPy": here.numpy, "engine": here.engine}
