"""Flax NNX: ``nnx.OptimizedLSTMCell``, ``nnx.LSTMCell`` and what runs them over time, both ways.

``interop/column_weights.py`` has the order of kernels and gates; LSTMCell keeps the kernels of each
gate separately. The bias is that of the recurrent part. States are (c, h) there, (h, c) here.
Numbers are computed in the dtype of the weights.
"""

from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np

from lstm_baseline.engine.cells.gate_activations import gate_activation
from lstm_baseline.engine.errors import InputError
from lstm_baseline.engine.models import LSTM
from lstm_baseline.engine.shapes import NDArray
from lstm_baseline.interop.checks import (
    as_weights,
    check_is_lstm,
    check_shape,
    refuse_others,
)
from lstm_baseline.interop.column_weights import (
    NamedCell,
    activation_of,
    check_jax_takes,
    check_same,
    from_kernels,
    name_of,
    names_of_activations,
    to_kernels,
)

if TYPE_CHECKING:
    from flax import nnx

ACTIVATIONS = {
    "tanh": gate_activation("tanh"),
    "sigmoid": gate_activation("sigmoid"),
    "hard_sigmoid": gate_activation("hard_sigmoid", 1 / 6, 0.5),
    "relu": gate_activation("relu"),
    "elu": gate_activation("elu", 1.0),
    "leaky_relu": gate_activation("leaky_relu", 0.01),
    "soft_sign": gate_activation("softsign"),
    "softplus": gate_activation("softplus"),
    "identity": gate_activation("affine", 1.0, 0.0),
}
"""Ours by the names of ``jax.nn``; those of ``nnx`` are the same functions."""

OPTIMIZED_PARTS = (("dense_i",), ("dense_h",))
"""Parts of OptimizedLSTMCell that meet x and h′."""

PARTS = (("ii", "if_", "ig", "io"), ("hi", "hf", "hg", "ho"))
"""Parts of LSTMCell that meet x and h′, gates in the order of ``KERNEL_GATES``."""


def from_flax(layers: "nnx.Module | list[nnx.Module] | tuple[nnx.Module, ...]") -> LSTM:
    """Return an LSTM that gives the outputs of cells of Flax, run over (B, T, I).

    Parameters
    ----------
    layers
        An ``OptimizedLSTMCell`` or ``LSTMCell``, an ``RNN`` of one, or a ``Bidirectional`` of two
        ``RNN`` with outputs side by side; or a list of such layers, each on the one before.

    Raises
    ------
    InputError
        If ``layers`` is something else, or has what a model here lacks: other activations or ways
        to merge directions.
    """
    jax, nnx = _import_flax()
    given = layers if isinstance(layers, list | tuple | nnx.List) else [layers]
    stack = [_directions_of(nnx, f"layer {k}", layer) for k, layer in enumerate(given)]
    if not stack:
        raise InputError("from_flax got no layers; give those of an LSTM")
    check_same(stack, ("gate_fn", "activation_fn"))
    gates, others = (
        activation_of(stack[0][0], attribute, jax.nn, ACTIVATIONS)
        for attribute in ("gate_fn", "activation_fn")
    )
    return from_kernels(
        [
            weights
            for directions in stack
            for direction in directions
            for weights in _weights_of(nnx, direction)
        ],
        bias=True,
        bidirectional=len(stack[0]) == 2,
        activations=(gates, others, others),
    )


def to_flax(model: LSTM) -> "nnx.OptimizedLSTMCell | list[nnx.RNN] | list[nnx.Bidirectional]":
    """Return an ``nnx.OptimizedLSTMCell``, or a list of layers that give the outputs of a model.

    A model of one layer and direction gives the cell. Others give a list with an ``nnx.RNN`` for
    each layer or, with both directions, an ``nnx.Bidirectional``; call each on the outputs of the
    one before. A model without biases gets biases of 0, with which Flax starts.

    Raises
    ------
    InputError
        If the model has something that Flax's LSTM does not.
    """
    check_is_lstm(model, "to_flax")
    if model.output_size is not None:
        raise InputError(
            "the model has a readout, which Flax's LSTM has not; "
            "take W_out and b_out to an nnx.Linear and convert an LSTM without output_size"
        )
    refuse_others(model, "Flax's LSTM", has=("bias", "activations"))
    gates, others = names_of_activations(model, "Flax's LSTM", ACTIVATIONS)
    jax, nnx = _import_flax()
    check_jax_takes(model)
    weights = iter(to_kernels(model))
    cells = []
    for suffix in model.suffixes:
        cell = nnx.OptimizedLSTMCell(
            model.params[f"W{suffix}"].shape[1],
            len(model.params[f"U{suffix}"]) // 4,
            gate_fn=getattr(jax.nn, gates),
            activation_fn=getattr(jax.nn, others),
            param_dtype=model.dtype,
            rngs=nnx.Rngs(0),
        )
        cell.dense_i.kernel[...] = jax.numpy.asarray(next(weights))
        cell.dense_h.kernel[...] = jax.numpy.asarray(next(weights))
        if model.variant.bias:
            cell.dense_h.bias[...] = jax.numpy.asarray(next(weights))
        cells.append(cell)
    if len(cells) == 1:
        return cells[0]
    runs = [nnx.RNN(cell) for cell in cells]
    if not model.bidirectional:
        return runs
    return [nnx.Bidirectional(*runs[k : k + 2]) for k in range(0, len(runs), 2)]


def _import_flax() -> tuple[ModuleType, ModuleType]:
    try:
        import jax
        from flax import nnx
    except ImportError as error:
        raise InputError(
            f"Flax cannot be imported ({error}); pip install 'lstm-baseline[flax]'"
        ) from error
    return jax, nnx


def _directions_of(nnx: ModuleType, name: str, layer: "nnx.Module") -> list[NamedCell]:
    """Return the cell of a layer, or those of its two directions."""
    if type(layer) is not nnx.Bidirectional:
        if type(layer) is nnx.RNN and layer.reverse:
            raise InputError(
                f"{name} is reversed; a layer here runs forwards, and backwards only as the second "
                "direction of a Bidirectional"
            )
        return [_cell_of(nnx, name, layer)]
    if layer.merge_fn is not nnx.Bidirectional.merge_fn:
        raise InputError(
            f"{name} has merge_fn {name_of(layer.merge_fn)}; directions here stand side by side, "
            "as they do without one"
        )
    return [
        _cell_of(nnx, f"{name} forwards", layer.forward_rnn),
        _cell_of(nnx, f"{name} backwards", layer.backward_rnn),
    ]


def _cell_of(nnx: ModuleType, name: str, layer: "nnx.Module") -> NamedCell:
    """Return the cell of an RNN, or a cell itself."""
    cell = layer.cell if type(layer) is nnx.RNN else layer
    if type(cell) not in (nnx.OptimizedLSTMCell, nnx.LSTMCell):
        kind = f"{'' if cell is layer else 'an RNN of '}a {type(cell).__name__}"
        raise InputError(
            f"{name} is {kind}; give an OptimizedLSTMCell or LSTMCell, an RNN of one, "
            "a Bidirectional of two RNN, or a list of these"
        )
    if cell.carry_init not in (None, nnx.initializers.zeros):
        raise InputError(f"{name} has a carry_init; states here start at 0, or are given")
    return NamedCell(name, cell)


def _weights_of(nnx: ModuleType, named: NamedCell) -> list[tuple[str, NDArray]]:
    """Return kernel (I, 4H), recurrent kernel (H, 4H) and bias (4H) with names for error lines."""
    name, cell = named
    I, H = cell.in_features, cell.hidden_features
    for_x, for_h = OPTIMIZED_PARTS if type(cell) is nnx.OptimizedLSTMCell else PARTS
    width = 4 * H // len(for_x)
    found = []
    for parts, weights, shape in (
        (for_x, "kernel", (I, width)),
        (for_h, "kernel", (H, width)),
        (for_h, "bias", (width,)),
    ):
        arrays = []
        for part in parts:
            linear, its_name = getattr(cell, part), f"{name}'s {part}"
            if type(linear) is not nnx.Linear:
                raise InputError(f"{its_name} is a {type(linear).__name__}; expected a Linear")
            value = getattr(linear, weights)
            if value is None:
                raise InputError(f"{its_name}.{weights} is missing; give it 0")
            arrays.append(as_weights(f"{its_name}.{weights}", value))
            check_shape(f"{its_name}.{weights}", arrays[-1], shape)
        found.append((f"{name}'s {parts[0]}.{weights}", np.concatenate(arrays, axis=-1)))
    return found
