"""The inside of a recurrent model as arrays to look at, one function for each question.

B rows, T steps. Every function takes a model and inputs, or arrays from another one, and returns
arrays; nothing is drawn here.
"""

from typing import Any, NamedTuple

import numpy as np

from lstm_baseline.engine.cells.relational import RelationalEquations
from lstm_baseline.engine.errors import InputError
from lstm_baseline.engine.inputs import as_sequence, is_tokens
from lstm_baseline.engine.models import SequenceModel
from lstm_baseline.engine.shapes import FloatArray

__all__ = [
    "Saturation",
    "Statistics",
    "Trace",
    "gate_saturation",
    "gradient_norms",
    "statistics_over_time",
    "trace",
]


class Trace(NamedTuple):
    """States, gates and attention at every step."""

    states: dict[str, FloatArray]
    """States by name ("h", "c", "memory"), (B, T, width)."""
    gates: dict[str, FloatArray]
    """Gates by name ("forget gate", …), (B, T, width); between 0 and 1 where gates are sigmoids."""
    attention: FloatArray | None
    """(B, T, blocks, heads, S+1, S+1) of a relational memory, None of any other cell: row n of the
    last two axes says what share of its attention slot n gives to each slot and, last, to the
    input; the last row is the input's own. Each row sums to 1."""


class Statistics(NamedTuple):
    """Moments over rows and units at every step, each (T,)."""

    mean: FloatArray
    std: FloatArray
    variance: FloatArray


class Saturation(NamedTuple):
    """Share of a gate's values that are nearly shut or nearly open, each (T,)."""

    shut: FloatArray
    """Below 0.1."""
    open: FloatArray
    """Above 0.9."""


def trace(model: SequenceModel, x: FloatArray) -> Trace:
    """Return states, gates and attention of a model at every step of x (B, T, I).

    Attention is computed by the reference, from the states that the model's own engine gives.

    Raises
    ------
    InputError
        If x does not fit the model, or has no steps.
    """
    x = _some_steps(model, x)
    state: Any = model.initial_state(len(x))
    names: tuple[str, ...] = type(state)._fields
    states: dict[str, list[FloatArray]] = {name: [] for name in names}
    fields = model.cell.gate_fields
    gates: dict[str, list[FloatArray]] = {name: [] for name in fields}
    attention: list[FloatArray] = []
    for t in range(x.shape[1]):
        x_t = x[:, t : t + 1]
        if isinstance(model.cell, RelationalEquations):
            attention.append(model.cell.attention(model.params, x_t, state))
        _, cache = model.forward_with_cache(x_t, initial_state=state)
        state = cache.cell.state
        for name, part in zip(names, state, strict=True):
            states[name].append(_flat(part, model.batch_axis))
        for name, field in fields.items():
            gates[name].append(_flat(cache.cell.gate(field)))
    return Trace(
        {name: np.stack(parts, axis=1) for name, parts in states.items()},
        {name: np.stack(parts, axis=1) for name, parts in gates.items()},
        np.stack(attention, axis=1) if attention else None,
    )


def statistics_over_time(values: FloatArray) -> Statistics:
    """Return mean, standard deviation and variance of (B, T, width) at every step."""
    values = values.astype(np.float64)
    return Statistics(values.mean(axis=(0, 2)), values.std(axis=(0, 2)), values.var(axis=(0, 2)))


def gate_saturation(gate: FloatArray) -> Saturation:
    """Return how much of a sigmoid gate (B, T, width) is nearly shut and open at every step.

    Source: Karpathy, Johnson and Fei-Fei 2015 (arXiv 1506.02078), section 4.2.
    """
    return Saturation(
        (gate < 0.1).mean(axis=(0, 2), dtype=np.float64),
        (gate > 0.9).mean(axis=(0, 2), dtype=np.float64),
    )


def gradient_norms(model: SequenceModel, x: FloatArray, d_last: FloatArray) -> FloatArray:
    """Return how strongly a loss on the last output depends on the state at every step.

    Parameters
    ----------
    model, x
        A model and its inputs (B, T, I).
    d_last
        Gradient of the loss with respect to the last output, (B, O).

    Returns
    -------
    (B, T) norms ‖dL/ds‖ over all of a row's state s before each step, the first being the initial
    state. Norms that fall towards the first step are a vanishing gradient, norms that rise an
    exploding one (Pascanu, Mikolov and Bengio 2013).

    Raises
    ------
    InputError
        If x or d_last does not fit the model, or x has no steps.
    """
    x = _some_steps(model, x)
    state = model.initial_state(len(x))
    caches = []
    for t in range(x.shape[1]):
        _, cache = model.forward_with_cache(x[:, t : t + 1], False, initial_state=state)
        caches.append(cache)
        state = cache.cell.state
    d_output, d_state = d_last, None
    norms: list[FloatArray] = []
    for cache in reversed(caches):
        d_state = model.backward(d_output, cache, d_state).initial_state
        d_output = np.zeros_like(d_last)  # only the last output is in the loss
        squares = sum(
            np.square(_flat(part, model.batch_axis), dtype=np.float64).sum(axis=1)
            for part in d_state
        )
        norms.append(np.sqrt(squares))
    return np.stack(norms[::-1], axis=1)


def _some_steps(model: SequenceModel, x: FloatArray) -> FloatArray:
    """Return x in the model's dtype, with at least one step, for a model that goes step by step."""
    if getattr(model, "bidirectional", False):
        raise InputError(
            "a bidirectional model has no state that goes from step to step; "
            "look at one that runs in one direction"
        )
    if not (is_tokens(x) and x.ndim == 2):
        x = as_sequence(x, model.input_size, model.dtype, type(model).__name__)
    if x.shape[1] == 0:
        raise InputError(f"x has shape {x.shape}; give at least one step")
    return x


def _flat(part: FloatArray, batch_axis: int = 0) -> FloatArray:
    """Return an array with B rows along an axis as (B, width)."""
    rows = np.moveaxis(part, batch_axis, 0)
    return rows.reshape(len(rows), -1)
