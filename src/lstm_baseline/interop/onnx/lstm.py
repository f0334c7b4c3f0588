"""The operator LSTM of ONNX in this package's terms, and back.

A node is one layer in one direction or both; its arrays begin with an axis of directions. Gates are
in the order i, o, f, c, peepholes in the order i, o, f. There are two biases, which are added. The
attributes say what ``LSTMVariant`` says.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from lstm_baseline.engine.cells.gate_activations import NAMES, GateActivation, gate_activation
from lstm_baseline.engine.cells.lstm_variants import LSTMVariant
from lstm_baseline.engine.errors import InputError
from lstm_baseline.engine.models import LSTM
from lstm_baseline.engine.shapes import FloatArray, Params
from lstm_baseline.interop.gates import reorder

ONNX_GATES = ("i", "o", "f", "c")
ONNX_PEEPHOLES = ("i", "o", "f")
ONNX_ACTIVATIONS = {name: name.title().replace("_", "") for name in NAMES}
PLAIN_ACTIVATIONS = ("Sigmoid", "Tanh", "Tanh")

_OWN_ACTIVATIONS = {other.lower(): own for own, other in ONNX_ACTIVATIONS.items()}
_WITHOUT_DEFAULTS = ("affine", "scaled_tanh", "thresholded_relu")
"""Activations whose constants runtimes do not agree about where they are left out."""
_BACKWARDS = {"forward": [False], "reverse": [True], "bidirectional": [False, True]}


class Direction(NamedTuple):
    """A layer in one of its directions."""

    variant: LSTMVariant
    params: Params
    """Parameters by the cell's names."""
    backwards: bool
    """True if the direction runs from the end of each row."""


def read_directions(
    W: FloatArray,
    R: FloatArray,
    B: FloatArray | None = None,
    P: FloatArray | None = None,
    *,
    direction: str = "forward",
    hidden_size: int | None = None,
    activations: Sequence[str] = (),
    activation_alpha: Sequence[float] = (),
    activation_beta: Sequence[float] = (),
    clip: float | None = None,
    input_forget: int = 0,
) -> list[Direction]:
    """Return the directions of a node, D of them, from its weights and attributes.

    Parameters
    ----------
    W, R, B, P
        (D, 4H, I), (D, 4H, H), (D, 8H) and (D, 3H).
    direction, hidden_size, activations, activation_alpha, activation_beta, clip, input_forget
        The node's attributes.

    Raises
    ------
    InputError
        If shapes or dtypes do not fit each other, or ONNX does not know an attribute's value.
    """
    if direction not in _BACKWARDS:
        known = ", ".join(_BACKWARDS)
        raise InputError(f"direction is {direction!r}; ONNX knows {known}")
    backwards = _BACKWARDS[direction]
    D, H = len(backwards), R.shape[-1] if R.ndim else 0
    for name, array, expected in (
        ("R", R, (D, 4 * H, H)),
        ("W", W, (D, 4 * H, W.shape[-1] if W.ndim else 0)),
        ("B", B, (D, 8 * H)),
        ("P", P, (D, 3 * H)),
    ):
        if array is None:
            continue
        if array.shape != expected or not array.size:
            raise InputError(f"{name} has shape {array.shape}; expected {expected}")
        if array.dtype != W.dtype:
            raise InputError(f"{name} has dtype {array.dtype}; W has {W.dtype}")
    if hidden_size not in (None, H):
        raise InputError(f"hidden_size is {hidden_size}; R has shape {R.shape}")
    if clip is not None and not 0 < clip < np.inf:
        raise InputError(f"clip is {clip!r}; give a limit above 0")
    chosen = _read_activations(
        activations or PLAIN_ACTIVATIONS * D, activation_alpha, activation_beta
    )
    if len(chosen) != 3 * D:
        raise InputError(f"there are {len(chosen)} activations; give {3 * D}, three a direction")
    found = []
    for k in range(D):
        phi, gamma, eta = chosen[3 * k : 3 * k + 3]
        variant = LSTMVariant(
            peepholes=P is not None,
            coupled_gates=bool(input_forget),
            bias=B is not None,
            clip=None if clip is None else as_written(clip),
            activations=(phi, gamma, eta),
        )
        own = _params(
            W[k], R[k], None if B is None else B[k], None if P is None else P[k], variant.gates
        )
        found.append(Direction(variant, own, backwards[k]))
    return found


def _params(
    W: FloatArray, R: FloatArray, B: FloatArray | None, P: FloatArray | None, gates: Sequence[str]
) -> Params:
    """Return the parameters of one direction by our names, with the rows of these gates."""
    params = {"W": reorder(W, ONNX_GATES, gates), "U": reorder(R, ONNX_GATES, gates)}
    if B is not None:
        of_x, of_state = np.split(B, 2)
        params["b"] = reorder(of_x + of_state, ONNX_GATES, gates)
    if P is not None:
        own = dict(zip(ONNX_PEEPHOLES, np.split(P, 3), strict=True))
        params |= {f"p_{gate}": own[gate].copy() for gate in gates if gate != "c"}
    return params


def node_weights(model: LSTM, suffixes: Sequence[str]) -> dict[str, FloatArray]:
    """Return W, R and, where the model has them, B and P of the node for one layer.

    Parameters
    ----------
    model
        Model that ONNX can express.
    suffixes
        Endings of the names of the layer's parameters, one for each direction.
    """
    params, variant = model.params, model.variant
    H = len(params[f"U{suffixes[0]}"]) // len(variant.gates)

    def rows(name: str, suffix: str) -> FloatArray:
        own = params[f"{name}{suffix}"]
        gates = dict(zip(variant.gates, np.split(own, len(variant.gates)), strict=True))
        # Coupled gates have no rows for f; zeros in their place have no effect.
        return np.concatenate([gates.get(g, np.zeros_like(own[:H])) for g in ONNX_GATES])

    weights = {
        "W": np.stack([rows("W", suffix) for suffix in suffixes]),
        "R": np.stack([rows("U", suffix) for suffix in suffixes]),
    }
    if variant.bias:
        b = np.stack([rows("b", suffix) for suffix in suffixes])
        weights["B"] = np.concatenate([b, np.zeros_like(b)], axis=1)
    if variant.peepholes:
        none = np.zeros(H, model.dtype)
        weights["P"] = np.stack(
            [
                np.concatenate([params.get(f"p_{g}{suffix}", none) for g in ONNX_PEEPHOLES])
                for suffix in suffixes
            ]
        )
    return weights


def node_attributes(model: LSTM, layer: int) -> dict[str, Any]:
    """Return the attributes of a layer's node; what is as ONNX has it anyway is left out.

    Raises
    ------
    InputError
        If a number is beyond float32, in which ONNX keeps attributes.
    """
    variant = model.variant
    D = 2 if model.bidirectional else 1
    found: dict[str, Any] = {"hidden_size": model.hidden_sizes[layer]}
    if model.bidirectional:
        found["direction"] = "bidirectional"
    if variant.coupled_gates:
        found["input_forget"] = 1
    if variant.clip is not None:
        found["clip"] = _in_float32("clip", variant.clip)
    names = [ONNX_ACTIVATIONS[a.name] for a in variant.activations]
    if tuple(names) == PLAIN_ACTIVATIONS:
        return found
    # Constants are listed for the activations that take any, in order.
    found["activations"] = names * D
    for k, name in enumerate(("activation_alpha", "activation_beta")):
        constants = [a.constants[k] for a in variant.activations if len(a.constants) > k]
        if constants:
            found[name] = [_in_float32(name, value) for value in constants] * D
    return found


def as_written(value: float) -> float:
    """Return the shortest decimal that is this number in float32: 0.1 for 0.10000000149."""
    return float(str(np.float32(value)))


def _read_activations(
    names: Sequence[str], alpha: Sequence[float], beta: Sequence[float]
) -> list[GateActivation]:
    constants = (iter(alpha), iter(beta))
    found = []
    for name in names:
        own = _OWN_ACTIVATIONS.get(name.lower())
        if own is None:
            known = ", ".join(ONNX_ACTIVATIONS.values())
            raise InputError(f"an activation is {name!r}; ONNX knows {known}")
        # If a list is too short, the last activations have their defaults.
        defaults = gate_activation(own).constants
        given = [next(values, None) for values, _ in zip(constants, defaults, strict=False)]
        if None in given and own in _WITHOUT_DEFAULTS:
            raise InputError(f"activation {name} lacks a constant, and runtimes differ in theirs")
        chosen = [d if g is None else as_written(g) for g, d in zip(given, defaults, strict=True)]
        found.append(gate_activation(own, *chosen))
    return found


def _in_float32(name: str, value: float) -> float:
    with np.errstate(over="ignore"):
        found = float(np.float32(value))
    if not np.isfinite(found) or (found == 0 and value != 0):
        raise InputError(f"{name} is {value!r}; ONNX keeps it in float32, which cannot hold it")
    return found
