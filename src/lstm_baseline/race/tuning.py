"""Equal tuning: the same number of random-search trials for everyone, from one search space.

Trials are independent draws, so the best of k of them can be stated for any k (Dodge et al. 2019).
Trial k draws the same settings for every contestant on every task. Validation samples decide which
trial did best; no trial ever sees a test sample.

The best of many single runs is partly luck. So the best few, the *finalists*, are run again on
fresh seeds, and the one with the best median is chosen. Where the reruns of the chosen settings
still improved when their steps ended, the budget was too short to compare anything else than
budgets: then all final runs of the task, whosever, get twice the steps.
"""

import math
from collections.abc import Mapping, Sequence
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

from lstm_baseline.engine.errors import InputError
from lstm_baseline.runs.spec import FIRST_TRIAL_SEED
from lstm_baseline.training import TrainingSettings
from lstm_baseline.training.optimizers import DECAYING

_BUDGET = ("num_steps", "evaluate_every", "patience")
_DIGITS = 3
_EDGE = 0.1
"""Part of a range, at either end, that counts as its edge."""


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

    @property
    def inner(self) -> tuple[float, float]:
        """Ends of the range without its outer tenths, on its scale."""
        if self.scale == "log":
            part = (self.high / self.low) ** _EDGE
            return self.low * part, self.high / part
        part = _EDGE * (self.high - self.low)
        return self.low + part, self.high - part

    def is_at_edge(self, value: float) -> bool:
        """Return whether a value lies in an outer tenth of the range, on its scale."""
        low, high = self.inner
        return not low <= value <= high


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
    finalists: Annotated[int, Field(ge=0, le=10_000)] = 0
    """Best trials of each contestant on each task that are run again; with 0 the best trial's
    settings are chosen."""
    reruns: Annotated[int, Field(ge=1, le=10_000)] = 3
    """Fresh seeds that each finalist is run on."""
    double_above: Annotated[float, Field(ge=0, lt=1)] | None = None
    """Share of a task's reruns, all contestants' chosen settings together, above which final runs
    get twice the steps if so many still improved at their end; never when None."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.trials and not self.space:
            raise ValueError(
                f"trials is {self.trials}, but space is empty; say what to draw, as under [tuning] "
                "in the file that `lstm-baseline init race.toml` writes, or take --preset standard"
            )
        if self.double_above is not None and not self.finalists:
            raise ValueError(
                f"double_above is {self.double_above:g}, but finalists is 0: reruns tell whether "
                "runs still improve; give finalists, say 3"
            )
        for name, values in self.space.items():
            if name in _BUDGET:
                raise ValueError(f"space.{name} is the budget, which all trials share; remove it")
            for value in values.extremes:
                try:
                    _alone(name, value)
                except ValidationError as error:
                    first = error.errors()[0]
                    raise ValueError(f"space.{name} may draw {value!r}: {first['msg']}") from None
        return self

    def check(self, base: TrainingSettings) -> None:
        """Refuse a space from which a trial may draw settings that do not go together.

        Raises
        ------
        InputError
            If a trial may draw a weight decay with an optimizer that takes none.
        """
        optimizers = self._possible("optimizer", base)
        decays = self._possible("weight_decay", base)
        other = next((name for name in optimizers if name != DECAYING), None)
        decay = next(filter(None, decays), None)
        if other and decay:
            raise InputError(
                f"a trial may have the optimizer {other} and a weight_decay of {decay}, which it "
                f"does not take; give the optimizer {DECAYING} alone, or no weight_decay"
            )

    def _possible(self, name: str, base: TrainingSettings) -> tuple[Any, ...]:
        """Return values that a setting may have in a trial: all choices, or a range's ends."""
        drawn = self.space.get(name)
        return (getattr(base, name),) if drawn is None else drawn.extremes

    def settings(self, base: TrainingSettings) -> list[TrainingSettings]:
        """Return the settings of every trial."""
        return [self._draw(base, trial) for trial in range(self.trials)]

    def at_edge(self, settings: TrainingSettings) -> list[str]:
        """Return the names of settings whose value lies at an edge of its range."""
        return [
            name
            for name, values in self.space.items()
            if isinstance(values, Range) and values.is_at_edge(getattr(settings, name))
        ]

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
    return isinstance(getattr(_alone(name, value), name), int)


def _alone(name: str, value: Any) -> TrainingSettings:
    """Return settings with one value, whatever it would need of others."""
    return TrainingSettings.model_validate({"optimizer": DECAYING, name: value})


class ValidationScore(NamedTuple):
    """How well a trial did in validation."""

    metric: float
    loss: float | None
    """None in runs of earlier versions."""


def rank(scores: Mapping[int, ValidationScore], *, higher_is_better: bool) -> list[int]:
    """Return the numbers of trials, best first.

    Parameters
    ----------
    scores
        Score of each trial that finished, by its number.
    higher_is_better
        True if a higher metric is better. If metrics tie, the lower loss is better; if these tie
        too, the earlier trial.
    """
    return sorted(scores, key=lambda k: (*_badness(scores[k], higher_is_better), k))


def median_score(
    scores: Sequence[ValidationScore | None], *, higher_is_better: bool
) -> ValidationScore | None:
    """Return the median score of reruns, of two middle ones the worse; None if that one failed.

    Parameters
    ----------
    scores
        One for each rerun; None for one that failed, which is worse than any other.
    higher_is_better
        Direction of the metric.
    """
    worst = (math.inf, math.inf)
    ordered = sorted(
        scores, key=lambda score: _badness(score, higher_is_better) if score else worst
    )
    return ordered[len(ordered) // 2]


def _badness(score: ValidationScore, higher_is_better: bool) -> tuple[float, float]:
    metric, loss = score
    return (-metric if higher_is_better else metric), math.inf if loss is None else loss
