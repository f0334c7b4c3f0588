"""Tasks: data, loss, metric and a ladder of known scores, by name or from the user's own files."""

from lstm_baseline.tasks.adding import Adding
from lstm_baseline.tasks.associative_recall import AssociativeRecall
from lstm_baseline.tasks.base import GeneratedTask, Predictor, Rung, Task
from lstm_baseline.tasks.bucket_sort import BucketSort
from lstm_baseline.tasks.copy_memory import CopyMemory
from lstm_baseline.tasks.counting import Counting
from lstm_baseline.tasks.cycle_navigation import CycleNavigation
from lstm_baseline.tasks.dyck import Dyck
from lstm_baseline.tasks.even_pairs import EvenPairs
from lstm_baseline.tasks.files import ArrayFile
from lstm_baseline.tasks.flip_flop import FlipFlop
from lstm_baseline.tasks.induction_heads import InductionHeads
from lstm_baseline.tasks.lorenz import Lorenz
from lstm_baseline.tasks.mackey_glass import MackeyGlass
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
from lstm_baseline.tasks.music import MusicFile
from lstm_baseline.tasks.narma import Narma
from lstm_baseline.tasks.noisy_recall import NoisyRecall
from lstm_baseline.tasks.nth_farthest import NthFarthest
from lstm_baseline.tasks.object_tracking import ObjectTracking
from lstm_baseline.tasks.pair_matching import PairMatching
from lstm_baseline.tasks.parity import Parity
from lstm_baseline.tasks.question_answering import QuestionAnswering
from lstm_baseline.tasks.registry import TASKS, make_task
from lstm_baseline.tasks.reverse import ReverseString
from lstm_baseline.tasks.selective_copying import SelectiveCopying
from lstm_baseline.tasks.stack_manipulation import StackManipulation
from lstm_baseline.tasks.text import TextFile
from lstm_baseline.tasks.user_data import read_data
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
    "BucketSort",
    "CopyMemory",
    "Counting",
    "CycleNavigation",
    "Dyck",
    "EvenPairs",
    "FlipFlop",
    "GeneratedTask",
    "InductionHeads",
    "Lorenz",
    "MackeyGlass",
    "Metric",
    "ModularArithmetic",
    "MusicFile",
    "Narma",
    "NoisyRecall",
    "NthFarthest",
    "ObjectTracking",
    "PairMatching",
    "Parity",
    "Predictor",
    "QuestionAnswering",
    "ReverseString",
    "Rung",
    "SelectiveCopying",
    "StackManipulation",
    "Task",
    "TextFile",
    "WordProblem",
    "make_task",
    "read_data",
]
