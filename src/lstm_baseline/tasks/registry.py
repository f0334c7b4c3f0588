"""The generated tasks by name, and the user's own by the name of their class."""

import inspect
from collections.abc import Callable, Collection
from functools import partial
from typing import Any

from lstm_baseline.engine.errors import InputError
from lstm_baseline.engine.wording import did_you_mean
from lstm_baseline.tasks.adding import Adding
from lstm_baseline.tasks.associative_recall import AssociativeRecall
from lstm_baseline.tasks.base import GeneratedTask
from lstm_baseline.tasks.bucket_sort import BucketSort
from lstm_baseline.tasks.copy_memory import CopyMemory
from lstm_baseline.tasks.counting import Counting
from lstm_baseline.tasks.cycle_navigation import CycleNavigation
from lstm_baseline.tasks.dyck import Dyck
from lstm_baseline.tasks.even_pairs import EvenPairs
from lstm_baseline.tasks.flip_flop import FlipFlop
from lstm_baseline.tasks.induction_heads import InductionHeads
from lstm_baseline.tasks.lorenz import Lorenz
from lstm_baseline.tasks.mackey_glass import MackeyGlass
from lstm_baseline.tasks.modular_arithmetic import ModularArithmetic
from lstm_baseline.tasks.narma import Narma
from lstm_baseline.tasks.noisy_recall import NoisyRecall
from lstm_baseline.tasks.nth_farthest import NthFarthest
from lstm_baseline.tasks.object_tracking import ObjectTracking
from lstm_baseline.tasks.own_task import make_own_task
from lstm_baseline.tasks.pair_matching import PairMatching
from lstm_baseline.tasks.parity import Parity
from lstm_baseline.tasks.question_answering import QuestionAnswering
from lstm_baseline.tasks.reverse import ReverseString
from lstm_baseline.tasks.selective_copying import SelectiveCopying
from lstm_baseline.tasks.stack_manipulation import StackManipulation
from lstm_baseline.tasks.word_problem import WordProblem

TASKS: dict[str, Callable[..., GeneratedTask]] = {
    "object-tracking": ObjectTracking,
    "object-tracking-position": partial(ObjectTracking, target="position"),
    "pair-matching": PairMatching,
    "qa": QuestionAnswering,
    "nth-farthest": NthFarthest,
    "adding": Adding,
    "copy-memory": CopyMemory,
    "parity": Parity,
    "even-pairs": EvenPairs,
    "cycle-navigation": CycleNavigation,
    "modular-arithmetic": ModularArithmetic,
    "word-problem": WordProblem,
    "dyck": Dyck,
    "anbncn": Counting,
    "reverse": ReverseString,
    "bucket-sort": BucketSort,
    "stack": StackManipulation,
    "flip-flop": FlipFlop,
    "mqar": AssociativeRecall,
    "selective-copying": SelectiveCopying,
    "induction-heads": InductionHeads,
    "noisy-recall": NoisyRecall,
    "mackey-glass": MackeyGlass,
    "lorenz": Lorenz,
    "narma": Narma,
}
"""Constructors; without arguments each makes its task at the default difficulty."""


def make_task(name: str, /, **arguments: Any) -> GeneratedTask:
    """Make a generated task by name, with any of its constructor's arguments.

    ``make_task(config.pop("task"), **config)`` undoes `GeneratedTask.config`.

    Parameters
    ----------
    name
        A name of ``TASKS``, or a subclass of ``GeneratedTask`` as package.module:Name.
    arguments
        Arguments of the constructor; its defaults where they are left out.

    Raises
    ------
    InputError
        No task has this name, the task has no such argument, or its value is out of range.
    """
    if ":" in name:
        return make_own_task(name, arguments)
    if name not in TASKS:
        raise InputError(
            f"no task is named {name!r}; give {_expected(name, TASKS)}, or a class of your own as "
            "package.module:Name"
        )
    known = inspect.signature(TASKS[name]).parameters
    for argument in arguments:
        if argument not in known:
            raise InputError(f"{name} has no {argument!r}; give {_expected(argument, known)}")
    return TASKS[name](**arguments)


def _expected(given: str, names: Collection[str]) -> str:
    """Return the names to choose from, and the likely one."""
    return f"one of: {', '.join(names)}{did_you_mean(given, names)}"
