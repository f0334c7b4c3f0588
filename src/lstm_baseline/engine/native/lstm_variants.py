"""The kernel of the LSTM's variants, which also runs the plain one with regularization."""

from typing import Any

from lstm_baseline.engine.cells import LSTMVariant, LSTMVariantEquations
from lstm_baseline.engine.cells.gate_activations import GateActivation
from lstm_baseline.engine.core import load_core
from lstm_baseline.engine.native.unrolling import Call, Kernel, Parts, contiguous
from lstm_baseline.engine.shapes import FloatArray, Params

_FROM_VALUE = ("sigmoid", "tanh")
"""Activations whose derivatives need their values only."""


def _forward(call: Call) -> tuple[Any, ...]:
    variant = _variant(call)
    recurrent, zoneout = None, (None, None)
    if call.regularization is not None:
        recurrent = contiguous(call.regularization.recurrent)
        zoneout = call.regularization.zoneout or zoneout
    result: tuple[Any, ...] = load_core().lstm_variant_forward(
        call.x,
        *call.state,
        _listed(call.params),
        variant.coupled_gates,
        variant.clip,
        [_numbered(activation) for activation in variant.activations],
        variant.clip is not None or any(a.name not in _FROM_VALUE for a in variant.activations),
        recurrent,
        *map(contiguous, zoneout),
        call.tokens,
        call.table,
        call.lengths,
        call.keep_cache,
    )
    return result


def _backward(
    call: Call, kept: Any, d_outputs: FloatArray | None, d_state: Parts
) -> tuple[Params, tuple[Any, ...]]:
    listed, *rest = kept.backward(_listed(call.params), d_outputs, *d_state)
    named = zip(load_core().LSTM_VARIANT_PARAMS, listed, strict=True)
    d_params = {name: d for name, d in named if d is not None}
    return d_params, tuple(rest)


def _gate(call: Call, kept: Any, field: str) -> FloatArray:
    gates = _variant(call).gates
    if field not in gates:  # f, where gates are coupled
        return 1.0 - _gate(call, kept, "i")
    values: FloatArray = kept.stored(gates.index(field), _listed(call.params))
    return values


def _variant(call: Call) -> LSTMVariant:
    """Return the pieces of the cell: none where it is the plain LSTM."""
    cell = call.cell
    return cell.variant if isinstance(cell, LSTMVariantEquations) else LSTMVariant()


def _listed(params: Params) -> list[FloatArray | None]:
    """Return the parameters in the core's order, None for those that are not there."""
    return [contiguous(params.get(name)) for name in load_core().LSTM_VARIANT_PARAMS]


def _numbered(activation: GateActivation) -> tuple[int, float, float]:
    """Return an activation's number and its constants."""
    alpha, beta = (*activation.constants, 0.0, 0.0)[:2]
    return load_core().ACTIVATIONS.index(activation.name), alpha, beta


KERNEL = Kernel(_forward, _backward, _gate)
