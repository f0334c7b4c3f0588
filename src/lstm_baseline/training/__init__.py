"""Training: losses, optimizers, schedules, and the loop with its checkpoints."""

from lstm_baseline.training.checkpoint import Record
from lstm_baseline.training.loop import Trainable, TrainingResult, evaluate, predict, train
from lstm_baseline.training.losses import (
    binary_cross_entropy,
    cross_entropy,
    mean_squared_error,
)
from lstm_baseline.training.optimizers import (
    SGD,
    Adam,
    AdamW,
    Optimizer,
    RMSProp,
    clip_by_global_norm,
)
from lstm_baseline.training.schedules import learning_rate_at
from lstm_baseline.training.settings import TrainingSettings

__all__ = [
    "SGD",
    "Adam",
    "AdamW",
    "Optimizer",
    "RMSProp",
    "Record",
    "Trainable",
    "TrainingResult",
    "TrainingSettings",
    "binary_cross_entropy",
    "clip_by_global_norm",
    "cross_entropy",
    "evaluate",
    "learning_rate_at",
    "mean_squared_error",
    "predict",
    "train",
]
