"""Keras 3: layers, linear chains of them and lists of weights, both ways.

``interop/column_weights.py`` has the order of kernels and gates. Layers, both directions, their
outputs side by side, and a last Dense without activation have the same meaning. Whether a layer
returns sequences or states, or is unrolled, does not affect its weights. A stateful layer becomes
one that starts from 0. There are no masks: give ``lengths`` to ``forward``. Numbers are computed in
the dtype of the weights.

Dropout acts in training alone. Rates are converted where a model here has one for them: those of an
LSTM that all layers share, and one rate of Dropout layers between all layers. Others are left out.
In training each direction in Keras draws its own masks for x, and with recurrent dropout so does
each gate; here they share one.
"""

from collections.abc import Sequence
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

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
    from keras import KerasTensor, Layer, Model, Operation, Sequential, Variable
    from keras.layers import Dense

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

_ONLY_IN_TRAINING = (
    "Dropout",
    "SpatialDropout1D",
    "AlphaDropout",
    "GaussianDropout",
    "GaussianNoise",
    "ActivityRegularization",
)
"""Layers that give what they get outside training."""


class Found(NamedTuple):
    """What layers of Keras are here."""

    model: LSTM
    outputs: list[int]
    """What they give, in order: 0 for the model's outputs; −1, −2 and so on for the last, the last
    but one array of the states (h, c) of all its layers and directions in turn."""
    left_out: list[str]
    """What they do in training alone, and the model does not."""


class _Chain(NamedTuple):
    """Layers each of which sees the outputs of the one before."""

    layers: "list[Layer]"
    outputs: list[int]
    """As in ``Found``."""


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
        functional model of such layers, each on the one before, with Dropout anywhere between
        them. A last Dense or TimeDistributed Dense without activation becomes the readout. If they
        give only the last step, ``forward`` gives it with ``return_sequences=False``; the states
        that they give are those of ``return_state``.

    Raises
    ------
    InputError
        If ``layers`` is something else, has no weights yet, or has what a model here lacks: other
        activations, other ways to merge directions, layers that differ in more than their sizes,
        an initial state other than 0.
    """
    return read_layers(layers).model


def read_layers(layers: "Layer | list[Layer] | tuple[Layer, ...]") -> Found:
    """Do what ``from_keras`` does, and say what the layers give and what of them is left out."""
    keras = _import_keras()
    chain, outputs = _chain_of(keras, layers)
    readout = _readout_of(keras, chain[-1]) if chain else None
    if readout is not None:
        chain = chain[:-1]
    stack, rates, left_out = _stack_of(keras, chain)
    if not stack:
        raise InputError("from_keras got no LSTM; give one, or a chain of them")
    _check_used_once(stack)
    check_same(stack, ("use_bias", "recurrent_activation", "activation"))
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
    model = from_kernels(
        named,
        bias=first.cell.use_bias,
        bidirectional=len(stack[0]) == 2,
        num_readout=len(named) - num_before,
        merge=_merge_of(keras, chain),
        activations=(gates, others, others),
        **rates,
    )
    return Found(model, outputs, left_out)


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


def _chain_of(keras: ModuleType, given: "Layer | list[Layer] | tuple[Layer, ...]") -> _Chain:
    """Return layers each of which sees the outputs of the one before."""
    if isinstance(given, list | tuple):
        chain = _Chain(list(given), [0])
    elif type(given) is keras.Sequential:
        # Only the last layer can give more than its outputs: its states.
        num_given = len(_tensors_of(given, "outputs")) or 1
        chain = _Chain(given.layers, _outputs_of(list(range(num_given)), num_given))
        _check_inputs(given)
    elif isinstance(given, keras.Model) and type(given).__module__ == "keras.src.models.functional":
        chain = _functional_chain(keras, given)
        _check_inputs(given)
    else:
        chain = _Chain([given], [0])
    layers = [layer for layer in chain.layers if type(layer) is not keras.layers.InputLayer]
    return chain._replace(layers=layers)


def _check_inputs(model: "Model") -> None:
    """Refuse a model that takes several inputs, or rounds its input before the first layer."""
    inputs = _tensors_of(model, "inputs")
    if len(inputs) > 1:
        names = ", ".join(x.name for x in inputs)
        raise InputError(f"{model.name} takes the inputs {names}; {_AS_A_LIST}")
    if inputs and inputs[0].dtype not in ("float32", "float64"):
        raise InputError(
            f"{inputs[0].name} has dtype {inputs[0].dtype}, to which it rounds what it is given; "
            "make the Input float32 or float64"
        )


def _tensors_of(model: "Model", which: str) -> "list[KerasTensor]":
    """Return the inputs or outputs of a model; none where it is not built."""
    try:
        return list(getattr(model, which))
    except (AttributeError, ValueError):
        return []


_AS_A_LIST = "give the layers that make one chain as a list"


def _functional_chain(keras: ModuleType, model: "Model") -> _Chain:
    """Return the layers of a functional model, walking back from what it gives.

    Raises
    ------
    InputError
        If it is more than one layer after the other, each called on nothing but the outputs of the
        one before.
    """
    operation, call, _ = model.outputs[0]._keras_history
    given: list[int] = []
    for output in model.outputs:
        other, its_call, index = output._keras_history
        if other is not operation or its_call != call:
            raise InputError(
                f"{model.name} gives outputs of {operation.name} and of {other.name}; {_AS_A_LIST}"
            )
        given.append(index)
    num_outputs = len(operation._inbound_nodes[call].output_tensors)
    layers: list[Layer] = []
    while type(operation) is not keras.layers.InputLayer:
        layers.append(operation)
        node = operation._inbound_nodes[call]
        operation, call, index = _seen_by(operation, node)._keras_history
        if index:
            raise InputError(
                f"{layers[-1].name} sees a state of {operation.name}, not its outputs; {_AS_A_LIST}"
            )
    return _Chain(layers[::-1], _outputs_of(given, num_outputs))


def _seen_by(operation: "Operation", node: Any) -> "KerasTensor":
    """Return the one tensor that a call of a layer, a node of the graph, is given."""
    arguments = node.arguments
    for name, value in arguments.kwargs.items():
        # Weights alone do not say what else a layer was told: another state to start from, a mask,
        # dropout outside training.
        if value is not None and value is not False and not hasattr(value, "_keras_history"):
            raise InputError(
                f"{operation.name} is called with {name}, which a layer here is not; {_AS_A_LIST}"
            )
    tensors = node.input_tensors
    if len(tensors) != 1 or len(arguments.args) > 1:
        seen = [tensor._keras_history.operation.name for tensor in tensors]
        raise InputError(
            f"{operation.name} is called on {', '.join(seen)}, and a layer here sees nothing but "
            f"the outputs of the one before it; {_AS_A_LIST}"
        )
    return tensors[0]


def _outputs_of(given: list[int], num_outputs: int) -> list[int]:
    """Return as in ``Found`` which of a last layer's outputs, its states among them, are given."""
    return [index - num_outputs if index else 0 for index in given]


def _stack_of(
    keras: ModuleType, chain: "list[Layer]"
) -> tuple[list[list[NamedCell]], dict[str, float], list[str]]:
    """Return layers, each as its directions, rates of dropout, and what has none here."""
    stack: list[list[NamedCell]] = []
    gaps: list[list[Layer]] = [[]]
    for layer in chain:
        if type(layer) in [getattr(keras.layers, name) for name in _ONLY_IN_TRAINING]:
            gaps[-1].append(layer)
        else:
            found = _directions_of(keras, layer)
            stack += found
            gaps += [[] for _ in found]
    rates: dict[str, float] = {}
    between, outside = gaps[1:-1], gaps[0] + gaps[-1]
    if (shared := _rate_between(keras, between)) is not None:
        rates["dropout"] = shared
    else:
        outside += [layer for gap in between for layer in gap]
    left_out = [
        f"{layer.name} ({type(layer).__name__})"
        for layer in outside
        if getattr(layer, "rate", None) != 0
    ]
    for its, own in RATES.items():
        found_rates = {getattr(cell, its): name for both in stack for name, cell in both}
        if len(found_rates) == 1 and (rate := next(iter(found_rates))) < 1:
            rates[own] = rate
        else:
            left_out += [f"{name} ({its} {rate:g})" for rate, name in found_rates.items() if rate]
    return stack, rates, left_out


def _rate_between(keras: ModuleType, gaps: "list[list[Layer]]") -> float | None:
    """Return the rate of one Dropout between all layers; None if they are not all alike."""
    if not all(
        len(gap) == 1
        and type(gap[0]) is keras.layers.Dropout
        and gap[0].noise_shape is None
        and gap[0].rate < 1
        for gap in gaps
    ):
        return None
    found = {gap[0].rate for gap in gaps}
    return found.pop() if len(found) == 1 else None


def _merge_of(keras: ModuleType, chain: "list[Layer]") -> str:
    """Return how all layers merge their directions."""
    modes = {layer.merge_mode for layer in chain if type(layer) is keras.layers.Bidirectional}
    if len(modes) > 1:
        raise InputError(
            f"layers have merge_mode {', '.join(sorted(modes))}; "
            "all layers of one LSTM here have the same"
        )
    return MERGES[modes.pop()] if modes else "concatenate"


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
    if dense.quantization_mode is not None:
        raise InputError(
            f"{dense.name} is quantized to {dense.quantization_mode}; give it as it was before"
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
        if type(layer) is kinds.Dense:
            raise InputError(
                f"{name}, a Dense, is not the last layer after an LSTM; a readout is one Dense "
                "without activation, so give the layers up to there as a list"
            )
        raise InputError(
            f"from_keras got {f'{name}, ' if name else ''}a {kind}; give an LSTM, an RNN of "
            "LSTMCells, Bidirectional of one, or a chain of these with a Dense at its end"
        )
    if layer.go_backwards != go_backwards:
        raise InputError(
            f"{layer.name} has go_backwards {layer.go_backwards}; a layer here runs forwards, "
            "and backwards only as the second direction of a Bidirectional"
        )
    if layer.stateful and any(keras.ops.any(state) for state in keras.tree.flatten(layer.states)):
        raise InputError(
            f"{layer.name} is stateful and keeps a state that is not 0, where a model here starts; "
            "call its reset_state first"
        )
    cells = [NamedCell(layer.name, layer.cell)]
    if type(layer.cell) is kinds.StackedRNNCells:
        cells = [NamedCell(cell.name, cell) for cell in layer.cell.cells]
    for name, cell in cells:
        if type(cell) is not kinds.LSTMCell:
            raise InputError(f"{name} has a cell {type(cell).__name__}; expected an LSTMCell")
        _check_built(cell, name)
    return cells


def _check_used_once(stack: list[list[NamedCell]]) -> None:
    """Refuse weights that stand in two places: here each would go its own way in training."""
    cells = [named for directions in stack for named in directions]
    for k, (name, cell) in enumerate(cells):
        if any(cell is other for _, other in cells[:k]):
            raise InputError(f"{name} is called twice; layers of an LSTM here share no weights")


def _check_built(layer: "Layer", name: str | None = None) -> None:
    if not layer.built:
        raise InputError(f"{name or layer.name} is not built, so has no weights; call it on data")


def _as_named(keras: ModuleType, name: str, variable: "Variable") -> tuple[str, NDArray]:
    return name, as_weights(name, keras.ops.convert_to_tensor(variable))
