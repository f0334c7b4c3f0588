"""Public checks that a user's own model, cell or task can be held to."""

from lstm_baseline.tasks.checks import check_task
from lstm_baseline.testing.cell_check import check_cell
from lstm_baseline.testing.conformance import ModelConformance
from lstm_baseline.testing.gradient_check import GradientErrors, check_gradients

__all__ = ["GradientErrors", "ModelConformance", "check_cell", "check_gradients", "check_task"]
