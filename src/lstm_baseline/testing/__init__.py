"""Public checks that a user's own cell can be held to."""

from lstm_baseline.testing.gradient_check import GradientErrors, check_gradients

__all__ = ["GradientErrors", "check_gradients"]
