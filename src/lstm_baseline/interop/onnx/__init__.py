"""ONNX: models from its files, and files from models.

``lstm.py`` has the LSTM operator's gate order, weights and attributes, ``importing.py`` and
``export.py`` have the two directions; ``interop/onnx_backend.py`` runs graphs for those who have
``onnx`` and want ``LSTMBackend``.
"""

from lstm_baseline.interop.onnx.export import to_onnx
from lstm_baseline.interop.onnx.importing import from_onnx

__all__ = ["from_onnx", "to_onnx"]
