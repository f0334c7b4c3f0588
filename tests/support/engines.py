"""The compiled core in tests: skipped if it was not built, one instruction set at a time."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest

from lstm_baseline.engine.core import ENGINE_VARIABLE, ISA_VARIABLE, load_core

core = load_core()
INSTRUCTION_SETS = [] if core is None else core.instruction_sets()
FIRST_THE_FASTEST = [
    pytest.param(name, marks=[] if k == 0 else [pytest.mark.slow])
    for k, name in enumerate(INSTRUCTION_SETS)
]
"""Parameters of a test: the set that this machine takes, and the others for the slow tests."""
NO_CORE = "the compiled core was not built"


def require_core():
    """Return the core; without one, skip the tests of the calling module."""
    if core is None:
        pytest.skip(NO_CORE, allow_module_level=True)
    return core


@contextmanager
def running(instruction_set: str) -> Iterator[str]:
    """Run with an instruction set or with the reference; yield the engine's name."""
    if instruction_set == "reference":
        yield "reference"
        return
    before = core.instruction_set()
    assert core.use_instruction_set(instruction_set)
    try:
        yield "native"
    finally:
        core.use_instruction_set(before)


@contextmanager
def threads(number: int) -> Iterator[None]:
    """Set the number of threads that the core uses."""
    before = core.get_num_threads()
    core.set_num_threads(number)
    try:
        yield
    finally:
        core.set_num_threads(before)


def everything(model, x, d_outputs=None, *, d_state=None, start=None, lengths=None, sequences=True):
    """Run a model forward and backward; return every resulting array by name."""
    options = {"initial_state": start, "lengths": lengths}
    outputs, *final = model.forward(x, sequences, return_state=True, **options)
    kept, cache = model.forward_with_cache(x, sequences, **options)
    if d_outputs is None:
        d_outputs = np.ones_like(outputs)
    gradients = model.backward(d_outputs, cache, d_state)
    results = {"outputs": outputs, "outputs with cache": kept, "d x": gradients.x}
    for k, part in enumerate(final):
        results |= {f"final {k}": part, f"d initial {k}": gradients.initial_state[k]}
        results[f"final {k} with cache"] = cache.cell.state[k]
    return results | {f"d {name}": value for name, value in gradients.params.items()}


def misaligned(array):
    """Return a copy that starts at an odd address, as one read from the middle of a file does."""
    memory = np.zeros(array.nbytes + 1, np.uint8)
    copy = np.frombuffer(memory, array.dtype, array.size, offset=1).reshape(array.shape)
    copy[...] = array
    return copy


LAYOUTS = {
    "Fortran order": np.asfortranarray,
    "every second number": lambda array: np.repeat(array, 2, axis=-1)[..., ::2],
    "backwards": lambda array: array[::-1].copy()[::-1],
    "misaligned": misaligned,
    "the other byte order": lambda array: array.astype(array.dtype.newbyteorder()),
}
"""Functions that lay the same numbers out in memory in ways that a kernel does not read."""


def assert_same_bits(given, expected):
    """Compare two dicts of arrays, name by name; NaN is the same as NaN."""
    assert given.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_array_equal(given[name], value, err_msg=name, strict=True)


def run_python(script: str, seconds: float = 120, **environment: str | None) -> str:
    """Run a script in its own process, where only the given variables choose an engine."""
    chosen = dict.fromkeys((ENGINE_VARIABLE, ISA_VARIABLE, "OMP_NUM_THREADS")) | environment
    variables = {name: value for name, value in os.environ.items() if name not in chosen}
    variables |= {name: value for name, value in chosen.items() if value is not None}
    process = subprocess.Popen(
        [sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=variables,
        start_new_session=True,
    )
    try:
        output, errors = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)  # its children with it
        raise
    assert process.returncode == 0, errors
    return output.strip()
