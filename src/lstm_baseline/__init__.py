"""The LSTM baseline that a new recurrent architecture has to beat."""

from lstm_baseline.cell import LSTMCell
from lstm_baseline.errors import DivergenceError, FileError, InputError, LSTMBaselineError
from lstm_baseline.initializers import orthogonal_initializer, xavier_initializer
from lstm_baseline.models import GRU, LSTM, FrozenLSTM, Gradients, RelationalRNN, load_model

__version__ = "0.1.0"

__all__ = [
    "GRU",
    "LSTM",
    "DivergenceError",
    "FileError",
    "FrozenLSTM",
    "Gradients",
    "InputError",
    "LSTMBaselineError",
    "LSTMCell",
    "RelationalRNN",
    "load_model",
    "orthogonal_initializer",
    "xavier_initializer",
]
