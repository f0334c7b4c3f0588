"""Run a cell over time in the compiled core: what the modules of all kernels share."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from lstm_baseline.engine.cells import Cell, CellGradients, Regularization, State
from lstm_baseline.engine.core import load_core
from lstm_baseline.engine.errors import InputError
from lstm_baseline.engine.shapes import FloatArray, IntArray, Params

Parts = list[FloatArray | None]
"""The arrays of a state, or of its gradient; None for zeros."""


class Call(NamedTuple):
    """One forward pass, its arrays as the core takes them."""

    cell: Cell[Any, Any]
    params: Params
    x: FloatArray
    state: Parts
    lengths: IntArray | None
    keep_cache: bool
    regularization: Regularization | None


class Kernel(NamedTuple):
    """The core's functions for one cell."""

    forward: Callable[[Call], tuple[Any, ...]]
    """Returns outputs, the arrays of the last state, and what the core kept."""
    backward: Callable[[Call, Any, FloatArray | None, Parts], tuple[Params, tuple[Any, ...]]]
    """(call, kept, d_outputs, d_state) -> gradients of the parameters; then those of the initial
    state's arrays, and what computes that of x."""
    gate: Callable[[Call, Any, str], FloatArray]
    """(call, kept, field) -> a gate's values at every step."""
    first_weights: str = "W"
    """The parameter that the gradient of x is a product with."""

    def unroll(
        self,
        cell: Cell[Any, Any],
        params: Params,
        x: FloatArray,
        state: State | None,
        lengths: IntArray | None,
        keep_cache: bool,
        regularization: Regularization | None = None,
    ) -> tuple[FloatArray, State, "NativeCache | None"]:
        """Run the cell over time, as an engine does."""
        x = np.ascontiguousarray(x)
        call = Call(cell, params, x, _parts(cell, state), lengths, keep_cache, regularization)
        y, *parts, kept = self.forward(call)
        last: State = cell.state_type(*parts)
        return y, last, NativeCache(self, call, last, kept) if keep_cache else None


class NativeCache(NamedTuple):
    """Record of a pass for its derivative; ``kept`` is the forward kernel's own memory."""

    kernel: Kernel
    call: Call
    state: State
    kept: Any

    def __reduce__(self) -> tuple[Any, ...]:
        """Copy and pickle the call; whoever gets it runs it again, to the same bits."""
        return _cache_of, (self.kernel, self.call, self.state)

    @property
    def x(self) -> FloatArray:
        """(B, T, I)."""
        return self.call.x

    def gate(self, field: str) -> FloatArray:
        """Return a gate's values at every step, (B, T, …)."""
        return self.kernel.gate(self.call, self.kept, field)

    def backward(self, d_outputs: FloatArray | None, d_state: State | None) -> CellGradients:
        """Differentiate the pass."""
        kernel, call, _, kept = self
        cell = call.cell
        d_params, (*d_initial, input_gradient) = kernel.backward(
            call, kept, contiguous(d_outputs), _parts(cell, d_state)
        )
        # A copy, because the optimizer may change W before the gradient of x is computed.
        W = call.params[kernel.first_weights].copy()
        return CellGradients(d_params, lambda: input_gradient.d_x(W), cell.state_type(*d_initial))


def _cache_of(kernel: Kernel, call: Call, state: State) -> NativeCache:
    if load_core() is None:
        raise InputError(
            "this cache is of the compiled core, and there is none here; run forward_with_cache "
            "again"
        )
    return NativeCache(kernel, call, state, kernel.forward(call)[-1])


def contiguous(array: Any) -> Any:
    """Return an array as the core takes it; None and numbers as they are."""
    return np.ascontiguousarray(array) if isinstance(array, np.ndarray) else array


def _parts(cell: Cell[Any, Any], state: State | None) -> Parts:
    if state is None:
        return [None] * len(cell.state_type._fields)
    return [np.ascontiguousarray(part) for part in state]
