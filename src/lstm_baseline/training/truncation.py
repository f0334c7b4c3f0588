"""Truncated backpropagation through time: gradients that reach back a given number of steps.

A batch is run in windows of k steps. Each window starts from the last state of the window before
it, but its gradients stop there, so memory does not grow with T. The gradients of all windows are
added up, each weighted by its share of the terms of the loss.

Source: Williams and Peng 1990, with windows that do not overlap.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from lstm_baseline.engine.contract import StatefulModel
from lstm_baseline.engine.errors import InputError
from lstm_baseline.engine.shapes import Array, Params
from lstm_baseline.tasks.metrics import Batch, valid_steps
from lstm_baseline.training.counted_outputs import counted_outputs

Loss = Callable[..., tuple[float, Array]]


def truncated_gradients(
    model: StatefulModel[Any],
    loss: Loss,
    batch: Batch,
    num_steps: int,
    *,
    per_step: bool,
    **options: Any,
) -> tuple[float, Params]:
    """Return the loss of a batch, and its gradients within windows of ``num_steps``.

    If only the last output is in the loss, a row's gradient reaches back to the start of the window
    in which the row ends. Dropout masks are drawn anew for each window.

    Parameters
    ----------
    model
        Model whose ``forward_with_cache`` takes an initial state and keeps the last ``state``.
    loss
        A loss of ``losses.py``.
    batch
        Inputs, targets and lengths.
    num_steps
        k.
    per_step
        Whether every output is in the loss, or only the last.
    options
        Further arguments of ``forward_with_cache``.

    Raises
    ------
    InputError
        If the model does not keep the last state of a window.
    """
    total, gradients = 0.0, {name: np.zeros_like(p) for name, p in model.params.items()}
    lengths = batch.lengths
    if lengths is None:
        lengths = np.full(len(batch.x), batch.x.shape[1])
    counts = valid_steps(batch.x, batch.lengths) if batch.mask is None else batch.mask
    num_terms = counts.sum() if per_step else len(batch.x)
    state = None
    for start in range(0, batch.x.shape[1], num_steps):
        x = batch.x[:, start : start + num_steps]
        within = np.clip(lengths - start, 0, x.shape[1])
        window = slice(start, start + num_steps)
        part = Batch(
            x,
            batch.y[:, window] if per_step else batch.y,
            within,
            mask=None if batch.mask is None else batch.mask[:, window],
        )
        found = counted_outputs(model, part, per_step=per_step, initial_state=state, **options)
        state = getattr(found.cache, "state", None)
        if state is None:
            raise InputError(
                f"{type(model).__name__} cannot be trained on windows: what its "
                "forward_with_cache keeps has no state"
            )
        d_outputs = np.zeros_like(found.outputs)
        if per_step:
            share = counts[:, window].sum() / num_terms
            if not share:
                continue
            value, d_outputs = loss(found.outputs, found.targets, found.lengths)
        else:
            # Rows of length 0 end in the first window.
            ends = (within > 0) & (lengths <= start + num_steps) | (lengths == 0) & (start == 0)
            share = ends.sum() / num_terms
            if not share:
                continue
            value, d_outputs[ends] = loss(found.outputs[ends], batch.y[ends])
        total += share * value
        for name, gradient in found.backward(share * d_outputs).items():
            gradients[name] += gradient
    return total, gradients
