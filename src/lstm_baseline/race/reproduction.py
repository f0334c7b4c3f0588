"""Published numbers held against ours: a paper's setting as a race, and what the paper found.

Each file in ``reproductions/`` states the paper, its setting, what is done otherwise here, a race,
and the numbers. A reproduction holds the race and puts its scores beside them:

- A published mean *agrees* if it, give or take two of its standard errors where the paper gives a
  spread, touches the 95% interval of our mean (that of the sign-flip test, which takes six seeds),
  or lies within 0.01 of our mean.
- A published best run agrees if it lies within 0.01 of our best run.
- A bound agrees if our mean keeps it.

A run that failed counts with the score of chance.
"""

import math
import tomllib
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from lstm_baseline.engine.errors import FileError, InputError
from lstm_baseline.engine.storage import write_json, write_whole
from lstm_baseline.engine.wording import counted, did_you_mean
from lstm_baseline.plots import formats
from lstm_baseline.race.outcomes import RaceOutcome, TaskOutcome
from lstm_baseline.race.race_file import RaceFile, make_race, preset_text
from lstm_baseline.race.race_statistics import Interval, SignFlips
from lstm_baseline.race.report.checklist import costs
from lstm_baseline.race.report.markdown import escape_markdown, table

NAMES = ("santoro2018", "liu2023", "walker2025", "merrill2024", "mingru2024", "slstm", "chung2014")
"""Papers whose numbers can be held against ours."""

JSON, TEXT = "reproduction.json", "reproduction.md"
"""Files beside the report of the race."""

_CLOSE = 0.01
_LEVEL = 0.05

Kind = Literal["mean", "best", "at least", "below"]
Finding = Literal["agrees", "higher", "lower"]


class Published(BaseModel):
    """A number of a paper."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    task: str
    test: dict[str, Any] = {}
    """Arguments of the further test that it is of; those of training if empty."""
    contestant: str
    kind: Kind = "mean"
    """A mean over seeds, the best of them, or a bound that the paper states."""
    score: float
    spread: float | None = None
    """Standard deviation over seeds."""
    seeds: int | None = None
    chance: float | None = None
    """If given, the paper states (accuracy − chance) / (1 − chance)."""
    note: str = ""


class Reproduction(BaseModel):
    """A paper's setting, as a race, and its numbers."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    title: str
    paper: str
    setting: str
    """The paper's setting."""
    differs: tuple[str, ...]
    """What is done otherwise here, in any size."""
    differs_small: tuple[str, ...] = ()
    """What else, in the size that two cores hold."""
    differs_full: tuple[str, ...] = ()
    """What else, in the paper's own size."""
    file: str = ""
    """Name of a file of the user's that the race is on."""
    preset: str = ""
    """Name of a preset that is the race, in place of ``race``."""
    race: dict[str, Any] = {}
    """A race as in a race's file."""
    full: dict[str, Any] = {}
    """What the race has otherwise in the paper's own size."""
    published: tuple[Published, ...] = Field(min_length=1)

    def differences(self, *, full: bool = False) -> tuple[str, ...]:
        """Return all that is done otherwise here."""
        return (*self.differs, *(self.differs_full if full else self.differs_small))

    def race_file(self, *, full: bool = False) -> RaceFile:
        """Return the race.

        Raises
        ------
        InputError
            If ``full`` is asked for and there is no larger setting.
        """
        if full and not self.full:
            raise InputError(f"{self.title} has one size; leave --full out")
        race = tomllib.loads(preset_text(self.preset)) if self.preset else self.race
        return make_race(**_merged(race, self.full if full else {}))


class Held(NamedTuple):
    """A published number beside ours, or ours alone."""

    published: Published | None
    """None of a contestant that the paper has no number of."""
    contestant: str
    title: str
    """Title of the task."""
    scores: tuple[float, ...]
    """Ours, seed by seed, as the paper measures them."""
    failed: int
    ours: Interval
    """Our mean with its interval; our best run without one."""
    finding: Finding | None
    """None where nothing is published."""


def read_reproduction(name: str) -> Reproduction:
    """Return a reproduction by its name.

    Raises
    ------
    InputError
        If there is none of that name.
    """
    if name not in NAMES:
        raise InputError(
            f"nothing published is called {name!r}; give one of: {', '.join(NAMES)}"
            f"{did_you_mean(name, NAMES)}"
        )
    path = files("lstm_baseline.race").joinpath("reproductions", f"{name}.toml")
    return Reproduction.model_validate(tomllib.loads(path.read_text("utf-8")))


def check_file(reproduction: Reproduction, folder: Path) -> None:
    """Refuse to begin without the file that a reproduction is on.

    Raises
    ------
    FileError
        If it is not in the folder.
    """
    if reproduction.file and not (folder / reproduction.file).is_file():
        raise FileError(
            f"{reproduction.title} is on {reproduction.file}, which is not shipped and not in "
            f"{folder}; give the folder of your copy with --data"
        )


def hold_against(reproduction: Reproduction, race: RaceOutcome) -> list[Held]:
    """Return every published number of the contestants in a race beside ours.

    Contestants without a number follow, each on the tasks that others have one on.
    """
    found = [
        (published, _outcome_of(published, race))
        for published in reproduction.published
        if published.contestant in race.plan.models
    ]
    held = [_held(outcome, each.contestant, each) for each, outcome in found]
    stated = {(each.contestant, outcome.title) for each, outcome in found}
    outcomes = {outcome.title: (outcome, each.chance) for each, outcome in found}
    held += [
        _held(outcome, name, None, chance)
        for outcome, chance in outcomes.values()
        for name in race.plan.models
        if (name, outcome.title) not in stated
    ]
    return held


def write_reproduction(
    name: str,
    reproduction: Reproduction,
    race: RaceOutcome,
    held: list[Held],
    differs: Sequence[str],
    folder: Path,
) -> Path:
    """Write what was found, as data and as a text, and return the path of the text."""
    cost = core_hours(race)
    write_json(
        folder / JSON,
        {
            "name": name,
            "paper": reproduction.paper,
            "plan": race.plan.hash,
            "core_hours": cost,
            "numbers": [
                (each.published.model_dump() if each.published else {"published": None})
                | {
                    "contestant": each.contestant,
                    "title": each.title,
                    "scores": list(each.scores),
                    "failed": each.failed,
                    "ours": each.ours.estimate,
                    "interval": [_finite(each.ours.low), _finite(each.ours.high)],
                    "finding": each.finding,
                }
                for each in held
            ],
        },
    )
    rows = [[escape_markdown(cell) for cell in row(each)] for each in held]
    parts = [
        f"# {escape_markdown(reproduction.title)}",
        f"Published: {escape_markdown(reproduction.paper)}.",
        f"Its setting: {escape_markdown(reproduction.setting)}.",
        "Here: " + escape_markdown(_setting(race)) + ". What differs:",
        "\n".join(f"- {escape_markdown(each)}." for each in differs),
        table(["task", "contestant", "published", "here", "", "by"], rows),
        f"{escape_markdown(summary(held))} All runs took {cost:.1f} core-hours; plan "
        f"{race.plan.hash[:12]}.",
    ]
    write_whole(folder / TEXT, ("\n\n".join(parts) + "\n").encode())
    return folder / TEXT


def row(held: Held) -> tuple[str, str, str, str, str, str]:
    """Return task, contestant, published number, ours, finding and whose number it is, as text."""
    published, contestant = held.published, formats.model_label(held.contestant)
    if published is None:
        return held.title, contestant, formats.NOTHING, _ours(held), "", ""
    number = formats.number(published.score)
    if published.spread is not None:
        number += f" ± {formats.number(published.spread, published.score)}"
    if published.kind in ("at least", "below"):
        number = f"{published.kind} {number}"
    elif published.kind == "best":
        number = f"best {number}"
    if published.seeds is not None:
        number += f" ({formats.seeds(published.seeds)})"
    finding = "agrees" if held.finding == "agrees" else f"{held.finding} here"
    return held.title, contestant, number, _ours(held), finding, published.note


def _ours(held: Held) -> str:
    """Return our score as text."""
    best = held.published is not None and held.published.kind == "best"
    detail = formats.seeds(len(held.scores))
    if math.isfinite(held.ours.low) and not best:
        low, high = (formats.number(end, held.ours.estimate) for end in held.ours[1:])
        detail = f"{low} to {high}; {detail}"
    if held.failed:
        detail += f", {held.failed} failed"
    return f"{'best ' if best else ''}{formats.number(held.ours.estimate)} ({detail})"


def summary(held: list[Held]) -> str:
    """Return how many numbers agree, in a sentence."""
    stated = sum(each.published is not None for each in held)
    agree = sum(each.finding == "agrees" for each in held)
    others = [
        f"{count} {'is' if count == 1 else 'are'} {finding} here"
        for finding in ("higher", "lower")
        if (count := sum(each.finding == finding for each in held))
    ]
    verb = "agrees" if agree == 1 else "agree"
    return "; ".join([f"{agree} of {counted(stated, 'published number')} {verb}", *others]) + "."


def core_hours(race: RaceOutcome) -> float:
    """Return the hours that all runs of a race spent in training steps, each on one core."""
    return math.fsum(cost.core_hours for cost in costs(race))


def _setting(race: RaceOutcome) -> str:
    plan = race.plan
    size = f"about {formats.count(plan.parameters)} parameters"
    most = max(each.settings.num_steps for task in race.tasks for each in task.contestants)
    steps = f"{formats.count(most)} steps of {plan.settings.batch_size} rows"
    tuning = counted(plan.tuning.trials, "trial") if plan.tuning.trials else "nothing tuned"
    return f"{size}, {steps}, {tuning}, {formats.seeds(plan.seeds)}"


def _outcome_of(published: Published, race: RaceOutcome) -> TaskOutcome:
    for outcome in race.tasks:
        config = outcome.task.config()
        further = outcome.trained_on is not None
        if (
            outcome.task.name == published.task
            and further == bool(published.test)
            and all(_same(config.get(key), value) for key, value in published.test.items())
        ):
            return outcome
    raise InputError(f"the race has no {published.task} tested with {published.test}")


def _same(found: Any, wanted: Any) -> bool:
    return bool(list(found) == list(wanted) if isinstance(wanted, list) else found == wanted)


def _held(
    outcome: TaskOutcome, name: str, published: Published | None, chance_level: float | None = None
) -> Held:
    contestant = outcome.of(name)
    if published is not None:
        chance_level = published.chance
    chance = next(rung.score for rung in outcome.ladder if rung.kind == "chance")
    raw = np.array([chance if score is None else score for score in contestant.scores])
    if chance_level is not None:
        raw = (raw - chance_level) / (1 - chance_level)
    lower_is_better = not outcome.metric.higher_is_better
    if published is not None and published.kind == "best":
        best = float(raw.min() if lower_is_better else raw.max())
        ours = Interval(best, best, best)
    else:
        flips = SignFlips(len(raw), np.random.default_rng(0))
        (ours,) = flips.intervals(raw[:, None], _LEVEL)
    return Held(
        published,
        name,
        outcome.title,
        tuple(map(float, raw)),
        len(contestant.failures),
        ours,
        None if published is None else _finding(published, ours),
    )


def _finding(published: Published, ours: Interval) -> Finding:
    score, mean = published.score, ours.estimate
    if published.kind == "at least":
        return "agrees" if mean >= score else "lower"
    if published.kind == "below":
        return "agrees" if mean < score else "higher"
    slack = 0.0
    if published.spread is not None and published.seeds:
        slack = 2 * published.spread / math.sqrt(published.seeds)
    # Without ends an interval says nothing.
    bounded = math.isfinite(ours.low) and published.kind == "mean"
    touches = bounded and ours.low <= score + slack and score - slack <= ours.high
    if touches or abs(mean - score) <= _CLOSE:
        return "agrees"
    return "higher" if mean > score else "lower"


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _merged(race: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return a race with some keys changed, tables key by key."""
    merged = dict(race)
    for key, value in changes.items():
        before = merged.get(key)
        both = isinstance(value, dict) and isinstance(before, dict)
        merged[key] = _merged(before, value) if both else value  # type: ignore[arg-type]
    return merged
