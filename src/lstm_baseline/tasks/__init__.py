"""Tasks: data, loss, metric and a ladder of known scores, by name or from the user's own files."""

from lstm_baseline.tasks.adding import Adding
from lstm_baseline.tasks.associative_recall import AssociativeRecall
from lstm_baseline.tasks.base import GeneratedTask, Predictor, Rung, Task
from lstm_baseline.tasks.copy_memory import CopyMemory
from lstm_baseline.tasks.cycle_navigation import CycleNavigation
from lstm_baseline.tasks.even_pairs import EvenPairs
from lstm_baseline.tasks.files import ArrayFile
from lstm_baseline.tasks.flip_flop import FlipFlop
from lstm_baseline.tasks.metrics import (
    ACCURACY,
    BITS_PER_CHARACTER,
    CROSS_ENTROPY,
    MEAN_SQUARED_ERROR,
    NEGATIVE_LOG_LIKELIHOOD,
    Batch,
    Metric,
)
from lstm_baseline.tasks.modular_arithmetic import ModularArithmetic
from lstm_baseline.tasks.nth_farthest import NthFarthest
from lstm_baseline.tasks.object_tracking import ObjectTracking
from lstm_baseline.tasks.pair_matching import PairMatching
from lstm_baseline.tasks.parity import Parity
from lstm_baseline.tasks.question_answering import QuestionAnswering
from lstm_baseline.tasks.registry import TASKS, make_task
from lstm_baseline.tasks.selective_copying import SelectiveCopying
from lstm_baseline.tasks.text import TextFile
from lstm_baseline.tasks.word_problem import WordProblem

__all__ = [
    "ACCURACY",
    "BITS_PER_CHARACTER",
    "CROSS_ENTROPY",
    "MEAN_SQUARED_ERROR",
    "NEGATIVE_LOG_LIKELIHOOD",
    "TASKS",
    "Adding",
    "ArrayFile",
    "AssociativeRecall",
    "Batch",
    "CopyMemory",
    "CycleNavigation",
    "EvenPairs",
    "FlipFlop",
    "GeneratedTask",
    "Metric",
    "ModularArithmetic",
    "NthFarthest",
    "ObjectTracking",
    "PairMatching",
    "Parity",
    "Predictor",
    "QuestionAnswering",
    "Rung",
    "SelectiveCopying",
    "Task",
    "TextFile",
    "WordProblem",
    "make_task",
]
