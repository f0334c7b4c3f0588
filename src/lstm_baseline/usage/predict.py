"""Predictions of a saved model for a user's data: outputs, classes or labels with probabilities."""

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from lstm_baseline.engine.activations import log_softmax, sigmoid
from lstm_baseline.engine.errors import InputError
from lstm_baseline.engine.models import LSTM
from lstm_baseline.engine.shapes import FloatArray, IntArray, NDArray
from lstm_baseline.engine.storage import write_whole
from lstm_baseline.tasks.arrays import Sequences, read_sequences
from lstm_baseline.tasks.metrics import LossName, valid_steps
from lstm_baseline.usage.trained import Label, read_trained

_ROWS_AT_ONCE = 64
FORMATS = (".csv", ".npz")


class Prediction(NamedTuple):
    """Outputs of a model and their meaning."""

    outputs: FloatArray
    """(N, T, O), zero past each row's end; or the last output of each row, (N, O)."""
    labels: list[Label] | None
    """Labels of the O outputs if they are classes, otherwise None."""
    source: Sequences
    """What they were predicted from."""
    loss: LossName | None = "mean_squared_error"
    """Loss that says what the outputs are; None where that is not known."""

    @property
    def lengths(self) -> IntArray | None:
        """Valid steps of each row (N,); None where all are T."""
        return self.source.lengths

    @property
    def every_step(self) -> bool:
        """True if there is an output for every step."""
        return self.outputs.ndim == 3

    @property
    def probabilities(self) -> FloatArray:
        """Probability of each class, softmax(outputs); of each of several labels, σ(outputs)."""
        if self.of_several_labels:
            return np.asarray(sigmoid(self.outputs))
        return np.asarray(np.exp(log_softmax(self.outputs)))

    @property
    def of_several_labels(self) -> bool:
        """True if each output is the logit of a label of its own."""
        return self.labels is None and self.loss == "binary_cross_entropy"

    @property
    def chosen(self) -> NDArray:
        """The most probable label of every row, or of every step.

        Labels of one type keep it; of several types they are text. Past a row's end it is "", 0 or
        False.
        """
        assert self.labels is not None
        same_type = len({type(label) for label in self.labels}) == 1
        labels = np.array(self.labels if same_type else list(map(_as_text, self.labels)))
        chosen: NDArray = labels[self.outputs.argmax(axis=-1)]
        if self.every_step and self.lengths is not None:
            chosen[~valid_steps(self.outputs, self.lengths)] = np.zeros((), labels.dtype)
        return chosen

    def lines(self) -> Iterator[list[Any]]:
        """Yield a table: its header, then a line for each row or each valid step of each row."""
        place = ["row", "step"] if self.every_step else ["row"]
        if self.labels is None:
            letter = "p" if self.of_several_labels else "y"
            yield [*place, *(f"{letter}{k}" for k in range(self.outputs.shape[-1]))]
            shown = self.probabilities if self.of_several_labels else self.outputs
        else:
            yield [*place, "label", "probability"]
            chosen, best = self.chosen, self.probabilities.max(axis=-1)
        valid = np.ones(self.outputs.shape[:-1], bool)
        if self.every_step:
            valid = valid_steps(self.outputs, self.lengths)
        for index in zip(*np.nonzero(valid), strict=True):
            if self.labels is None:
                # str gives as many digits as tell a number from all others of its dtype.
                yield [*map(int, index), *map(str, shown[index])]
            else:
                yield [*map(int, index), _as_text(chosen[index].item()), str(best[index])]

    def csv(self) -> str:
        """Return the table as comma-separated values."""
        return _as_csv(self.lines())

    def write(self, path: Path) -> None:
        """Write the table as .csv, or the arrays as .npz.

        These are the outputs y, and beside those of labels and classes their probabilities, with
        the most probable class.

        Raises
        ------
        InputError
            If the path has another ending.
        WriteError
            If the file cannot be written.
        """
        arrays: dict[str, NDArray] = {"y": self.outputs}
        if self.labels is not None:
            arrays |= {"labels": self.chosen, "probabilities": self.probabilities}
        elif self.of_several_labels:
            arrays["probabilities"] = self.probabilities
        write_table(path, self.lines(), arrays)


def check_format(path: Path) -> None:
    """Refuse an ending that ``Prediction.write`` does not know."""
    if path.suffix not in FORMATS:
        raise InputError(f"--out is {str(path)!r}; end it in {' or '.join(FORMATS)}")


def write_table(path: Path, lines: Iterable[list[Any]], arrays: Mapping[str, NDArray]) -> None:
    """Write lines as .csv or arrays as .npz, as the path's ending says.

    Raises
    ------
    InputError
        If the path has another ending.
    WriteError
        If the file cannot be written.
    """
    check_format(path)
    if path.suffix == ".csv":
        write_whole(path, _as_csv(lines).encode())
        return
    content = io.BytesIO()
    np.savez(content, allow_pickle=False, **arrays)
    write_whole(path, content.getvalue())


def _as_csv(lines: Iterable[list[Any]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(lines)
    return text.getvalue()


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
        X (N, T, I), or tokens (N, T), as .npy, or in an .npz with lengths (N,) if rows differ in
        length.
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
    trained = read_trained(model_path)
    model = trained.model
    if every_step is None:
        every_step = trained.every_step
    file = read_sequences(data)
    x, lengths = file.x, file.lengths
    runner = model.freeze() if isinstance(model, LSTM) else model
    outputs = []
    for start in range(0, len(x), _ROWS_AT_ONCE):
        rows = slice(start, start + _ROWS_AT_ONCE)
        some = None if lengths is None else lengths[rows]
        outputs.append(runner.forward(x[rows], every_step, lengths=some))
        on_rows(min(start + _ROWS_AT_ONCE, len(x)), len(x))
    return Prediction(np.concatenate(outputs), trained.labels, file, trained.loss)


def _as_text(label: Label) -> str:
    return label if isinstance(label, str) else json.dumps(label)
