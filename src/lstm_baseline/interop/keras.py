"""Keras 3: layers, linear chains of them and lists of weights, both ways.

``interop/column_weights.py`` has the order of kernels and gates. Layers, both directions, their
outputs side by side, and a last Dense without activation have the same meaning. Whether a layer
returns sequences or states, is stateful or unrolled does not affect its weights and is ignored. So
are masks: give ``lengths`` to ``forward``. Numbers are computed in the dtype of the weights.

Rates of dropout are converted: those of an LSTM, and that of Dropout layers between its layers. In
training each direction in Keras draws its own masks for x, and with recurrent dropout so does each
gate; here they share one.
"""

from collections.abc import Sequence
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

import numpy.typing as npt

from lstm_baseline.engine.cells.gate_activations import GateActivation, gate_activation
from lstm_baseline.engine.errors import InputError
from lstm_baseline.engine.models import LSTM
from lstm_baseline.engine.shapes import FloatArray, NDArray
from lstm_baseline.interop.checks import (
    TRAINING_ONLY,
    as_weights,
    check_is_lstm,
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
    from keras import KerasTensor, Layer, Model, Sequential, Variable
    from keras.layers import Dense, Dropout

ACTIVATIONS = {
    "tanh": gate_activation("tanh"),
    "sigmoid": gate_activation("sigmoid"),
    "hard_sigmoid": gate_activation("hard_sigmoid", 1 / 6, 0.5),
    "relu": gate_activation("relu"),
    "elu": gate_activation("elu", 1.0),
    "leaky_relu": gate_activation("leaky_relu", 0.2),
    "softsign": gate_activation("softsign"),
    "softplus": gate_activation("softplus"),
    "linear": gate_activation("affine", 1.0, 0.0),
}
"""Ours by the names of ``keras.activations``."""

MERGES = {"concat": "concatenate", "sum": "sum", "ave": "mean"}
"""Ours by the names of merge_mode."""

RATES = {"dropout": "input_dropout", "recurrent_dropout": "recurrent_dropout"}
"""Ours by the names of LSTMCell."""


def from_keras_weights(
    weights: Sequence[npt.ArrayLike],
    *,
    bidirectional: bool = False,
    merge: str = "concatenate",
    activations: Sequence[str | tuple[str | float, ...] | GateActivation] = (
        "sigmoid",
        "tanh",
        "tanh",
    ),
) -> LSTM:
    """Return an LSTM with what ``get_weights`` of a layer or of a chain of layers gives.

    Sizes, layers, biases and a readout follow from the number of arrays and their shapes.

    Parameters
    ----------
    weights
        Arrays of one dtype, float32 or float64. For every layer, for its forward and then its
        backward direction: kernel (I, 4H), recurrent kernel (H, 4H) and, if there are biases,
        bias (4H). Then kernel (H, O) or (2H, O), and bias (O), of a last Dense.
    bidirectional
        Whether every layer is a Bidirectional.
    merge, activations
        As ``LSTM`` takes them.

    Raises
    ------
    InputError
        If there are too few or too many arrays, a shape does not fit, or a number is not finite.
    """
    if not isinstance(weights, list | tuple):
        kind = type(weights).__name__
        raise InputError(f"from_keras_weights got a {kind}; give a list, or a layer to from_keras")
    named = [(f"weights[{k}]", as_weights(f"weights[{k}]", w)) for k, w in enumerate(weights)]
    bias = len(named) > 2 and named[2][1].ndim == 1
    if bias:
        num_readout = len(named) % 3
    else:
        num_readout = 1 if len(named) % 2 else 2 * (len(named) > 2 and named[-1][1].ndim == 1)
    rest, left = divmod(len(named) - num_readout, (2 + bias) * (1 + bidirectional))
    if not rest or left:
        where = "both directions of every layer" if bidirectional else "every layer"
        raise InputError(
            f"weights holds {len(named)} arrays; give those of {where}: kernel, recurrent kernel "
            "and, where there are any, bias; then those of a last Dense"
        )
    return from_kernels(
        named,
        bias=bias,
        bidirectional=bool(bidirectional),
        num_readout=num_readout,
        merge=merge,
        activations=activations,
    )


def to_keras_weights(model: LSTM) -> list[FloatArray]:
    """Return copies of a model's weights, as ``set_weights`` of layers like its own takes them.

    Raises
    ------
    InputError
        If the model has something that Keras's LSTM does not.
    """
    _activations_in_keras(model, "to_keras_weights", TRAINING_ONLY)
    return to_kernels(model)


def from_keras(layers: "Layer | list[Layer] | tuple[Layer, ...]") -> LSTM:
    """Return an LSTM that gives the outputs of Keras's layers.

    Parameters
    ----------
    layers
        A layer: LSTM, RNN of LSTMCells, or Bidirectional of one of these; or a list, Sequential or
        functional model of such layers, each on the one before, with Dropout between all of them.
        A last Dense or TimeDistributed Dense without activation becomes the readout. If they give
        only the last step, ``forward`` gives it with ``return_sequences=False``.

    Raises
    ------
    InputError
        If ``layers`` is something else, has no weights yet, or has what a model here lacks: other
        activations, other ways to merge directions or to drop out, layers that differ.
    """
    keras = _import_keras()
    chain = _chain_of(keras, layers)
    readout = _readout_of(keras, chain[-1]) if chain else None
    if readout is not None:
        chain = chain[:-1]
    stack, dropout = _stack_of(keras, chain)
    if not stack:
        raise InputError("from_keras got no LSTM; give one, or a chain of them")
    check_same(stack, ("units", "use_bias", "recurrent_activation", "activation", *RATES))
    first = stack[0][0]
    gates, others = (
        activation_of(first, attribute, keras.activations, ACTIVATIONS)
        for attribute in ("recurrent_activation", "activation")
    )
    named = [
        _as_named(keras, f"{direction.name}'s {weights}", getattr(direction.cell, weights))
        for directions in stack
        for direction in directions
        for weights in ("kernel", "recurrent_kernel", "bias")
        if weights != "bias" or direction.cell.use_bias
    ]
    num_before = len(named)
    if readout is not None:
        named.append(_as_named(keras, f"{readout.name}'s kernel", readout.kernel))
        if readout.use_bias:
            named.append(_as_named(keras, f"{readout.name}'s bias", readout.bias))
    return from_kernels(
        named,
        bias=first.cell.use_bias,
        bidirectional=len(stack[0]) == 2,
        num_readout=len(named) - num_before,
        merge=_merge_of(keras, chain),
        activations=(gates, others, others),
        dropout=dropout,
        **{own: getattr(first.cell, its) for its, own in RATES.items()},
    )


def to_keras(model: LSTM) -> "Sequential":
    """Return a ``keras.Sequential`` that gives the outputs of a model, (B, T, O) or (B, T, H).

    Raises
    ------
    InputError
        If the model has something that Keras's LSTM does not.
    """
    gates, others = _activations_in_keras(model, "to_keras", ("dropout", *RATES.values()))
    keras = _import_keras()
    if keras.config.backend() == "jax":
        check_jax_takes(model)
    dtype = model.dtype.name
    layers = [keras.Input((None, model.input_size), dtype=dtype)]
    for k in range(model.num_layers):
        if k and model.rates.dropout:
            layers.append(keras.layers.Dropout(model.rates.dropout, dtype=dtype))
        layer = keras.layers.LSTM(
            model.hidden_sizes[k],
            activation=others,
            recurrent_activation=gates,
            use_bias=model.variant.bias,
            return_sequences=True,
            dtype=dtype,
            **{its: getattr(model.rates, own) for its, own in RATES.items()},
        )
        if model.bidirectional:
            merge_mode = {own: its for its, own in MERGES.items()}[model.merge]
            layer = keras.layers.Bidirectional(layer, merge_mode=merge_mode, dtype=dtype)
        layers.append(layer)
    if model.output_size is not None:
        layers.append(keras.layers.Dense(model.output_size, dtype=dtype))
    made = keras.Sequential(layers)
    made.set_weights(to_kernels(model))
    return made


def _import_keras() -> ModuleType:
    try:
        return import_module("keras")
    except ImportError as error:
        raise InputError(
            f"Keras cannot be imported ({error}); pip install 'lstm-baseline[keras]' and a backend "
            "named by KERAS_BACKEND, or use from_keras_weights and to_keras_weights, "
            "which do without"
        ) from error


def _activations_in_keras(model: LSTM, function: str, rates: Sequence[str]) -> tuple[str, str]:
    """Return Keras's names of a model's activations; refuse what Keras's LSTM lacks."""
    check_is_lstm(model, function)
    refuse_others(model, "Keras's LSTM", has=("bias", "activations", "merge", *rates))
    return names_of_activations(model, "Keras's LSTM", ACTIVATIONS)


def _chain_of(keras: ModuleType, given: "Layer | list[Layer] | tuple[Layer, ...]") -> "list[Layer]":
    """Return layers each of which sees the outputs of the one before."""
    if isinstance(given, list | tuple):
        layers = list(given)
    elif type(given) is keras.Sequential:
        layers = given.layers
    elif isinstance(given, keras.Model) and type(given).__name__ == "Functional":
        layers = given.operations
        _check_linear(keras, given)
    else:
        layers = [given]
    return [layer for layer in layers if type(layer) is not keras.layers.InputLayer]


def _stack_of(keras: ModuleType, chain: "list[Layer]") -> tuple[list[list[NamedCell]], float]:
    """Return layers, each as its directions, and the rate of the Dropout between them."""
    stack: list[list[NamedCell]] = []
    gaps: list[list[Dropout]] = [[]]
    for layer in chain:
        if type(layer) is not keras.layers.Dropout:
            found = _directions_of(keras, layer)
            stack += found
            gaps += [[] for _ in found]
        elif layer.rate:
            gaps[-1].append(layer)
    drops = [layer for gap in gaps for layer in gap]
    between = all(len(gap) == 1 for gap in gaps[1:-1]) and not gaps[0] and not gaps[-1]
    alike = len({layer.rate for layer in drops}) < 2 and all(d.noise_shape is None for d in drops)
    if drops and not (between and alike):
        raise InputError(
            f"{drops[0].name} drops out {drops[0].rate:g}; here Dropout is between all layers, at "
            "one rate and without noise_shape: set the rate of any other to 0"
        )
    return stack, drops[0].rate if drops else 0.0


def _merge_of(keras: ModuleType, chain: "list[Layer]") -> str:
    """Return how all layers merge their directions."""
    modes = {layer.merge_mode for layer in chain if type(layer) is keras.layers.Bidirectional}
    if len(modes) > 1:
        raise InputError(
            f"layers have merge_mode {', '.join(sorted(modes))}; "
            "all layers of one LSTM here have the same"
        )
    return MERGES[modes.pop()] if modes else "concatenate"


def _check_linear(keras: ModuleType, model: "Model") -> None:
    """Refuse a functional model that is more than one layer after the other."""
    outputs: list[KerasTensor] = []
    for layer in model.operations:
        inputs = keras.tree.flatten(layer.input)
        # If a layer also gives its states, they come after its outputs.
        if [id(x) for x in inputs] != [id(y) for y in outputs[:1]]:
            raise InputError(
                f"{layer.name} does not see the outputs of the layer before it alone; "
                "give the layers that make one chain as a list"
            )
        outputs = keras.tree.flatten(layer.output)
    if [id(y) for y in model.outputs] != [id(y) for y in outputs[: len(model.outputs)]]:
        raise InputError(
            f"{model.name} gives more than the outputs of its last layer; "
            "give the layers that make one chain as a list"
        )


def _readout_of(keras: ModuleType, layer: "Layer") -> "Dense | None":
    """Return the Dense of a layer that is a readout; None for another layer."""
    dense = layer.layer if type(layer) is keras.layers.TimeDistributed else layer
    if type(dense) is not keras.layers.Dense:
        return None
    if dense.activation is not keras.activations.linear:
        raise InputError(
            f"{dense.name} has the activation {name_of(dense.activation)}; a readout has none, "
            "so set it to keras.activations.linear and apply it to the outputs"
        )
    _check_built(dense)
    return dense


def _directions_of(keras: ModuleType, layer: "Layer") -> list[list[NamedCell]]:
    """Return the layers, each as its directions, that one of Keras's layers stands for."""
    kinds = keras.layers
    if type(layer) is not kinds.Bidirectional:
        return [[direction] for direction in _cells_of(keras, layer, go_backwards=False)]
    if layer.merge_mode not in MERGES:
        raise InputError(
            f"{layer.name} has merge_mode {layer.merge_mode!r}; give one of: {', '.join(MERGES)}"
        )
    both = [
        *_cells_of(keras, layer.forward_layer, go_backwards=False),
        *_cells_of(keras, layer.backward_layer, go_backwards=True),
    ]
    if len(both) != 2:
        raise InputError(
            f"{layer.name} has several cells in a direction; "
            "put one Bidirectional on another instead"
        )
    return [both]


def _cells_of(keras: ModuleType, layer: "Layer", *, go_backwards: bool) -> list[NamedCell]:
    """Return the cells of an LSTM or RNN, one on the other."""
    kinds = keras.layers
    if type(layer) not in (kinds.LSTM, kinds.RNN):
        kind, name = type(layer).__name__, getattr(layer, "name", None)
        raise InputError(
            f"from_keras got {f'{name}, ' if name else ''}a {kind}; give an LSTM, an RNN of "
            "LSTMCells, Bidirectional of one, or a chain of these with a Dense at its end"
        )
    if layer.go_backwards != go_backwards:
        raise InputError(
            f"{layer.name} has go_backwards {layer.go_backwards}; a layer here runs forwards, "
            "and backwards only as the second direction of a Bidirectional"
        )
    cells = [NamedCell(layer.name, layer.cell)]
    if type(layer.cell) is kinds.StackedRNNCells:
        cells = [NamedCell(cell.name, cell) for cell in layer.cell.cells]
    for name, cell in cells:
        if type(cell) is not kinds.LSTMCell:
            raise InputError(f"{name} has a cell {type(cell).__name__}; expected an LSTMCell")
        _check_built(cell, name)
    return cells


def _check_built(layer: "Layer", name: str | None = None) -> None:
    if not layer.built:
        raise InputError(f"{name or layer.name} is not built, so has no weights; call it on data")


def _as_named(keras: ModuleType, name: str, variable: "Variable") -> tuple[str, NDArray]:
    return name, as_weights(name, keras.ops.convert_to_tensor(variable))
