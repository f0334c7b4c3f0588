"""Batches of rows that a file holds: shuffled anew in each epoch, epochs without a gap."""

import numpy as np

from lstm_baseline.engine.shapes import IntArray

_SHUFFLE = 2


class Epochs:
    """Rows of training batches; a function of step, size and seed alone."""

    def __init__(self) -> None:
        self._shuffled: tuple[tuple[int, int], IntArray] | None = None

    def batch(self, rows: IntArray, step: int, size: int, seed: int) -> IntArray:
        """Return the rows of a training step.

        A batch may hold the end of one epoch and the start of the next. It has ``size`` rows, or
        all rows if these are fewer.
        """
        total = len(rows)
        size = min(size, total)
        epoch, start = divmod(step * size, total)
        found = self._order(rows, seed, epoch)[start : start + size]
        if len(found) < size:
            following = self._order(rows, seed, epoch + 1)[: size - len(found)]
            found = np.concatenate([found, following])
        return found

    def _order(self, rows: IntArray, seed: int, epoch: int) -> IntArray:
        """Return the rows in the order of an epoch; the last one asked for is kept."""
        if self._shuffled is None or self._shuffled[0] != (seed, epoch):
            rng = np.random.default_rng([seed, _SHUFFLE, epoch])
            self._shuffled = (seed, epoch), rng.permutation(rows)
        return self._shuffled[1]
