"""Answers to what a conference's checklist asks of experiments.

They are about reproduction, settings, error bars and compute.

Items have their numbers in the paper checklist of NeurIPS; the questions are in our own words.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

from lstm_baseline.engine.wording import counted
from lstm_baseline.plots import formats
from lstm_baseline.race.outcomes import RaceOutcome
from lstm_baseline.race.report import words
from lstm_baseline.race.report.environment import Environment
from lstm_baseline.race.report.every_run import EndedRun, every_run
from lstm_baseline.race.report.markdown import code_block, escape_markdown, table
from lstm_baseline.tasks import GeneratedTask
from lstm_baseline.tasks.own_task import is_own_task


class Cost(NamedTuple):
    """What the runs of a contestant in a stage have cost."""

    stage: str
    contestant: str
    num_runs: int
    num_failed: int
    core_hours: float


def checklist(race: RaceOutcome, environment: Environment) -> str:
    """Return the answers in Markdown."""
    parts = [
        "# Answers for a paper's checklist",
        "The items are those of the NeurIPS paper checklist that ask about experiments, under "
        "their numbers there. The answers are about this race alone: compare them with what your "
        "paper claims.",
        "## 4. Can others reproduce the result?",
        *_reproduction(race, environment),
        "## 6. Are the settings stated, and how they were chosen?",
        *_settings(race),
        "## 7. Are there error bars, and what do they mean?",
        *_error_bars(race),
        "## 8. What computing did it take?",
        *_compute(race, environment),
    ]
    return "\n\n".join(parts) + "\n"


def costs(race: RaceOutcome) -> list[Cost]:
    """Return the cost of every stage and contestant: trials, final runs and sweeps, failed or not.

    A run counts once, with the wall-clock time that its training steps took, on one core.
    """
    found: dict[tuple[str, str], list[EndedRun]] = {}
    for each in every_run(race):
        found.setdefault((each.stage, each.spec.model), []).append(each)
    stages = list(dict.fromkeys(stage for stage, _ in found))
    return [
        _cost(stage, name, found[stage, name])
        for stage in stages
        for name in race.plan.models
        if (stage, name) in found
    ]


def _cost(stage: str, name: str, runs: Sequence[EndedRun]) -> Cost:
    failed = sum(each.result.status == "failed" for each in runs)
    seconds = math.fsum(each.result.seconds for each in runs)
    return Cost(stage, name, len(runs), failed, seconds / 3600)


def _reproduction(race: RaceOutcome, environment: Environment) -> list[str]:
    plan = race.plan
    parts = [
        "Yes. Everything that decides was in `plan.json` before the first run "
        f"(SHA-256 {plan.hash}): tasks, sizes, settings, drawn trials, seeds and the verdict's "
        "rule. Initial weights, order and data of a run are functions of its seed, so that the "
        "same versions repeat its numbers on the same kind of processor. `results.csv` has every "
        "run, trials and failures included, `runs/` what each was specified with and what came "
        "out, with its trained model where that was kept, and `methods.md` says how it was done. "
        f"This command, with lstm-baseline {escape_markdown(environment.version)}, does it again:",
        code_block(environment.command),
    ]
    own = [each.model for each in plan.contestants if each.is_user_class]
    own += [str(task.config()["task"]) for task in plan.tasks if is_own_task(task)]
    files = [task for task in plan.tasks if not isinstance(task, GeneratedTask)]
    if own:
        names = formats.listing(list(map(escape_markdown, dict.fromkeys(own))))
        parts.append(f"It needs code that is not part of lstm-baseline: {names}. Release it.")
    if files:
        names = formats.listing([escape_markdown(task.name) for task in files])
        parts.append(
            f"It needs data that are not part of lstm-baseline: {names}. Release them, or say how "
            "to get them; the plan has the SHA-256 of the files."
        )
    return parts


def _settings(race: RaceOutcome) -> list[str]:
    plan = race.plan
    tuned = (
        f"They were chosen by random search with {counted(plan.tuning.trials, 'trial')} for every "
        "contestant on every task, by validation samples alone; what each trial drew and what was "
        "chosen is stated."
        if plan.tuning.trials
        else "Nothing was tuned: all contestants train with the same settings, fixed beforehand."
    )
    return [
        "Yes: `methods.md` states, for an appendix, each contestant's size and arguments, each "
        "task with its arguments and its samples for validation and test, the optimizer and all "
        f"other settings of training. {tuned} Test samples chose nothing."
    ]


def _error_bars(race: RaceOutcome) -> list[str]:
    plan = race.plan
    if plan.seeds == 1:
        return [
            "No: there is one seed. One run shows what can happen, not what usually does; run the "
            "race with more seeds before you claim a difference."
        ]
    parts = [
        f"Yes{', of two kinds' if plan.challengers else ''}.",
        f"- Scores are given as mean ± sample standard deviation (n − 1) over the runs that "
        f"finished, of {counted(plan.seeds, 'seed')}. It is the deviation between runs, not the "
        "standard error of the mean.",
    ]
    if plan.challengers:
        parts.append(
            "- Differences from the baseline have intervals of "
            f"{escape_markdown(words.confidence(plan.rule))}: the mean over pairs of runs, with "
            "the inversion of a sign-flip test. They assume that differences are symmetric about "
            "their mean, and no normal distribution. In them a run that failed counts as chance. "
            "Tests are corrected by Holm's method over all tasks and challengers; each interval "
            "is that of one comparison alone."
        )
    parts.append(
        "What varies between runs, all together: initial weights, the order of the data, and the "
        "data themselves. Settings were chosen once; the bars do not hold how that choice would "
        "vary."
    )
    if any(not isinstance(task, GeneratedTask) for task in plan.tasks):
        parts.append(
            "Data from a file have one set of test rows for all seeds: the bars say nothing about "
            "other rows."
        )
    if (shortage := plan.shortage()) is not None:
        parts.append(f"Note: {escape_markdown(words.shortage(plan, shortage))}.")
    return parts


def _compute(race: RaceOutcome, environment: Environment) -> list[str]:
    found, here = costs(race), environment.here
    rows = [
        [
            each.stage,
            escape_markdown(formats.model_label(each.contestant)),
            str(each.num_runs),
            str(each.num_failed),
            formats.number(each.core_hours),
        ]
        for each in found
    ]
    total = math.fsum(each.core_hours for each in found)
    sums = (sum(each.num_runs for each in found), sum(each.num_failed for each in found))
    rows.append(["all", "all", *map(str, sums), formats.number(total)])
    peaks = [
        each.result.peak_memory for each in every_run(race) if each.result.peak_memory is not None
    ]
    memory = (
        f" Peak memory of training was at most {formats.memory(max(peaks))} a run." if peaks else ""
    )
    return [
        f"{formats.number(total)} core-hours of training in {counted(sums[0], 'run')}, those that "
        "failed and those that only tuned included. A run trains on one core; "
        f"`results.csv` has the seconds of each.{memory}",
        table(["stage", "contestant", "runs", "of them failed", "core-hours"], rows),
        "Counted is the wall-clock time of training steps, of a run that failed up to its last "
        "validation. Validation and test, and whatever was tried outside this race, come on top: "
        "add what your project took.",
        f"The machine that wrote this: {escape_markdown(environment.processor)}, "
        f"{counted(here.cores, 'core')} in use by this process, "
        f"{escape_markdown(here.platform)}. Runs may have been carried out on others.",
    ]
