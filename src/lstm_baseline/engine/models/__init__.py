"""Recurrent models: cells run over time, with an optional readout."""

from lstm_baseline.engine.models.frozen import FrozenLSTM
from lstm_baseline.engine.models.gated_model import GatedModel
from lstm_baseline.engine.models.gradients import Gradients, ModelCache
from lstm_baseline.engine.models.gru import GRU
from lstm_baseline.engine.models.lstm import LSTM
from lstm_baseline.engine.models.min_gru import MinGRU
from lstm_baseline.engine.models.registry import MODELS, LineStyle, ModelKind, load_model
from lstm_baseline.engine.models.relational import RelationalRNN
from lstm_baseline.engine.models.rnn import RNN
from lstm_baseline.engine.models.sequence_model import SequenceModel

__all__ = [
    "GRU",
    "LSTM",
    "MODELS",
    "RNN",
    "FrozenLSTM",
    "GatedModel",
    "Gradients",
    "LineStyle",
    "MinGRU",
    "ModelCache",
    "ModelKind",
    "RelationalRNN",
    "SequenceModel",
    "load_model",
]
