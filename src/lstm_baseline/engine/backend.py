"""The engines that run a cell over time: the reference and the compiled core.

An engine runs one layer in one direction. The reference is ``cells/recurrence.py``. The native
engine gives the same numbers from the same arguments for the cells that have kernels, and leaves
the others to the reference.
"""

import os
from typing import Any, NamedTuple, Protocol

from lstm_baseline.engine.cells import (
    Cell,
    CellGradients,
    GRUEquations,
    LSTMEquations,
    LSTMVariantEquations,
    Regularization,
    RelationalEquations,
    State,
    recurrence,
)
from lstm_baseline.engine.core import ENGINE_VARIABLE, load_core
from lstm_baseline.engine.errors import InputError
from lstm_baseline.engine.inputs import one_of
from lstm_baseline.engine.native import gru, lstm, lstm_variants, relational
from lstm_baseline.engine.shapes import Array, FloatArray, IntArray, Params, Sequences

ENGINES = ("auto", "native", "reference")

_NOT_BUILT = "the compiled core was not built when this package was installed"


class UnrolledCache(Protocol):
    """An engine's record of a forward pass: all that its derivative needs."""

    @property
    def x(self) -> Sequences:
        """The inputs."""

    @property
    def state(self) -> State:
        """The last state."""

    def gate(self, field: str) -> FloatArray:
        """Return a gate's values at every step, (B, T, …); see ``Cell.gate_fields``."""

    def backward(self, d_outputs: FloatArray | None, d_state: State | None) -> CellGradients:
        """Differentiate the pass. Gradients that are None are zero."""


class Unroll(Protocol):
    """Runs a cell over time."""

    def __call__(
        self,
        cell: Cell[Any, Any],
        params: Params,
        x: Sequences,
        state: State | None,
        lengths: IntArray | None,
        keep_cache: bool,
        regularization: Regularization | None = None,
    ) -> tuple[Array, State, UnrolledCache | None]:
        """Return outputs, the last state, and a cache or None.

        If state is None, it is the cell's initial state; see ``recurrence.unroll``.
        """


class Engine(NamedTuple):
    """Runs cells over time; what it keeps of a pass knows the way back."""

    name: str
    unroll: Unroll


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


def engine_here(engine: Engine) -> Engine:
    """Return an engine that came from another process, or the reference if the core is not here."""
    return _REFERENCE if engine.name == "native" and load_core() is None else engine


def describe() -> dict[str, Any]:
    """Return which engine "auto" takes, and how it runs.

    Returns
    -------
    "engine"; for the native engine also its "instruction_set", the sets "available" on this machine
    and the number of "threads"; for the reference the "reason".
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
    cell: Cell[Any, Any],
    params: Params,
    x: Sequences,
    state: State | None,
    lengths: IntArray | None,
    keep_cache: bool,
    regularization: Regularization | None = None,
) -> tuple[Array, State, UnrolledCache | None]:
    if state is None:
        state = cell.initial_state(params, x.shape[0])
    return recurrence.unroll(
        cell, params, x, state, lengths, keep_cache=keep_cache, regularization=regularization
    )


_KERNELS: dict[type[Cell[Any, Any]], Unroll] = {
    LSTMEquations: lstm.KERNEL.unroll,
    LSTMVariantEquations: lstm_variants.KERNEL.unroll,
    GRUEquations: gru.KERNEL.unroll,
    RelationalEquations: relational.KERNEL.unroll,
}
"""Cells that the core runs."""

_KERNELS_WITH_REGULARIZATION: dict[type[Cell[Any, Any]], Unroll] = {
    # The plain LSTM's kernel cannot regularize its steps.
    LSTMEquations: lstm_variants.KERNEL.unroll,
    LSTMVariantEquations: lstm_variants.KERNEL.unroll,
}


def _unroll_native(
    cell: Cell[Any, Any],
    params: Params,
    x: Sequences,
    state: State | None,
    lengths: IntArray | None,
    keep_cache: bool,
    regularization: Regularization | None = None,
) -> tuple[Array, State, UnrolledCache | None]:
    kernels = _KERNELS if regularization is None else _KERNELS_WITH_REGULARIZATION
    unroll = kernels.get(type(cell), _unroll_reference)
    return unroll(cell, params, x, state, lengths, keep_cache, regularization)


_REFERENCE = Engine("reference", _unroll_reference)
_NATIVE = Engine("native", _unroll_native)
