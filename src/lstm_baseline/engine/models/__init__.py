"""Recurrent models: a cell run over time, with an optional readout."""

from pathlib import Path

from lstm_baseline.engine.errors import FileError
from lstm_baseline.engine.models.frozen import FrozenLSTM
from lstm_baseline.engine.models.gru import GRU
from lstm_baseline.engine.models.lstm import LSTM
from lstm_baseline.engine.models.relational import RelationalRNN
from lstm_baseline.engine.models.sequence_model import (
    FORMAT,
    Gradients,
    ModelCache,
    SequenceModel,
)
from lstm_baseline.engine.storage import read_tensors

MODELS: dict[str, type[SequenceModel]] = {"lstm": LSTM, "gru": GRU, "relational": RelationalRNN}
"""The models by the names that the command line takes."""


def load_model(path: str | Path) -> SequenceModel:
    """Read a model of any kind, as its ``save`` wrote it.

    Raises
    ------
    FileError
        If the file is missing, damaged, or holds no model of this package.
    """
    _, about = read_tensors(path, FORMAT)
    for model in MODELS.values():
        if model.__name__ == about.get("model"):
            return model.load(path)
    raise FileError(
        f"{path} holds a model {about.get('model')!r}, which this version does not know"
    )


__all__ = [
    "GRU",
    "LSTM",
    "MODELS",
    "FrozenLSTM",
    "Gradients",
    "ModelCache",
    "RelationalRNN",
    "SequenceModel",
    "load_model",
]
