"""What gives answers away: an x that shows them, and streams that share samples.

No check sees a leak in a part of the rows only, one that is spread over several steps, or one that
neither a table nor a linear map reads.
"""

from collections import Counter
from math import sqrt
from typing import Any

import numpy as np

from lstm_baseline.engine.errors import InputError
from lstm_baseline.engine.shapes import NDArray
from lstm_baseline.tasks.base import Task
from lstm_baseline.tasks.encoding import one_hot
from lstm_baseline.tasks.metrics import Batch, valid_steps

_EXACT = 1e-3
"""Largest error of a linear map that counts as reading the answer, in standard deviations."""
_MOST_STEPS, _MOST_FEATURES = 200, 256
"""Largest number of steps in which the answer is looked for, and of features for a linear map."""


def check_leak(task: Task, batch: Batch) -> list[str]:
    """Refuse an x that shows the answer at the step where it is asked for.

    That is the same step of a task with a target at every step, and the last one of a row
    otherwise. It shows the answer if a table of what stands there, of all features or of one, or a
    linear map of them, made from half of the samples, answers each of the other half right. The
    answer at another step of every row is no leak but a test of memory, and is noted.
    """
    x, y = batch.x, batch.y
    if task.per_step:
        valid = valid_steps(x, batch.lengths) if batch.mask is None else batch.mask
        row, step = valid.nonzero()
        drawn = np.random.default_rng(0).permutation(len(row))[: len(x)]
        seen, asked = x[row[drawn], step[drawn]], y[row[drawn], step[drawn]]
    else:
        ends = x.shape[1] - 1 if batch.lengths is None else batch.lengths - 1
        seen, asked = x[np.arange(len(x)), ends], y
    where = "the same step" if task.per_step else "the last step"
    if how := _shows(seen, asked, task):
        raise InputError(
            f"y can be read from x at {where} alone, {how}, so no memory is needed; leave the "
            "answer out of x there"
        )
    if task.per_step:
        return []
    last = x.shape[1] - 2 if batch.lengths is None else int(batch.lengths.min()) - 1
    for t in np.unique(np.linspace(0, last, min(last + 1, _MOST_STEPS)).astype(int)):
        if _shows(x[:, t], y, task, each_feature=False):
            return [
                f"y can be read from x at step {t + 1} alone, in every row: a test of memory and "
                "of nothing else, unless it stands there by mistake"
            ]
    return []


def check_overlap(train: Batch, validation: Batch, test: Batch) -> list[str]:
    """Refuse streams that share samples, unless there are only few different ones."""
    rows = {
        "training": Counter(hash(row.tobytes()) for row in train.x),
        "validation": Counter(hash(row.tobytes()) for row in validation.x),
        "test": Counter(hash(row.tobytes()) for row in test.x),
    }
    size = len(test.x)
    pairs = sum(n * (n - 1) // 2 for n in rows["test"].values())
    # Pairs of equal samples within test say how many there are between streams by chance.
    chance = (pairs + 3 + 3 * sqrt(pairs)) / (size * (size - 1) / 2)
    for one, other in (("training", "test"), ("validation", "test"), ("training", "validation")):
        shared = sum(n * rows[other][row] for row, n in rows[one].items())
        expected = chance * rows[one].total() * rows[other].total()
        if shared > 10 + 3 * expected:
            raise InputError(
                f"{one} and {other} share samples: {shared} pairs of them are equal, where chance "
                f"makes {expected:.0f} at most; draw each stream from its own rng"
            )
    seen = sum(n for row, n in rows["test"].items() if row in rows["training"]) / size
    if seen <= 0.01:
        return []
    return [
        f"there are few different samples: {seen:.0%} of those of test are among "
        f"{len(train.x):,} of training as well, so that a model may learn them by heart"
    ]


def _shows(seen: NDArray, y: NDArray, task: Task, *, each_feature: bool = True) -> str:
    """Return how y (N,) or (N, O) can be read from what is seen; empty if it cannot.

    That is features (N, I), or tokens (N,).
    """
    if task.tokens:
        seen = seen[:, None]
    half = len(y) // 2
    wanted = y
    if task.loss == "cross_entropy":
        y = y.astype(np.int64)
        if np.bincount(y[half:]).max() > 0.99 * (len(y) - half):
            return ""  # too few others to tell
        answers = y.tolist()
        if each_feature and any(_table_tells(column.tolist(), answers) for column in seen.T):
            return "as one feature decides it"
        if _table_tells([row.tobytes() for row in seen], answers):
            return "as the features there decide it"
        wanted = one_hot(y, task.output_size)
    if task.tokens or seen.shape[1] > _MOST_FEATURES:
        return ""
    inputs = np.concatenate([seen, np.ones((len(seen), 1))], axis=1)
    weights = np.linalg.lstsq(inputs[:half], wanted[:half].astype(np.float64), rcond=None)[0]
    error, spread = np.abs(inputs[half:] @ weights - wanted[half:]), wanted.std(axis=0)
    is_read = error.max(axis=0) < _EXACT * spread
    return "by a linear map" if is_read[spread > 0].all() else ""


def _table_tells(seen: list[Any], answers: list[Any]) -> bool:
    """Return whether a table made of half of the rows answers all others right."""
    half = len(answers) // 2
    table = dict(zip(seen[:half], answers[:half], strict=True))
    rest = zip(seen[half:], answers[half:], strict=True)
    return all(table.get(key) == answer for key, answer in rest)
