"""The maths: one file a cell, and the loop over time that all cells share."""

from lstm_baseline.engine.cells.gru import GRUEquations, GRUState
from lstm_baseline.engine.cells.lstm import LSTMEquations, LSTMState
from lstm_baseline.engine.cells.lstm_variants import LSTMVariantEquations
from lstm_baseline.engine.cells.recurrence import Cache, Cell, unroll, unroll_backward
from lstm_baseline.engine.cells.regularization import Regularization
from lstm_baseline.engine.cells.relational import RelationalEquations, RelationalState

__all__ = [
    "Cache",
    "Cell",
    "GRUEquations",
    "GRUState",
    "LSTMEquations",
    "LSTMState",
    "LSTMVariantEquations",
    "Regularization",
    "RelationalEquations",
    "RelationalState",
    "unroll",
    "unroll_backward",
]
