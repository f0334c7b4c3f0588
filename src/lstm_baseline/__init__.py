"""The LSTM baseline that a new recurrent architecture has to beat.

Public are the names below and these modules, each with its own ``__all__``: ``engine`` (what a cell
of your own needs), ``tasks``, ``training``, ``interop``, ``analysis``, ``testing``. All others may
change from one version to the next.
"""

from importlib import import_module
from types import ModuleType

from lstm_baseline import moved
from lstm_baseline.engine.column_cell import LSTMCell
from lstm_baseline.engine.errors import (
    DivergenceError,
    FileError,
    InputError,
    LSTMBaselineError,
)
from lstm_baseline.engine.initializers import orthogonal_initializer, xavier_initializer
from lstm_baseline.engine.models import (
    GRU,
    LSTM,
    FrozenLSTM,
    Gradients,
    MinGRU,
    RelationalRNN,
    load_model,
)

__version__ = "0.2.0.dev0"

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
    "MinGRU",
    "RelationalRNN",
    "load_model",
    "orthogonal_initializer",
    "xavier_initializer",
]

moved.install()

PUBLIC_MODULES = ("analysis", "engine", "interop", "tasks", "testing", "training")


def __getattr__(name: str) -> ModuleType:
    """Import a public module when it is first asked for."""
    if name in PUBLIC_MODULES:
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, *PUBLIC_MODULES, "__doc__", "__version__"])
