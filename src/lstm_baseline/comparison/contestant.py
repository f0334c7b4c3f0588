"""Who races: a model of this package, or anyone's own class, under a name."""

import hashlib
import inspect
from functools import cache
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from lstm_baseline.comparison.challenger import load_class, make_challenger, width_argument
from lstm_baseline.errors import InputError
from lstm_baseline.models import MODELS
from lstm_baseline.tasks import Task
from lstm_baseline.training import Trainable

Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=60)]


class Contestant(BaseModel):
    """A model in a race; its width is solved so that all contestants are of one size."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Name
    """What it is called in the report; no two contestants share it."""
    model: str
    """lstm, gru, relational, or a class of one's own as package.module:Name."""
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

    @property
    def is_own(self) -> bool:
        """Whether it is the user's own class."""
        return ":" in self.model

    def build(self, task: Task, width: int, seed: int) -> Trainable:
        """Return the untrained model for a task; its initial weights depend on the seed alone."""
        cls = _find_class(self.model)
        arguments = {**self.arguments, width_argument(cls): width}
        return make_challenger(cls, task.input_size, task.output_size, arguments, seed)

    def count_params(self, task: Task, width: int) -> int:
        """Return how many trainable parameters it has at a width."""
        cls = _find_class(self.model)
        # An orthogonal start is too dear to be made for its size alone.
        unset = getattr(cls, "unset", {}) if not self.is_own else {}
        sized = self.model_copy(update={"arguments": {**self.arguments, **unset}})
        try:
            return sum(value.size for value in sized.build(task, width, 0).params.values())
        except (TypeError, ValueError) as error:
            raise InputError(f"{self.name} cannot be made at width {width}: {error}") from error

    def code(self) -> str | None:
        """Return a digest of the file that one's own class is in; None for our models."""
        path = self.source()
        return None if path is None else hashlib.sha256(path.read_bytes()).hexdigest()[:16]

    def source(self) -> Path | None:
        """Return the file that one's own class is in; None for our models."""
        if not self.is_own:
            return None
        try:
            path = inspect.getsourcefile(_find_class(self.model))
        except TypeError:
            path = None
        if path is None or not Path(path).is_file():
            raise InputError(f"{self.model} has no source file that can be read")
        return Path(path)


@cache
def _find_class(model: str) -> type:
    if ":" in model:
        return load_class(model)
    if model not in MODELS:
        raise InputError(
            f"no model is named {model!r}; give one of: {', '.join(MODELS)}, or a class of your "
            "own as package.module:Name"
        )
    return MODELS[model]


def twin_seed(seed: int, twin: int) -> int:
    """Return the seed of a contestant's first weights.

    The first contestant of a model starts from the seed itself. One that enters a second time
    starts from other weights: a race against oneself would else be decided by copying.
    """
    return seed if twin == 0 else int(np.random.SeedSequence([seed, twin]).generate_state(1)[0])
