"""Which engine runs a cell over time: the reference, or the compiled core.

An engine is the pair ``unroll`` and ``unroll_backward`` of ``cells/recurrence.py``. The reference
is those very functions. The native engine gives the same numbers from the same arguments for the
cells that have kernels, and leaves the others to the reference.
"""

import os
from collections.abc import Callable
from types import ModuleType
from typing import Any, NamedTuple

from lstm_baseline.engine.cells import (
    Cache,
    Cell,
    GRUEquations,
    LSTMEquations,
    LSTMVariantEquations,
    Regularization,
    RelationalEquations,
    recurrence,
)
from lstm_baseline.engine.errors import InputError
from lstm_baseline.engine.inputs import one_of
from lstm_baseline.engine.native import gru, lstm, lstm_variants, relational
from lstm_baseline.engine.native.core import ENGINE_VARIABLE, load_core
from lstm_baseline.engine.shapes import Array, FloatArray, IntArray, Params

ENGINES = ("auto", "native", "reference")

_NOT_BUILT = "the compiled core was not built when this package was installed"

_KERNELS: dict[type[Cell], ModuleType] = {
    LSTMEquations: lstm,
    LSTMVariantEquations: lstm_variants,
    GRUEquations: gru,
    RelationalEquations: relational,
}
"""Cells that the core can run, and the modules that call it."""

_KERNELS_OF_CACHES: dict[type[Any], ModuleType] = {
    lstm.LSTMCache: lstm,
    lstm_variants.LSTMVariantCache: lstm_variants,
    gru.GRUCache: gru,
    relational.RelationalCache: relational,
}


class Engine(NamedTuple):
    """Runs cells over time, forward and backward."""

    name: str
    unroll: Callable[..., tuple[FloatArray, Any, Any]]
    """(cell, params, x, state, lengths, keep_cache, regularization=None) -> outputs, state, cache
    or None. State None stands for the cell's initial state."""
    unroll_backward: Callable[..., tuple[Params, Callable[[], FloatArray], Any]]
    """(cell, params, d_outputs, cache, d_state) -> gradients of the parameters, a function that
    gives that of x, and the gradient of the initial state. d_outputs and d_state may be None."""


def select_engine(name: str = "auto") -> Engine:
    """Return the engine of that name; "auto" takes the fastest there is.

    Raises
    ------
    InputError
        If there is no such engine, or the compiled core is asked for and was not built.
    """
    one_of("engine", name, ENGINES)
    if name == "auto":
        name = one_of(ENGINE_VARIABLE, os.environ.get(ENGINE_VARIABLE) or "auto", ENGINES)
    if name == "reference":
        return _REFERENCE
    if load_core() is not None:
        return _NATIVE
    if name == "native":
        raise InputError(
            f"{_NOT_BUILT}; install it again where there is a C++ compiler, or ask for 'reference'"
        )
    return _REFERENCE


def describe() -> dict[str, Any]:
    """Return which engine "auto" takes, and how it runs.

    Returns
    -------
    "engine"; of the native one its "instruction_set", those "available" on this machine and the
    number of "threads", of the reference the "reason".
    """
    engine = select_engine()
    core = load_core()
    if engine is _REFERENCE:
        reason = f"{ENGINE_VARIABLE} says so" if core else _NOT_BUILT
        return {"engine": engine.name, "reason": reason}
    return {
        "engine": engine.name,
        "instruction_set": core.instruction_set(),
        "available": core.instruction_sets(),
        "threads": core.get_num_threads(),
    }


def _unroll_reference(
    cell: Cell,
    params: Params,
    x: Array,
    state: Any,
    lengths: IntArray | None,
    keep_cache: bool,
    regularization: Regularization | None = None,
) -> tuple[Array, Any, Cache | None]:
    if state is None:
        state = cell.initial_state(params, x.shape[0])
    return recurrence.unroll(
        cell, params, x, state, lengths, keep_cache=keep_cache, regularization=regularization
    )


def _unroll_backward_reference(
    cell: Cell, params: Params, d_outputs: Array | None, cache: Cache, d_state: Any
) -> tuple[Params, Callable[[], FloatArray], Any]:
    d_params, d_x, d_initial = recurrence.unroll_backward(cell, params, d_outputs, cache, d_state)
    return d_params, lambda: d_x, d_initial


def _unroll_native(
    cell: Cell,
    params: Params,
    x: Array,
    state: Any,
    lengths: IntArray | None,
    keep_cache: bool,
    regularization: Regularization | None = None,
) -> tuple[Array, Any, Any]:
    result: tuple[Array, Any, Any]
    if regularization is not None and isinstance(cell, LSTMEquations):
        cell = LSTMVariantEquations()  # without any piece: the plain kernel has nothing around it
    if regularization is not None and isinstance(cell, LSTMVariantEquations):
        result = lstm_variants.unroll(
            cell, params, x, state, lengths, keep_cache, regularization=regularization
        )
        return result
    kernel = _KERNELS.get(type(cell))
    if kernel is None or regularization is not None:
        return _unroll_reference(cell, params, x, state, lengths, keep_cache, regularization)
    result = kernel.unroll(cell, params, x, state, lengths, keep_cache)
    return result


def _unroll_backward_native(
    cell: Cell, params: Params, d_outputs: Array | None, cache: Any, d_state: Any
) -> tuple[Params, Callable[[], FloatArray], Any]:
    if isinstance(cache, Cache):
        return _unroll_backward_reference(cell, params, d_outputs, cache, d_state)
    kernel = _KERNELS_OF_CACHES[type(cache)]
    result: tuple[Params, Callable[[], FloatArray], Any] = kernel.unroll_backward(
        cell, params, d_outputs, cache, d_state
    )
    return result


_REFERENCE = Engine("reference", _unroll_reference, _unroll_backward_reference)
_NATIVE = Engine("native", _unroll_native, _unroll_backward_native)
