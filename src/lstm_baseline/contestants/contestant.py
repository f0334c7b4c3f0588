"""A contestant of a race: a model of this package or a user's class, under a name."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from lstm_baseline import challengers
from lstm_baseline.contestants.challenger import (
    flops_per_step,
    make_challenger,
    width_argument,
)
from lstm_baseline.contestants.match import UNITS, Match
from lstm_baseline.contestants.one_hot_inputs import OneHotInputs, takes_tokens
from lstm_baseline.engine.errors import InputError
from lstm_baseline.engine.initializers import NO_DRAWS
from lstm_baseline.engine.models import MODELS, SequenceModel
from lstm_baseline.engine.wording import did_you_mean
from lstm_baseline.own_code import calling, changed, code_of, forget, load_class
from lstm_baseline.tasks import Task
from lstm_baseline.training import Trainable

Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=60)]

_GIVEN = ("input_size", "output_size", "rng")
"""Constructor arguments that the race itself sets."""

_ATTRIBUTES: Mapping[Match, str] = {
    "parameters": "params",
    "state": "state_size",
    "flops": "flops_per_step",
}
"""Where a model says how large it is."""


class Contestant(BaseModel):
    """A model in a race; its width is solved so that all contestants are of one size."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Name
    """Name in the report; no two contestants share it."""
    model: str
    """A name of ``engine/models/registry.py`` or of ``challengers``, or a user's class as
    package.module:Name."""
    arguments: dict[str, Any] = Field(default_factory=dict)
    """Further arguments of the constructor."""

    @model_validator(mode="before")
    @classmethod
    def _from_model_alone(cls, value: Any) -> Any:
        """Read a name alone as the model of that name."""
        if isinstance(value, str):
            value = {"model": value}
        if isinstance(value, dict) and isinstance(value.get("model"), str):
            value = {"name": value["model"].rpartition(":")[2], **value}
        return value

    @model_validator(mode="after")
    def _check_name(self) -> Self:
        """Refuse a name that would make a reader take it for a model of this package."""
        if self.name in (*MODELS, *challengers.NAMES) and self.name != self.model:
            raise ValueError(
                f"{self.model} is called {self.name}, which is the name of another model; give it "
                "a name of its own"
            )
        return self

    @model_validator(mode="after")
    def _check_arguments(self) -> Self:
        """Refuse values that a plan cannot state: with them two plans could look the same."""
        try:
            json.dumps(self.arguments, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"arguments can be finite numbers, text, booleans, lists and tables: {error}"
            ) from None
        return self

    @property
    def is_user_class(self) -> bool:
        """True if it is a user's class and not a model of this package."""
        return ":" in self.model

    @property
    def is_engine_model(self) -> bool:
        """True if it is a model of the engine, whose states are known and which may recompute."""
        return self.model in MODELS

    def build(self, task: Task, width: int, seed: int | np.random.Generator) -> Trainable:
        """Return the untrained model for a task; its initial weights depend on the seed alone."""
        cls = _class(self.model)
        argument = width_argument(cls)
        for name in (argument, *_GIVEN):
            if name in self.arguments:
                raise InputError(f"{self.name} has {name} among its arguments; the race sets it")
        arguments = {**self.arguments, argument: width}
        model = make_challenger(cls, task.input_size, task.output_size, arguments, seed)
        if task.tokens and not takes_tokens(model):
            return OneHotInputs(model, task.input_size)
        return model

    def size(self, task: Task, width: int, by: Match = "parameters") -> int:
        """Return the size at a width: the number of trainable parameters, or what a race matches.

        Raises
        ------
        InputError
            If the contestant cannot be made at the width, or does not say what its state or its
            operations are.
        """
        _class(self.model)  # a name that is none has nothing to do with the width
        try:
            # Orthogonal initialisation is expensive; sizes do not need it, but for that of a state.
            cheap = self.is_engine_model and by != "state"
            model = self.build(task, width, NO_DRAWS if cheap else 0)
            found: object
            if by == "flops":
                with calling(f"{self.name}'s forward"):
                    found = flops_per_step(model, task)
            elif by == "state":
                found = getattr(model, "state_size", None)
            elif isinstance(model, SequenceModel):
                found = model.num_params
            else:
                found = sum(value.size for value in model.params.values())
        except (TypeError, ValueError) as error:
            raise InputError(f"{self.name} cannot be made at width {width}: {error}") from error
        if isinstance(found, int | np.integer) and found > 0:
            return int(found)
        given = (
            f"its {_ATTRIBUTES[by]} is {found!r}, give a whole number of {UNITS[by]}"
            if self.is_user_class
            else f"its {UNITS[by]} are not known, or grow with the length of a row"
        )
        raise InputError(f"{self.name} cannot be matched by {by}: {given}; or match by parameters")

    def estimated_flops(self, task: Task, width: int) -> int:
        """Return an estimate of the operations in a forward step of one row; 0 if unknown."""
        try:
            model = self.build(task, width, 0)
            found = flops_per_step(model, task)
        except Exception:  # in a user's code: its runs will say what is wrong
            return 0
        # A parameter is used about once a step.
        return 2 * sum(value.size for value in model.params.values()) if found is None else found

    def source(self) -> Path | None:
        """Return the file of a user's class; None for the package's models."""
        return code_of(_class(self.model)).source if self.is_user_class else None

    def code(self) -> str | None:
        """Return a digest of a user's class as it was loaded; None for the package's models.

        It covers the file of the class and all files next to it that this file imports.
        """
        cls = _class(self.model)
        return code_of(cls).digest if self.is_user_class else None

    def check_code(self, expected: str | None) -> None:
        """Refuse code that has changed since a race began.

        Raises
        ------
        FileError
            If the files here differ from those of the digest.
        """
        if self.code() == expected:
            return
        # A worker that serves several races may have loaded the class for an earlier one.
        if self.is_user_class:
            forget(_class(self.model))
        if self.code() != expected:
            raise changed(self.model)


def _class(model: str) -> type:
    """Return the class of a model of this package, or of the user's."""
    if ":" in model:
        return load_class(model)
    if model in MODELS:
        return MODELS[model].model
    if model in challengers.NAMES:
        return challengers.challenger_class(model)
    known = [*MODELS, *challengers.NAMES]
    raise InputError(
        f"no model is named {model!r}; give one of: {', '.join(known)}, or a class of your own as "
        f"package.module:Name{did_you_mean(model, known)}"
    )


def copy_seed(seed: int, copy: int) -> int:
    """Return the seed of a contestant's initial weights.

    The first contestant of a model starts from the seed itself. A second contestant of the same
    model starts from other weights: otherwise both would be copies of each other.
    """
    return seed if copy == 0 else int(np.random.SeedSequence([seed, copy]).generate_state(1)[0])
