"""Hints about a user's arrays: what is likely meant otherwise, or tells little.

None of them is certain, so none refuses anything. They look at a bounded number of rows.
"""

from collections.abc import Iterator

import numpy as np

from lstm_baseline.engine.shapes import IntArray, NDArray
from lstm_baseline.engine.wording import counted, did_you_mean
from lstm_baseline.tasks.arrays import KNOWN, Labelled
from lstm_baseline.tasks.metrics import valid_steps
from lstm_baseline.tasks.splits import Rows

_LOOKED_AT = 1000
"""Rows that are looked at."""
_MOST_CLASSES = 20
_MOST_NAMES = 4
_LONGEST_STRIDE = 256
_COARSE = 0.1
"""Standard error of an accuracy from which the test set is said to be small."""


def hints(data: Labelled, rows: Rows, split: str) -> Iterator[str]:
    """Yield one line for each thing that a user should look at.

    Parameters
    ----------
    data
        Content of the file.
    rows
        Rows of the first seed's split.
    split
        How the rows are split: "random", "time", "groups" or "file".
    """
    yield from _about_names(data)
    yield from _about_features(data)
    yield from _about_targets(data, rows)
    if split in ("time", "file") and data.classes is not None:
        yield from _about_labels_not_learned(data, data.classes, rows)
    if split == "random" and (stride := _window_stride(data.x)) is not None:
        yield (
            f"rows look like windows that move on by {counted(stride, 'step')}; at random, steps of"
            " test rows are in training rows too: --split time, or groups in the file"
        )


def _about_names(data: Labelled) -> Iterator[str]:
    for name in data.unread[:_MOST_NAMES]:
        if meant := did_you_mean(name, KNOWN):
            yield f"{name} is not read{meant}"


def _about_features(data: Labelled) -> Iterator[str]:
    steps, features = data.x.shape[1], data.x.shape[2] if data.x.ndim == 3 else 0
    if features > steps:
        yield (
            f"X has more features ({features:,}) than steps ({steps:,}); if its axes are (rows,"
            " features, steps), save X.swapaxes(1, 2)"
        )
    if data.lengths is None and (share := _padded_share(data.x)) > 0.2:
        yield (
            f"{share:.0%} of the rows end in one and the same repeated step, as padding does; if"
            " rows differ in length, save lengths as well"
        )


def _about_targets(data: Labelled, rows: Rows) -> Iterator[str]:
    y = data.y[:_LOOKED_AT]
    if data.several_labels:
        return
    if data.classes is None:
        distinct = np.unique(y)
        if y.shape[-1] > 1 and distinct.tolist() == [0, 1]:
            yield (
                "y holds 0 and 1 alone; if these are labels, each on or off, give --target labels"
            )
        few = len(distinct) <= min(_MOST_CLASSES, y.size // 5)
        if y.shape[-1] == 1 and few and (distinct == np.round(distinct)).all():
            yield (
                f"y holds {len(distinct)} different whole numbers; if they are classes, give"
                " --target classification"
            )
        return
    yield from _about_labels_of_steps(data.y[:_LOOKED_AT], data.classes)
    if data.y.ndim == 1:
        counts = np.bincount(data.y, minlength=len(data.classes))
        rare = np.flatnonzero(counts < 3)
        if len(rare):
            some = "1 class has" if len(rare) == 1 else f"{len(rare)} classes have"
            yield (
                f"{some} fewer than 3 rows, as {data.classes[rare[0]].item()!r}, too few for"
                " training, validation and test"
            )
        error = 0.5 / np.sqrt(len(rows.test))
        if error > _COARSE:
            yield (
                f"the test set has {counted(len(rows.test), 'row')}: an accuracy on it has a"
                f" standard error of up to {error:.2f}"
            )


def _about_labels_of_steps(y: NDArray, classes: NDArray) -> Iterator[str]:
    """One-hot classes of rows, of which there are as many as steps, are read as labels of steps."""
    one_hot = classes.tolist() == [0, 1] and (y.sum(axis=-1) == 1).all()
    if y.ndim == 2 and y.shape[1] > 1 and one_hot:
        yield (
            f"y was read as a label for each step; if it is one-hot, of {y.shape[1]} classes, save"
            " y.argmax(axis=1)"
        )
    elif y.ndim == 2 and y.shape[1] > 1 and classes.tolist() in ([0, 1], [False, True]):
        yield (
            f"y was read as a label for each step; if it holds {y.shape[1]} labels for each row,"
            " each on or off, give --target labels"
        )


def _about_labels_not_learned(data: Labelled, classes: NDArray, rows: Rows) -> Iterator[str]:
    """Labels in validation or test that no training row has, as where rows are sorted by class."""
    counts = data.mask
    if counts is None and data.y.ndim == 2:
        counts = valid_steps(data.x, data.lengths)

    def labels(part: IntArray) -> NDArray:
        y = data.y[part]
        return np.unique(y if counts is None else y[counts[part]])

    for part in ("validation", "test"):
        unknown = np.setdiff1d(labels(getattr(rows, part)), labels(rows.train))
        if len(unknown):
            more = f" (and {len(unknown) - 1} more)" if len(unknown) > 1 else ""
            yield (
                f"label {classes[unknown[0]].item()!r}{more} is in {part} rows and in no"
                " training row, so it cannot be learned"
            )


def _padded_share(x: NDArray) -> float:
    """Return the share of rows that end in at least three steps of what most such rows end in."""
    some = x[:_LOOKED_AT] if x.ndim == 3 else x[:_LOOKED_AT, :, None]
    if some.shape[1] < 4:
        return 0.0
    last = some[:, -1]
    ends = (some[:, -3:] == last[:, None]).all(axis=(1, 2)) & ~(some == last[:, None]).all(
        axis=(1, 2)
    )
    if not ends.any():
        return 0.0
    _, counts = np.unique(last[ends], axis=0, return_counts=True)
    lengths = (some[ends] != last[ends][:, None]).any(axis=2)
    lengths = some.shape[1] - lengths[:, ::-1].argmax(axis=1)
    one_and_the_same = counts.max() > 0.9 * ends.sum()
    return float(ends.mean()) if one_and_the_same and len(np.unique(lengths)) > 1 else 0.0


def _window_stride(x: NDArray) -> int | None:
    """Return by how many steps nearly each row is shifted from the row before, if it is."""
    some = x[: min(_LOOKED_AT, 50)]
    if some.ndim == 2:
        some = some[..., None]
    num_rows, steps, _ = some.shape
    if num_rows < 3 or steps < 3 or (some == some[:1, :1]).all():
        return None
    for stride in range(1, min(steps - 1, _LONGEST_STRIDE)):
        same = (some[1:, :-stride] == some[:-1, stride:]).all(axis=(1, 2))
        if same.mean() > 0.9 and not (some[1:] == some[:-1]).all():
            return stride
    return None
