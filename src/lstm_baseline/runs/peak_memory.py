"""Peak of resident memory, as reported by Linux; other systems are not measured."""

import ctypes
import gc
from pathlib import Path
from typing import NamedTuple

_STATUS, _RECORD = Path("/proc/self/status"), Path("/proc/self/clear_refs")
_RESET_PEAK = "5"


class Memory(NamedTuple):
    """Memory of this process in bytes, as the kernel reports it."""

    resident: int
    peak: int
    code: int
    """Part of ``resident`` that is pages of files, mostly libraries."""


def can_measure() -> bool:
    """Return True if this system reports the numbers needed."""
    return _STATUS.exists() and _RECORD.exists()


def reset_peak() -> Memory:
    """Return free heap to the system and reset the peak; return the memory now in use.

    Otherwise the code that follows could fill the free heap without raising the peak.
    """
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's own
    if trim is not None:
        trim(0)
    _RECORD.write_text(_RESET_PEAK)
    return read_memory()


def read_memory() -> Memory:
    """Return the memory that the kernel reports now."""
    lines = (line.split() for line in _STATUS.read_text().splitlines())
    sizes = {line[0][:-1]: 1024 * int(line[1]) for line in lines if line[-1] == "kB"}
    return Memory(sizes["VmRSS"], sizes["VmHWM"], sizes["RssFile"])


def peak_since(before: Memory) -> int:
    """Return the rise of resident memory since ``reset_peak``, without code paged in meanwhile."""
    after = read_memory()
    return max(0, after.peak - before.resident - (after.code - before.code))
