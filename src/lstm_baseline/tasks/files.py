"""Arrays: the user's own sequences, from an .npz file; `arrays.py` says what it may hold.

==============  ===========================================  ===============================
task            y                                            targets
==============  ===========================================  ===============================
classification  whole numbers, booleans or text, (N,),       indices into ``classes``
                or (N, T) with one label a step; one-hot
                (N, K) with K ≠ T, or (N, T, K)
regression      floats (N,), or (N, T) with one value a      values, standardised
                step, or (N, O) with O ≠ T values a row, or
                (N, T, O) with O values a step
labels          0 and 1, (N, O) with O ≠ T, or (N, T, O):    as they are
                several labels at once, each on or off
==============  ===========================================  ===============================

`splits.py` says which rows are for training, validation and test; nothing is ever chosen on test
rows. Tokens (N, T) stay what they are: V, their number, is one more than the largest in the file.
Other inputs, and values to predict, are standardised by the mean and the scale (standard deviation)
of a seed's training rows, feature by feature; a feature that is constant in them is 0.
Where a `mask` leaves targets out, they count nowhere.
`ArrayFile.scaling` and `ArrayFile.target_scaling` return both, so that a trained model can take
them into its weights. The mean squared error is reported in the units of the file.

Ladder, on the test rows: any class (chance) and the training rows' majority class; for values, the
training rows' mean (chance); for labels, even odds (chance) and the training rows' share of each.
There is no oracle.
"""

from os import PathLike
from typing import Any, Literal, NamedTuple, final, get_args

import numpy as np

from lstm_baseline.engine.errors import FileError, InputError
from lstm_baseline.engine.inputs import one_of
from lstm_baseline.engine.shapes import IntArray, NDArray
from lstm_baseline.engine.wording import counted
from lstm_baseline.tasks import hints, scaling, splits
from lstm_baseline.tasks.arrays import read_labelled
from lstm_baseline.tasks.base import Predictor, Rung, Task
from lstm_baseline.tasks.encoding import log_probabilities
from lstm_baseline.tasks.epochs import Epochs
from lstm_baseline.tasks.metrics import (
    ACCURACY,
    MEAN_SQUARED_ERROR,
    NEGATIVE_LOG_LIKELIHOOD,
    Batch,
    valid_steps,
)
from lstm_baseline.tasks.scaling import Scaling
from lstm_baseline.tasks.user_file import read_user_file

_MOST_DEVIATIONS = 1e9

EvaluationPart = Literal["validation", "test"]
Target = Literal["auto", "classification", "regression", "labels"]
Split = Literal["auto", "time"]


class _Split(NamedTuple):
    """A seed's split of the rows, and the scaling of its training rows."""

    train: IntArray
    validation: IntArray
    test: IntArray
    x_scaling: Scaling | None
    """None for tokens."""
    y_scaling: Scaling | None
    """None for anything but values."""


@final
class ArrayFile(Task):
    """Predict y from X, both from a file; the module's docstring has the layout and the ladder.

    Parameters
    ----------
    path : path-like
        An .npz file, as `numpy.savez` writes it. Nothing in it is ever unpickled.
    target : {"auto", "classification", "regression", "labels"}
        What y is. "auto" reads floats as values, unless they are one-hot; 0 and 1 along an axis of
        their own as several labels at once; and anything else as classes.
    split : {"auto", "time"}
        Which rows are for test. "auto" takes what the file says, or draws; "time" takes the last.

    Attributes
    ----------
    classes : array (K,) or None
        The labels, in the order of the classes; None for values, and for several labels at once.
    hints : tuple of str
        What in the file is likely meant otherwise.

    Raises
    ------
    FileError
        The file cannot be read, is damaged, or holds other arrays than described above.
    InputError
        `target` or `split` is none of these.
    """

    def __init__(
        self,
        path: str | PathLike[str],
        target: Target = "auto",
        split: Split = "auto",
    ) -> None:
        one_of("target", target, get_args(Target))
        one_of("split", split, ("auto", "time"))
        file = read_user_file(path)
        data = read_labelled(file, target)
        self._x, self._y, self._lengths, self.classes = data.x, data.y, data.lengths, data.classes
        self._mask = data.mask
        self._part_of_row, self._groups = data.part_of_row, data.groups
        self.name, rows = file.path.stem, len(data.x)
        meaning = "labels" if data.several_labels else "regression"
        self._config = {
            "task": self.name,
            "path": file.path.name,
            "sha256": file.sha256,
            "target": meaning if data.classes is None else "classification",
        }
        if split == "time" and (self._part_of_row is not None or self._groups is not None):
            own = "groups" if self._part_of_row is None else "a split"
            raise FileError(f"{file.path} has {own} of its own; leave out split time, or the array")
        self._way = "time" if split == "time" else "random"
        if self._part_of_row is not None:
            self._way = "file"
        elif self._groups is not None:
            self._way = "groups"
        if self._way != "random":
            self._config["split"] = self._way

        self.tokens = self._x.ndim == 2
        steps = self._x.shape[1]
        self.input_size = int(self._x.max()) + 1 if self.tokens else self._x.shape[2]
        if data.several_labels:
            self.output_size = self._y.shape[-1]
            self.loss = "binary_cross_entropy"
            self.metric = NEGATIVE_LOG_LIKELIHOOD
            self.per_step = self._y.ndim == 3
            asked = f"{counted(self.output_size, 'label')}, each on or off,"
        elif self.classes is None:
            self.output_size = self._y.shape[-1]
            self.loss = "mean_squared_error"
            self.metric = MEAN_SQUARED_ERROR
            self.per_step = self._y.ndim == 3
            asked = counted(self.output_size, "value")
        else:
            self.output_size = len(self.classes)
            self.loss = "cross_entropy"
            self.metric = ACCURACY
            self.per_step = self._y.ndim == 2
            asked = f"one of {self.output_size} classes"
        self._valid = valid_steps(self._x, self._lengths)
        self._counts = self._valid if self._mask is None else self._mask
        self._still_targets()
        self._splits: dict[int, _Split] = {}
        self._epochs = Epochs()
        up_to = "" if self._lengths is None else "up to "
        self.summary = "; ".join(
            [
                f"{file.path.name}: {counted(rows, 'row')} of {up_to}{counted(steps, 'step')} of"
                f" {counted(self.input_size, 'token' if self.tokens else 'feature')}",
                f"{asked} per {'step' if self.per_step else 'row'}",
                *data.remarks,
                *self._about_split(),
                *self._about_constants(),
            ]
        )
        self.hints = tuple(hints.hints(data, splits.Rows(*self._split(0)[:3]), self._way))

    def _still_targets(self) -> None:
        """Take the rounding out of components of y that are constant but for it."""
        if self.loss != "mean_squared_error":
            return
        values = self._y[self._counts] if self.per_step else self._y
        constant = scaling.is_constant(values)
        if constant.all():
            raise FileError(
                f"{self._config['path']}: y is constant ({values.ravel()[0]}); there is nothing to"
                " predict"
            )
        if constant.any():
            self._y = np.where(constant, values.mean(axis=0), self._y)

    def _about_split(self) -> list[str]:
        """Say how the rows are split, where it is not at random."""
        ways = {
            "time": "the last 15% are for test, and 15% before them for validation",
            "groups": "rows of a group stay together",
            "file": "the file says which rows are for test",
        }
        return [ways[self._way]] if self._way in ways else []

    def _about_constants(self) -> list[str]:
        """Name the features that carry no information."""
        if self.tokens:
            return []
        constant = np.flatnonzero(scaling.is_constant(self._x[self._valid]))
        if not len(constant):
            return []
        named = ", ".join(map(str, constant[:8])) + (", …" if len(constant) > 8 else "")
        if len(constant) == 1:
            return [f"feature {named} of X is constant, and taken as 0"]
        return [f"features {named} of X are constant, and taken as 0"]

    def train_batch(self, step: int, size: int, seed: int) -> Batch:
        """Return the batch of a training step, from training rows shuffled anew in each epoch.

        Epochs follow one another without a gap, so a batch may hold the end of one and the start of
        the next. It has `size` rows, or all training rows if these are fewer.
        """
        rows = self._epochs.batch(self._split(seed).train, step, size, seed)
        return self._batch(rows, seed)

    def validation(self, seed: int) -> Batch:
        """Return the rows that early stopping and selection see."""
        return self._batch(self._split(seed).validation, seed)

    def test(self, seed: int) -> Batch:
        """Return the rows that only the final score sees."""
        return self._batch(self._split(seed).test, seed)

    def ladder(self, seed: int = 0) -> list[Rung]:
        """Measure on the seed's test rows what can be said without looking at X."""
        test = self.test(seed)
        shape = (*test.y.shape, self.output_size)
        if self.loss == "binary_cross_entropy":
            return self._measure(self._rules_of_labels(test, seed), test)
        if self.classes is None:
            # Values are standardised: the mean of the training rows is 0.
            mean = np.zeros(test.y.shape, np.float32)
            return self._measure(
                [Predictor("mean", "chance", "the training rows' mean", lambda x: mean)], test
            )
        train = self._split(seed).train
        labels = self._y[train][self._counts[train]] if self.per_step else self._y[train]
        counts = np.bincount(labels, minlength=self.output_size)
        majority = log_probabilities(counts / counts.sum())
        return self._measure(
            [
                Predictor("uniform", "chance", "any class", lambda x: np.zeros(shape, np.float32)),
                Predictor(
                    "majority class",
                    "heuristic",
                    "the training rows' most frequent class",
                    lambda x: np.broadcast_to(majority, shape),
                ),
            ],
            test,
        )

    def _rules_of_labels(self, test: Batch, seed: int) -> list[Predictor]:
        """Return rules that give each label the same odds everywhere."""
        train = self._split(seed).train
        y = self._y[train][self._counts[train]] if self.per_step else self._y[train]
        share = (y.sum(axis=0, dtype=np.float64) + 0.5) / (len(y) + 1)  # never 0, nor 1
        odds = np.log(share / (1 - share)).astype(np.float32)
        return [
            Predictor(
                "even odds", "chance", "each label on or off", lambda x: np.zeros_like(test.y)
            ),
            Predictor(
                "share",
                "heuristic",
                "how often the training rows have each label",
                lambda x: np.broadcast_to(odds, test.y.shape),
            ),
        ]

    def config(self) -> dict[str, Any]:
        """Return the file's name, the digest of its content, and what y is."""
        return dict(self._config)

    def rows(self, seed: int) -> dict[str, IntArray]:
        """Return the rows of each part of a seed's split, "train", "validation" and "test"."""
        split = self._split(seed)
        parts = {"train": split.train, "validation": split.validation, "test": split.test}
        return {name: np.sort(rows) for name, rows in parts.items()}

    def raw_inputs(self, part: EvaluationPart, seed: int) -> NDArray:
        """Return X of a part of the rows as the file has it, padding included."""
        split = self._split(seed)
        return self._x[split.validation if part == "validation" else split.test]

    def scaling(self, seed: int) -> Scaling:
        """Return mean (I,) and scale (I,) of each feature over the seed's training rows.

        Raises
        ------
        InputError
            The inputs are tokens.
        """
        scaling = self._split(seed).x_scaling
        if scaling is None:
            raise InputError("X holds tokens, which have no scaling")
        return scaling

    def target_scaling(self, seed: int) -> Scaling:
        """Return mean (O,) and scale (O,) of each value to predict over the seed's training rows.

        Raises
        ------
        InputError
            The task is no regression.
        """
        scaling = self._split(seed).y_scaling
        if scaling is None:
            raise InputError("y holds labels, which have no scaling")
        return scaling

    def _split(self, seed: int) -> _Split:
        if seed not in self._splits:
            train, validation, test = self._rows(seed)
            valid = self._valid[train]
            x_scaling, y_scaling = None, None
            if self.loss == "mean_squared_error":
                y = self._y[train]
                values = y[self._counts[train]] if self.per_step else y
                y_scaling = self._checked_scaling("y", values, 1.0)
                self._check_spread(
                    "y", self._y[self._counts] if self.per_step else self._y, y_scaling
                )
            if not self.tokens:
                x_scaling = self._checked_scaling("X", self._x[train][valid], np.inf)
                self._check_spread("X", self._x[self._valid], x_scaling)
            self._splits[seed] = _Split(train, validation, test, x_scaling, y_scaling)
        return self._splits[seed]

    def _rows(self, seed: int) -> splits.Rows:
        try:
            if self._part_of_row is not None:
                return splits.by_file(self._part_of_row, self._groups, seed)
            if self._groups is not None:
                return splits.by_group(self._groups, seed)
        except InputError as error:
            raise FileError(f"{self._config['path']}: {error}") from None
        num_rows = len(self._x)
        return splits.by_time(num_rows) if self._way == "time" else splits.by_chance(num_rows, seed)

    def _checked_scaling(self, name: str, values: NDArray, constant_scale: float) -> Scaling:
        """Return the scaling of training values (M, ·); refuse a spread lost in rounding."""
        found = scaling.measured(values, constant_scale)
        narrow = scaling.too_narrow(values, found.scale) & ~scaling.is_constant(values)
        if narrow.any():
            k = int(narrow.argmax())
            raise FileError(
                f"{self._config['path']}: component {k} of {name} has a mean of {found.mean[k]:.3g}"
                f" and a standard deviation of {found.scale[k]:.1e}, too little to be computed"
                " with; subtract its mean before saving the file"
            )
        return found

    def _check_spread(self, name: str, values: NDArray, found: Scaling) -> None:
        """Refuse values so far from the training rows' that standardised they mean nothing."""
        ends = np.stack([values.min(axis=0), values.max(axis=0)])
        deviations = np.abs(ends - found.mean).max(axis=0) / found.scale
        if deviations.max() > _MOST_DEVIATIONS:
            k = int(deviations.argmax())
            raise FileError(
                f"{self._config['path']}: component {k} of {name} reaches {deviations[k]:.0e}"
                " standard deviations of the training rows; correct the outlier, or rescale"
            )

    def _batch(self, rows: IntArray, seed: int) -> Batch:
        split = self._split(seed)
        x, y = self._x[rows], self._y[rows]
        lengths = None if self._lengths is None else self._lengths[rows]
        mask = None if self._mask is None else self._mask[rows]
        if split.x_scaling is not None:
            padding = ~self._valid[rows]
            x = split.x_scaling.apply(np.where(padding[..., None], split.x_scaling.mean, x))
        if split.y_scaling is None:
            return Batch(x, y, lengths, mask=mask)
        if self.per_step:
            y = np.where(~self._counts[rows][..., None], split.y_scaling.mean, y)
        return Batch(x, split.y_scaling.apply(y), lengths, split.y_scaling.scale, mask)
