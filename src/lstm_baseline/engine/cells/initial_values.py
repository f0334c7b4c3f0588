"""Named initialisation schemes of an LSTM's parameters.

Libraries initialise parameters differently, above all the forget bias. This alone makes two "LSTM
baselines" differ, so each scheme has a name:

========  ==========================  ======================  ===============================
name      W, and a projection         U                       forget bias, other biases
========  ==========================  ======================  ===============================
baseline  Xavier-uniform, each gate   orthogonal, each gate   1, zeros
keras     Xavier-uniform, all gates   orthogonal, all gates   1, zeros
          as one matrix               as one matrix
flax      normal of deviation 1/√I,   orthogonal, each gate   0, zeros
          cut off at two deviations
torch     uniform within ±1/√H        uniform within ±1/√H    all the sum of two such numbers
chrono    as baseline                 as baseline             ln u, input gate −ln u, zeros
zeros     zeros                       zeros                   0, zeros
========  ==========================  ======================  ===============================

Here u is uniform from 1 to T − 1. Gains of layer norms start at 1 and peepholes at 0; "torch" also
draws its peepholes. "zeros" is for parameters that are about to be set.

Sources: keras, flax and torch as in their versions 3.15, 0.12 and 2.13; chrono, Tallec and Ollivier
2018 (arXiv 1804.11188), equation 16.
"""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from lstm_baseline.engine.errors import InputError
from lstm_baseline.engine.initializers import (
    lecun_initializer,
    orthogonal_initializer,
    xavier_initializer,
)
from lstm_baseline.engine.inputs import as_number, as_size, one_of
from lstm_baseline.engine.shapes import FloatArray, Params

STARTS = ("baseline", "torch", "keras", "flax", "chrono", "zeros")

_FORGET_BIAS = {"baseline": 1.0, "keras": 1.0}

# Deviation of a standard normal distribution that is cut off at ±2: flax divides by it.
_CUT_OFF_DEVIATION = 0.87962566103423978


class Start(NamedTuple):
    """Initialisation scheme of an LSTM's parameters."""

    initialization: object = "baseline"
    """A name of ``STARTS``; ("chrono", T) gives the longest time T that chrono is to bridge."""
    forget_bias: float | None = None
    """The forget gate's bias; that of the initialisation when None. With coupled gates the input
    gate starts at its negative."""


BASELINE = Start()


def initial_values(
    start: Start,
    shapes: Mapping[str, tuple[int, ...]],
    gates: Sequence[str],
    rng: np.random.Generator,
) -> Params:
    """Return initial parameters of one layer in float64.

    Parameters
    ----------
    start
        The scheme.
    shapes
        Shapes of the parameters, as the cell gives them.
    gates
        Gates in their order in W, U and b.
    rng
        Generator that draws the numbers.

    Raises
    ------
    InputError
        If there is no such scheme, it takes no forget bias, or there is no bias to set.
    """
    forget_bias = start.forget_bias
    name, num_steps = _check(start.initialization)
    if "b" not in shapes and (forget_bias is not None or num_steps is not None):
        given = "forget_bias" if num_steps is None else 'initialization "chrono"'
        raise InputError(f"{given} sets biases, and with bias=False there are none; leave one out")
    values = {
        key: _matrix(key, shape, name, len(gates), rng)
        if len(shape) == 2
        else np.full(shape, 1.0 if key.startswith("gain") else 0.0)
        for key, shape in shapes.items()
    }
    H = shapes["W"][0] // len(gates)
    if name == "torch":
        for key in values:
            if key.startswith("p_"):
                values[key] = _uniform(shapes[key], H, rng)
        if "b" in values:
            values["b"] = _uniform(shapes["b"], H, rng) + _uniform(shapes["b"], H, rng)
    opened: FloatArray | float | None = _FORGET_BIAS.get(name)
    if forget_bias is not None:
        opened = as_number("forget_bias", forget_bias)
    if num_steps is not None:
        if forget_bias is not None:
            raise InputError('forget_bias is given, and "chrono" draws its own; leave one out')
        opened = np.log(rng.uniform(1.0, num_steps - 1.0, H))
        _set_bias(values, gates, "i", -opened)
    if opened is not None:
        gate, bias = ("f", opened) if "f" in gates else ("i", -opened)
        _set_bias(values, gates, gate, bias)
    return values


def _check(start: object) -> tuple[str, int | None]:
    """Return the name, and chrono's number of steps."""
    if isinstance(start, str) and start != "chrono":
        return one_of("initialization", start, STARTS), None
    if isinstance(start, list | tuple) and len(start) == 2 and start[0] == "chrono":
        num_steps = as_size("the time of initialization chrono", start[1])
        if num_steps > 2:
            return "chrono", num_steps
    raise InputError(
        f"initialization is {start!r}; give one of {', '.join(STARTS)}, "
        'and chrono with a time of at least 3 steps, as ("chrono", 100)'
    )


def _matrix(
    key: str, shape: tuple[int, ...], start: str, num_gates: int, rng: np.random.Generator
) -> FloatArray:
    rows, columns = shape
    if start == "zeros":
        return np.zeros(shape)
    if start == "torch":
        # W_proj (P, H) has H columns, W and U have H rows a gate.
        return _uniform(shape, columns if key == "W_proj" else rows // num_gates, rng)
    parts = num_gates if key != "W_proj" and start != "keras" else 1
    part_shape = (rows // parts, columns)
    return np.concatenate([_part(key, part_shape, start, rng) for _ in range(parts)])


def _part(key: str, shape: tuple[int, int], start: str, rng: np.random.Generator) -> FloatArray:
    if key == "U":
        return orthogonal_initializer(shape, rng=rng, dtype=np.float64)
    if start == "flax":
        return lecun_initializer(shape, rng=rng, dtype=np.float64) / _CUT_OFF_DEVIATION
    return xavier_initializer(shape, rng=rng, dtype=np.float64)


def _uniform(shape: tuple[int, ...], H: int, rng: np.random.Generator) -> FloatArray:
    limit = 1.0 / math.sqrt(H)
    return rng.uniform(-limit, limit, shape)


def _set_bias(values: Params, gates: Sequence[str], gate: str, value: FloatArray | float) -> None:
    if "b" in values:
        H = len(values["b"]) // len(gates)
        first = gates.index(gate) * H
        values["b"][first : first + H] = value
