"""ONNX: models from its files, and files from models.

``lstm.py`` has the LSTM operator's gate order, weights and attributes. ``importing.py`` reads
models, by way of ``symbolic.py``, and ``absence.py`` says why there is none; ``export.py`` writes
them. ``interop/onnx_backend.py`` has ``LSTMBackend``, which runs graphs and needs ``onnx``.
"""

from lstm_baseline.interop.onnx.export import to_onnx
from lstm_baseline.interop.onnx.importing import from_onnx

__all__ = ["from_onnx", "to_onnx"]
