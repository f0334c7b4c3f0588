"""Analytic gradients against central differences."""

from collections.abc import Callable
from typing import Any

import numpy as np

from lstm_baseline.engine.contract import Model
from lstm_baseline.engine.errors import InputError
from lstm_baseline.engine.inputs import RandomSource, is_tokens
from lstm_baseline.engine.shapes import FloatArray, IntArray

GradientErrors = dict[str, float]
"""Error by name: each parameter, "x" where its gradient is given, and the arrays of
"initial_state"."""


def check_gradients(
    model: Model[Any],
    x: FloatArray | IntArray,
    *,
    return_sequences: bool = True,
    initial_state: tuple[FloatArray, ...] | None = None,
    lengths: IntArray | None = None,
    final_state: bool = False,
    max_entries: int = 200,
    rng: RandomSource = 0,
) -> GradientErrors:
    """Compare ``model.backward`` with central differences of ``model.forward``.

    The loss is Σ w ⊙ outputs with fixed random weights w, plus the same of the final state where
    ``final_state`` asks for it. An entry v is moved by ±δ and ±2δ, δ = 1e-5 max(1, |v|):

        L′ ≈ (8 (L(v+δ) − L(v−δ)) − (L(v+2δ) − L(v−2δ))) / 12δ

    In float64 this leaves an error of about 1e-10 of the loss, even beside a layer norm of a row
    that is nearly constant, where the error of the two-point formula is visible.

    Parameters
    ----------
    model
        Anything with ``params``, ``forward``, ``forward_with_cache`` and ``backward``, in float64.
    x
        (B, T, I), or tokens (B, T).
    return_sequences, initial_state, lengths
        As for ``forward``. The initial state is checked when one is given.
    final_state
        Let the loss use the state after the last step too: ``forward`` gives it with
        ``return_state``, and ``backward`` takes its gradient as ``d_state``.
    max_entries
        Entries tried in each array, drawn at random where it has more.
    rng
        Generator or seed for the weights and the draw.

    Returns
    -------
    Largest absolute difference in each array, divided by the array's largest gradient, or by 1e-4
    of the largest of all where that is more: a gradient that is zero by construction, as behind a
    layer norm of one feature, has no scale of its own.
    """
    rng = np.random.default_rng(rng)
    if any(value.dtype != np.float64 for value in model.params.values()):
        raise InputError("the model is not in float64; make it with dtype=np.float64")
    numbers = not is_tokens(x)
    if numbers:
        x = np.array(x, dtype=np.float64)
    state = None if initial_state is None else tuple(np.array(part) for part in initial_state)
    # Only what is set: a model of somebody else's need not know of all of them.
    given = {"initial_state": state, "lengths": lengths}
    options = {name: value for name, value in given.items() if value is not None}

    stateful: Any = model  # where it is asked for more than the contract has

    def forward() -> tuple[FloatArray, ...]:
        if final_state:
            return tuple(stateful.forward(x, return_sequences, return_state=True, **options))
        return (stateful.forward(x, return_sequences, **options),)

    weights = [rng.standard_normal(values.shape) for values in forward()]

    def loss() -> float:
        return sum(float(np.sum(w * values)) for w, values in zip(weights, forward(), strict=True))

    _, cache = stateful.forward_with_cache(x, return_sequences, **options)
    d_state = {"d_state": tuple(weights[1:])} if final_state else {}
    gradients = stateful.backward(weights[0], cache, **d_state)

    pairs = {name: (model.params[name], gradients.params[name]) for name in model.params}
    if numbers and hasattr(gradients, "x"):
        pairs["x"] = (x, gradients.x)
    for k, part in enumerate(state or ()):
        pairs[f"initial_state[{k}]"] = (part, gradients.initial_state[k])
    scale = max(float(np.abs(gradient).max(initial=0.0)) for _, gradient in pairs.values())
    return {
        name: _largest_difference(values, gradient, loss, max_entries, rng)
        / max(float(np.abs(gradient).max(initial=0.0)), 1e-4 * scale, np.finfo(float).tiny)
        for name, (values, gradient) in pairs.items()
    }


def _largest_difference(
    values: FloatArray,
    gradient: FloatArray,
    loss: Callable[[], float],
    max_entries: int,
    rng: np.random.Generator,
) -> float:
    """Move entries of ``values`` in place, one at a time, and put each back."""
    if gradient.shape != values.shape:
        raise InputError(f"a gradient has shape {gradient.shape}; its array has {values.shape}")
    chosen = rng.permutation(values.size)[:max_entries]
    worst = 0.0
    for index in zip(*np.unravel_index(chosen, values.shape), strict=True):
        value = values[index]
        delta = 1e-5 * max(1.0, abs(value))
        losses = []
        for moved in (value + delta, value - delta, value + 2 * delta, value - 2 * delta):
            values[index] = moved
            losses.append(loss())
        values[index] = value
        slope = (8 * (losses[0] - losses[1]) - (losses[2] - losses[3])) / (12 * delta)
        worst = max(worst, abs(slope - gradient[index]))
    return worst
