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
from lstm_baseline.race.outcomes import (
    Comparison,
    ContestantOutcome,
    Duel,
    TaskOutcome,
    Trial,
)
from lstm_baseline.race.plan import Chosen, Plan, Shortage
from lstm_baseline.race.race_statistics import Interval
from lstm_baseline.race.scores import Spread
from lstm_baseline.race.verdict import Condition, Evidence, TaskVerdict, VerdictRule

Against = Literal["steps", "seconds"]
TIME_AXES: dict[Against, str] = {
    "steps": "training steps",
    "seconds": "seconds of training, on one core",
}
"""Axes that learning curves are drawn against, with their labels."""

MOST_NAMED = 3
MOST_SEEDS = 200
"""Estimates of seeds needed beyond this one say no more than that it is out of reach."""


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


def solvable_without_memory(outcome: TaskOutcome) -> str:
    """Return that a model without memory comes near a contestant."""
    names = listing([the(name) for name in outcome.near_memoryless])
    best = outcome.memoryless[-1]
    return (
        f"Solvable without memory: {best.description} scores {number(best.score)}, no less or "
        f"hardly less than {names}."
    )


def shortage(plan: Plan, found: Shortage) -> str:
    """Return the warning before a race that there are too few seeds for a verdict."""
    comparisons = counted(plan.num_comparisons, "comparison")
    return (
        f"{seeds(plan.seeds)} cannot decide any task: p is at least {found.smallest_p:.3g}, and "
        f"over {comparisons} at a level of {plan.rule.level:g} one has to reach "
        f"{found.needed_p:.2g}; "
        f"{seeds(found.needed_seeds)} can"
    )


def power(plan: Plan) -> str:
    """Return what a race of this plan would probably find."""
    margin = f" beyond the margin of {plan.rule.margin:g}" if plan.rule.margin else ""
    return (
        f"power: with {seeds(plan.seeds)} and "
        f"{counted(plan.num_comparisons, 'comparison')}, a difference of one "
        f"standard deviation{margin} is found on a task in about {100 * plan.power:.0f}% of races"
    )


def longer_budgets(plan: Plan, chosen: Chosen) -> list[str]:
    """Return a line for each task whose final runs get more steps than planned."""
    return [
        f"{printable(task.name)}: reruns still improved when they ended, so everyone's final runs "
        f"get {steps:,} steps"
        for place, task in enumerate(plan.tasks)
        if (steps := chosen[place, plan.baseline].num_steps) > plan.settings.num_steps
    ]


def share(values: Interval) -> str:
    """Return the ends of an interval around a share."""
    return f"{100 * values.low:.0f}–{100 * values.high:.0f}%"


def uses_question(contestant: ContestantOutcome) -> str:
    """Return whether a contestant's answers depend on the question; empty if that is unknown."""
    if contestant.uses_question is None:
        return ""
    using, known = contestant.uses_question
    if using in (0, known):
        return "yes" if using else "no"
    return f"in {using} of {known} runs"


def is_chosen(trial: Trial, contestant: ContestantOutcome) -> bool:
    """Return whether a contestant's final runs have a trial's settings, but for their budget."""
    budget = {"num_steps": trial.settings.num_steps}
    return trial.settings == contestant.settings.model_copy(update=budget)


def edges(plan: Plan, contestant: ContestantOutcome) -> str:
    """Return the chosen settings that lie at an edge of the search space; empty if none does."""
    if not contestant.trials:
        return ""
    found = plan.tuning.at_edge(contestant.settings)
    named = [f"{each.replace('_', ' ')} {getattr(contestant.settings, each):g}" for each in found]
    return listing(named) if named else ""


def interval(values: Interval) -> str:
    """Return the ends of an interval around a difference of scores."""
    if not math.isfinite(values.low):
        return "unbounded with so few seeds"
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
    """Return the outcome of a duel in one quotable sentence: what was decided, and where."""
    one, other = the(duel.challenger), the(duel.baseline)
    if not duel.compared:
        return f"No verdict on {one} against {other}: {_why_not_compared(plan, duel)}."
    parts = [f"{text} {titles}" for kind, text in _DECIDED if (titles := _titles(duel, kind))]
    if duel.verdict == "equivalent":
        parts = []  # the lead says it
    parts += _barred(duel)
    lead = {
        "challenger wins": f"{one} wins against {other}",
        "challenger ahead": f"{one} is ahead of {other}",
        "equivalent": f"{one} and {other} are equivalent on {_titles(duel, 'equivalent')}",
        "mixed": f"Mixed, {one} against {other}",
        "open": f"Open, {one} against {other}",
        "baseline ahead": f"{one} is behind {other}",
        "baseline wins": f"{one} loses against {other}",
    }[duel.verdict]
    what = f"{lead}: {', '.join(parts)}" if parts else lead
    return _sentence(f"{what} ({counted(plan.seeds, 'paired seed')}, {_budget(duel)})")


def _budget(duel: Duel) -> str:
    """Return the number of steps that a duel's runs had."""
    budgets = sorted({task.num_steps for task in duel.tasks})
    most = f"{budgets[-1]:,}"
    steps = most if len(budgets) == 1 else f"{budgets[0]:,} to {most}"
    still = [task.title for task in duel.tasks if task.still_improved]
    at_least = f"; at this budget: many runs on {some(still, len(duel.tasks))} still improved"
    return f"{steps} steps{at_least if still else ''}"


_DECIDED: tuple[tuple[TaskVerdict, str], ...] = (
    ("challenger better", "better on"),
    ("baseline better", "worse on"),
    ("equivalent", "equivalent on"),
    ("undecided", "undecided on"),
)


def over_tasks(plan: Plan, duel: Duel) -> str:
    """Return the mean difference over tasks in a sentence; nothing is decided by it."""
    if duel.overall is None or len(duel.compared) < 2:
        return ""
    mean, without = duel.overall
    ends = sorted(without)
    return (
        f"Over the {len(duel.compared)} tasks compared, the mean difference {the(duel.challenger)} "
        f"− {the(duel.baseline)} is {difference(mean.estimate)} in normalised score "
        f"({confidence(plan.rule)} interval {interval(mean)}); with any one task left out it is "
        f"between {difference(ends[0])} and {difference(ends[-1])}."
    )


def task_verdict(duel: Duel, task: Comparison) -> str:
    """Return the verdict on a task, in a few words."""
    if task.evidence is None:
        return "not compared"
    return {
        "challenger better": f"{the(duel.challenger)} is better",
        "baseline better": f"{the(duel.baseline)} is better",
        "equivalent": "equivalent",
        "undecided": "undecided",
    }[task.verdict]


def task_reason(plan: Plan, duel: Duel, task: Comparison) -> str:
    """Return the reason for the verdict on a task."""
    evidence = task.evidence
    if evidence is None:
        return barrier(task)
    found = _task_reason(plan, duel, task, evidence)
    only = {"challenger": the(duel.challenger), "baseline": the(duel.baseline)}.get(task.learned)
    return found if only is None else f"{found}; only {only} learned it"


def _task_reason(plan: Plan, duel: Duel, task: Comparison, evidence: Evidence) -> str:
    found = lead(evidence.difference)
    figures = f"{confidence(plan.rule)} interval {interval(found)}, {_p(evidence)}"
    by = f"by {difference(found.estimate)} ({figures})"
    if task.verdict == "equivalent":
        apart = f"{difference(found.estimate)} apart"
        return f"{apart}, {confidence(plan.rule)} interval within ±{plan.rule.margin:g}"
    if task.verdict != "undecided":
        return by
    leads = f"level ({figures})"
    if found.estimate != 0:
        leads = f"{_ahead(duel, evidence)[0]} leads {by}, but {unmet(plan, task)}"
    return f"{leads}; {_seeds_needed(plan, evidence)}"


def barrier(task: Comparison) -> str:
    """Return the reason why two contestants are not compared on a task."""
    return {
        "neither learned": "neither learned",
        "no ceiling": "its best heuristic is perfect already",
        None: "one seed is no comparison",
    }[task.barrier]


def unmet(plan: Plan, comparison: Comparison) -> str:
    """Return the conditions of being better that were not met."""
    rule = plan.rule
    texts: dict[Condition, str] = {
        "significance": f"p is above {rule.level:g}",
        "margin": (
            f"the interval does not clear the margin of {rule.margin:g}"
            if rule.margin
            else "the interval includes 0"
        ),
    }
    return listing([texts[condition] for condition in comparison.unmet])


def rule(plan: Plan) -> str:
    """Return the rule of the verdict in words."""
    rule = plan.rule
    beyond = f"beyond {rule.margin:g}" if rule.margin else "on one side of 0"
    equivalent = (
        f"They are equivalent there if the interval lies within ±{rule.margin:g}, by two one-sided "
        "tests corrected in the same way. "
        if rule.margin
        else ""
    )
    return (
        f"A contestant is better on a task if p is at most {rule.level:g} in a paired sign-flip "
        "test (corrected by Holm's method over all tasks and challengers) and the "
        f"{confidence(rule)} interval of the mean difference in normalised score lies entirely "
        f"{beyond}. {equivalent}Everything else is undecided. A contestant wins if it is better on "
        "every task that is not equivalent, and is ahead if it is better on some and worse on "
        "none. A task that one of the two learned is compared; one that neither learned decides "
        "nothing."
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


def lead(values: Interval) -> Interval:
    """Return a difference from the point of view of the one who is ahead."""
    if values.estimate >= 0:
        return values
    return Interval(-values.estimate, -values.high, -values.low)


def _seeds_needed(plan: Plan, evidence: Evidence) -> str:
    """Return how many seeds would probably decide a task."""
    needed = evidence.seeds_needed
    if needed is None or needed > MOST_SEEDS:
        return f"more than {MOST_SEEDS} seeds would be needed, by the spread seen"
    more = max(needed, plan.seeds + 1)
    return f"about {more} seeds would probably decide, by the spread seen"


def _titles(duel: Duel, kind: TaskVerdict) -> str:
    """Return the tasks with a verdict, named, or counted if there are many."""
    return some([task.title for task in duel.compared if task.verdict == kind], len(duel.tasks))


def _barred(duel: Duel) -> list[str]:
    """Return what keeps tasks from being compared, with their names."""
    parts = []
    for kind, text in (
        ("neither learned", "neither learned"),
        ("no ceiling", "a heuristic is perfect already on"),
    ):
        titles = [task.title for task in duel.tasks if task.barrier == kind]
        if titles:
            named = some(titles, len(duel.tasks), negated=kind == "neither learned")
            parts.append(f"{text} {named}")
    return parts


def _why_not_compared(plan: Plan, duel: Duel) -> str:
    if plan.seeds < 2:
        return "one seed shows what can happen, not what usually does"
    return ", ".join(_barred(duel))


def some(titles: Sequence[str], total: int, *, negated: bool = False) -> str:
    """Return the names of tasks, or their number if there are many; nothing without any."""
    if not titles:
        return ""
    if len(titles) <= MOST_NAMED:
        *others, last = map(printable, titles)
        return f"{', '.join(others)} {'or' if negated else 'and'} {last}" if others else last
    if len(titles) < total:
        return f"{len(titles)} of {total} tasks"
    return f"any of the {total} tasks" if negated else f"all {total} tasks"


def _spread_of(plan: Plan) -> str:
    """Return what the numbers of the table of tasks × contestants are."""
    if plan.seeds == 1:
        return "The score of one seed."
    return f"Mean ± standard deviation over {seeds(plan.seeds)}."


def best_mean(plan: Plan) -> str:
    """Return what the best number of a row in the table of tasks × contestants is called."""
    return "best score" if plan.seeds == 1 else "best mean"


def matrix_key(plan: Plan, duels: Sequence[Duel], outcomes: Sequence[TaskOutcome]) -> str:
    """Return how to read the table of tasks × contestants."""
    parts = [_spread_of(plan)]
    if any(duel.compared for duel in duels):
        baseline = the(duels[0].baseline)
        parts += [
            f"Arrows and signs: the verdict by the rule, against {baseline}.",
            f"Bold: a challenger that is better than {baseline} by the rule, and {baseline} where "
            "it is better than every challenger.",
        ]
    if duels:
        best = best_mean(plan)
        parts.append(f"{best.capitalize()}: among those that learned; it decides nothing.")
    if any(not each.learned for outcome in outcomes for each in outcome.contestants):
        parts.append("†: did not learn.")
    return " ".join(parts)
