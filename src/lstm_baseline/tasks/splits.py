"""Which rows of a user's file are for training, validation and test.

By default 15% of the rows, drawn once, are the test rows of every seed, and each seed draws 15% of
all rows for validation from the others. Where rows belong to groups, whole groups are drawn. A file
may say itself which rows are for what. By time, the last 15% of the rows are for test and those
before them for validation, the same for every seed.

Validation has at most 2,000 rows, but for groups and the file's own; the rest is for training.
"""

from typing import NamedTuple

import numpy as np

from lstm_baseline.engine.errors import InputError
from lstm_baseline.engine.shapes import IntArray, NDArray

SHARE = 0.15
"""Share of all rows in test, and in validation."""
PARTS = ("train", "validation", "test")

_MAX_VALIDATION_ROWS = 2000
_SPLIT, _TEST_ROWS = 1, 3


class Rows(NamedTuple):
    """Numbers of the rows of each part."""

    train: IntArray
    validation: IntArray
    test: IntArray


def by_chance(num_rows: int, seed: int) -> Rows:
    """Draw test rows once for all seeds, and validation rows for this one."""
    order = np.random.default_rng(_TEST_ROWS).permutation(num_rows)
    num_test = round(SHARE * num_rows)
    others, test = np.split(order, [-num_test])
    return _with_validation(others, test, min(num_test, _MAX_VALIDATION_ROWS), seed)


def by_time(num_rows: int) -> Rows:
    """Take the last rows for test, and those before them for validation."""
    num_test = round(SHARE * num_rows)
    num_validation = min(num_test, _MAX_VALIDATION_ROWS)
    ends = [num_rows - num_test - num_validation, num_rows - num_test]
    train, validation, test = np.split(np.arange(num_rows), ends)
    return Rows(train, validation, test)


def by_group(groups: NDArray, seed: int) -> Rows:
    """Draw whole groups: for test once for all seeds, for validation for this one.

    Raises
    ------
    InputError
        If there are fewer than three groups.
    """
    names, of_row = np.unique(groups, return_inverse=True)
    if len(names) < 3:
        raise InputError(
            f"groups has {len(names)} different values; expected at least 3, one for each of"
            " training, validation and test"
        )
    sizes = np.bincount(of_row)
    wanted = SHARE * len(groups)
    order = np.random.default_rng(_TEST_ROWS).permutation(len(names))
    num_test = _nearest(sizes[order[:-2]], wanted)
    test, others = order[:num_test], order[num_test:]
    others = np.random.default_rng([seed, _SPLIT]).permutation(others)
    num_validation = _nearest(sizes[others[:-1]], wanted)
    parts = others[num_validation:], others[:num_validation], test
    return Rows(*(np.flatnonzero(np.isin(of_row, part)) for part in parts))


def by_file(part_of_row: IntArray, groups: NDArray | None, seed: int) -> Rows:
    """Take the parts that the file says; without validation rows, draw them from training's.

    Parameters
    ----------
    part_of_row
        (N,) index into ``PARTS``.
    groups
        (N,) groups whose rows stay together where validation rows are drawn, or None.
    seed
        Seed of the draw.
    """
    train, validation, test = (np.flatnonzero(part_of_row == k) for k in range(len(PARTS)))
    if len(validation):
        return Rows(train, validation, test)
    if groups is None:
        num_validation = min(max(round(SHARE * len(train)), 1), _MAX_VALIDATION_ROWS)
        return _with_validation(train, test, num_validation, seed)
    names, of_row = np.unique(groups[train], return_inverse=True)
    if len(names) < 2:
        raise InputError(
            "groups has a single value in the training rows; expected at least 2, one for"
            " validation"
        )
    order = np.random.default_rng([seed, _SPLIT]).permutation(len(names))
    num_validation = _nearest(np.bincount(of_row)[order[:-1]], SHARE * len(train))
    chosen = np.isin(of_row, order[:num_validation])
    return Rows(train[~chosen], train[chosen], test)


def _with_validation(others: IntArray, test: IntArray, num_validation: int, seed: int) -> Rows:
    others = np.random.default_rng([seed, _SPLIT]).permutation(others)
    train, validation = np.split(others, [-num_validation])
    return Rows(train, validation, test)


def _nearest(sizes: IntArray, wanted: float) -> int:
    """Return how many of the sizes, at least one, add up to nearest what is wanted."""
    return 1 + int(np.abs(np.cumsum(sizes) - wanted).argmin())
