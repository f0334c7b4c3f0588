"""Equal tuning: the same number of random-search trials for everyone, from one search space.

Trials are independent draws, so the best of k of them can be stated for any k (Dodge et al. 2019).
Trial k draws the same settings for every contestant on every task. Validation samples decide which
trial did best; no trial ever sees a test sample.
"""

import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal, NamedTuple, Self

import numpy as np
from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationError,
    model_validator,
)

from lstm_baseline.runs.spec import FIRST_TRIAL_SEED
from lstm_baseline.training import TrainingSettings

_BUDGET = ("num_steps", "evaluate_every")
_DIGITS = 3


class Range(BaseModel):
    """Numbers drawn uniformly, or with uniform logarithms, to three significant digits."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    low: float
    high: float
    scale: Literal["linear", "log"] = "log"

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not (math.isfinite(self.low) and self.low < self.high < math.inf):
            raise ValueError(f"low is {self.low} and high {self.high}; give low < high, finite")
        if self.scale == "log" and self.low <= 0:
            raise ValueError(f"low is {self.low}; a log scale starts above 0")
        return self

    @property
    def extremes(self) -> tuple[Any, ...]:
        """Smallest and largest value that can be drawn."""
        return self.low, self.high

    def draw(self, rng: np.random.Generator) -> float:
        """Draw a number."""
        if self.scale == "log":
            value = math.exp(rng.uniform(math.log(self.low), math.log(self.high)))
        else:
            value = rng.uniform(self.low, self.high)
        return min(max(float(f"{value:.{_DIGITS}g}"), self.low), self.high)


class Choices(BaseModel):
    """Values drawn with equal chances."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    choices: Annotated[tuple[Any, ...], Field(min_length=1)]

    @property
    def extremes(self) -> tuple[Any, ...]:
        """Every value."""
        return self.choices

    def draw(self, rng: np.random.Generator) -> Any:
        """Draw a value."""
        return self.choices[rng.integers(len(self.choices))]


def _kind(value: Any) -> str:
    given = value if isinstance(value, dict) else getattr(value, "__dict__", {})
    return "some choices" if "choices" in given else "a range"


Drawn = Annotated[
    Annotated[Range, Tag("a range")] | Annotated[Choices, Tag("some choices")], Discriminator(_kind)
]
"""A range or choices. Their keys tell them apart, so an error message can name the right one."""


class Tuning(BaseModel):
    """Random search over training settings."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    trials: Annotated[int, Field(ge=0, le=10_000)] = 0
    """Trials of each contestant on each task; with 0 everyone trains with the given settings."""
    space: dict[str, Drawn] = Field(default_factory=dict)
    """Search space: what each trial draws, keyed by the names of training settings."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.trials and not self.space:
            raise ValueError(
                f"trials is {self.trials}, but space is empty; say what to draw, as under [tuning] "
                "in the file that `lstm-baseline init race.toml` writes, or take --preset standard"
            )
        for name, values in self.space.items():
            if name in _BUDGET:
                raise ValueError(f"space.{name} is the budget, which all trials share; remove it")
            for value in values.extremes:
                try:
                    TrainingSettings.model_validate({name: value})
                except ValidationError as error:
                    first = error.errors()[0]
                    raise ValueError(f"space.{name} may draw {value!r}: {first['msg']}") from None
        return self

    def settings(self, base: TrainingSettings) -> list[TrainingSettings]:
        """Return the settings of every trial."""
        return [self._draw(base, trial) for trial in range(self.trials)]

    def _draw(self, base: TrainingSettings, trial: int) -> TrainingSettings:
        rng = np.random.default_rng([FIRST_TRIAL_SEED, trial])
        drawn = {name: self.space[name].draw(rng) for name in sorted(self.space)}
        for name in drawn:
            values = self.space[name]
            if isinstance(values, Range) and _counts(name, values.low):
                drawn[name] = round(drawn[name])
        return TrainingSettings.model_validate(base.model_dump() | drawn)


def _counts(name: str, value: float) -> bool:
    """Return True if a setting is a whole number."""
    return isinstance(getattr(TrainingSettings.model_validate({name: value}), name), int)


class ValidationScore(NamedTuple):
    """How well a trial did in validation."""

    metric: float
    loss: float | None
    """None in runs of earlier versions."""


def choose(
    settings: list[TrainingSettings],
    scores: Mapping[int, ValidationScore],
    base: TrainingSettings,
    *,
    higher_is_better: bool,
) -> TrainingSettings:
    """Return the settings of the trial that did best in validation.

    Parameters
    ----------
    settings
        Settings of every trial.
    scores
        Score of each trial that finished, by its number.
    base
        Settings to return if there was no trial or none finished.
    higher_is_better
        True if a higher metric is better. If metrics tie, the lower loss is taken; if these tie
        too, the earliest trial.
    """

    def goodness(k: int) -> tuple[float, float, int]:
        metric, loss = scores[k]
        return (metric if higher_is_better else -metric), -math.inf if loss is None else -loss, -k

    return settings[max(scores, key=goodness)] if scores else base
