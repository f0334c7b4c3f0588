"""Tasks of the user's own: a class is found by name, made, and known by its code."""

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeGuard

from lstm_baseline.engine.errors import InputError
from lstm_baseline.own_code import calling, changed, code_of, is_own, load_class, name_of
from lstm_baseline.tasks.base import GeneratedTask, Task

STATED = ("name", "summary", "input_size", "output_size", "loss", "metric", "per_step")
"""Attributes that a class states, or its constructor sets."""

_RESERVED = ("task", "data", "target", "split", "text", "sweeps", "metric", "widths", "code")
"""Keys that stand beside a task's arguments in a race's file or plan."""


def make_own_task(spec: str, arguments: Mapping[str, Any]) -> GeneratedTask:
    """Make a task of a class that "package.module:Name" names.

    Raises
    ------
    InputError
        If there is no such class, it is no task, or its constructor raises.
    """
    cls = load_class(spec)
    if not issubclass(cls, GeneratedTask):
        raise InputError(
            f"{spec} is no subclass of lstm_baseline.tasks.GeneratedTask; a task of your own is"
        )
    if abstract := sorted(cls.__abstractmethods__):
        raise InputError(f"{spec} lacks {' and '.join(abstract)}; a task has sample and predictors")
    known = inspect.signature(cls).parameters
    for name, parameter in known.items():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            raise InputError(f"the constructor of {spec} takes {parameter}; name each argument")
        if name in _RESERVED:
            raise InputError(
                f"the constructor of {spec} takes {name}, which is a key of its own in a race's "
                "file or plan; give it another name"
            )
        if parameter.default is parameter.empty and name not in arguments:
            raise InputError(
                f"the constructor of {spec} has no default for {name}; give each argument one: "
                "they are the task at its own difficulty"
            )
    for name in arguments:
        if name not in known:
            raise InputError(f"{spec} has no {name!r}; it takes {', '.join(known) or 'nothing'}")
    shown = ", ".join(f"{name}={value!r}" for name, value in arguments.items())
    with calling(f"{cls.__name__}({shown})"):
        task = cls(**arguments)
    if lacking := what_is_lacking(task):
        raise InputError(f"{spec}: {lacking}")
    return task


def what_is_lacking(task: GeneratedTask) -> str:
    """Return which attributes a task does not have, in one line; empty if it has all."""
    if missing := [name for name in STATED if not hasattr(task, name)]:
        return f"it does not state {', '.join(missing)}; a task has {', '.join(STATED)}"
    known = inspect.signature(type(task)).parameters
    if missing := [name for name in known if not hasattr(task, name)]:
        return (
            f"it does not keep {', '.join(missing)}; its constructor keeps each argument as an "
            f"attribute of the same name, self.{missing[0]} = {missing[0]}"
        )
    return ""


def is_own_task(task: Task) -> TypeGuard[GeneratedTask]:
    """Return True if a task is of a class of the user's."""
    return isinstance(task, GeneratedTask) and is_own(type(task))


def task_source(task: Task) -> Path | None:
    """Return the file of a user's class; None for the package's tasks."""
    return code_of(type(task)).source if is_own_task(task) else None


def task_code(task: Task) -> str | None:
    """Return a digest of a user's class as it was loaded; None for the package's tasks.

    It covers the file of the class and all files next to it that this file imports.
    """
    return code_of(type(task)).digest if is_own_task(task) else None


def check_task_code(task: Task, expected: str | None) -> None:
    """Refuse code that has changed since a race began.

    Raises
    ------
    FileError
        If the files here differ from those of the digest.
    """
    if task_code(task) != expected:
        raise changed(name_of(type(task)))
