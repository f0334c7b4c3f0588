"""Load the compiled core, if it could be built, and choose its instruction set."""

import os
from functools import cache
from importlib import import_module
from typing import Any

import numpy as np

from lstm_baseline.errors import InputError

ISA_VARIABLE = "LSTM_BASELINE_ISA"
"""Forces an instruction set: avx512, avx2, sse2 or neon."""

ENGINE_VARIABLE = "LSTM_BASELINE_ENGINE"
"""Forces an engine where "auto" is asked for: reference or native."""

_DTYPES = (np.dtype(np.float32), np.dtype(np.float64))


@cache
def load_core() -> Any:
    """Return the compiled core, or None where there is none.

    Raises
    ------
    InputError
        If the environment asks for an instruction set that this machine does not have.
    """
    try:
        core = import_module("lstm_baseline.native._core")
    except ImportError:
        return None
    wanted = os.environ.get(ISA_VARIABLE)
    if wanted and not core.use_instruction_set(wanted):
        available = ", ".join(core.instruction_sets())
        raise InputError(f"{ISA_VARIABLE} is {wanted!r}; this machine runs: {available}")
    return core


def core_for(*arrays: Any) -> Any:
    """Return the core if it may be used and can work on these arrays of one kind, else None."""
    for array in arrays:
        if not isinstance(array, np.ndarray) or array.dtype not in _DTYPES:
            return None
        if not array.flags.c_contiguous or not array.flags.aligned:
            return None
        if array.shape != arrays[0].shape or array.dtype != arrays[0].dtype:
            return None
    return None if os.environ.get(ENGINE_VARIABLE) == "reference" else load_core()
