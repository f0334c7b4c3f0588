"""A race's methods, for the appendix of a paper: every setting of its plan, in Markdown.

Settings are read from ``Plan.config``, the plan as plain values. What no sentence here describes is
listed at the end under ``UNDESCRIBED``, so that nothing is left out; a test sees to it that nothing
stands there.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from lstm_baseline.contestants.match import TOLERANCE, UNITS
from lstm_baseline.engine.wording import counted
from lstm_baseline.plots import formats
from lstm_baseline.race.outcomes import RaceOutcome
from lstm_baseline.race.race_statistics import MOST_PAIRS_TRIED_ALL
from lstm_baseline.race.report import bibliography, words
from lstm_baseline.race.report.bibliography import SOFTWARE, Citations
from lstm_baseline.race.report.environment import Environment
from lstm_baseline.race.report.every_run import every_run
from lstm_baseline.race.report.markdown import code_block, escape_markdown, pairs, table, value
from lstm_baseline.runs.spec import FIRST_RERUN_SEED, FIRST_TRIAL_SEED
from lstm_baseline.tasks import GeneratedTask, Task
from lstm_baseline.tasks.ladder import CLEARLY
from lstm_baseline.training import TrainingSettings

UNDESCRIBED = "## Further settings"

_TRAINING: dict[str, tuple[str, str]] = {
    "num_steps": ("{} updates of the parameters", ""),
    "batch_size": ("batches of {} sequences", ""),
    "optimizer": ("the optimizer {}", ""),
    "momentum": ("momentum {} (used by SGD alone)", ""),
    "weight_decay": (
        "a weight decay of {}, decoupled from the gradient, of matrices alone: not of biases, "
        "gains and embeddings",
        "",
    ),
    "learning_rate": ("a peak learning rate of {}", ""),
    "schedule": ("the {} schedule", ""),
    "warmup_steps": ("a linear warm-up over {} updates", ""),
    "clip_norm": ("gradients clipped to a global norm of {}", "gradients that are not clipped"),
    "evaluate_every": ("a validation every {} updates", ""),
    "truncate": ("gradients that reach back {} steps", "gradients through all steps of a sequence"),
    "recompute": (
        "activations computed again in the backward pass",
        "activations stored for the backward pass",
    ),
    "curriculum_steps": (
        "a curriculum of {} updates in which sequences grow to their full length",
        "",
    ),
    "patience": (
        "a stop after {} validations without improvement",
        "no early stop",
    ),
}
"""Phrases of training settings: with a value, and without one (None or False)."""

Config = Mapping[str, Any]


class Methods(NamedTuple):
    """The text, and what it cites."""

    text: str
    cited: tuple[str, ...]
    """Keys of ``bibliography.py``."""


def methods(race: RaceOutcome, environment: Environment) -> Methods:
    """Return how a race was run, with every setting of its plan."""
    config = race.plan.config()
    citations = Citations()
    parts = [
        _lead(race, config, environment, citations),
        *_contestants(race, config, citations),
        *_tasks(race, config, citations),
        *_training(config, citations),
        *_tuning(race, config, citations),
        *_seeds(race, config, citations),
        *_further_tests(race, config),
        *_sweeps(race, config),
        *_scores(race, citations),
        *_verdict(race, config, citations),
        *_software(environment, citations),
        *_undescribed(config),
    ]
    return Methods("\n\n".join(parts) + "\n", tuple(citations.keys))


def _lead(race: RaceOutcome, config: Config, environment: Environment, citations: Citations) -> str:
    names = [_label(name) for name in race.plan.models]
    baseline, *challengers = names
    who = f"{baseline} alone"
    if challengers:
        who = f"{formats.listing(challengers)} with the baseline {baseline}"
    title = f"# Methods: {value(config['title'])}" if config["title"] else "# Methods"
    tasks = counted(len(config["tasks"]), "task")
    return (
        f"{title}\n\nThe race compares {who} on {tasks}. It was run with lstm-baseline "
        f"{escape_markdown(environment.version)}{citations.cite(SOFTWARE)}. What follows was "
        "fixed, in a plan on disk, before the first run, except for what the trials chose; the "
        f"plan's SHA-256 is {race.plan.hash} (format {value(config['format'])})."
    )


def _contestants(race: RaceOutcome, config: Config, citations: Citations) -> list[str]:
    rows = []
    for place, each in enumerate(config["contestants"]):
        model, arguments = str(each["model"]), each["arguments"]
        sources = [*bibliography.OF_MODEL.get(model, ())]
        if sources:
            for name in filter(arguments.get, arguments):
                sources += bibliography.OF_ARGUMENT.get(name, ())
        rest = {
            key: found
            for key, found in each.items()
            if key not in ("name", "model", "arguments", "code")
        }
        rows.append(
            [
                _label(each["name"]),
                "challenger" if place else "baseline",
                f"{value(model)}{citations.cite(*dict.fromkeys(sources))}",
                pairs(dict(arguments)) or "none",
                "part of the package" if each["code"] is None else value(each["code"]),
                *([pairs(rest)] if rest else []),
            ]
        )
    sizes = []
    for task, outcome in zip(config["tasks"], race.trained, strict=True):
        for found, (name, width) in zip(outcome.contestants, task["widths"].items(), strict=True):
            state = formats.NOTHING if found.state_size is None else value(found.state_size)
            fixed = formats.NOTHING if found.num_fixed is None else value(found.num_fixed)
            size = value(found.num_params)
            row = [escape_markdown(outcome.title), _label(name), value(width), size, fixed, state]
            sizes.append(row)
    head = ["contestant", "part", "model", "arguments", "code (SHA-256, first 16 digits)"]
    head += ["further"] * (max(map(len, rows)) - len(head))
    return [
        "## Contestants",
        table(head, rows),
        "The width of each contestant (the hidden size, or the size of a head of a relational RNN) "
        f"was solved so that {_matched(config)}, equal within {TOLERANCE:.0%} on each task. "
        "Held fixed is the count of numbers that a model holds and never trains, state that of "
        "numbers carried from step to step.",
        table(["task", "contestant", "width", "parameters", "held fixed", "state"], sizes),
    ]


def _matched(config: Config) -> str:
    """Say what all contestants have equally much of."""
    about = f"about {value(config['parameters'])} trainable parameters"
    if "match" not in config:
        return f"all have {about}"
    unit = UNITS[config["match"]]
    return f"all have as many {unit} as the baseline has with {about}"


def _tasks(race: RaceOutcome, config: Config, citations: Citations) -> list[str]:
    parts = []
    tasks = zip(config["tasks"], race.trained, strict=True)
    for place, (each, outcome) in enumerate(tasks, start=1):
        task = outcome.task
        stated = ("task", "metric", "widths", "code")
        given = {key: v for key, v in each.items() if key not in stated}
        own = bibliography.OF_TASK.get(task.name, ()) if isinstance(task, GeneratedTask) else ()
        code = (
            "Its class is not part of lstm-baseline; the SHA-256 of its code begins with "
            f"{value(each['code'])}. "
            if "code" in each
            else ""
        )
        ladder = "; ".join(
            f"{escape_markdown(rung.name)} ({rung.kind}: {escape_markdown(rung.description)}) "
            f"{value(rung.score)}"
            for rung in outcome.ladder
        )
        fitted = "; ".join(
            f"{escape_markdown(rung.description)} {value(rung.score)}"
            for rung in outcome.memoryless
        )
        parts.append(
            f"{place}. Task {value(each['task'])}{citations.cite(*own)}: "
            f"{_sentence(task.summary)} {code}Arguments: {pairs(given) or 'none'}. "
            f"{'Tokens' if task.tokens else 'Input features'}: {task.input_size}; "
            f"outputs: {task.output_size}, "
            f"{'at every step' if task.per_step else 'one a sequence'}. "
            f"Loss: {task.loss.replace('_', ' ')}. Metric: {value(each['metric'])} "
            f"({'higher' if outcome.metric.higher_is_better else 'lower'} is better). "
            f"{_samples(task)} Ladder: {ladder or 'none'}. "
            f"Fitted without memory, deciding nothing: {fitted or 'none'}."
        )
    return ["## Tasks", *parts]


def _samples(task: Task) -> str:
    """Return how many samples a task has for what."""
    if isinstance(task, GeneratedTask):
        return (
            "Training samples are drawn afresh for every batch; each seed draws "
            f"{task.validation_size} samples for validation and {task.test_size} for test; the "
            f"ladder is measured on {task.ladder_size} others."
        )
    validation, test = len(task.validation(0).x), len(task.test(0).x)
    return f"With seed 0, {validation} samples are for validation and {test} for test."


def _training(config: Config, citations: Citations) -> list[str]:
    given = config["training"]
    # What weight decay applies to is told where it is drawn as well.
    told = _whole(given) if "weight_decay" in config["tuning"]["space"] else given
    listed = "; ".join(_setting(name, found) for name, found in told.items())
    sources = [
        *bibliography.OF_OPTIMIZER.get(given["optimizer"], ()),
        *bibliography.OF_SCHEDULE.get(given["schedule"], ()),
        *(() if given["clip_norm"] is None else ("pascanu2013",)),
        *(() if given["truncate"] is None else ("williams1990",)),
    ]
    return [
        "## Training",
        f"Every contestant is trained on the task's loss with {listed}{citations.cite(*sources)}, "
        "where nothing else was tuned. Validation keeps the weights with the best metric; among "
        "ties, those with the lowest loss, then the latest; the test score is theirs. What is not "
        "stated, such as the constants of an optimizer, belongs to the version of lstm-baseline.",
    ]


def _setting(name: str, found: object) -> str:
    """Return a training setting in words."""
    with_value, without = _TRAINING.get(name, (f"{name.replace('_', ' ')} {{}}", ""))
    if without and (found is None or found is False):
        return without
    return with_value.replace("{}", value(found))


def _tuning(race: RaceOutcome, config: Config, citations: Citations) -> list[str]:
    given, base = config["tuning"], _whole(config["training"])
    known = ("trials", "space", "drawn", "finalists", "reruns", "double_above")
    further = {k: v for k, v in given.items() if k not in known}
    more = [f"Further settings of the tuning: {pairs(further)}."] if further else []
    title = "## Tuning"
    if not given["trials"]:
        space = f" The search space was {pairs(given['space'])}." if given["space"] else ""
        none = f"Nothing was tuned ({value(given['trials'])} trials): all contestants train with "
        return [title, f"{none}the settings above.{space} {_finalists(given)}", *more]
    space = "; ".join(_drawn_from(name, each, citations) for name, each in given["space"].items())
    draws = [_whole(each) for each in given["drawn"]]
    names = _differing([*draws, *_chosen(race)], base, given["space"])
    drawn = [[str(k), *_values(each, names)] for k, each in enumerate(draws)]
    chosen = [
        [
            escape_markdown(outcome.title),
            _label(found.model),
            *_values(found.settings.model_dump(), names),
            "" if any(trial.score is not None for trial in found.trials) else "no trial finished",
        ]
        for outcome in race.trained
        for found in outcome.contestants
    ]
    shown = [escape_markdown(name) for name in names]
    return [
        title,
        f"Random search{citations.cite('bergstra2012')} with the same {value(given['trials'])} "
        "trials for every contestant on every task, from one search space; trial k draws the same "
        f"settings for all, and has the seed {FIRST_TRIAL_SEED} + k, which no final run has. "
        f"Drawn were, to three significant digits: {space}. Validation samples rank the trials: by "
        "the metric, among ties by the loss, then by their order. No trial sees a test sample. "
        f"{_finalists(given)} As trials are independent, the score that a smaller budget "
        f"would have found is known too{citations.cite('dodge2019', 'tang2020')}.",
        *more,
        "What each trial drew:",
        table(["trial", *shown], drawn),
        "Chosen for the final runs:",
        table(["task", "contestant", *shown, "remark"], chosen),
    ]


def _finalists(given: Config) -> str:
    """Return how trials are run again, and when budgets are doubled."""
    again = f"{value(given['reruns'])} fresh seeds each, from {FIRST_RERUN_SEED} on"
    if not given["finalists"]:
        return (
            f"The best trial is chosen; no trial is run again (finalists {value(0)}, "
            f"reruns {value(given['reruns'])}, doubled above {value(given['double_above'])})."
        )
    text = (
        f"The best {value(given['finalists'])} are run again, on {again}, and the one with the "
        "best median is chosen; of two middle reruns the worse counts, and a failed one is worse "
        "than any."
    )
    if given["double_above"] is None:
        return f"{text} No budget is doubled."
    return (
        f"{text} Where more than {value(given['double_above'])} of the chosen settings' reruns on "
        "a task, all contestants together, still improved at their end, all final runs there have "
        "twice the updates. A run still improved if the last fifth of its updates brought its best "
        "validation up by more than the margin in normalised score, or by 0.01 if the margin is "
        "smaller."
    )


def _whole(settings: Config) -> Config:
    """Return settings with the defaults that a plan leaves out."""
    return {**TrainingSettings().model_dump(), **settings}


def _chosen(race: RaceOutcome) -> list[dict[str, Any]]:
    """Return the settings of all final runs."""
    return [each.settings.model_dump() for outcome in race.trained for each in outcome.contestants]


def _differing(given: Iterable[Config], base: Config, space: Iterable[str]) -> list[str]:
    """Return the settings that are tuned, or differ from those of the plan."""
    found = dict.fromkeys(space)
    for each in given:
        found |= dict.fromkeys(name for name in each if each[name] != base.get(name))
    return list(found)


def _values(settings: Config, names: Sequence[str]) -> list[str]:
    return [value(settings.get(name)) for name in names]


def _drawn_from(name: str, given: Config, citations: Citations) -> str:
    """Return what a setting is drawn from, in words."""
    rest = dict(given)
    if "choices" in rest:
        choices = rest.pop("choices")
        of = {"optimizer": bibliography.OF_OPTIMIZER, "schedule": bibliography.OF_SCHEDULE}
        sources = [key for choice in choices for key in of.get(name, {}).get(choice, ())]
        named = f"{', '.join(map(value, choices))}{citations.cite(*dict.fromkeys(sources))}"
        text = f"one of {named}, with equal chances"
    else:
        low, high, scale = (rest.pop(key) for key in ("low", "high", "scale"))
        text = f"from {value(low)} to {value(high)}, uniform on a {value(scale)} scale"
    return f"{escape_markdown(name)} {text}{f' ({pairs(rest)})' if rest else ''}"


def _seeds(race: RaceOutcome, config: Config, citations: Citations) -> list[str]:
    seeds = config["seeds"]
    return [
        "## Seeds and pairs",
        f"The final runs of each contestant on each task have the {counted(len(seeds), 'seed')} "
        f"{_listed(seeds)}, none of which a trial has had. A seed varies initial weights, the "
        "order of the data and the data themselves, together; contestants share each seed's data, "
        f"so that their runs are pairs{citations.cite('bouthillier2021')}."
        + (
            " A file has one set of test rows for all seeds."
            if any(not isinstance(task, GeneratedTask) for task in race.plan.tasks)
            else ""
        ),
    ]


def _listed(numbers: Sequence[int]) -> str:
    """Return numbers, as a range where they follow one another."""
    if len(numbers) > 2 and list(numbers) == list(range(numbers[0], numbers[0] + len(numbers))):
        return f"{numbers[0]} to {numbers[-1]}"
    return ", ".join(map(str, numbers))


def _further_tests(race: RaceOutcome, config: Config) -> list[str]:
    parts = []
    for each in config.get("further_tests", ()):
        title = escape_markdown(race.trained[each["task"]].title)
        rest = {key: found for key, found in each.items() if key not in ("task", "arguments")}
        parts.append(
            f"The models of task {each['task'] + 1} ({title}) are tested with "
            f"{pairs(each['arguments'])}, too, and have a verdict there as on a task of its own, "
            "with the ladder that is measured there. They are held against its rules alone, not "
            f"against their networks before training.{f' Further: {pairs(rest)}.' if rest else ''}"
        )
    return ["## Further tests", *parts] if parts else []


def _sweeps(race: RaceOutcome, config: Config) -> list[str]:
    parts = []
    for each in config["sweeps"]:
        title = escape_markdown(race.trained[each["task"]].title)
        values = ", ".join(map(value, each["values"]))
        how = (
            "models trained at the task's own value are tested at every value"
            if not each["train"]
            else "models are trained and tested at every value, with the settings tuned at the "
            "task's own"
        )
        known = ("task", "vary", "values", "seeds", "train")
        rest = {key: found for key, found in each.items() if key not in known}
        parts.append(
            f"On task {each['task'] + 1} ({title}) {value(each['vary'])} takes the values "
            f"{values}; {how}, with the seeds {_listed(each['seeds'])}."
            f"{f' Further: {pairs(rest)}.' if rest else ''}"
        )
    return ["## Change with difficulty", *parts] if parts else []


def _scores(race: RaceOutcome, citations: Citations) -> list[str]:
    is_share = any(outcome.metric.perfect == 1 for outcome in race.tasks)
    failed = sum(each.result.status == "failed" for each in every_run(race))
    corrected = (
        f" (of a share, after adding two successes and two failures{citations.cite('agresti1998')})"
        if is_share
        else ""
    )
    return [
        "## Scores and failures",
        "A normalised score is 0 at the best rule of the task's ladder that is not an oracle, and "
        "1 at the oracle, or at a perfect score where there is none. A run has learned if its "
        f"score is better by more than {CLEARLY:g} standard errors{corrected} than every such "
        "rule and than the same network before training; where that network leaves the score no "
        f"room, if its test loss fell by more than {CLEARLY:g} standard errors. A contestant "
        "has learned if more than half of its runs have. A run that failed (not a number, out of "
        "memory, an error) counts with the score of chance and is never left out; a run that ends "
        f"below chance counts as chance too. Of all {len(every_run(race))} runs, trials and sweeps "
        f"included, {failed} failed.",
        *_question_control(race),
    ]


def _question_control(race: RaceOutcome) -> list[str]:
    asking = dict.fromkeys(
        each.spec.task.config()["task"]
        for each in every_run(race)
        if each.result.other_question_score is not None
    )
    if not asking:
        return []
    tasks = formats.listing([value(name) for name in asking])
    return [
        f"As a control, on {tasks} each trained model also got the test samples with another "
        "question put to each. A model uses the question if its score on the true answers then "
        "falls by more than half of the way to what the oracle scores so. The control decides "
        "nothing in the verdict."
    ]


def _verdict(race: RaceOutcome, config: Config, citations: Citations) -> list[str]:
    plan, rule = race.plan, config["verdict"]
    if not plan.challengers:
        return ["## Verdict", f"There is none, with one contestant ({pairs(rule)})."]
    planned = plan.num_comparisons
    judged = counted(len(plan.tasks), "task")
    if plan.further_tests:
        judged += f" and {counted(len(plan.further_tests), 'further test')}"
    made = sum(len(duel.compared) for duel in race.duels)
    pairs_of_runs = len(config["seeds"])
    exact = (
        f"all 2^{pairs_of_runs} sets of pairs are tried"
        if pairs_of_runs <= MOST_PAIRS_TRIED_ALL
        else f"sets of pairs are drawn{citations.cite('phipson2010')}"
    ).replace("^", "\\^")
    rest = {k: v for k, v in rule.items() if k not in ("level", "margin", "num_resamples")}
    parts = [
        "## Verdict",
        words.rule(plan),
        f"The level is {value(rule['level'])}, the margin {value(rule['margin'])} of normalised "
        "score. The test of a mean difference changes the signs of whole pairs"
        f"{citations.cite('fisher1935')}; with {counted(pairs_of_runs, 'pair')} {exact} (from "
        f"{MOST_PAIRS_TRIED_ALL + 1} pairs on {value(rule['num_resamples'])} sets are drawn). Its "
        f"inversion is the interval of the mean difference{citations.cite('hartigan1969')}, whose "
        f"confidence of {escape_markdown(words.confidence(plan.rule))} is that of one comparison "
        f"alone. Holm's method{citations.cite('holm1979')} corrects p over all comparisons that "
        f"are made: {made} of the {planned} planned "
        f"({judged} × {counted(len(plan.challengers), 'challenger')}); a "
        "task that neither learned, or whose best heuristic is perfect, is not compared. "
        "The probability of doing better with a seed is the share of such pairs, ties counting "
        f"half, with an exact interval{citations.cite('clopper1934')}; it decides nothing. "
        + (
            "Equivalence is tested by two one-sided tests"
            f"{citations.cite('schuirmann1987', 'lakens2017')} at the margin."
            if rule["margin"]
            else "Without a margin nothing is found equivalent."
        ),
    ]
    if rest:
        parts.append(f"Further settings of the rule: {pairs(rest)}.")
    return parts


def _software(environment: Environment, citations: Citations) -> list[str]:
    listed = "; ".join(f"{name}: {value(found)}" for name, found in environment.facts().items())
    sources = ["harris2020", *(["paszke2019"] if "PyTorch" in environment.made_with else [])]
    return [
        "## Software and machine",
        f"{listed[0].upper()}{listed[1:]}{citations.cite(*sources)}. Each run trains on one core. "
        "The machine is that which wrote this text; runs may have been carried out on others.",
        "This command reproduces the race:",
        code_block(environment.command),
    ]


def _undescribed(config: Config) -> list[str]:
    """Return what the plan has and nothing above describes."""
    described = (
        *("format", "title", "tasks", "contestants", "parameters", "match"),
        *("training", "tuning", "seeds", "verdict", "sweeps"),
    )
    rest = {key: found for key, found in config.items() if key not in described}
    return [UNDESCRIBED, f"{pairs(rest)}."] if rest else []


def _sentence(text: str) -> str:
    """Return a text with a full stop, unless it ends like a sentence."""
    return f"{escape_markdown(text)}{'' if text.endswith(('.', '?', '!')) else '.'}"


def _label(name: str) -> str:
    return escape_markdown(formats.model_label(name))
