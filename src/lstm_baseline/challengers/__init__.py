"""Today's recurrent architectures and attention, ready to race: PyTorch, one short file each.

Each file has the equations, their source, a mixer and the blocks around it (``blocks.py``). They
are loops over steps in plain PyTorch: for T up to some hundred on a CPU nothing else is needed.
"""

from importlib import import_module
from importlib.util import find_spec

from lstm_baseline.engine.errors import InputError

_CLASSES = {
    "elman": "elman:Elman",
    "irnn": "elman:IRNN",
    "minlstm": "min_lstm:MinLSTM",
    "slstm": "slstm:SLSTM",
    "mlstm": "mlstm:MLSTM",
    "transformer": "transformer:Transformer",
    "linear-attention": "linear_attention:LinearAttention",
    "deltanet": "delta_net:DeltaNet",
    "gated-deltanet": "delta_net:GatedDeltaNet",
    "mamba": "mamba:Mamba",
    "lru": "lru:LRU",
    "rwkv7": "rwkv7:RWKV7",
    "echo-state": "echo_state:EchoState",
}

NAMES = tuple(_CLASSES)
"""Names in a race's file and on the command line."""


def challenger_class(name: str) -> type:
    """Return the class of a challenger.

    Raises
    ------
    InputError
        If PyTorch is not installed.
    """
    if find_spec("torch") is None:
        raise InputError(
            f"{name} is a network of PyTorch, which is not installed: pip install"
            " 'lstm-baseline[torch]'"
        )
    module, cls = _CLASSES[name].split(":")
    found: type = getattr(import_module(f"lstm_baseline.challengers.{module}"), cls)
    return found
