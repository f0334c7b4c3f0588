"""Summaries of a race's runs, judged by the ladders of its tasks."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from statistics import median

from lstm_baseline.plots.formats import value_label
from lstm_baseline.race import scores
from lstm_baseline.race.outcomes import (
    ContestantOutcome,
    Point,
    Runs,
    SeedOutcome,
    SweepOutcome,
    TaskOutcome,
    Trial,
)
from lstm_baseline.race.plan import Chosen, Finalists, Plan, Sweep
from lstm_baseline.race.tuning import ValidationScore, median_score, rank
from lstm_baseline.runs.run import RunResult
from lstm_baseline.runs.spec import FIRST_TRIAL_SEED, RunSpec
from lstm_baseline.tasks import GeneratedTask, Task
from lstm_baseline.tasks.base import Rung
from lstm_baseline.tasks.ladder import has_learned, normalise
from lstm_baseline.training import TrainingSettings


def choose_finalists(plan: Plan, trials: Runs) -> Finalists:
    """Return the settings of each contestant's best trials on each task, best first.

    There are none where no trial finished, and without ``tuning.finalists`` in the plan.
    """
    return {
        # Two trials may have drawn the same settings.
        who: list(dict.fromkeys(settings))[: plan.tuning.finalists]
        for who, settings in _ranked(plan, trials).items()
    }


def choose_settings(plan: Plan, trials: Runs, reruns: Runs = ()) -> Chosen:
    """Return the settings that each contestant's trials and reruns chose on each task.

    Without trials, or if none finished, these are the plan's own settings. The steps of a task are
    doubled for everyone where the plan's share of the chosen settings' reruns still improved.
    """
    chosen = {
        (place, name): _best(plan.tasks[place], name, settings, reruns) or plan.settings
        for (place, name), settings in _ranked(plan, trials).items()
    }
    doubled = {
        place for place in range(len(plan.tasks)) if _is_doubled(plan, place, chosen, reruns)
    }
    return {
        (place, name): settings.model_copy(update={"num_steps": 2 * settings.num_steps})
        if place in doubled
        else settings
        for (place, name), settings in chosen.items()
    }


def still_improved(plan: Plan, spec: RunSpec, result: RunResult, ladder: Sequence[Rung]) -> bool:
    """Return whether a run still improved when its steps ended."""
    if result.status == "failed":
        return False
    num_steps, metric = spec.settings.num_steps, spec.task.metric
    return scores.still_improved(result.history, num_steps, ladder, metric, plan.rule.margin)


def _ranked(plan: Plan, trials: Runs) -> dict[tuple[int, str], list[TrainingSettings]]:
    """Return the settings of the trials that finished, best first."""
    drawn = plan.tuning.settings(plan.settings)
    finished: dict[tuple[int, str], dict[int, ValidationScore]] = {
        (place, name): {} for place in range(len(plan.tasks)) for name in plan.models
    }
    for spec, result in trials:
        if (score := _validation_score(result)) is not None:
            of = plan.tasks.index(spec.task), spec.model
            finished[of][spec.seed - FIRST_TRIAL_SEED] = score
    return {
        (place, name): [
            drawn[k]
            for k in rank(found, higher_is_better=plan.tasks[place].metric.higher_is_better)
        ]
        for (place, name), found in finished.items()
    }


def _best(
    task: Task, name: str, ranked: Sequence[TrainingSettings], reruns: Runs
) -> TrainingSettings | None:
    """Return the settings whose reruns have the best median, or those of the best trial."""
    found: dict[int, list[ValidationScore | None]] = {}
    for spec, result in reruns:
        if spec.task is task and spec.model == name:
            found.setdefault(ranked.index(spec.settings), []).append(_validation_score(result))
    direction = task.metric.higher_is_better
    medians = {k: median_score(each, higher_is_better=direction) for k, each in found.items()}
    finished = {k: median for k, median in medians.items() if median is not None}
    best = rank(finished, higher_is_better=direction) or list(range(len(ranked)))
    return ranked[best[0]] if best else None


def _is_doubled(plan: Plan, place: int, chosen: Chosen, reruns: Runs) -> bool:
    task, limit = plan.tasks[place], plan.tuning.double_above
    of_chosen = [
        (spec, result)
        for spec, result in reruns
        if spec.task is task and spec.settings == chosen[place, spec.model]
    ]
    if limit is None or not of_chosen:
        return False
    ladders = _ladders(task, {spec.seed for spec, _ in of_chosen})
    improving = [
        still_improved(plan, spec, result, ladders[spec.seed]) for spec, result in of_chosen
    ]
    return sum(improving) > limit * len(improving)


def _validation_score(result: RunResult) -> ValidationScore | None:
    if result.validation_score is None:
        return None
    return ValidationScore(result.validation_score, result.validation_loss)


def summarise(plan: Plan, finals: Runs, trials: Runs = (), reruns: Runs = ()) -> list[TaskOutcome]:
    """Judge every final run by its task's ladder.

    Parameters
    ----------
    plan
        Plan of the race.
    finals, trials, reruns
        Its runs and their results.

    Returns
    -------
    An outcome for each task of the plan, followed by those of its further tests; contestants and
    seeds are in the plan's order.
    """
    outcomes = []
    of_judged = iter(titles(plan.judged))
    for task in plan.tasks:
        of_task = [(spec, result) for spec, result in finals if spec.task is task]
        ladders = _ladders(task, {spec.seed for spec, _ in of_task})
        oracle_on_others = task.oracle_on_other_questions()
        contestants = tuple(
            _contestant(
                [
                    _seed_outcome(plan, spec, result, ladders[spec.seed], oracle_on_others)
                    for spec, result in of_task
                    if spec.model == model
                ],
                *(
                    tuple(
                        Trial(spec, result)
                        for spec, result in tuning
                        if spec.task is task and spec.model == model
                    )
                    for tuning in (trials, reruns)
                ),
            )
            for model in plan.models
        )
        ladder = tuple(scores.mean_ladder(list(ladders.values()), task.metric))
        outcomes.append(TaskOutcome(task, next(of_judged), ladder, contestants))
        for place, test in enumerate(plan.tests_of(task)):
            outcomes.append(_in_further_test(outcomes[-1 - place], test, place, next(of_judged)))
    return outcomes


def further_test_curves(plan: Plan, tasks: Sequence[TaskOutcome]) -> list[SweepOutcome]:
    """Gather the scores of further tests that differ in one argument alone, with the task's own."""
    curves = []
    for task in plan.tasks:
        tests = [test for test in plan.further_tests if test.trained is task]
        arguments = sorted({next(iter(t.arguments)) for t in tests if len(t.arguments) == 1})
        for name in arguments:
            shown = [task, *(t.task for t in tests if list(t.arguments) == [name])]
            found = [next(each for each in tasks if each.task is one) for one in shown]
            values = tuple(one.config()[name] for one in shown)
            curves.append(
                SweepOutcome(
                    Sweep(task, name, values, plan.seeds, train=False),
                    found[0].title,
                    tuple(each.ladder for each in found),
                    {
                        model: tuple(
                            Point(
                                each.of(model).scores,
                                tuple(seed.normalised for seed in each.of(model).seeds),
                            )
                            for each in found
                        )
                        for model in plan.models
                    },
                    (),
                )
            )
    return curves


def _in_further_test(trained: TaskOutcome, test: Task, place: int, title: str) -> TaskOutcome:
    """Judge the runs of a task by the ladder of one of its further tests."""
    ladder = test.ladder()
    metric = test.metric

    def seen(seed: SeedOutcome) -> SeedOutcome:
        result = seed.result.in_further_test(place)
        normalised = normalise(result.score, ladder, metric)
        return replace(
            seed,
            result=result,
            normalised=normalised,
            value=scores.value(normalised, ladder, metric),
            learned=has_learned(result.test_scores, ladder, metric),
            steps=None,
            seconds=None,
            uses_question=None,
        )

    contestants = tuple(
        replace(each, trials=(), reruns=(), seeds=tuple(map(seen, each.seeds)))
        for each in trained.contestants
    )
    return TaskOutcome(test, title, tuple(ladder), contestants, trained.task)


def summarise_sweep(plan: Plan, sweep: Sweep, finals: Runs, trained: Runs) -> SweepOutcome:
    """Gather a sweep's scores.

    Parameters
    ----------
    plan
        Plan of the race.
    sweep
        One of its sweeps.
    finals
        The race's final runs, which hold the scores of a sweep that only tests.
    trained
        The runs of a sweep that trains.
    """
    ladders = tuple(tuple(task.ladder()) for task in sweep.tasks)
    found: dict[str, list[list[float | None]]] = {
        name: [[] for _ in sweep.tasks] for name in plan.models
    }
    for spec, result in trained if sweep.train else finals:
        if sweep.train:
            found[spec.model][sweep.tasks.index(spec.task)].append(result.score)
        elif spec.task is sweep.task and spec.seed in plan.final_seeds[: sweep.seeds]:
            its = result.also_tested_scores or (None,) * len(spec.also_tested_on)
            by_task = dict(zip(map(id, spec.also_tested_on), its, strict=True))
            for place, task in enumerate(sweep.tasks):
                found[spec.model][place].append(by_task[id(task)])
    metric = sweep.task.metric
    return SweepOutcome(
        sweep,
        titles(plan.judged)[plan.judged.index(sweep.task)],
        ladders,
        {
            name: tuple(
                Point(
                    tuple(at_value),
                    tuple(normalise(score, ladder, metric) for score in at_value),
                )
                for at_value, ladder in zip(of_model, ladders, strict=True)
            )
            for name, of_model in found.items()
        },
        tuple(
            _seed_outcome(plan, spec, result, ladders[sweep.tasks.index(spec.task)])
            for spec, result in trained
        ),
    )


def titles(tasks: Sequence[Task]) -> list[str]:
    """Return titles of tasks: the name, with arguments that tell it from others of that name."""
    titles = []
    for task in tasks:
        config = task.config()
        others = [
            other.config() for other in tasks if other is not task and other.name == task.name
        ]
        telling = {
            key: value
            for key, value in config.items()
            if any(other.get(key) != value for other in others)
        }
        listed = ", ".join(f"{key}={value_label(value)}" for key, value in telling.items())
        titles.append(f"{task.name} ({listed})" if telling else task.name)
    return titles


def _seed_outcome(
    plan: Plan,
    spec: RunSpec,
    result: RunResult,
    ladder: Sequence[Rung],
    oracle_on_others: float | None = None,
) -> SeedOutcome:
    metric, score = spec.task.metric, result.score
    normalised = normalise(score, ladder, metric)
    steps, seconds = scores.first_reached(
        [] if score is None else result.history, scores.threshold(ladder, metric), metric
    )
    return SeedOutcome(
        spec=spec,
        result=result,
        normalised=normalised,
        value=scores.value(normalised, ladder, metric),
        learned=has_learned(result.test_scores, ladder, metric),
        steps=steps,
        seconds=seconds,
        still_improved=still_improved(plan, spec, result, ladder),
        uses_question=scores.uses_question(
            score, result.other_question_score, oracle_on_others, ladder, metric
        ),
    )


def _contestant(
    seeds: Sequence[SeedOutcome], trials: tuple[Trial, ...], reruns: tuple[Trial, ...]
) -> ContestantOutcome:
    spec, result = seeds[0].spec, seeds[0].result
    peaks = [s.result.peak_memory for s in seeds if s.result.peak_memory is not None]
    return ContestantOutcome(
        model=spec.model,
        width=spec.width,
        num_params=spec.contestant.size(spec.task, spec.width),
        num_fixed=result.num_fixed,
        state_size=result.state_size,
        flops_per_step=result.flops_per_step,
        peak_memory=round(median(peaks)) if peaks else None,
        settings=spec.settings,
        trials=trials,
        reruns=reruns,
        seeds=tuple(sorted(seeds, key=lambda seed: seed.spec.seed)),
    )


def _ladders(task: Task, seeds: Iterable[int]) -> dict[int, list[Rung]]:
    """Return the ladder that judges the scores of each seed.

    A generated task measures its rules on enough fresh samples that one ladder serves all seeds.
    The ladder of a file belongs to the seed's own test rows.
    """
    if isinstance(task, GeneratedTask):
        ladder = task.ladder()
        return dict.fromkeys(sorted(seeds), ladder)
    return {seed: task.ladder(seed) for seed in sorted(seeds)}
