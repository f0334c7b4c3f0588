"""Kernels: how Keras and Flax keep the weights of an LSTM, and ours from them and back.

Each layer and direction has a kernel (I, 4H) for x, a recurrent kernel (H, 4H) for h′ and one bias
(4H), columns in the gate order i, f, c, o. Candidate and cell state have the same activation.
"""

from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from lstm_baseline.engine.cells.gate_activations import GateActivation
from lstm_baseline.engine.errors import InputError
from lstm_baseline.engine.models import LSTM
from lstm_baseline.engine.shapes import LSTM_GATES, FloatArray, NDArray
from lstm_baseline.interop.checks import check_shape, one_dtype
from lstm_baseline.interop.gates import reorder

if TYPE_CHECKING:
    import keras
    from flax import nnx

KERNEL_GATES = ("i", "f", "c", "o")


class NamedCell(NamedTuple):
    """One direction of a layer."""

    name: str
    """Name in error lines."""
    cell: "keras.layers.LSTMCell | nnx.OptimizedLSTMCell | nnx.LSTMCell"
    """The other library's."""


def from_kernels(
    named: Sequence[tuple[str, NDArray]],
    *,
    bias: bool,
    bidirectional: bool,
    num_readout: int = 0,
    **options: Any,
) -> LSTM:
    """Return an LSTM with the given weights.

    Parameters
    ----------
    named
        Arrays with their names for error lines: kernel, recurrent kernel and, with ``bias``, bias
        of every layer and direction; then those of a readout, (H, O) or (2H, O), and (O).
    num_readout
        Number of the readout's arrays: 0, 1 without a bias, or 2.
    **options
        Further arguments of ``LSTM``.

    Raises
    ------
    InputError
        If a shape does not fit, or dtypes differ.
    """
    kernel_name, kernel = named[0]
    if kernel.ndim != 2:
        raise InputError(f"{kernel_name} has shape {kernel.shape}; expected (I, 4H)")
    hidden_sizes = []
    for name, recurrent in named[1 : len(named) - num_readout : (2 + bias) * (1 + bidirectional)]:
        if recurrent.ndim != 2 or recurrent.shape[1] != 4 * len(recurrent):
            raise InputError(f"{name} has shape {recurrent.shape}; expected (H, 4H)")
        hidden_sizes.append(len(recurrent))
    output_size = None
    if num_readout:
        # An array with another number of axes is refused below, like every other misfit.
        output_size = (1, *named[-num_readout][1].shape)[-1]
    model = LSTM(
        len(kernel),
        hidden_sizes,
        output_size,
        bidirectional=bidirectional,
        bias=bias,
        **options,
        initialization="zeros",
        dtype=one_dtype(array for _, array in named),
    )
    for (name, array), expected in zip(named, to_kernels(model), strict=False):
        check_shape(name, array, expected.shape)
    arrays = iter(array for _, array in named)
    for suffix in model.suffixes:
        for own in ("W", "U", "b") if bias else ("W", "U"):
            rows = next(arrays).T
            model.params[f"{own}{suffix}"][...] = reorder(rows, KERNEL_GATES, LSTM_GATES)
    for own, array in zip(("W_out", "b_out"), arrays, strict=False):
        model.params[own][...] = array.T
    return model


def to_kernels(model: LSTM) -> list[FloatArray]:
    """Return copies of a model's weights in the order of ``from_kernels``."""
    found = [
        np.ascontiguousarray(reorder(model.params[f"{own}{suffix}"], LSTM_GATES, KERNEL_GATES).T)
        for suffix in model.suffixes
        for own in (("W", "U", "b") if model.variant.bias else ("W", "U"))
    ]
    if model.output_size is not None:
        found += [model.params[own].T.copy() for own in ("W_out", "b_out")]
    return found


def check_same(stack: Sequence[Sequence[NamedCell]], attributes: Sequence[str]) -> None:
    """Refuse layers, each a list of its directions, whose cells differ in an attribute."""
    first = stack[0][0]
    for directions in stack:
        if len(directions) != len(stack[0]):
            raise InputError(
                f"{directions[0].name} and {first.name} are not both of a bidirectional layer; "
                "all layers of one LSTM here are, or none"
            )
        for name, cell in directions:
            for attribute in attributes:
                value, expected = getattr(cell, attribute), getattr(first.cell, attribute)
                if value != expected:
                    raise InputError(
                        f"{name} has {attribute} {name_of(value)}, {first.name} has "
                        f"{name_of(expected)}; all layers of one LSTM here have the same"
                    )


def name_of(value: object) -> str:
    """Return what error lines call a function or another value."""
    if callable(value):
        return str(getattr(value, "__name__", type(value).__name__))
    return repr(value)


def activation_of(
    named: NamedCell, attribute: str, module: ModuleType, known: Mapping[str, GateActivation]
) -> GateActivation:
    """Return ours for a function that a cell has: one of those ``known`` by their names there.

    Raises
    ------
    InputError
        If it is no function of the module, or one that this package lacks.
    """
    function = getattr(named.cell, attribute)
    for name, activation in known.items():
        if function is getattr(module, name):
            return activation
    raise InputError(
        f"{named.name} has {attribute} {name_of(function)}; "
        f"known are, of {module.__name__}: {', '.join(known)}"
    )


def names_of_activations(
    model: LSTM, other: str, known: Mapping[str, GateActivation]
) -> tuple[str, str]:
    """Return the other's names of a model's activations: of gates, and of candidate and cell state.

    Raises
    ------
    InputError
        If the other library lacks them, or candidate and cell state have different ones.
    """
    gates, candidate, cell = model.variant.activations
    if candidate != cell:
        raise InputError(
            f"the model has the activations {_spelt(candidate)} of the candidate and "
            f"{_spelt(cell)} of the cell state; {other} has one for both"
        )
    names = {activation: name for name, activation in known.items()}
    for activation in (gates, candidate):
        if activation not in names:
            listed = ", ".join(map(_spelt, known.values()))
            raise InputError(
                f"the model has the activation {_spelt(activation)}; {other} has: {listed}"
            )
    return names[gates], names[candidate]


def _spelt(activation: GateActivation) -> str:
    """Return a name with its constants, as "leaky_relu(0.2)"."""
    constants = ", ".join(f"{constant:g}" for constant in activation.constants)
    return f"{activation.name}({constants})" if constants else activation.name


def check_jax_takes(model: LSTM) -> None:
    """Refuse float64 where JAX would make float32 of it."""
    import jax

    if model.dtype == np.float64 and not jax.config.jax_enable_x64:
        raise InputError(
            "JAX would make float32 of this float64 model; "
            "call jax.config.update('jax_enable_x64', True) first, or convert astype('float32')"
        )
