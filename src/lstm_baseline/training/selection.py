"""Which weights a run keeps: those that did best in validation.

A metric such as accuracy is coarse: on few rows many validations tie, and the loss tells them
apart. So one validation is *as good as* another if its metric is better; or if the metrics tie and
its loss is lower; or if these tie too. Of equally good ones the latest is kept. The untrained
network, step 0, is kept only if no later validation has a better metric or a lower loss than it.
"""

import math
from collections.abc import Sequence
from typing import Literal

from lstm_baseline.training.checkpoint import Record

Reason = Literal["metric", "loss", "later step", "untrained"]


def replaces(new: Record, kept: Record, untrained: Record, *, higher_is_better: bool) -> bool:
    """Return whether a validation's weights replace the ones kept so far.

    Parameters
    ----------
    new, kept
        The validation just made, and that of the weights kept so far.
    untrained
        The validation before the first step.
    higher_is_better
        Direction of the metric.
    """
    metric, loss = _goodness(new, higher_is_better)
    start = _goodness(untrained, higher_is_better)
    if not (metric > start[0] or loss > start[1]):
        return False
    return kept.step == 0 or (metric, loss) >= _goodness(kept, higher_is_better)


def reason(history: Sequence[Record], kept_step: int, *, higher_is_better: bool) -> Reason:
    """Return what decided that the weights of a step were kept.

    Returns
    -------
    "metric" if every other step's is worse; "loss" if it decided among steps whose metrics tie, or
    against the untrained network; "later step" if losses tie too; "untrained" for step 0.
    """
    if kept_step == 0:
        return "untrained"
    kept = next(_goodness(r, higher_is_better) for r in history if r.step == kept_step)
    others = [_goodness(r, higher_is_better) for r in history if r.step != kept_step]
    if all(other[0] < kept[0] for other in others):
        return "metric"
    return "later step" if kept in others else "loss"


def validations_since_better(
    history: Sequence[Record], kept_step: int, *, higher_is_better: bool, perfect: float
) -> int:
    """Return how many validations came since the first one that is as good as the kept one.

    Once the metric is ``perfect`` nothing is better, however far the loss still falls.
    """
    kept = next(r for r in history if r.step == kept_step)

    def as_good(record: Record) -> bool:
        if record.metric == kept.metric == perfect:
            return True
        return _goodness(record, higher_is_better) == _goodness(kept, higher_is_better)

    first = next(k for k, record in enumerate(history) if as_good(record))
    return len(history) - 1 - first


def _goodness(record: Record, higher_is_better: bool) -> tuple[float, float]:
    """Return metric and loss, both such that the larger is the better."""
    # Checkpoints of earlier versions have no loss; any known one is better.
    loss = math.inf if record.validation_loss is None else record.validation_loss
    return (record.metric if higher_is_better else -record.metric), -loss
