"""Models without memory, fitted to a task: what can be had without any recurrence.

A linear model sees, of a row's inputs up to the step that is asked about, their mean, the last of
them, or the last few side by side (all of a row, where they are few); tokens count as one-hot. It
is a logistic regression for classes and a ridge regression for values (scikit-learn's where it is
installed; without it both are least squares with a small ridge). Where inputs are tokens there is
an n-gram, too: the frequencies of answers after the last n tokens, each smoothed by that for n − 1
(Witten and Bell 1991), with the n that is best on samples left out.

They are trained on samples of the task's training stream and scored on its test samples. They are
rungs that say what a score is worth, and decide nothing: unlike the rules of a ladder they depend
on what they were fitted to, and on a library.
"""

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from lstm_baseline.engine.shapes import FloatArray, IntArray, NDArray
from lstm_baseline.engine.wording import counted
from lstm_baseline.tasks.base import Rung, Task
from lstm_baseline.tasks.encoding import log_probabilities
from lstm_baseline.tasks.metrics import Batch, valid_steps

_MOST_FITTED, _MOST_SCORED = 4_000, 20_000
"""Targets to fit to, and to score."""
_MOST_FEATURES, _MOST_WEIGHTS = 1024, 2**16
"""Inputs of a linear model, and its weights."""
_MOST_COUNTS = 2**22
"""Numbers in an n-gram's table."""
_LEFT_OUT = 0.2
"""Share of the targets that choose n."""
_MOST_ITERATIONS = 30
_LEAST = 1e-13
"""Smallest probability of a class, also of one that no sample has."""


class _Targets(NamedTuple):
    """Targets of a batch one by one, with what came before each."""

    x: NDArray
    """Inputs of the batch, (B, T, I) or tokens (B, T)."""
    rows: IntArray
    """(N,)"""
    steps: IntArray
    """Last step that belongs to each target, (N,)."""
    y: NDArray
    """Classes (N,) or values (N, O)."""

    def chosen(self, places: IntArray) -> "_Targets":
        return _Targets(self.x, self.rows[places], self.steps[places], self.y[places])


@lru_cache(maxsize=16)
def memoryless_rungs(task: Task, seed: int = 0) -> tuple[Rung, ...]:
    """Fit the models without memory to a task, and score them: a rung each, worst first.

    None for labels, in closed loop, and where a model of this kind would have too many weights.
    """
    if task.loss == "binary_cross_entropy" or task.closed_loop:
        return ()
    fitted = _targets(task.train_batch(0, _MOST_FITTED, seed), task.per_step)
    fitted = fitted.chosen(np.random.default_rng(seed).permutation(len(fitted.y))[:_MOST_FITTED])
    test = task.test(seed)
    each = max(1, len(_targets(test.rows(slice(0, 64)), task.per_step).y) // min(64, len(test.x)))
    test = test.rows(slice(0, max(1, _MOST_SCORED // each)))
    asked = _targets(test, task.per_step)
    found = []
    for name, description, predict in _models(task, fitted):
        score = task.metric.measure(_in_place(predict(asked), asked, test, task), test)
        found.append(Rung(name, "fitted", description, score))
    found.sort(key=lambda rung: rung.score, reverse=not task.metric.higher_is_better)
    return tuple(found)


_Predict = Callable[[_Targets], FloatArray]


def _models(task: Task, fitted: _Targets) -> Iterator[tuple[str, str, _Predict]]:
    """Yield name, description and predictions of every model."""
    inputs, steps = task.input_size, fitted.x.shape[1]
    window = min(steps, _MOST_FEATURES // inputs)
    seen: list[tuple[str, str, Callable[[_Targets], FloatArray], int]] = [
        ("mean", "the mean of the inputs", lambda of: _mean(of, inputs), inputs),
        ("last", "the last input", lambda of: _last(of, inputs, 1), inputs),
    ]
    if window > 1:
        name = "all" if window == steps else f"last {window}"
        which = "all inputs" if window == steps else f"the last {counted(window, 'input')}"
        seen.append((name, which, lambda of: _last(of, inputs, window), window * inputs))
    for name, which, features, number in seen:
        if number <= _MOST_FEATURES and number * task.output_size <= _MOST_WEIGHTS:
            kind, predict = _linear(task, features, fitted)
            yield f"linear, {name}", f"{kind} on {which}", predict
    if task.tokens and task.loss == "cross_entropy":
        n, predict = _n_gram(task, fitted)
        yield f"{n}-gram", f"frequencies after the last {counted(n, 'token')}", predict


def _targets(batch: Batch, per_step: bool) -> _Targets:
    """Return all targets of a batch that count."""
    valid = valid_steps(batch.x, batch.lengths)
    if not per_step:
        rows = np.arange(len(batch.x))
        return _Targets(batch.x, rows, valid.sum(axis=1) - 1, batch.y)
    rows, steps = np.nonzero(valid if batch.mask is None else batch.mask)
    return _Targets(batch.x, rows, steps, batch.y[rows, steps])


def _in_place(predictions: FloatArray, of: _Targets, batch: Batch, task: Task) -> FloatArray:
    """Return predictions (N, O) in the form that the metric takes."""
    if not task.per_step or batch.mask is not None:
        return predictions
    placed = np.zeros((*batch.x.shape[:2], predictions.shape[1]), predictions.dtype)
    placed[of.rows, of.steps] = predictions
    return placed


def _mean(of: _Targets, inputs: int) -> FloatArray:
    """Return the mean of the inputs up to each target's step, (N, I)."""
    total = np.zeros((len(of.rows), inputs))
    targets = np.arange(len(of.rows))
    for step in range(of.x.shape[1]):
        seen = targets[of.steps >= step]
        now = of.x[of.rows[seen], step]
        if of.x.ndim == 2:
            total[seen, now] += 1
        else:
            total[seen] += now
    return total / np.maximum(of.steps[:, None] + 1, 1)  # a row may have no step


def _last(of: _Targets, inputs: int, number: int) -> FloatArray:
    """Return the last inputs up to each target's step side by side; 0 before a row begins."""
    found = np.zeros((len(of.rows), number, inputs))
    targets = np.arange(len(of.rows))
    for back in range(number):
        there = targets[of.steps >= back]
        now = of.x[of.rows[there], of.steps[there] - back]
        if of.x.ndim == 2:
            found[there, back, now] = 1
        else:
            found[there, back] = now
    return found.reshape(len(targets), -1)


def _linear(
    task: Task, features: Callable[[_Targets], FloatArray], fitted: _Targets
) -> tuple[str, _Predict]:
    """Fit a linear model; return its kind and its predictions."""
    a = features(fitted)
    mean, scale = a.mean(axis=0), a.std(axis=0)
    scale[scale < 1e-9] = 1
    a = (a - mean) / scale
    is_class = task.loss == "cross_entropy"
    if is_class and len(np.unique(fitted.y)) > 1 and (logits := _logistic(a, fitted.y, task)):
        return "logistic regression", lambda of: logits((features(of) - mean) / scale)
    y = np.eye(task.output_size)[fitted.y] if is_class else fitted.y.astype(np.float64)
    offset = y.mean(axis=0)
    weights = np.linalg.solve(a.T @ a + np.eye(a.shape[1]), a.T @ (y - offset))

    def predict(of: _Targets) -> FloatArray:
        values: FloatArray = (features(of) - mean) / scale @ weights + offset
        return log_probabilities(np.maximum(values, 1e-3)) if is_class else values

    return "least squares" if is_class else "ridge regression", predict


def _logistic(a: FloatArray, y: IntArray, task: Task) -> Callable[[FloatArray], FloatArray] | None:
    """Fit scikit-learn's logistic regression; None where it is not installed."""
    try:
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.linear_model import LogisticRegression
    except ImportError:
        return None
    import warnings

    model = LogisticRegression(max_iter=_MOST_ITERATIONS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a rung needs no last digit
        model.fit(a, y)

    def logits(a: FloatArray) -> FloatArray:
        p = np.full((len(a), task.output_size), _LEAST)
        p[:, model.classes_] = np.maximum(model.predict_proba(a), _LEAST)
        return log_probabilities(p)

    return logits


def _n_gram(task: Task, fitted: _Targets) -> tuple[int, _Predict]:
    """Count answers after the last n tokens; return n and the predictions."""
    orders = [1]
    while (task.input_size + 1) ** (orders[-1] + 1) * task.output_size <= _MOST_COUNTS:
        if orders[-1] == fitted.x.shape[1]:
            break
        orders.append(orders[-1] + 1)
    cut = round(len(fitted.y) * (1 - _LEFT_OUT))
    kept, left_out = fitted.chosen(np.arange(cut)), fitted.chosen(np.arange(cut, len(fitted.y)))
    tables = _tables(task, kept, orders)
    places = np.arange(len(left_out.y))
    losses = [
        -np.log(table[_codes(left_out, n, task.input_size), left_out.y][places]).mean()
        for n, table in zip(orders, tables, strict=True)
    ]
    n = orders[int(np.argmin(losses))]
    table = log_probabilities(_tables(task, fitted, orders[:n])[-1])
    return n, lambda of: table[_codes(of, n, task.input_size)]


def _tables(task: Task, of: _Targets, orders: list[int]) -> list[FloatArray]:
    """Return p(answer | last n tokens), ((V + 1)ⁿ, O), for each n."""
    size = task.output_size
    before = np.full((1, size), 1 / size)
    counts = np.bincount(of.y, minlength=size)[None]
    tables = []
    for n in (0, *orders):
        if n:
            cells = (task.input_size + 1) ** n
            codes = _codes(of, n, task.input_size)
            counts = np.bincount(codes * size + of.y, minlength=cells * size).reshape(cells, size)
            # The code of n tokens is that of the last n − 1, and the one before these above it.
            before = np.tile(before, (task.input_size + 1, 1))
        kinds = (counts > 0).sum(axis=1, keepdims=True).clip(1)
        before = (counts + kinds * before) / (counts.sum(axis=1, keepdims=True) + kinds)
        tables.append(before)
    return tables[1:]


def _codes(of: _Targets, n: int, inputs: int) -> IntArray:
    """Return the last n tokens of each target as one number; before a row begins stands V."""
    code = np.zeros(len(of.rows), np.int64)
    for back in range(n):
        there = of.steps >= back
        token = np.where(there, of.x[of.rows, np.maximum(of.steps - back, 0)], inputs)
        code += token * (inputs + 1) ** back
    return code
