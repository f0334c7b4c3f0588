"""Weights from other frameworks and back, one file for each; ``onnx.py`` has parts beside it.

A framework is imported only by the functions that take or make its objects. What this package or
the other cannot represent is refused by name, never dropped.
"""

from lstm_baseline.interop.onnx import from_onnx, to_onnx
from lstm_baseline.interop.torch import from_state_dict, from_torch, to_state_dict, to_torch

__all__ = [
    "from_onnx",
    "from_state_dict",
    "from_torch",
    "to_onnx",
    "to_state_dict",
    "to_torch",
]
