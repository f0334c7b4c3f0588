"""The maths: one file a cell, and the loop over time that all cells share."""

from lstm_baseline.cells.gru import GRUEquations, GRUState
from lstm_baseline.cells.lstm import LSTMEquations, LSTMState
from lstm_baseline.cells.recurrence import Cache, Cell, unroll, unroll_backward
from lstm_baseline.cells.regularization import Regularization
from lstm_baseline.cells.relational import RelationalEquations, RelationalState

__all__ = [
    "Cache",
    "Cell",
    "GRUEquations",
    "GRUState",
    "LSTMEquations",
    "LSTMState",
    "Regularization",
    "RelationalEquations",
    "RelationalState",
    "unroll",
    "unroll_backward",
]
