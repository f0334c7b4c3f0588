"""Load the compiled core, if it could be built, and choose its instruction set."""

import os
from functools import cache
from importlib import import_module
from typing import Any

from lstm_baseline.engine.cores import num_cores
from lstm_baseline.engine.errors import InputError

ISA_VARIABLE = "LSTM_BASELINE_ISA"
"""Forces an instruction set: avx512, avx2, sse2 or neon."""

ENGINE_VARIABLE = "LSTM_BASELINE_ENGINE"
"""Forces an engine where "auto" is asked for: reference or native."""


@cache
def load_core() -> Any:
    """Return the compiled core, or None where there is none.

    Raises
    ------
    InputError
        If the environment asks for an instruction set that this machine does not have.
    """
    try:
        core = import_module("lstm_baseline.engine.native._core")
    except ImportError:
        return None
    core.set_num_threads(_threads_at_start())
    wanted = os.environ.get(ISA_VARIABLE)
    if wanted and not core.use_instruction_set(wanted):
        available = ", ".join(core.instruction_sets())
        raise InputError(f"{ISA_VARIABLE} is {wanted!r}; this machine runs: {available}")
    return core


def _threads_at_start() -> int:
    """Return the first number of ``OMP_NUM_THREADS``, or else of cores that are this process's."""
    asked = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    return int(asked) if asked.isdecimal() and int(asked) > 0 else num_cores()


def training_core() -> Any:
    """Return the core for what needs no model, or None where there is none or it is not wanted."""
    return None if os.environ.get(ENGINE_VARIABLE) == "reference" else load_core()
