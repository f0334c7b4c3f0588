"""The maths: one file a cell, and the loop over time that all cells share."""

from lstm_baseline.engine.cells.cell import Cell, matrix_flops
from lstm_baseline.engine.cells.gru import GRUEquations, GRUState
from lstm_baseline.engine.cells.lstm import LSTMEquations, LSTMState
from lstm_baseline.engine.cells.lstm_variants import LSTMVariant, LSTMVariantEquations
from lstm_baseline.engine.cells.recurrence import (
    Cache,
    CellGradients,
    unroll,
    unroll_backward,
)
from lstm_baseline.engine.cells.regularization import Regularization
from lstm_baseline.engine.cells.relational import RelationalEquations, RelationalState
from lstm_baseline.engine.shapes import State

__all__ = [
    "Cache",
    "Cell",
    "CellGradients",
    "GRUEquations",
    "GRUState",
    "LSTMEquations",
    "LSTMState",
    "LSTMVariant",
    "LSTMVariantEquations",
    "Regularization",
    "RelationalEquations",
    "RelationalState",
    "State",
    "matrix_flops",
    "unroll",
    "unroll_backward",
]
