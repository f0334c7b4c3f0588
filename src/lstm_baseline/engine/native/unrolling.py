"""Run a cell over time in the compiled core: what the modules of all kernels share."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from lstm_baseline.engine.cells import Cell, CellGradients, Regularization, State
from lstm_baseline.engine.core import load_core
from lstm_baseline.engine.errors import InputError
from lstm_baseline.engine.inputs import is_tokens
from lstm_baseline.engine.shapes import FloatArray, IntArray, Params, Sequences

Parts = list[FloatArray | None]
"""The arrays of a state, or of its gradient; None for zeros."""


class Call(NamedTuple):
    """One forward pass, its arrays as the core takes them."""

    cell: Cell[Any, Any]
    params: Params
    x: Sequences
    state: Parts
    lengths: IntArray | None
    keep_cache: bool
    regularization: Regularization | None
    tokens: IntArray | None = None
    """(B, T) int32 where the inputs are tokens; x and ``params`` then are what is left of them."""
    table: FloatArray | None = None
    """(V, G) what a step takes of each token in place of W x; None for numbers."""


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
    starts_from_table: bool = True
    """Whether a step may take what it needs of a token from ``Call.table``."""

    def unroll(
        self,
        cell: Cell[Any, Any],
        params: Params,
        x: Sequences,
        state: State | None,
        lengths: IntArray | None,
        keep_cache: bool,
        regularization: Regularization | None = None,
    ) -> tuple[FloatArray, State, "NativeCache | None"]:
        """Run the cell over time, as an engine does."""
        x = np.ascontiguousarray(x)
        call = Call(cell, params, x, _parts(cell, state), lengths, keep_cache, regularization)
        if is_tokens(x):
            prepare = _with_table if self.starts_from_table else _with_rows
            call = prepare(call, self.first_weights)
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
    def x(self) -> Sequences:
        """The inputs."""
        return self.call.x if self.call.tokens is None else self.call.tokens

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
        if call.tokens is not None and call.table is not None:
            num_tokens = len(call.table)
            if kernel.starts_from_table:
                d_table = input_gradient.by_token(call.tokens, num_tokens)
            else:
                d_x = input_gradient.d_x(call.params[kernel.first_weights])
                rows = d_x.reshape(-1, d_x.shape[-1])
                d_table = load_core().sum_by_token(rows, call.tokens, num_tokens)
            d_params[kernel.first_weights] = np.ascontiguousarray(d_table.T)
            return CellGradients(d_params, lambda: None, cell.state_type(*d_initial))
        # A copy, because the optimizer may change W before the gradient of x is computed.
        W = call.params[kernel.first_weights].copy()
        return CellGradients(d_params, lambda: input_gradient.d_x(W), cell.state_type(*d_initial))


def _with_table(call: Call, weights: str) -> Call:
    """Return a call of tokens as the kernels take it: without W x, but with a table of it.

    The gates of a one-hot row are a column of W, and b. Where W x is normalised, b comes later.
    """
    params, tokens = call.params, call.x
    table = np.ascontiguousarray(params[weights].T)
    if "b" in params and "gain_x" not in params:
        table += params["b"]
    none = np.empty((len(params[weights]), 0), table.dtype)
    return call._replace(
        params=params | {weights: none},
        x=np.empty((*tokens.shape, 0), table.dtype),
        tokens=tokens,
        table=table,
    )


def _with_rows(call: Call, weights: str) -> Call:
    """Return a call of tokens for a kernel that takes numbers alone.

    A row x' = W x is looked up for each step, and W' is the identity: one product more than needed,
    of a step's smallest.
    """
    W = call.params[weights]
    table = np.ascontiguousarray(W.T)
    return call._replace(
        params=call.params | {weights: np.eye(len(W), dtype=W.dtype)},
        x=table.take(call.x, axis=0),
        tokens=call.x,
        table=table,
    )


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
