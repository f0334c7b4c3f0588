"""Arrays: the user's own sequences, from an .npz file.

The file holds ``X`` (N, T, I), numbers; ``y``; and, where rows differ in length, ``lengths`` (N,),
the valid steps of each row, 1 … T. Steps beyond a row's length are ignored, whatever they hold.

==============  ===========================================  ===============================
task            y                                            targets
==============  ===========================================  ===============================
classification  whole numbers, booleans or text, (N,),       indices into ``classes``
                or (N, T) with one label a step
regression      floats (N,), or (N, T) with one value a      values, standardised
                step, or (N, O) with O ≠ T values a row, or
                (N, T, O) with O values a step
==============  ===========================================  ===============================

15% of the rows, drawn once, are the test rows of every seed, so nothing is ever chosen on them.
Each seed splits the other rows anew: 70% of all rows for training, 15% for validation. Validation
has at most 2,000 rows; the rest is for training. Inputs and values to predict are standardised by
the mean and the scale (standard deviation) of that seed's training rows, feature by feature;
`ArrayFile.scaling` and `ArrayFile.target_scaling` return both, so that a trained model can take
them into its weights. The mean squared error is reported in the units of the file.

Ladder, on the test rows: any class (chance) and the training rows' majority class; for values, the
training rows' mean (chance). There is no oracle.
"""

import io
from collections.abc import Mapping, Sequence
from contextlib import suppress
from os import PathLike
from typing import Any, Literal, NamedTuple, final

import numpy as np

from lstm_baseline.engine.errors import FileError, InputError
from lstm_baseline.engine.inputs import one_of
from lstm_baseline.engine.shapes import FloatArray, IntArray, NDArray
from lstm_baseline.tasks.base import Predictor, Rung, Task
from lstm_baseline.tasks.encoding import log_probabilities
from lstm_baseline.tasks.metrics import ACCURACY, MEAN_SQUARED_ERROR, Batch, valid_steps
from lstm_baseline.tasks.user_file import UserFile, read_user_file

_MIN_ROWS = 10
_MAX_VALIDATION_ROWS = 2000
_MOST_DEVIATIONS = 1e9
_LARGEST = np.float64(np.finfo(np.float32).max)
_SPLIT, _SHUFFLE, _TEST_ROWS = 1, 2, 3
_NPY = b"\x93NUMPY"

EvaluationPart = Literal["validation", "test"]


class Scaling(NamedTuple):
    """Standardisation of values: (value − mean) / scale."""

    mean: NDArray
    """(I,) or (O,), float64"""
    scale: NDArray
    """(I,) or (O,), float64; 1 where all values are the same"""

    def apply(self, values: NDArray) -> FloatArray:
        """Return standardised values, float32."""
        return ((values - self.mean) / self.scale).astype(np.float32)

    def inverse(self) -> "Scaling":
        """Return the scaling that undoes this one: value · scale + mean."""
        return Scaling(-self.mean / self.scale, 1 / self.scale)


class _Split(NamedTuple):
    """A seed's split of the rows, and the scaling of its training rows."""

    train: IntArray
    validation: IntArray
    test: IntArray
    x_scaling: Scaling
    y_scaling: Scaling | None
    """None for a classification."""


@final
class ArrayFile(Task):
    """Predict y from X, both from a file; the module's docstring has the layout and the ladder.

    Parameters
    ----------
    path : path-like
        An .npz file, as `numpy.savez` writes it. Nothing in it is ever unpickled.
    target : {"auto", "classification", "regression"}
        What y is. "auto" reads floats as values and anything else as labels.

    Attributes
    ----------
    classes : array (K,) or None
        The labels, in the order of the classes; None for a regression.

    Raises
    ------
    FileError
        The file cannot be read, is damaged, or holds other arrays than described above.
    InputError
        `target` is none of the three.
    """

    def __init__(
        self,
        path: str | PathLike[str],
        target: Literal["auto", "classification", "regression"] = "auto",
    ) -> None:
        one_of("target", target, ("auto", "classification", "regression"))
        file = read_user_file(path)
        arrays = _load(file, ("X", "y"))
        try:
            self._x, self._lengths = _checked_inputs(arrays)
            y = arrays["y"]
            _check_rows(self._x, y)
            valid = valid_steps(self._x, self._lengths)
            if target == "auto":
                target = "regression" if y.dtype.kind == "f" else "classification"
            self.classes: NDArray | None = None
            if target == "regression":
                self._y = _checked_values(y, self._x, valid)
                self.per_step = self._y.ndim == 3
            else:
                self.classes, self._y = _checked_labels(y, self._x, valid)
                self.per_step = self._y.ndim == 2
        except InputError as error:
            raise FileError(f"{file.path}: {error}") from None

        rows, steps, self.input_size = self._x.shape
        if self.classes is None:
            self.output_size = self._y.shape[-1]
            self.loss = "mean_squared_error"
            self.metric = MEAN_SQUARED_ERROR
            asked = f"{self.output_size} values"
        else:
            self.output_size = len(self.classes)
            self.loss = "cross_entropy"
            self.metric = ACCURACY
            asked = f"one of {self.output_size} classes"
        self.name = file.path.stem
        up_to = "" if self._lengths is None else "up to "
        per = "step" if self.per_step else "row"
        self.summary = (
            f"{file.path.name}: {rows} rows of {up_to}{steps} steps of {self.input_size} features;"
            f" {asked} per {per}"
        )
        self._config = {
            "task": self.name,
            "path": file.path.name,
            "sha256": file.sha256,
            "target": target,
        }
        self._splits: dict[int, _Split] = {}
        self._shuffled: tuple[tuple[int, int], IntArray] | None = None

    def train_batch(self, step: int, size: int, seed: int) -> Batch:
        """Return the batch of a training step, from training rows shuffled anew in each epoch.

        Epochs follow one another without a gap, so a batch may hold the end of one and the start of
        the next. It has `size` rows, or all training rows if these are fewer.
        """
        total = len(self._split(seed).train)
        size = min(size, total)
        epoch, start = divmod(step * size, total)
        rows = self._epoch_order(seed, epoch)[start : start + size]
        if len(rows) < size:
            following = self._epoch_order(seed, epoch + 1)[: size - len(rows)]
            rows = np.concatenate([rows, following])
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
        if self.classes is None:
            # Values are standardised: the mean of the training rows is 0.
            mean = np.zeros(test.y.shape, np.float32)
            return self._measure(
                [Predictor("mean", "chance", "the training rows' mean", lambda x: mean)], test
            )
        train = self._split(seed).train
        valid = valid_steps(self._x, self._lengths)[train]
        labels = self._y[train][valid] if self.per_step else self._y[train]
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

    def config(self) -> dict[str, Any]:
        """Return the file's name, the digest of its content, and what y is."""
        return dict(self._config)

    def rows(self, seed: int) -> dict[str, IntArray]:
        """Return the rows of each part of a seed's split, "train", "validation" and "test"."""
        split = self._split(seed)
        parts = {"train": split.train, "validation": split.validation, "test": split.test}
        return {name: np.sort(rows) for name, rows in parts.items()}

    def raw_inputs(self, part: EvaluationPart, seed: int) -> NDArray:
        """Return X (B, T, I) of a part of the rows as the file has it, padding included."""
        split = self._split(seed)
        return self._x[split.validation if part == "validation" else split.test]

    def scaling(self, seed: int) -> Scaling:
        """Return mean (I,) and scale (I,) of each feature over the seed's training rows."""
        return self._split(seed).x_scaling

    def target_scaling(self, seed: int) -> Scaling:
        """Return mean (O,) and scale (O,) of each value to predict over the seed's training rows.

        Raises
        ------
        InputError
            The task is a classification.
        """
        scaling = self._split(seed).y_scaling
        if scaling is None:
            raise InputError("y holds class labels, which have no scaling")
        return scaling

    def _split(self, seed: int) -> _Split:
        if seed not in self._splits:
            order = np.random.default_rng(_TEST_ROWS).permutation(len(self._x))
            num_test = round(0.15 * len(order))
            num_validation = min(num_test, _MAX_VALIDATION_ROWS)
            others, test = np.split(order, [-num_test])
            others = np.random.default_rng([seed, _SPLIT]).permutation(others)
            train, validation = np.split(others, [-num_validation])
            valid = valid_steps(self._x, self._lengths)[train]
            y_scaling = None
            if self.classes is None:
                y = self._y[train]
                y_scaling = _measured_scaling(y[valid] if self.per_step else y)
                self._check_spread("y", self._y, y_scaling, self.per_step)
            x_scaling = _measured_scaling(self._x[train][valid])
            self._check_spread("X", self._x, x_scaling, True)
            self._splits[seed] = _Split(train, validation, test, x_scaling, y_scaling)
        return self._splits[seed]

    def _check_spread(self, name: str, values: NDArray, scaling: Scaling, per_step: bool) -> None:
        """Refuse values so far from the training rows' that standardised they mean nothing."""
        if per_step:
            values = values[valid_steps(self._x, self._lengths)]
        ends = np.stack([values.min(axis=0), values.max(axis=0)])
        deviations = np.abs(ends - scaling.mean).max(axis=0) / scaling.scale
        if deviations.max() > _MOST_DEVIATIONS:
            k = int(deviations.argmax())
            raise FileError(
                f"{self._config['path']}: component {k} of {name} reaches {deviations[k]:.0e}"
                " standard deviations of the training rows; correct the outlier, or rescale"
            )

    def _epoch_order(self, seed: int, epoch: int) -> IntArray:
        """Return the training rows in the order of an epoch; the last one asked for is kept."""
        if self._shuffled is None or self._shuffled[0] != (seed, epoch):
            rng = np.random.default_rng([seed, _SHUFFLE, epoch])
            self._shuffled = (seed, epoch), rng.permutation(self._split(seed).train)
        return self._shuffled[1]

    def _batch(self, rows: IntArray, seed: int) -> Batch:
        split = self._split(seed)
        x, y = self._x[rows], self._y[rows]
        lengths = None if self._lengths is None else self._lengths[rows]
        padding = ~valid_steps(x, lengths)
        x = split.x_scaling.apply(np.where(padding[..., None], split.x_scaling.mean, x))
        if split.y_scaling is None:
            return Batch(x, y, lengths)
        if self.per_step:
            y = np.where(padding[..., None], split.y_scaling.mean, y)
        return Batch(x, split.y_scaling.apply(y), lengths, split.y_scaling.scale)


def _measured_scaling(values: NDArray) -> Scaling:
    """Return mean and standard deviation over the first axis of values (M, ·)."""
    mean = values.mean(axis=0, dtype=np.float64)
    scale = values.std(axis=0, dtype=np.float64)
    # Rounding can leave a constant feature with a scale above 0.
    constant = (values.min(axis=0) == values.max(axis=0)) | (scale == 0)
    return Scaling(mean, np.where(constant, 1.0, scale))


class Sequences(NamedTuple):
    """What a file to predict from holds."""

    x: NDArray
    """(N, T, I)"""
    lengths: IntArray | None
    """(N,) valid steps of each row, 0 … T; None where all are T."""
    y: NDArray | None
    """Targets as the file has them; None if it has none, or none that can be read."""
    sha256: str
    """Digest of the file."""


def read_sequences(path: str | PathLike[str]) -> Sequences:
    """Return X of an .npz or .npy file with lengths and y, if they are there.

    Raises
    ------
    FileError
        The file cannot be read, is damaged, or holds something else.
    """
    file = read_user_file(path)
    arrays = _load_array(file) if file.content.startswith(_NPY) else _load(file, ("X",), ("y",))
    try:
        x, lengths = _checked_inputs(arrays, shortest=0)
    except InputError as error:
        raise FileError(f"{file.path}: {error}") from None
    return Sequences(x, lengths, arrays.get("y"), file.sha256)


def _load_array(file: UserFile) -> dict[str, NDArray]:
    """Return the one array of an .npy file as X."""
    try:
        return {"X": np.load(io.BytesIO(file.content), allow_pickle=False)}
    except Exception as error:  # a damaged header, as in _member
        reason = "holds Python objects" if "Object arrays" in str(error) else "is damaged"
        raise FileError(f"{file.path} {reason}; save X with numpy.save as numbers") from None


def _load(
    file: UserFile, needed: Sequence[str], optional: Sequence[str] = ()
) -> dict[str, NDArray]:
    """Return the arrays that are needed and, if there, lengths and sound optional ones."""
    how = f"write it with numpy.savez(path, {', '.join(f'{name}=...' for name in needed)})"
    if not file.content.startswith(b"PK"):
        raise FileError(f"{file.path} is not an .npz file; {how}")
    try:
        archive = np.load(io.BytesIO(file.content), allow_pickle=False)
    except Exception as error:
        raise FileError(f"{file.path} is damaged; {how} again") from error
    with archive:
        for name in needed:
            if name not in archive:
                found = ", ".join(sorted(archive)[:8]) or "none"
                raise FileError(f"{file.path} has no array {name} (found: {found}); {how}")
        names = [name for name in (*needed, "lengths") if name in archive]
        arrays = {name: _member(file, archive, name) for name in names}
        for name in optional:
            if name in archive:
                with suppress(FileError):
                    arrays[name] = _member(file, archive, name)
        return arrays


def _member(file: UserFile, archive: Mapping[str, object], name: str) -> NDArray:
    """Read one array of the archive."""
    try:
        array = archive[name]
    # NumPy parses a damaged header as Python: it may raise anything from TokenError to TypeError.
    except Exception as error:
        if "Object arrays" in str(error):
            raise FileError(
                f"{file.path}: {name} holds Python objects, which are never unpickled; convert it"
                " to numbers or text before saving"
            ) from None
        raise FileError(f"{file.path}: {name} is damaged; save the file again") from error
    if not isinstance(array, np.ndarray):
        raise FileError(f"{file.path}: {name} is not an array; save it with numpy.savez")
    return array


def _checked_inputs(
    arrays: dict[str, NDArray], shortest: int = 1
) -> tuple[NDArray, IntArray | None]:
    """Return X and lengths."""
    x = arrays["X"]
    if x.dtype.kind not in "biuf":
        raise InputError(f"X is {x.dtype}; expected real numbers")
    if x.ndim != 3 or 0 in x.shape:
        raise InputError(f"X has shape {x.shape}; expected (N, T, I): rows, steps, features")
    lengths = _checked_lengths(arrays, x, shortest)
    _check_finite("X", x, ~valid_steps(x, lengths))
    return x, lengths


def _check_rows(x: NDArray, y: NDArray) -> None:
    if len(x) < _MIN_ROWS:
        raise InputError(f"X has {len(x)} rows; expected at least {_MIN_ROWS}")
    if y.ndim == 0 or len(y) != len(x):
        raise InputError(f"y has shape {y.shape}; expected one entry for each of X's {len(x)} rows")


def _checked_lengths(arrays: dict[str, NDArray], x: NDArray, shortest: int) -> IntArray | None:
    if "lengths" not in arrays:
        return None
    lengths, steps = arrays["lengths"], x.shape[1]
    if lengths.shape != (len(x),) or lengths.dtype.kind not in "iu":
        raise InputError(
            f"lengths is {lengths.dtype} of shape {lengths.shape}; expected whole numbers of shape"
            f" ({len(x)},), one for each row of X"
        )
    outside = (lengths < shortest) | (lengths > steps)
    if outside.any():
        row = outside.argmax()
        what_to_do = ": leave out rows without steps" if shortest else ""
        raise InputError(
            f"lengths[{row}] is {lengths[row]}; expected {shortest} to {steps}, the steps of X"
            f"{what_to_do}"
        )
    return lengths.astype(np.int64)


def _checked_values(y: NDArray, x: NDArray, valid: NDArray) -> NDArray:
    """Return y (N,), (N, T), (N, O) or (N, T, O) as (N, O) or (N, T, O)."""
    if y.dtype.kind not in "biuf":
        raise InputError(f"y is {y.dtype}; a regression expects real numbers")
    if y.ndim > 3 or 0 in y.shape or (y.ndim == 3 and y.shape[:2] != x.shape[:2]):
        raise InputError(
            f"y has shape {y.shape}; a regression expects ({len(x)},), ({len(x)}, O) or"
            f" ({len(x)}, {x.shape[1]}, O)"
        )
    per_step = y.shape[:2] == x.shape[:2]
    _check_finite("y", y, ~valid if per_step else None)
    return y[..., None] if y.ndim == 1 or (per_step and y.ndim == 2) else y


def _checked_labels(y: NDArray, x: NDArray, valid: NDArray) -> tuple[NDArray, IntArray]:
    """Return the classes (K,), and the labels y (N,) or (N, T) as indices into these."""
    if y.dtype.kind not in "biufUS":
        raise InputError(f"y is {y.dtype}; class labels are whole numbers, booleans or text")
    if y.shape not in (x.shape[:1], x.shape[:2]):
        raise InputError(
            f"y has shape {y.shape}; a classification expects {x.shape[:1]}, a label for each row,"
            f" or {x.shape[:2]}, a label for each step"
        )
    if y.dtype.kind == "S":
        try:
            y = np.char.decode(y, "utf-8")
        except UnicodeDecodeError as error:
            raise InputError(f"y holds bytes that are not UTF-8 text ({error.reason})") from None
    labelled = valid if y.ndim == 2 else np.ones(len(y), bool)
    labels = y[labelled]
    if y.dtype.kind == "f":
        _check_finite("y", y, ~valid if y.ndim == 2 else None)
        fractions = labels[labels != np.round(labels)]
        if len(fractions):
            raise InputError(
                f"y holds {fractions[0]}; class labels are whole numbers:"
                ' pass target="regression" to predict values'
            )
    classes, indices = np.unique(labels, return_inverse=True)
    if len(classes) < 2:
        raise InputError(f"y holds one class only ({classes[0]}); expected at least 2")
    coded = np.zeros(y.shape, np.int64)
    coded[labelled] = indices
    return classes, coded


def _check_finite(name: str, values: NDArray, padding: NDArray | None) -> None:
    """Refuse what float32 cannot hold, except where padding (N, T) says that nobody looks."""
    bad = ~(np.abs(values) <= _LARGEST)
    if padding is not None:
        bad[padding] = False
    if bad.any():
        index = np.unravel_index(bad.argmax(), bad.shape)
        place = ", ".join(map(str, index))
        raise InputError(
            f"{name}[{place}] is {values[index]}; expected finite numbers within the range of"
            " float32: fill the gap or leave out the row"
        )
