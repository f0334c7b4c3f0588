"""Predictions of a saved model for a user's data: outputs, or classes with probabilities."""

import csv
import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from lstm_baseline.engine.activations import log_softmax
from lstm_baseline.engine.errors import FileError, InputError
from lstm_baseline.engine.models import LSTM, load_model
from lstm_baseline.engine.shapes import FloatArray, IntArray, NDArray
from lstm_baseline.engine.storage import read_json, write_whole
from lstm_baseline.runs.run import MODEL, RUN
from lstm_baseline.tasks.files import read_inputs
from lstm_baseline.tasks.metrics import valid_steps
from lstm_baseline.usage.train import LABELS, RUN_FOLDER

_ROWS_AT_ONCE = 64
FORMATS = (".csv", ".npz")


class Prediction(NamedTuple):
    """Outputs of a model and their meaning."""

    outputs: FloatArray
    """(N, T, O), zero past each row's end; or the last output of each row, (N, O)."""
    lengths: IntArray | None
    labels: list[str] | None
    """Labels of the O outputs if they are classes, otherwise None."""

    @property
    def every_step(self) -> bool:
        """True if there is an output for every step."""
        return self.outputs.ndim == 3

    @property
    def probabilities(self) -> FloatArray:
        """Probability of each class, softmax(outputs)."""
        return np.asarray(np.exp(log_softmax(self.outputs)))

    @property
    def chosen(self) -> NDArray:
        """The most probable label of every row, or of every step; "" past a row's end."""
        assert self.labels is not None
        chosen: NDArray = np.array(self.labels)[self.outputs.argmax(axis=-1)]
        if self.every_step and self.lengths is not None:
            chosen[~valid_steps(self.outputs, self.lengths)] = ""
        return chosen

    def lines(self) -> Iterator[list[Any]]:
        """Yield a table: its header, then a line for each row or each valid step of each row."""
        place = ["row", "step"] if self.every_step else ["row"]
        if self.labels is None:
            yield [*place, *(f"y{k}" for k in range(self.outputs.shape[-1]))]
        else:
            yield [*place, "label", "probability"]
            chosen, best = self.chosen, self.probabilities.max(axis=-1)
        valid = np.ones(self.outputs.shape[:-1], bool)
        if self.every_step:
            valid = valid_steps(self.outputs, self.lengths)
        for index in zip(*np.nonzero(valid), strict=True):
            if self.labels is None:
                yield [*map(int, index), *(f"{y:.7g}" for y in self.outputs[index])]
            else:
                yield [*map(int, index), chosen[index], f"{best[index]:.4f}"]

    def csv(self) -> str:
        """Return the table as comma-separated values."""
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(self.lines())
        return text.getvalue()

    def write(self, path: Path) -> None:
        """Write the table as .csv or the arrays as .npz: y; for classes probabilities and labels.

        Raises
        ------
        InputError
            If the path has another ending.
        WriteError
            If the file cannot be written.
        """
        check_format(path)
        if path.suffix == ".csv":
            write_whole(path, self.csv().encode())
            return
        arrays: dict[str, NDArray] = {"y": self.outputs}
        if self.labels is not None:
            arrays |= {"labels": self.chosen, "probabilities": self.probabilities}
        content = io.BytesIO()
        np.savez(content, allow_pickle=False, **arrays)
        write_whole(path, content.getvalue())


def check_format(path: Path) -> None:
    """Refuse an ending that ``Prediction.write`` does not know."""
    if path.suffix not in FORMATS:
        raise InputError(f"--out is {str(path)!r}; end it in {' or '.join(FORMATS)}")


def predict(
    model_path: Path,
    data: Path,
    every_step: bool | None = None,
    on_rows: Callable[[int, int], None] = lambda done, total: None,
) -> Prediction:
    """Run a saved model over a file of sequences.

    Parameters
    ----------
    model_path
        A model that ``save`` wrote, or the folder that ``lstm-baseline train`` wrote.
    data
        X (N, T, I) as .npy, or in an .npz with lengths (N,) if rows differ in length.
    every_step
        True for an output at every step, False for the last of each row. If None, the outputs that
        the model was trained on, if its folder says so, otherwise the last of each row.
    on_rows
        Called with the number of rows done and the number of all rows.

    Raises
    ------
    FileError
        If a file is missing, damaged, or of the wrong kind.
    InputError
        If X does not fit the model.
    """
    if model_path.suffix in (".onnx", ".keras"):
        own = model_path.with_suffix(".safetensors")
        raise FileError(
            f"{model_path} is not ours; convert it first: lstm-baseline convert {model_path} {own}"
        )
    file = model_path / MODEL if model_path.is_dir() else model_path
    model = load_model(file)
    # Files next to a model of another name need not belong to it.
    trained = file.name == MODEL
    labels = _labels(file.parent, model.output_size) if trained else None
    if every_step is None:
        every_step = trained and _trained_on_every_step(file.parent)
    x, lengths = read_inputs(data)
    runner = model.freeze() if isinstance(model, LSTM) else model
    outputs = []
    for start in range(0, len(x), _ROWS_AT_ONCE):
        rows = slice(start, start + _ROWS_AT_ONCE)
        some = None if lengths is None else lengths[rows]
        outputs.append(runner.forward(x[rows], every_step, lengths=some))
        on_rows(min(start + _ROWS_AT_ONCE, len(x)), len(x))
    return Prediction(np.concatenate(outputs), lengths, labels)


def _labels(folder: Path, output_size: int | None) -> list[str] | None:
    """Return the labels of the outputs, if a file next to the model has them."""
    path = folder / LABELS
    if not path.exists():
        return None
    labels = read_json(path)
    if not isinstance(labels, list) or len(labels) != output_size:
        raise FileError(f"{path} is not a list of {output_size} labels, one for each output")
    return [label if isinstance(label, str) else json.dumps(label) for label in labels]


def _trained_on_every_step(folder: Path) -> bool:
    path = folder / RUN_FOLDER / RUN
    if not path.exists():
        return False
    about = read_json(path)
    return isinstance(about, dict) and about.get("per_step") is True
