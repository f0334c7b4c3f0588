"""The peak of resident memory, as Linux shows it; elsewhere nothing is measured."""

import ctypes
import gc
from pathlib import Path
from typing import NamedTuple

_STATUS, _RECORD = Path("/proc/self/status"), Path("/proc/self/clear_refs")
_RESET_PEAK = "5"


class Memory(NamedTuple):
    """What the kernel says of this process, in bytes."""

    resident: int
    peak: int
    code: int
    """Of ``resident``, pages of files: libraries for the most part."""


def can_measure() -> bool:
    """Return whether this system shows what is needed."""
    return _STATUS.exists() and _RECORD.exists()


def reset_peak() -> Memory:
    """Hand free heap back, or what follows would fill it unseen; forget the peak so far."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's own
    if trim is not None:
        trim(0)
    _RECORD.write_text(_RESET_PEAK)
    return read_memory()


def read_memory() -> Memory:
    """Return what the kernel says now."""
    lines = (line.split() for line in _STATUS.read_text().splitlines())
    sizes = {line[0][:-1]: 1024 * int(line[1]) for line in lines if line[-1] == "kB"}
    return Memory(sizes["VmRSS"], sizes["VmHWM"], sizes["RssFile"])


def peak_since(before: Memory) -> int:
    """Return how far resident memory rose since ``reset_peak``, without code paged in meanwhile."""
    after = read_memory()
    return max(0, after.peak - before.resident - (after.code - before.code))
