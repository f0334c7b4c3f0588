"""Sentences about outcomes: the same in terminal, figures and page."""

import math
from collections.abc import Sequence
from typing import Literal

from lstm_baseline.engine.wording import counted
from lstm_baseline.plots.formats import (
    NOTHING,
    duration,
    listing,
    number,
    printable,
    seeds,
    the,
)
from lstm_baseline.race.outcomes import Comparison, ContestantOutcome, Duel, TaskOutcome
from lstm_baseline.race.plan import Plan, Shortage
from lstm_baseline.race.race_statistics import Interval
from lstm_baseline.race.scores import Spread
from lstm_baseline.race.verdict import Evidence, VerdictRule

Against = Literal["steps", "seconds"]
TIME_AXES: dict[Against, str] = {
    "steps": "training steps",
    "seconds": "seconds of training, on one core",
}
"""Axes that learning curves are drawn against, with their labels."""

_MOST_NAMED = 3


def spread(values: Spread | None) -> str:
    """Return mean ± standard deviation, or the mean alone for a single seed."""
    if values is None:
        return NOTHING
    if values.std is None:
        return number(values.mean)
    return f"{number(values.mean)} ± {number(values.std, like=values.mean)}"


def steps_to_threshold(contestant: ContestantOutcome) -> str:
    """Return the median number of steps to the threshold, or that it was not reached."""
    speed = contestant.speed
    if speed is None:
        return NOTHING
    return f"{speed.steps:,.0f}" if math.isfinite(speed.steps) else "not reached"


def seconds_to_threshold(contestant: ContestantOutcome) -> str:
    """Return the median training time to the threshold, or that it was not reached."""
    speed = contestant.speed
    if speed is None:
        return NOTHING
    return duration(speed.seconds) if math.isfinite(speed.seconds) else "not reached"


def reached(contestant: ContestantOutcome) -> str:
    """Return the number of seeds that reached the threshold."""
    speed = contestant.speed
    return NOTHING if speed is None else f"{speed.reached} of {len(contestant.seeds)}"


def threshold_rule(outcome: TaskOutcome) -> str:
    """Return the meaning of the threshold: as good as a rule, or half way between two."""
    if outcome.best_heuristic is None:
        return "no rule to compare with"
    if outcome.oracle is None:
        return f"as good as {outcome.best_heuristic.name}"
    return f"half way from {outcome.best_heuristic.name} to {outcome.oracle.name}"


def shortage(plan: Plan, found: Shortage) -> str:
    """Return the warning before a race that there are too few seeds for a verdict."""
    comparisons = counted(len(plan.tasks) * len(plan.challengers), "comparison")
    race = "any task" if found.race_too else "any single task, only the race over all tasks"
    return (
        f"{seeds(plan.seeds)} cannot decide {race}: p is at least {found.smallest_p:.3g}, and over "
        f"{comparisons} at a level of {plan.rule.level:g} one has to reach {found.needed_p:.2g}; "
        f"{seeds(found.needed_seeds)} can"
    )


def interval(values: Interval) -> str:
    """Return the ends of an interval around a difference of scores."""
    scale = max(abs(values.low), abs(values.high), 0.1)
    return f"{number(values.low, like=scale)} to {number(values.high, like=scale)}"


def difference(value: float) -> str:
    """Return a difference of normalised scores with three decimals, or more if these are zeros."""
    return number(value, like=max(abs(value), 0.1) if abs(value) >= 0.0005 else None)


def confidence(rule: VerdictRule) -> str:
    """Return the confidence of the rule's intervals."""
    return f"{100 * (1 - rule.level):g}%"


def p_value(evidence: Evidence) -> str:
    """Return a p-value after Holm's correction."""
    p = evidence.adjusted_p_value
    return f"{p:.3g}" if p >= 1e-4 else "< 0.0001"


def verdicts(plan: Plan, duels: Sequence[Duel]) -> list[str]:
    """Return the outcome of a race: a sentence for each challenger, or one if there is none."""
    if not duels:
        return [f"No verdict: {the(plan.baseline)} raced alone."]
    return [verdict(plan, duel) for duel in duels]


def verdict(plan: Plan, duel: Duel) -> str:
    """Return the outcome of a duel in one quotable sentence."""
    one, other = the(duel.challenger), the(duel.baseline)
    evidence = None if duel.overall is None else duel.overall.evidence
    if evidence is None:
        return f"No verdict on {one} against {other}: {_why_not_compared(plan, duel)}."
    assert duel.challenger_score is not None
    assert duel.baseline_score is not None
    ahead, behind = _ahead(duel, evidence)
    scores = sorted((duel.challenger_score, duel.baseline_score), reverse=True)
    lead = _lead(evidence.difference)
    high, low = (number(score, like=max(abs(score), 0.1)) for score in scores)
    figures = (
        f"interquartile mean {high} to {low} {_where(plan, duel)}, {confidence(plan.rule)} "
        f"interval of the difference {interval(lead)}, {_p(evidence)}"
    )
    by = f"by {difference(lead.estimate)} in normalised score"
    if duel.verdict == "challenger wins":
        return _sentence(f"{ahead} beats {behind} {by}: {figures}")
    if duel.verdict == "baseline wins":
        return f"The baseline wins: {ahead} beats {behind} {by}, {figures}."
    if lead.estimate == 0:
        return f"Inconclusive: {one} and {other} are level in normalised score ({figures})."
    why = _why_inconclusive(plan, duel)
    return f"Inconclusive: {ahead} leads {behind} {by} ({figures}), but {why}."


def task_verdict(duel: Duel, task: Comparison) -> str:
    """Return who won a task, in two or three words."""
    if task.evidence is None:
        return "not compared"
    if task.verdict == "inconclusive":
        return "inconclusive"
    winner, _ = _ahead(duel, task.evidence)
    return f"{winner} wins"


def task_reason(plan: Plan, duel: Duel, task: Comparison) -> str:
    """Return the reason for the verdict on a task."""
    evidence = task.evidence
    if evidence is None:
        return barrier(task, duel)
    lead = _lead(evidence.difference)
    figures = f"{confidence(plan.rule)} interval {interval(lead)}, {_p(evidence)}"
    by = f"by {difference(lead.estimate)} ({figures})"
    if task.verdict != "inconclusive":
        return by
    if lead.estimate == 0:
        return f"level ({figures})"
    ahead, _ = _ahead(duel, evidence)
    return f"{ahead} leads {by}, but {unmet(plan, task)}"


def barrier(task: Comparison, duel: Duel) -> str:
    """Return the reason why two contestants are not compared on a task."""
    return {
        "neither learned": "neither learned",
        "only the challenger learned": f"only {the(duel.challenger)} learned",
        "only the baseline learned": f"only {the(duel.baseline)} learned",
        "no ceiling": "its best heuristic is perfect already",
        None: "one seed is no comparison",
    }[task.barrier]


def unmet(plan: Plan, comparison: Comparison) -> str:
    """Return the conditions of a win that were not met."""
    assert comparison.evidence is not None
    rule, evidence = plan.rule, comparison.evidence
    estimate = evidence.probability.estimate
    share = 1 - estimate if evidence.difference.estimate < 0 else estimate
    texts = {
        "direction": "the mean over all tasks points the other way",
        "significance": f"p is above {rule.level:g}",
        "margin": (
            f"the interval does not clear the margin of {rule.margin:g}"
            if rule.margin
            else "the interval includes 0"
        ),
        "probability": (
            f"the share of pairs won is {100 * share:.3g}%, short of {100 * rule.probability:g}%"
        ),
        "probability interval": "winning just half of the pairs is not ruled out",
    }
    conditions = list(comparison.unmet)
    if "probability" in conditions and "probability interval" in conditions:
        conditions.remove("probability interval")  # it adds nothing to "probability"
    return listing([texts[condition] for condition in conditions])


def rule(plan: Plan) -> str:
    """Return the rule of the verdict in words."""
    rule = plan.rule
    beyond = f"beyond {rule.margin:g}" if rule.margin else "on one side of 0"
    return (
        f"The contestant that is ahead wins if p is at most {rule.level:g} in a paired permutation "
        "test (corrected by Holm's method over all comparisons of its kind), the "
        f"{confidence(rule)} interval of the difference in normalised score lies entirely "
        f"{beyond}, and it wins at least {100 * rule.probability:g}% of the paired runs, ties "
        f"counting half, with a {confidence(rule)} interval above 50%. Over all tasks, "
        "interquartile means are compared, and the mean has to agree in sign. Everything else is "
        "inconclusive. Only tasks that both learned are compared. A contestant that failed to "
        "learn a task that the other one learned cannot win."
    )


def _p(evidence: Evidence) -> str:
    text = p_value(evidence)
    return f"p {text}" if text.startswith("<") else f"p = {text}"


def _sentence(text: str) -> str:
    """Return a text as a sentence; a name that a user gave keeps its first letter."""
    start = "The" if text.startswith("the ") else text[:3]
    return f"{start}{text[3:]}."


def _ahead(duel: Duel, evidence: Evidence) -> tuple[str, str]:
    """Return the contestant that is ahead and the one that is behind."""
    one, other = the(duel.challenger), the(duel.baseline)
    return (one, other) if evidence.difference.estimate >= 0 else (other, one)


def _lead(values: Interval) -> Interval:
    """Return a difference from the point of view of the one who is ahead."""
    if values.estimate >= 0:
        return values
    return Interval(-values.estimate, -values.high, -values.low)


def _where(plan: Plan, duel: Duel) -> str:
    """Return the tasks and seeds that a verdict is based on."""
    compared, total = duel.compared, len(plan.tasks)
    runs = f"with {counted(plan.seeds, 'paired seed')}"
    some = any(task.barrier == "no ceiling" for task in duel.tasks)
    which = "that allow a comparison" if some else "that both learned"
    if len(compared) == total:
        place = f"over {counted(total, 'task')}" if total > 1 else f"on {compared[0].title}"
    elif len(compared) == 1:
        which = which.replace("allow", "allows")
        place = f"on {compared[0].title}, the only one of {total} tasks {which},"
    else:
        place = f"over the {len(compared)} of {total} tasks {which},"
    return printable(f"{place} {runs}")


def _why_not_compared(plan: Plan, duel: Duel) -> str:
    if plan.seeds < 2:
        return "one seed shows what can happen, not what usually does"
    texts = {
        "neither learned": "neither learned {}",
        "only the challenger learned": f"only {the(duel.challenger)} learned {{}}",
        "only the baseline learned": f"only {the(duel.baseline)} learned {{}}",
        "no ceiling": "a heuristic is perfect already on {}",
    }
    parts = []
    for kind, text in texts.items():
        titles = [task.title for task in duel.tasks if task.barrier == kind]
        if titles:
            before, after = text.split("{}")
            parts.append(f"{before}{_some(titles, len(duel.tasks), kind)}{after}")
    return "; ".join(parts)


def _some(titles: Sequence[str], total: int, kind: str) -> str:
    """Return the names of tasks, or their number if there are many."""
    if len(titles) <= _MOST_NAMED:
        if len(titles) > 1 and kind == "neither learned":
            return f"{', '.join(map(printable, titles[:-1]))} or {printable(titles[-1])}"
        return listing([printable(title) for title in titles])
    if len(titles) < total:
        return f"{len(titles)} of {total} tasks"
    return f"any of the {total} tasks" if kind == "neither learned" else f"all {total} tasks"


def _why_inconclusive(plan: Plan, duel: Duel) -> str:
    assert duel.overall is not None
    assert duel.overall.evidence is not None
    if not duel.disqualified:
        return unmet(plan, duel.overall)
    ahead, behind = _ahead(duel, duel.overall.evidence)
    tasks = listing([printable(title) for title in duel.disqualified])
    return f"{ahead} did not learn {tasks}, which {behind} did"
