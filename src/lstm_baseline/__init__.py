"""The LSTM baseline that a new recurrent architecture has to beat.

Public are the names below and these modules, each with its own ``__all__``: ``engine`` (what a cell
of your own needs), ``tasks``, ``training``, ``interop``, ``analysis``, ``testing``. All others may
change from one version to the next.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from lstm_baseline import moved

if TYPE_CHECKING:
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
        RNN,
        FrozenLSTM,
        Gradients,
        MinGRU,
        RelationalRNN,
        load_model,
    )
    from lstm_baseline.race.compare import compare

__version__ = "0.2.0.dev0"

__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "DivergenceError",
    "FileError",
    "FrozenLSTM",
    "Gradients",
    "InputError",
    "LSTMBaselineError",
    "LSTMCell",
    "MinGRU",
    "RelationalRNN",
    "compare",
    "load_model",
    "orthogonal_initializer",
    "xavier_initializer",
]

moved.install()

PUBLIC_MODULES = ("analysis", "engine", "interop", "tasks", "testing", "training")

_HOMES = {
    "LSTMCell": "engine.column_cell",
    **dict.fromkeys(
        ("DivergenceError", "FileError", "InputError", "LSTMBaselineError"), "engine.errors"
    ),
    **dict.fromkeys(("orthogonal_initializer", "xavier_initializer"), "engine.initializers"),
    "compare": "race.compare",
}
"""Modules that have a name of ``__all__``, where it is not ``engine.models``."""


def __getattr__(name: str) -> Any:
    """Import a public module or name when it is first asked for.

    Until then nothing is loaded, so that the command line can first see to its signals.
    """
    if name in PUBLIC_MODULES:
        return import_module(f"{__name__}.{name}")
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = import_module(f"{__name__}.{_HOMES.get(name, 'engine.models')}")
    globals()[name] = value = getattr(home, name)
    return value


def __dir__() -> list[str]:
    return sorted([*__all__, *PUBLIC_MODULES, "__doc__", "__version__"])
