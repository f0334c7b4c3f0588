"""Who races: a model of this package, or anyone's own class, under a name."""

import ast
import hashlib
import inspect
import json
import sys
from functools import cache
from pathlib import Path
from typing import Annotated, Any, NamedTuple, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from lstm_baseline.contestants.challenger import (
    flops_per_step,
    load_class,
    make_challenger,
    width_argument,
)
from lstm_baseline.engine.errors import FileError, InputError
from lstm_baseline.engine.initializers import NO_DRAWS
from lstm_baseline.engine.models import MODELS, SequenceModel
from lstm_baseline.tasks import Task
from lstm_baseline.training import Trainable

Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=60)]

_GIVEN = ("input_size", "output_size", "rng")
"""Arguments that the race itself gives."""


class Contestant(BaseModel):
    """A model in a race; its width is solved so that all contestants are of one size."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Name
    """What it is called in the report; no two contestants share it."""
    model: str
    """lstm, gru, mingru, relational, or a class of one's own as package.module:Name."""
    arguments: dict[str, Any] = Field(default_factory=dict)
    """Further arguments of its constructor."""

    @model_validator(mode="before")
    @classmethod
    def _from_model_alone(cls, value: Any) -> Any:
        """Let a name alone stand for the model of that name."""
        if isinstance(value, str):
            value = {"model": value}
        if isinstance(value, dict) and isinstance(value.get("model"), str):
            value = {"name": value["model"].rpartition(":")[2], **value}
        return value

    @model_validator(mode="after")
    def _check_name(self) -> Self:
        """Refuse a name by which a reader would take it for a model of this package."""
        if self.name in MODELS and self.name != self.model:
            raise ValueError(
                f"{self.model} is called {self.name}, which is the name of another model; give it "
                "a name of its own"
            )
        return self

    @model_validator(mode="after")
    def _check_arguments(self) -> Self:
        """Refuse what a plan cannot state, as two plans could then look the same."""
        try:
            json.dumps(self.arguments, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"arguments can be finite numbers, text, booleans, lists and tables: {error}"
            ) from None
        return self

    @property
    def is_user_class(self) -> bool:
        """Whether it is a class of the user's, and not a model of this package."""
        return ":" in self.model

    def build(self, task: Task, width: int, seed: int | np.random.Generator) -> Trainable:
        """Return the untrained model for a task; its initial weights depend on the seed alone."""
        cls = _load(self.model).cls
        argument = width_argument(cls)
        for name in (argument, *_GIVEN):
            if name in self.arguments:
                raise InputError(f"{self.name} has {name} among its arguments; the race sets it")
        arguments = {**self.arguments, argument: width}
        return make_challenger(cls, task.input_size, task.output_size, arguments, seed)

    def count_params(self, task: Task, width: int) -> int:
        """Return how many trainable parameters it has at a width."""
        try:
            # Orthogonal initialisation is expensive; counting parameters does not need it.
            model = self.build(task, width, 0 if self.is_user_class else NO_DRAWS)
            if isinstance(model, SequenceModel):
                return model.num_params
            return sum(value.size for value in model.params.values())
        except (TypeError, ValueError) as error:
            raise InputError(f"{self.name} cannot be made at width {width}: {error}") from error

    def estimated_flops(self, task: Task, width: int) -> int:
        """Return about how many operations a forward step of one row takes; 0 if it cannot tell."""
        try:
            model = self.build(task, width, 0)
            found = flops_per_step(model, task)
        except Exception:  # of somebody else's code: its runs will say what is wrong
            return 0
        # A parameter is used about once a step.
        return 2 * sum(value.size for value in model.params.values()) if found is None else found

    def source(self) -> Path | None:
        """Return the file that one's own class is in; None for our models."""
        return _load(self.model).source

    def code(self) -> str | None:
        """Return a digest of one's own class as it was loaded; None for our models.

        It is of the class's file and of all files beside it that this one imports.
        """
        return _load(self.model).code

    def check_code(self, expected: str | None) -> None:
        """Refuse code that has changed since a race began.

        Raises
        ------
        FileError
            If the files here are others than those of the digest.
        """
        if self.code() == expected:
            return
        # A worker that serves several races may have loaded it for an earlier one.
        _load.cache_clear()
        sys.modules.pop(self.model.partition(":")[0], None)
        if self.code() != expected:
            raise FileError(
                f"the code of {self.model} is not what it was when the race began; give another "
                "--out, and on other machines install the same"
            )


class _Loaded(NamedTuple):
    """A class, and where it comes from if it is not ours."""

    cls: type
    source: Path | None
    code: str | None


@cache
def _load(model: str) -> _Loaded:
    if ":" in model:
        cls = load_class(model)
        try:
            path = Path(inspect.getsourcefile(cls) or "")
            return _Loaded(cls, path, _digest(path))
        except (OSError, TypeError) as error:
            raise InputError(f"{model} has no source file that can be read") from error
    if model not in MODELS:
        raise InputError(
            f"no model is named {model!r}; give one of: {', '.join(MODELS)}, or a class of your "
            "own as package.module:Name"
        )
    return _Loaded(MODELS[model].model, None, None)


def _digest(path: Path) -> str:
    """Return a digest of a Python file and of those beside it that it imports, near or far."""
    found: dict[Path, bytes] = {}
    waiting = [path]
    while waiting:
        file = waiting.pop()
        if file not in found:
            found[file] = file.read_bytes()
            waiting += _imported(file, found[file])
    digest = hashlib.sha256()
    for content in sorted(found.values()):
        digest.update(hashlib.sha256(content).digest())
    return digest.hexdigest()[:16]


def _imported(file: Path, content: bytes) -> list[Path]:
    """Return the files beside a Python file, or in its package, that its imports name."""
    top = file.parent
    while (top / "__init__.py").is_file():
        top = top.parent
    found = []
    for node in ast.walk(ast.parse(content)):
        folder, names = top, []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                folder = file.parents[node.level - 1]
            start = [node.module] if node.module else []
            names = [".".join([*start, alias.name]) for alias in node.names] + start
        for name in names:
            place = folder.joinpath(*name.split("."))
            found += [p for p in (place.with_suffix(".py"), place / "__init__.py") if p.is_file()]
    return found


def copy_seed(seed: int, copy: int) -> int:
    """Return the seed of a contestant's first weights.

    The first contestant of a model starts from the seed itself. One that enters a second time
    starts from other weights: a race against oneself would otherwise be decided by copying.
    """
    return seed if copy == 0 else int(np.random.SeedSequence([seed, copy]).generate_state(1)[0])
