"""How good predictions are, where the file that was predicted has targets as well."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from lstm_baseline.engine.errors import FileError, InputError
from lstm_baseline.engine.shapes import IntArray, NDArray
from lstm_baseline.engine.storage import read_json
from lstm_baseline.engine.wording import counted
from lstm_baseline.plots import formats
from lstm_baseline.runs.saved_model import SPLIT
from lstm_baseline.tasks.arrays import IGNORED_LABEL
from lstm_baseline.tasks.metrics import ACCURACY, LOSS_METRICS, Batch, Metric, valid_steps
from lstm_baseline.usage.predict import Prediction


class Split(NamedTuple):
    """Rows of a file, as a model's training used them."""

    sha256: str
    """Digest of the file."""
    train: IntArray
    validation: IntArray
    test: IntArray
    """Numbers of the rows of each part."""


def read_split(model_path: Path) -> Split | None:
    """Return the split of the file that a model was trained on, if it lies with the model.

    Raises
    ------
    FileError
        If the file is damaged.
    """
    path = (model_path if model_path.is_dir() else model_path.parent) / SPLIT
    if not path.exists():
        return None
    about = read_json(path)
    try:
        rows = [np.array(about[name], np.int64) for name in ("train", "validation", "test")]
        return Split(str(about["sha256"]), *rows)
    except (KeyError, TypeError, ValueError, OverflowError):
        raise FileError(f"{path} is damaged; train the model again, or remove it") from None


def describe_score(prediction: Prediction, split: Split | None) -> Iterator[str]:
    """Yield lines that say how well predictions fit the targets, and whether that can be trusted.

    Parameters
    ----------
    prediction
        Outputs of the model for the rows of a file; nothing is said of a file without y.
    split
        Which rows the model was trained on, if that is known.
    """
    y = prediction.source.y
    if y is None:
        return
    try:
        metric, outputs, batch = _comparable(prediction, y)
    except InputError as error:
        yield f"not scored: {error}"
        return

    def score(rows: NDArray) -> str:
        return formats.number(metric.measure(outputs[rows], batch.rows(rows)))

    everything = np.arange(len(outputs))
    yield f"{metric.name} {score(everything)} over {counted(len(outputs), 'row')}"
    if split is None:
        return
    if split.sha256 != prediction.source.sha256:
        yield "this is not the file that the model was trained on, though rows may be the same"
        return
    seen = len(split.train) + len(split.validation)
    yield (
        f"the model was trained on this very file, and has seen {seen:,} of these rows; on the"
        f" {len(split.test):,} test rows alone: {metric.name} {score(split.test)}"
    )


def _comparable(prediction: Prediction, y: NDArray) -> tuple[Metric, NDArray, Batch]:
    """Return the metric, outputs and targets in one form.

    Raises
    ------
    InputError
        If the targets do not belong to such outputs.
    """
    outputs = prediction.outputs
    wanted = outputs.shape[:-1]
    steps = outputs if prediction.every_step else outputs[:, None]
    lengths = prediction.lengths if prediction.every_step else None
    mask = prediction.source.mask if prediction.every_step else None
    if prediction.labels is None:
        if prediction.loss is None:
            raise InputError("the model was trained on a task that is not known here")
        if prediction.loss == "cross_entropy":
            raise InputError("the outputs are logits of classes that have no labels")
        if y.dtype.kind not in "biuf":
            raise InputError(f"y is {y.dtype}, and the model predicts numbers")
        values = y[..., None] if y.shape == wanted and outputs.shape[-1] == 1 else y
        if values.shape != outputs.shape:
            raise InputError(f"y has shape {y.shape}, and the outputs {outputs.shape}")
        targets = Batch(steps, values, lengths, mask=mask)
        if prediction.loss == "binary_cross_entropy":
            counts = valid_steps(steps, lengths) if mask is None else mask
            valid = values[counts] if prediction.every_step else values
            if not ((valid >= 0) & (valid <= 1)).all():
                raise InputError("y holds other numbers than labels 0 and 1")
        return LOSS_METRICS[prediction.loss], outputs, targets
    if y.shape == (*wanted, 1):
        y = y[..., 0]
    if y.shape != wanted:
        raise InputError(f"y has shape {y.shape}, and there are labels of shape {wanted}")
    if y.dtype.kind == "S":
        y = np.char.decode(y, "utf-8", "replace")
    places = {_key(label): place for place, label in enumerate(prediction.labels)}
    unknown = len(prediction.labels)
    classes = np.array([places.get(_key(label), unknown) for label in y.ravel().tolist()])
    ignored = y == IGNORED_LABEL if y.dtype.kind in "if" else np.zeros(wanted, bool)
    if prediction.every_step and ignored.any() and _key(IGNORED_LABEL) not in places:
        mask = (valid_steps(steps, lengths) if mask is None else mask) & ~ignored
    if mask is not None and not mask.any():
        raise InputError("no target counts")
    # A class that the model does not have is one that it never hits.
    more = np.full((*wanted, 1), -np.inf)
    return (
        ACCURACY,
        np.concatenate([outputs, more], -1),
        Batch(steps, classes.reshape(wanted), lengths, mask=mask),
    )


def _key(label: object) -> str:
    """Return what a label of the file and one of ``labels.json`` have in common: 1, 1.0 and "1"."""
    if isinstance(label, float) and label.is_integer():
        label = int(label)
    return label if isinstance(label, str) else json.dumps(label)
