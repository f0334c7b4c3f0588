"""Weights from other frameworks and back, one file or folder for each.

A framework is imported only by the functions that take or make its objects. What this package or
the framework cannot represent is refused by name, never dropped. ``contestants/torch_model.py``
trains a network of PyTorch as it is.
"""

from lstm_baseline.interop.conversion import convert
from lstm_baseline.interop.flax import from_flax, to_flax
from lstm_baseline.interop.keras import (
    from_keras,
    from_keras_weights,
    to_keras,
    to_keras_weights,
)
from lstm_baseline.interop.onnx import from_onnx, to_onnx
from lstm_baseline.interop.torch import from_state_dict, from_torch, to_state_dict, to_torch

__all__ = [
    "convert",
    "from_flax",
    "from_keras",
    "from_keras_weights",
    "from_onnx",
    "from_state_dict",
    "from_torch",
    "to_flax",
    "to_keras",
    "to_keras_weights",
    "to_onnx",
    "to_state_dict",
    "to_torch",
]
