"""Call the relational memory's kernels: arguments as ``unroll``, ``unroll_backward`` take them."""

from collections.abc import Callable
from typing import Any

import numpy as np

from lstm_baseline.engine.native.core import load_core
from lstm_baseline.engine.shapes import FloatArray, IntArray, Params


class RelationalCache:
    """What the backward kernel needs; the forward kernel's own memory."""

    def __init__(self, x: FloatArray, state: Any, kernel_cache: Any) -> None:
        self.x = x
        self.state = state
        self.kernel_cache = kernel_cache

    def gate(self, field: str) -> FloatArray:
        """Return a gate's values at every step, (B, T, S, F or 1)."""
        values: FloatArray = self.kernel_cache.gates()["if".index(field)]
        return values


def unroll(
    cell: Any,
    params: Params,
    x: FloatArray,
    state: Any,
    lengths: IntArray | None,
    keep_cache: bool,
) -> tuple[FloatArray, Any, RelationalCache | None]:
    """Run the relational memory over time."""
    x = np.ascontiguousarray(x)
    (memory,) = cell.initial_state(params, len(x)) if state is None else state
    y, memory, cache = load_core().relational_forward(
        x,
        np.ascontiguousarray(memory),
        _contiguous(params),
        cell.num_slots,
        cell.num_heads,
        cell.head_size,
        cell.key_size,
        cell.num_blocks,
        cell.mlp_layers,
        cell.gate == "unit",
        cell.forget_bias,
        cell.input_bias,
        lengths,
        keep_cache,
    )
    last = cell.state_type(memory)
    return y, last, RelationalCache(x, last, cache) if keep_cache else None


def unroll_backward(
    cell: Any, params: Params, d_outputs: FloatArray | None, cache: RelationalCache, d_state: Any
) -> tuple[Params, Callable[[], FloatArray], Any]:
    """Differentiate ``unroll``."""
    if d_outputs is not None:
        d_outputs = np.ascontiguousarray(d_outputs)
    d_memory = None if d_state is None else np.ascontiguousarray(d_state[0])
    gradients, d_memory, input_gradient = cache.kernel_cache.backward(
        _contiguous(params), d_outputs, d_memory
    )
    # A copy: the optimizer may have changed W_in when somebody asks for the gradient of x.
    W_in = params["W_in"].copy()
    d_params = dict(zip(params, gradients, strict=True))
    return d_params, lambda: input_gradient.d_x(W_in), cell.state_type(d_memory)


def _contiguous(params: Params) -> list[FloatArray]:
    """Return the parameters as the core takes them: in the order in which the model lists them."""
    return [np.ascontiguousarray(value) for value in params.values()]
