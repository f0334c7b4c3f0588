"""Challengers: a user's class is made at a width, and checked.

A challenger is a class with the contract of the package's models (``params``, ``forward``,
``forward_with_cache``, ``backward``), or a ``torch.nn.Module`` that maps (B, T, I) to (B, O) or
(B, T, O). Where a task is of tokens, x is (B, T) if the class says ``takes_tokens = True`` or the
module has an embedding, and one-hot rows otherwise. It is made with keyword arguments,
``cls(input_size=…, output_size=…, <width>=…)``.
"""

import inspect
import sys
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from lstm_baseline.contestants import checks
from lstm_baseline.contestants.one_hot_inputs import takes_tokens
from lstm_baseline.engine.contract import MEMBERS
from lstm_baseline.engine.errors import InputError
from lstm_baseline.engine.threads import one_thread
from lstm_baseline.own_code import calling
from lstm_baseline.tasks import Task
from lstm_baseline.tasks.encoding import one_hot
from lstm_baseline.training import Trainable


def width_argument(cls: type) -> str:
    """Return the integer argument of a class that sets its size, which a race solves for.

    The class names it in an attribute ``width_argument``; without one it is "hidden_size".

    Raises
    ------
    InputError
        If the constructor has no such argument.
    """
    name = getattr(cls, "width_argument", "hidden_size")
    arguments = [n for n in _arguments(cls) if n not in ("input_size", "output_size", "rng")]
    if not isinstance(name, str) or name not in arguments:
        raise InputError(
            f"{cls.__name__} has no argument {name!r} to set its size; name one by a class "
            f'attribute, width_argument = "…" (it takes {", ".join(arguments) or "none"})'
        )
    return name


def make_challenger(
    cls: type,
    input_size: int,
    output_size: int,
    arguments: Mapping[str, Any],
    seed: int | np.random.Generator,
) -> Trainable:
    """Make a challenger; its initial weights depend on the seed alone.

    A class with the contract gets ``rng``, a Generator, if its constructor takes it. A torch module
    is made after seeding PyTorch's generator, and wrapped in a ``TorchModel``.

    Parameters
    ----------
    cls
        Class of the user's.
    input_size, output_size
        I and O of the task.
    arguments
        All other arguments by name, including the width.
    seed
        Seed of the initial weights.

    Raises
    ------
    InputError
        If the constructor raises, or its object is no torch module and lacks the contract.
    """
    arguments = {"input_size": input_size, "output_size": output_size, **arguments}
    shown = ", ".join(f"{name}={value!r}" for name, value in arguments.items())
    with calling(f"{cls.__name__}({shown})"):
        if _is_torch_module(cls):
            assert isinstance(seed, int)
            return _make_torch_model(cls, arguments, seed)
        rng = {"rng": np.random.default_rng(seed)} if "rng" in _arguments(cls) else {}
        model: Trainable = cls(**arguments, **rng)
    missing = [name for name in MEMBERS if not hasattr(model, name)]
    if missing:
        raise InputError(
            f"{cls.__name__} is not a torch.nn.Module and lacks {', '.join(missing)}; "
            f"a challenger has {', '.join(MEMBERS)}"
        )
    return model


def check_challenger(make: Callable[[int], Trainable], task: Task, name: str) -> None:
    """Refuse a challenger that would spoil a race, before the race starts.

    The checks use a few rows of the task. Shapes and dtypes must fit, and numbers must be finite.
    No argument may be changed. The seed must decide everything. A row's output must not depend on
    other rows or on padding; in a per-step task, the output at a step must not depend on later
    steps, which the other contestants do not see either. Outputs must come from ``params``.
    Training must give the same bits twice. A backward pass written by hand is compared with
    differences of forward; PyTorch's is not, as a module may change its gradients on purpose
    (``detach``).

    Parameters
    ----------
    make
        Function that returns an untrained challenger for a seed.
    task
        Task that it is to be trained on.
    name
        Name of the challenger, for messages.

    Raises
    ------
    InputError
        If a check fails; the message describes the first failure.
    """
    try:
        # A challenger's numerical warnings are no failure; numbers that are not finite are refused.
        with one_thread(), np.errstate(all="ignore"):
            sample = checks.Sample.of(task)
            model = checks.check_construction(make)
            checks.check_forward(model, sample)
            checks.check_independence(model, sample)
            checks.check_backward(model, sample)
            checks.check_twins(make, sample)
            checks.check_params_are_live(model, sample)
            if not _is_torch_module(type(getattr(model, "module", None))):
                checks.check_derivative(model, sample)
            checks.check_training(make, sample, task)
    except InputError as error:
        raise InputError(f"{name}: {error}") from error


def flops_per_step(model: Trainable, task: Task) -> int | None:
    """Return the operations in matrix products of a forward step of one row; None if unknown.

    For a torch module they are counted over a row of the task and divided by its steps.
    """
    if hasattr(model, "count_flops"):
        batch = task.train_batch(0, 1, 0)
        # Past a row's end may stand what is no token.
        x = batch.x if batch.lengths is None else batch.x[:, : batch.lengths[0]]
        counted = x if not task.tokens or takes_tokens(model) else one_hot(x, task.input_size)
        total = model.count_flops(counted)
        return None if total is None else round(total / x.shape[1])
    return getattr(model, "flops_per_step", None)


def _arguments(cls: type) -> list[str]:
    """Return the names of a constructor's arguments."""
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return [n for n, p in inspect.signature(cls).parameters.items() if p.kind in kinds]


def _is_torch_module(cls: type) -> bool:
    # A torch module exists only if PyTorch has been imported; without one it is not needed.
    torch = sys.modules.get("torch")
    return torch is not None and issubclass(cls, torch.nn.Module)


def _make_torch_model(cls: type, arguments: Mapping[str, Any], seed: int) -> Trainable:
    import torch

    from lstm_baseline.contestants.torch_model import TorchModel

    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return TorchModel(cls(**arguments))
