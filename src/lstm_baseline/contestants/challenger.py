"""A network of the user's own as a contestant: found by name, made at a width, checked.

A challenger is a class with the contract of the package's models (``params``, ``forward``,
``forward_with_cache``, ``backward``), or a ``torch.nn.Module`` that maps (B, T, I) to (B, O) or
(B, T, O). It is made by keyword, ``cls(input_size=…, output_size=…, <width>=…)``.
"""

import importlib
import inspect
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from lstm_baseline.contestants import checks as contract
from lstm_baseline.engine.errors import InputError
from lstm_baseline.engine.threads import one_thread
from lstm_baseline.tasks import Task
from lstm_baseline.training import Trainable

_CONTRACT = ("params", "forward", "forward_with_cache", "backward")
_NAMED = re.compile(r"(?P<module>[^\W\d]\w*(\.[^\W\d]\w*)*):(?P<name>[^\W\d]\w*)")


def load_class(spec: str) -> type:
    """Return the class that "package.module:Name" names.

    Modules are looked for in the current folder first, and where Python looks for all others.

    Raises
    ------
    InputError
        If there is no such module or class, or the module raises while it is imported.
    """
    match = _NAMED.fullmatch(spec)
    if match is None:
        raise InputError(f"{spec!r} names no class; give package.module:Name, as in my_nets:MyNet")
    if (folder := str(Path.cwd())) not in sys.path:
        sys.path.insert(0, folder)
        importlib.invalidate_caches()
    try:
        module = importlib.import_module(match["module"])
    except Exception as error:
        missing = isinstance(error, ModuleNotFoundError) and error.name
        if missing and f"{match['module']}.".startswith(f"{missing}."):
            raise InputError(
                f"there is no module {missing}, neither in {folder} nor installed; {spec} needs it"
            ) from error
        raise InputError(f"{match['module']} cannot be imported: {contract.told(error)}") from error
    found = getattr(module, match["name"], None)
    if found is None:
        own = [
            name
            for name, value in vars(module).items()
            if inspect.isclass(value) and value.__module__ == module.__name__
        ]
        classes = f"its classes are {', '.join(own)}" if own else "it has no class"
        raise InputError(f"{match['module']} has no {match['name']}; {classes}")
    if not inspect.isclass(found):
        raise InputError(f"{spec} is a {type(found).__name__}; name a class")
    return found


def width_argument(cls: type) -> str:
    """Return the integer argument of a class that sets its size: what a race solves for.

    The class names it in an attribute ``width_argument``; "hidden_size" when it does not.

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

    A class with the contract is given ``rng``, a Generator, if its constructor takes it. A torch
    module is made while PyTorch's generator stands at the seed, and wrapped in a ``TorchModel``.

    Parameters
    ----------
    cls
        From ``load_class``.
    input_size, output_size
        I and O of the task.
    arguments
        All others, by name: the width among them.
    seed
        Of the initial weights.

    Raises
    ------
    InputError
        If the constructor raises, or what it makes is neither a torch module nor has the contract.
    """
    arguments = {"input_size": input_size, "output_size": output_size, **arguments}
    shown = ", ".join(f"{name}={value!r}" for name, value in arguments.items())
    with contract.calling(f"{cls.__name__}({shown})"):
        if _is_torch_module(cls):
            assert isinstance(seed, int)
            return _make_torch_model(cls, arguments, seed)
        rng = {"rng": np.random.default_rng(seed)} if "rng" in _arguments(cls) else {}
        model: Trainable = cls(**arguments, **rng)
    missing = [name for name in _CONTRACT if not hasattr(model, name)]
    if missing:
        raise InputError(
            f"{cls.__name__} is no torch.nn.Module and lacks {', '.join(missing)}; "
            f"a challenger has {', '.join(_CONTRACT)}"
        )
    return model


def check_challenger(make: Callable[[int], Trainable], task: Task, name: str) -> None:
    """Refuse a challenger that would spoil a race, before the race starts.

    Held to a few rows of the task: shapes, dtypes and finite numbers; that nothing given is
    changed; that the seed decides everything; that a row's output depends neither on the rows
    beside it nor on padding, and at a step of a per-step task not on later steps, which the other
    contestants do not see either; that ``params`` is what the outputs come from; that training
    gives the same bits twice. A backward pass written by hand is held against differences of
    forward; PyTorch's is not, as a module may mean its gradients to differ (``detach``).

    Parameters
    ----------
    make
        Returns an untrained challenger for a seed.
    task
        What it is to be trained on.
    name
        The challenger's, for messages.

    Raises
    ------
    InputError
        Naming the first check that failed.
    """
    try:
        # A challenger's own warnings of numbers are no failure; what is not finite is refused.
        with one_thread(), np.errstate(all="ignore"):
            sample = contract.Sample.of(task)
            model = contract.check_construction(make)
            contract.check_forward(model, sample)
            contract.check_independence(model, sample)
            contract.check_backward(model, sample)
            contract.check_twins(make, sample)
            contract.check_params_are_live(model, sample)
            if not _is_torch_module(type(getattr(model, "module", None))):
                contract.check_derivative(model, sample)
            contract.check_training(make, sample, task)
    except InputError as error:
        raise InputError(f"{name}: {error}") from error


def flops_per_step(model: Trainable, task: Task) -> int | None:
    """Return the operations in matrix products of one step of one row, forward; None if unknown.

    A torch module's are counted over a row of the task and divided by its steps.
    """
    if hasattr(model, "count_flops"):
        x = task.train_batch(0, 1, 0).x
        total = model.count_flops(x)
        return None if total is None else round(total / x.shape[1])
    return getattr(model, "flops_per_step", None)


def _arguments(cls: type) -> list[str]:
    """Return the names of a constructor's arguments."""
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return [n for n, p in inspect.signature(cls).parameters.items() if p.kind in kinds]


def _is_torch_module(cls: type) -> bool:
    # Whoever has a module has imported PyTorch; nobody else needs it.
    torch = sys.modules.get("torch")
    return torch is not None and issubclass(cls, torch.nn.Module)


def _make_torch_model(cls: type, arguments: Mapping[str, Any], seed: int) -> Trainable:
    import torch

    from lstm_baseline.contestants.torch_model import TorchModel

    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return TorchModel(cls(**arguments))
