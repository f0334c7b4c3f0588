"""What the page opens with: a badge for each challenger, its conditions, and one table of all."""

from collections.abc import Sequence
from typing import NamedTuple

from lstm_baseline.plots.formats import seeds
from lstm_baseline.race.outcomes import Comparison, Duel, RaceOutcome, TaskOutcome
from lstm_baseline.race.report import marks, words
from lstm_baseline.race.report.marks import Check, Count, Mark

_MOST_OPEN = 6
"""Rows of conditions on a page, of all challengers together, up to which they are not folded."""


class TaskStanding(NamedTuple):
    """A challenger on one task: the verdict, and what it rests on."""

    title: str
    mark: Mark
    difference: str
    """Challenger − baseline, in normalised score; empty if they are not compared."""
    interval: str
    note: str
    """Says that a run that failed is in the difference; empty if none is."""
    checks: tuple[Check, ...]


class Standing(NamedTuple):
    """A challenger in the race."""

    challenger: str
    baseline: str
    mark: Mark
    counts: tuple[Count, ...]
    """Number and names of the tasks with each verdict that any has."""
    caveats: str
    """How far to trust it, in a few words."""
    tasks: tuple[TaskStanding, ...]
    is_open: bool
    """True if the conditions are few enough to be seen at once."""


class Cell(NamedTuple):
    """A contestant on a task, in the table of all."""

    mean: str
    std: str
    """With ± before it; empty for a single seed."""
    finished: str
    """Number of its runs that finished; empty if all did."""
    mark: Mark | None
    """Verdict against the baseline; None for the baseline itself."""
    learned: bool
    is_better: bool
    """True if it is better by the rule: than the baseline, or the baseline than all others."""
    is_best_mean: bool
    """True if no contestant that learned has a better mean, which decides nothing."""


class Row(NamedTuple):
    """A task in the table of all."""

    outcome: TaskOutcome
    cells: tuple[Cell, ...]
    """One for each contestant, in the plan's order."""


def standings(race: RaceOutcome) -> list[Standing]:
    """Return where each challenger stands, in the plan's order."""
    is_open = len(race.duels) * len(race.tasks) <= _MOST_OPEN
    return [_standing(race, duel, is_open) for duel in race.duels]


def matrix(race: RaceOutcome) -> list[Row]:
    """Return the table of tasks × contestants."""
    return [
        Row(outcome, tuple(_cells(race, place, outcome)))
        for place, outcome in enumerate(race.tasks)
    ]


def _standing(race: RaceOutcome, duel: Duel, is_open: bool) -> Standing:
    tasks = [
        TaskStanding(
            task.title,
            marks.task_mark(task),
            "" if task.evidence is None else words.difference(task.evidence.difference.estimate),
            "" if task.evidence is None else words.interval(task.evidence.difference),
            "" if task.evidence is None else marks.failures_counted(duel, outcome),
            tuple(marks.checks(race.plan, duel, task, outcome)),
        )
        for task, outcome in zip(duel.tasks, race.tasks, strict=True)
    ]
    return Standing(
        duel.challenger,
        duel.baseline,
        marks.race_mark(duel),
        tuple(marks.counts(duel)),
        marks.caveats(race, duel),
        tuple(tasks),
        is_open,
    )


def _cells(race: RaceOutcome, place: int, outcome: TaskOutcome) -> list[Cell]:
    found: dict[str, Comparison] = {duel.challenger: duel.tasks[place] for duel in race.duels}
    best = _best_mean(outcome)
    return [
        Cell(
            *_parts(words.spread(each.score)),
            f"{len(each.seeds) - len(each.failures)} of {seeds(len(each.seeds))}"
            if each.failures
            else "",
            marks.task_mark(found[each.model]) if each.model in found else None,
            each.learned,
            race.is_better(each.model, place),
            each.learned and each.score is not None and each.score.mean == best,
        )
        for each in outcome.contestants
    ]


def _parts(spread: str) -> tuple[str, str]:
    """Return mean and standard deviation, between which a line may end."""
    mean, sign, std = spread.partition(" ±")
    return mean, f"{sign.strip()}{std}"


def _best_mean(outcome: TaskOutcome) -> float | None:
    """Return the best mean of those that learned; None if fewer than two contestants raced."""
    means = [each.score.mean for each in outcome.contestants if each.learned and each.score]
    if not means or len(outcome.contestants) < 2:
        return None
    return _best(means, outcome.metric.higher_is_better)


def _best(means: Sequence[float], higher_is_better: bool) -> float:
    return max(means) if higher_is_better else min(means)
