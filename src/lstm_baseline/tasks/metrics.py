"""Scores of predictions against targets, one rule for models, heuristics and oracles alike.

A prediction has the form of a model's output: logits (B, K) or (B, T, K) for classes; (B, O) or
(B, T, O), a logit for each of several labels, or values for a regression. A heuristic or an oracle
states its beliefs as logarithms of probabilities (−inf for what it rules out), which are logits
too; of a label, as the logarithm of its odds (±inf where it is sure). Steps beyond a row's length
do not count, nor do steps outside a batch's mask. Where there is a mask, a prediction may also have
the steps that count alone, (N, K), row by row.
"""

import math
from collections.abc import Callable
from typing import Literal, NamedTuple

import numpy as np

from lstm_baseline.engine.activations import log_likelihood_of_labels, log_softmax
from lstm_baseline.engine.shapes import FloatArray, IntArray, NDArray

LossName = Literal["cross_entropy", "mean_squared_error", "binary_cross_entropy"]
"""Losses of ``training/losses.py`` by name."""


class Batch(NamedTuple):
    """Some samples of a task."""

    x: NDArray
    """Inputs: numbers (B, T, I), or tokens (B, T)."""
    y: NDArray
    """Targets: class indices (B,) or (B, T), or labels 0 and 1, or values, (B, O) or (B, T, O)."""
    lengths: IntArray | None = None
    """(B,) valid steps of each row; None when all T are."""
    y_scale: NDArray | None = None
    """(O,) what one unit of y is in the data's own units; None when y is in these already."""
    mask: NDArray | None = None
    """(B, T) True at the steps whose target counts, none of them beyond a row's length; None when
    all do. Only where every step has a target; elsewhere y may hold anything."""

    def rows(self, chosen: slice | IntArray | NDArray) -> "Batch":
        """Return some of the rows."""
        lengths, mask = self.lengths, self.mask
        return self._replace(
            x=self.x[chosen],
            y=self.y[chosen],
            lengths=None if lengths is None else lengths[chosen],
            mask=None if mask is None else mask[chosen],
        )


class Metric(NamedTuple):
    """A named score: the mean of one term for each target."""

    name: str
    unit: str
    higher_is_better: bool
    perfect: float
    """The score that nothing can beat."""
    terms: Callable[[FloatArray, Batch], NDArray]
    """(predictions, batch) -> (B,), or (B, T) where every step has a target."""

    def measure(self, predictions: FloatArray, batch: Batch) -> float:
        """Return the score: the mean over all targets that count."""
        return mean_of(self.terms_that_count(predictions, batch)[0])

    def terms_that_count(
        self, predictions: FloatArray, batch: Batch
    ) -> tuple[NDArray, NDArray | None]:
        """Return the terms of all targets that count, row by row, and the steps of these (B, T).

        Terms are (N,); steps are None where a row has one target.
        """
        if batch.mask is not None:
            if predictions.ndim == 3:
                predictions = predictions[batch.mask]
            terms = self.terms(predictions, batch._replace(y=batch.y[batch.mask]))
            return terms, batch.mask
        terms = self.terms(predictions, batch)
        if terms.ndim == 1:
            return terms, None
        steps = valid_steps(batch.x, batch.lengths)
        return terms[steps], steps

    def standard_error(self, predictions: FloatArray, batch: Batch) -> float:
        """Return how far the score may be off for the samples drawn; rows are independent.

        It is √(B/(B−1) Σ (s − m n)²) / Σ n, with s a row's sum over its n targets and m the score.
        For a share, such as accuracy, two rows that are all right and two that are all wrong are
        added: otherwise a few rows with equal results would give 0 (Agresti and Coull 1998).
        """
        sums, counts = _row_sums(*self.terms_that_count(predictions, batch))
        if self.perfect == 1:
            size = counts.mean()
            sums = np.concatenate([sums, [size, size, 0.0, 0.0]])
            counts = np.concatenate([counts, [size] * 4])
        return _error_of_mean(sums, counts)

    def drop(self, before: FloatArray, after: FloatArray, batch: Batch) -> tuple[float, float]:
        """Return how much less the mean term is after than before, and its standard error.

        Both are predictions for the same samples, so the error is that of the paired differences.
        """
        terms, steps = self.terms_that_count(before, batch)
        sums, counts = _row_sums(
            terms.astype(np.float64) - self.terms_that_count(after, batch)[0], steps
        )
        return float(sums.sum() / counts.sum()), _error_of_mean(sums, counts)


def mean_of(terms: NDArray) -> float:
    """Return the mean of terms, added up in float64."""
    # Added to zero, so that a perfect score is 0 and not −0.
    return 0.0 + float(np.mean(terms, dtype=np.float64))


def _row_sums(terms: NDArray, steps: NDArray | None) -> tuple[NDArray, NDArray]:
    """Return each row's sum of terms (N,), and how many it has, both (B,) float64."""
    terms = terms.astype(np.float64)
    if steps is None:
        return terms, np.ones(len(terms))
    placed = np.zeros(steps.shape)
    placed[steps] = terms
    return placed.sum(axis=1), steps.sum(axis=1).astype(np.float64)


def _error_of_mean(sums: NDArray, counts: NDArray) -> float:
    """Return the standard error of Σ sums / Σ counts, over independent rows; inf for one row."""
    rows = len(sums)
    if rows < 2:
        return math.inf
    deviations = sums - sums.sum() / counts.sum() * counts
    return float(math.sqrt(rows / (rows - 1) * np.square(deviations).sum()) / counts.sum())


def valid_steps(x: NDArray, lengths: IntArray | None) -> NDArray:
    """Return which steps of x (B, T, …) are within their row's length, (B, T) booleans."""
    if lengths is None:
        return np.ones(x.shape[:2], bool)
    return np.arange(x.shape[1]) < lengths[:, None]


def _accuracy(logits: FloatArray, batch: Batch) -> NDArray:
    best = logits == logits.max(axis=-1, keepdims=True)
    hit = np.take_along_axis(best, batch.y[..., None], axis=-1)[..., 0]
    # A tie is broken by a draw among the best, so it scores the chance of drawing the target.
    chance: NDArray = hit / best.sum(axis=-1)
    return chance


def _nats(logits: FloatArray, batch: Batch) -> NDArray:
    log_p = log_softmax(logits.astype(np.float64))
    return -np.take_along_axis(log_p, batch.y[..., None], axis=-1)[..., 0]


def _bits(logits: FloatArray, batch: Batch) -> NDArray:
    return _nats(logits, batch) / math.log(2)


def _nats_of_labels(logits: FloatArray, batch: Batch) -> NDArray:
    terms = log_likelihood_of_labels(logits.astype(np.float64), batch.y.astype(np.float64))
    nats: NDArray = -terms.sum(axis=-1)
    return nats


def _squared_error(values: FloatArray, batch: Batch) -> NDArray:
    error = values.astype(np.float64) - batch.y
    if batch.y_scale is not None:
        error *= batch.y_scale
    mean: NDArray = np.square(error).mean(axis=-1)
    return mean


ACCURACY = Metric("accuracy", "", True, 1.0, _accuracy)
"""Share of targets hit by the largest logit; a tie counts the chance of drawing the target."""

CROSS_ENTROPY = Metric("cross-entropy", "nats", False, 0.0, _nats)
"""Mean of −ln p(target), in nats per target."""

BITS_PER_CHARACTER = Metric("bits per character", "bits", False, 0.0, _bits)
"""Mean of −log₂ p(target)."""

MEAN_SQUARED_ERROR = Metric("mean squared error", "", False, 0.0, _squared_error)
"""Mean of (prediction − target)² over targets and their components, in the data's own units."""

NEGATIVE_LOG_LIKELIHOOD = Metric("negative log-likelihood", "nats", False, 0.0, _nats_of_labels)
"""Mean over rows or steps of −Σ ln p(label), the sum over all labels of the row or step."""

LOSS_METRICS: dict[LossName, Metric] = {
    "cross_entropy": CROSS_ENTROPY,
    "mean_squared_error": MEAN_SQUARED_ERROR,
    "binary_cross_entropy": NEGATIVE_LOG_LIKELIHOOD,
}
"""The metric that measures each loss of a task."""
