"""Verdicts as symbols with a word, and the conditions that they rest on."""

import math
from typing import NamedTuple

from lstm_baseline.engine.wording import counted
from lstm_baseline.plots.formats import model_label, printable
from lstm_baseline.race.outcomes import Comparison, Duel, RaceOutcome, TaskOutcome
from lstm_baseline.race.plan import Plan
from lstm_baseline.race.report import words
from lstm_baseline.race.verdict import Evidence, TaskVerdict, Verdict, VerdictRule

_FEW_SEEDS = 10


class Mark(NamedTuple):
    """A verdict as a symbol with a word, so that it can be told without its colour."""

    kind: str
    """Name by which a page styles it."""
    symbol: str
    word: str


class Count(NamedTuple):
    """Tasks with one verdict."""

    mark: Mark
    number: int
    names: str
    """Names of the first few."""


class Check(NamedTuple):
    """A condition with its value against its limit."""

    is_met: bool
    text: str

    @property
    def symbol(self) -> str:
        """A tick or a cross."""
        return "✓" if self.is_met else "✗"


_NO_VERDICT = Mark("none", "–", "no verdict")
_RACE_MARKS: dict[Verdict, Mark] = {
    "challenger wins": Mark("wins", "↑", "wins"),
    "challenger ahead": Mark("ahead", "↗", "ahead"),
    "equivalent": Mark("equivalent", "=", "equivalent"),
    "mixed": Mark("mixed", "↕", "mixed"),
    "open": Mark("open", "?", "open"),
    "baseline ahead": Mark("behind", "↘", "behind"),
    "baseline wins": Mark("loses", "↓", "loses"),
}
_NOT_COMPARED = Mark("none", "–", "not compared")
_TASK_MARKS: dict[TaskVerdict, Mark] = {
    "challenger better": Mark("better", "↑", "better"),
    "baseline better": Mark("worse", "↓", "worse"),
    "equivalent": Mark("equivalent", "=", "equivalent"),
    "undecided": Mark("undecided", "?", "undecided"),
}
_MOST_LISTED = 4
"""Tasks of one verdict that are named next to their count."""


def race_mark(duel: Duel) -> Mark:
    """Return the verdict of the race on a challenger."""
    return _RACE_MARKS[duel.verdict] if duel.compared else _NO_VERDICT


def task_mark(task: Comparison) -> Mark:
    """Return the verdict of a task on a challenger."""
    return _NOT_COMPARED if task.evidence is None else _TASK_MARKS[task.verdict]


def counts(duel: Duel) -> list[Count]:
    """Return how many tasks have each verdict, and which."""
    found = []
    for mark in (*_TASK_MARKS.values(), _NOT_COMPARED):
        titles = [printable(task.title) for task in duel.tasks if task_mark(task) == mark]
        named = titles[:_MOST_LISTED]
        if len(titles) > _MOST_LISTED:
            named.append(f"{len(titles) - _MOST_LISTED} more")
        if titles:
            found.append(Count(mark, len(titles), ", ".join(named)))
    return found


def failures_counted(duel: Duel, outcome: TaskOutcome) -> str:
    """Return how many failed runs are in a difference, as chance; empty if there is none."""
    both = outcome.of(duel.challenger), outcome.of(duel.baseline)
    failed = sum(len(each.failures) for each in both)
    return f"{counted(failed, 'failed run')} counted as chance" if failed else ""


def caveats(race: RaceOutcome, duel: Duel) -> str:
    """Return how far to trust the outcome of a duel: seeds, tuning, failures, budget."""
    plan = race.plan
    both = [task.of(name) for task in race.tasks for name in (duel.challenger, duel.baseline)]
    runs = sum(len(each.seeds) for each in both)
    failed = sum(len(each.failures) for each in both)
    improved = sum(each.num_still_improved for each in both)
    parts = [counted(plan.seeds, "paired seed")]
    parts[0] += ": a first look" if plan.seeds < _FEW_SEEDS else ""
    trials = counted(plan.tuning.trials, "tuning trial")
    parts.append(f"{trials} each" if plan.tuning.trials else "nothing tuned")
    parts.append(f"{failed} of {runs} runs failed" if failed else "no run failed")
    if improved:
        parts.append(f"{improved} of {runs} runs still improved when they ended")
    return f"{'; '.join(parts)}."


def checks(plan: Plan, duel: Duel, task: Comparison, outcome: TaskOutcome) -> list[Check]:
    """Return the conditions that the verdict on a task rests on, of whoever is ahead.

    Undecided: all. Equivalent: the one that says so. Not compared: what is in the way.
    """
    evidence = task.evidence
    if evidence is None:
        return [Check(False, _in_the_way(plan, duel, task, outcome))]
    if task.verdict == "equivalent":
        return [_equivalence(plan.rule, evidence)]
    found = _better(plan.rule, evidence)
    if task.verdict == "undecided" and plan.rule.margin:
        found.append(_equivalence(plan.rule, evidence))
    return found


def _better(rule: VerdictRule, evidence: Evidence) -> list[Check]:
    unmet = rule.unmet(evidence)
    start = words.lead(evidence.difference).low
    is_beyond = "margin" not in unmet
    beyond = f"the interval is unbounded, the margin {rule.margin:g}"
    if math.isfinite(start):
        sign = ">" if is_beyond else "≤"
        value = _apart(start, rule.margin, words.difference(start))
        beyond = f"nearer end of the interval {value} {sign} {rule.margin:g}"
    return [
        _p_check("p", evidence.adjusted_p_value, rule, "significance" not in unmet),
        Check(is_beyond, beyond),
    ]


def _equivalence(rule: VerdictRule, evidence: Evidence) -> Check:
    p = evidence.adjusted_equivalence_p_value
    return _p_check(f"within ±{rule.margin:g}: p", p, rule, p <= rule.level)


def _p_check(lead: str, p: float, rule: VerdictRule, is_met: bool) -> Check:
    value = _apart(p, rule.level, f"{p:.3g}") if p >= 1e-4 else "< 0.0001"
    return Check(is_met, f"{lead} {value} {'≤' if is_met else '>'} {rule.level:g}")


def _apart(value: float, limit: float, text: str) -> str:
    """Return a value with digits enough to tell it from a limit that it is not."""
    if float(text.replace("−", "-").replace(",", "")) == limit != value:
        return f"{value:.6g}".replace("-", "−")
    return text


def _in_the_way(plan: Plan, duel: Duel, task: Comparison, outcome: TaskOutcome) -> str:
    if task.barrier is None:
        return f"{counted(plan.seeds, 'paired seed')}, 2 needed"
    if task.barrier == "no ceiling":
        return words.barrier(task)
    learned = [
        f"{model_label(name)} {outcome.of(name).num_learned} of {plan.seeds}"
        for name in (duel.challenger, duel.baseline)
    ]
    return f"runs that learned: {', '.join(learned)}; {plan.seeds // 2 + 1} needed"
