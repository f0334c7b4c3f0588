"""The models of this package: everything that has to be known of each, in one place.

The command line, the race, the report and the reader of model files look here. A new model is one
entry.
"""

from pathlib import Path
from typing import Any, NamedTuple

from lstm_baseline.engine.errors import FileError
from lstm_baseline.engine.models.gru import GRU
from lstm_baseline.engine.models.lstm import LSTM
from lstm_baseline.engine.models.min_gru import MinGRU
from lstm_baseline.engine.models.model_file import read_any_model
from lstm_baseline.engine.models.relational import RelationalRNN
from lstm_baseline.engine.models.rnn import RNN
from lstm_baseline.engine.models.sequence_model import SequenceModel


class LineStyle(NamedTuple):
    """Colour, dash and marker of a model's lines: any one of them is enough to tell it."""

    color: str
    """In a ``ModelKind`` a name of ``plots/palette.py``, in figures the colour itself."""
    dash: Any
    """Dashes, as matplotlib's ``linestyle`` takes them."""
    marker: str
    """A marker of matplotlib that ``plots/drawing.py`` has a letter for."""


class ModelKind(NamedTuple):
    """A kind of model."""

    name: str
    """Name on the command line and in race files."""
    label: str
    """Name in prose and figures."""
    model: type[SequenceModel]
    default_width: int
    """Its ``width_argument`` where ``train`` is not told another."""
    style: LineStyle


_KINDS = (
    ModelKind("lstm", "LSTM", LSTM, 64, LineStyle("BLUE", "-", "o")),
    ModelKind("gru", "GRU", GRU, 64, LineStyle("GREEN", (0, (4, 1.5, 1, 1.5)), "^")),
    ModelKind("rnn", "RNN", RNN, 64, LineStyle("SKY", (0, (3, 1, 1, 1, 1, 1)), "P")),
    ModelKind("mingru", "minGRU", MinGRU, 64, LineStyle("ORANGE", (0, (8, 2)), "v")),
    ModelKind(
        "relational", "relational RNN", RelationalRNN, 16, LineStyle("RED", (0, (5, 1.5)), "s")
    ),
)

MODELS: dict[str, ModelKind] = {kind.name: kind for kind in _KINDS}
"""The models by the names that the command line takes."""


def load_model(path: str | Path) -> SequenceModel:
    """Read a model of any kind, as its ``save`` wrote it.

    Raises
    ------
    FileError
        If the file is missing, damaged, or holds no model of this package; of a file that
        ``lstm-baseline convert`` reads it says so.
    """
    _, about = read_any_model(path)
    for kind in MODELS.values():
        if kind.model.__name__ == about.get("model"):
            return kind.model.load(path)
    raise FileError(
        f"{path} holds a model {about.get('model')!r}, which this version does not know"
    )
