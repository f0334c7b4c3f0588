"""A model's outputs where a batch's targets count, and the way back.

A model whose ``forward`` and ``forward_with_cache`` take ``at`` (``engine/contract.py``) computes
nothing else; of any other, all outputs are computed and those that count are taken.
"""

import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from lstm_baseline.engine.contract import Model
from lstm_baseline.engine.shapes import FloatArray, IntArray, NDArray, Params
from lstm_baseline.tasks.metrics import Batch

AT = "at"


class CountedOutputs(NamedTuple):
    """Outputs and targets as a loss takes them."""

    outputs: FloatArray
    """(B, O), (B, T, O), or (N, O) where a mask leaves N targets."""
    targets: NDArray
    lengths: IntArray | None
    """(B,) where the outputs are (B, T, O) and rows differ in length."""
    backward: Callable[[FloatArray], Params]
    """From the gradient of the outputs to those of the parameters."""
    cache: Any


def counted_outputs(
    model: Model[Any], batch: Batch, *, per_step: bool, **options: Any
) -> CountedOutputs:
    """Run a model forward for training.

    Parameters
    ----------
    model
        The model.
    batch
        Inputs, targets, lengths and mask.
    per_step
        Whether every step has a target, or only the row.
    options
        Further arguments of ``forward_with_cache``.
    """
    mask = batch.mask
    chosen: dict[str, Any] = {} if mask is None or not takes_at(model) else {AT: mask}
    outputs, cache = model.forward_with_cache(
        batch.x, per_step, lengths=batch.lengths, **chosen, **options
    )

    def backward(d_outputs: FloatArray) -> Params:
        return model.backward(d_outputs, cache).params

    if mask is None:
        lengths = batch.lengths if per_step else None
        return CountedOutputs(outputs, batch.y, lengths, backward, cache)
    targets = batch.y[mask]
    if chosen:
        return CountedOutputs(outputs, targets, None, backward, cache)

    def backward_from_some(d_outputs: FloatArray) -> Params:
        d_all = np.zeros_like(outputs)
        d_all[mask] = d_outputs
        return backward(d_all)

    return CountedOutputs(outputs[mask], targets, None, backward_from_some, cache)


def forward_where_it_counts(model: Model[Any], batch: Batch, *, per_step: bool) -> FloatArray:
    """Return a model's outputs for evaluation, in the form that the task's metric takes."""
    if batch.mask is None:
        return model.forward(batch.x, per_step, lengths=batch.lengths)
    if takes_at(model):
        chosen: dict[str, Any] = {AT: batch.mask}
        return model.forward(batch.x, per_step, lengths=batch.lengths, **chosen)
    return model.forward(batch.x, per_step, lengths=batch.lengths)[batch.mask]


def takes_at(model: Model[Any]) -> bool:
    """Return True if a model computes the outputs of chosen steps alone."""
    calls = (model.forward, model.forward_with_cache)
    return all(AT in inspect.signature(call).parameters for call in calls)
