"""The relational memory's kernel."""

from typing import Any

import numpy as np

from lstm_baseline.engine.cells import RelationalEquations
from lstm_baseline.engine.core import load_core
from lstm_baseline.engine.native.unrolling import Call, Kernel, Parts
from lstm_baseline.engine.shapes import FloatArray, Params


def _forward(call: Call) -> tuple[Any, ...]:
    cell = call.cell
    assert isinstance(cell, RelationalEquations)
    (memory,) = call.state
    if memory is None:
        (memory,) = cell.initial_state(call.params, len(call.x))
    result: tuple[Any, ...] = load_core().relational_forward(
        call.x,
        np.ascontiguousarray(memory),
        _listed(call.params),
        cell.num_slots,
        cell.num_heads,
        cell.head_size,
        cell.key_size,
        cell.num_blocks,
        cell.mlp_layers,
        cell.gate == "unit",
        cell.forget_bias,
        cell.input_bias,
        call.lengths,
        call.keep_cache,
    )
    return result


def _backward(
    call: Call, kept: Any, d_outputs: FloatArray | None, d_state: Parts
) -> tuple[Params, tuple[Any, ...]]:
    gradients, *rest = kept.backward(_listed(call.params), d_outputs, *d_state)
    return dict(zip(call.params, gradients, strict=True)), tuple(rest)


def _gate(call: Call, kept: Any, field: str) -> FloatArray:
    values: FloatArray = kept.gates()["if".index(field)]
    return values


def _listed(params: Params) -> list[FloatArray]:
    """Return the parameters as the core takes them: in the order in which the cell lists them."""
    return [np.ascontiguousarray(value) for value in params.values()]


KERNEL = Kernel(_forward, _backward, _gate, "W_in", starts_from_table=False)
