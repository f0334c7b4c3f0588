"""The LSTM engine: cells with their gradients, models made of them, and the core that runs them.

It does not depend on tasks, training or races, and imports nothing else of this package. It
exports what a cell of your own needs.
"""

from lstm_baseline.engine.activations import d_sigmoid, d_tanh, sigmoid, tanh
from lstm_baseline.engine.cells import Cell, matrix_flops
from lstm_baseline.engine.cells.blocks import affine, affine_backward
from lstm_baseline.engine.initializers import gated_initializer
from lstm_baseline.engine.inputs import RandomSource, as_generator
from lstm_baseline.engine.models import MODELS, GatedModel, SequenceModel
from lstm_baseline.engine.shapes import FloatArray, Params, Shapes

__all__ = [
    "MODELS",
    "Cell",
    "FloatArray",
    "GatedModel",
    "Params",
    "RandomSource",
    "SequenceModel",
    "Shapes",
    "affine",
    "affine_backward",
    "as_generator",
    "d_sigmoid",
    "d_tanh",
    "gated_initializer",
    "matrix_flops",
    "sigmoid",
    "tanh",
]
