"""Wrong answers: test samples that each contestant's best run gets wrong, beside the oracle's."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from lstm_baseline.engine.activations import log_softmax, sigmoid
from lstm_baseline.engine.errors import LSTMBaselineError
from lstm_baseline.engine.shapes import FloatArray, IntArray, NDArray
from lstm_baseline.engine.threads import one_thread
from lstm_baseline.engine.wording import counted
from lstm_baseline.plots.formats import number
from lstm_baseline.race.outcomes import ContestantOutcome, RaceOutcome, SeedOutcome, TaskOutcome
from lstm_baseline.race.report.sections.section import Section
from lstm_baseline.runs.saved_model import saved_model
from lstm_baseline.tasks import Batch, GeneratedTask, Task
from lstm_baseline.tasks.metrics import Metric, valid_steps
from lstm_baseline.training import Trainable, predict

SHOWN = 3
"""Largest number of wrong answers of a contestant on a task."""
BLOCK = 2000
"""Test samples that a model answers at a time, until enough of its answers are wrong."""


class WrongAnswer(NamedTuple):
    """A sample and an answer to it, in the task's words."""

    sample: str
    answer: str
    extent: str
    """How wrong, or how sure of it, the model is."""
    right: str
    """The oracle's answer."""


class Mistakes(NamedTuple):
    """Wrong answers of a contestant's best run on a task."""

    model: str
    run: str = ""
    """Seed and test score of the run; empty without a run."""
    found: str = ""
    """How many of how many answers are wrong."""
    brief: str = ""
    """The same in a few words."""
    answers: tuple[WrongAnswer, ...] = ()
    problem: str = ""
    """Reason why its answers are not known; empty if they are."""


class TaskMistakes(NamedTuple):
    """Wrong answers of all contestants on a task."""

    title: str
    contestants: tuple[Mistakes, ...]


def severity(task: Task, outputs: FloatArray, batch: Batch) -> NDArray:
    """Return how wrong each answer is, (B,): 0 where it is right.

    Of classes and labels it is the probability that the model gives to what it answers, the largest
    over wrong labels, and over wrong steps where every step has a target; of values, the distance
    from the target.
    """
    rows, outputs, y = _targets(task, outputs, batch)
    worst = np.zeros(len(batch.x))
    if task.loss == "mean_squared_error":
        np.add.at(worst, rows, np.square(outputs - y).sum(axis=1))
        return np.sqrt(worst)
    if task.loss == "binary_cross_entropy":
        sure = np.where(_wrong_labels(outputs, y), sigmoid(np.abs(outputs.astype(np.float64))), 0)
        np.maximum.at(worst, rows, sure.max(axis=-1))
        return worst
    probability = np.exp(log_softmax(outputs.astype(np.float64))).max(axis=-1)
    np.maximum.at(worst, rows, np.where(outputs.argmax(axis=-1) == y, 0, probability))
    return worst


def _targets(task: Task, outputs: FloatArray, batch: Batch) -> tuple[IntArray, FloatArray, NDArray]:
    """Return the row of each target that counts, its output and itself, each (N, …)."""
    if not task.per_step:
        return np.arange(len(batch.x)), outputs, batch.y
    steps = valid_steps(batch.x, batch.lengths) if batch.mask is None else batch.mask
    at = outputs if outputs.ndim == 2 else outputs[steps]
    return np.nonzero(steps)[0], at, batch.y[steps]


def _wrong_labels(outputs: FloatArray, y: NDArray) -> NDArray:
    """Return which labels are answered wrongly, in their shape; a 1 has a logit above 0."""
    wrong: NDArray = (outputs > 0) != (y > 0.5)
    return wrong


def mistakes(model: str, task: GeneratedTask, trained: Trainable, seed: int) -> Mistakes:
    """Return the worst wrong answers of a trained model to the test samples of a seed.

    It answers the first ``BLOCK`` samples, and further ones only until ``SHOWN`` are wrong.
    """
    test = task.test(seed)
    blocks, num_wrong = [], 0
    for start in range(0, len(test.x), BLOCK):
        batch = test.rows(slice(start, start + BLOCK))
        blocks.append(predict(trained, task, batch))
        num_wrong += int(np.count_nonzero(severity(task, blocks[-1], batch)))
        if num_wrong >= SHOWN:
            break
    outputs, seen = np.concatenate(blocks), test.rows(slice(len(blocks) * BLOCK))
    num_rows = len(seen.x)
    how_wrong = severity(task, outputs, seen)
    rows, outputs, y = _targets(task, outputs, seen)
    rule = next((rule for rule in task.predictors() if rule.kind == "oracle"), None)
    told: dict[str, int] = {}
    for row in np.argsort(-how_wrong, kind="stable")[:num_wrong]:
        if len(told) == SHOWN:
            break
        # No sample twice, however often it was drawn.
        told.setdefault(task.tell(seen.x[row, : _length(seen, row)]), row)
    chosen = seen.rows(np.array(list(told.values()), np.int64))
    beliefs = None if rule is None else _targets(task, rule.predict(chosen.x), chosen)
    answers = []
    for place, (sample, row) in enumerate(told.items()):
        answer, target = outputs[rows == row], y[rows == row]
        right = target if beliefs is None else beliefs[1][beliefs[0] == place]
        if not task.per_step:
            answer, target, right = answer[0], target[0], right[0]
        answers.append(
            WrongAnswer(
                sample,
                task.answer(answer),
                _extent(task, answer, target, how_wrong[row]),
                task.answer(right),
            )
        )
    among = f"{num_rows:,}" if num_rows == len(test.x) else f"the first {num_rows:,}"
    if task.loss == "mean_squared_error":
        typical, largest = number(float(np.median(how_wrong))), number(float(how_wrong.max()))
        found = f"half of {among} test samples off by {typical} or less"
        brief = f"off by up to {largest}"
    elif num_wrong == 0:
        found, brief = f"none of {among} test samples wrong", f"none of {num_rows:,} wrong"
    else:
        found = f"{num_wrong:,} of {among} test samples wrong ({100 * num_wrong / num_rows:.3g}%)"
        brief = f"{num_wrong:,} of {num_rows:,} wrong"
    return Mistakes(model, found=found, brief=brief, answers=tuple(answers))


def _length(batch: Batch, row: int) -> int:
    """Return how many steps a row has."""
    return batch.x.shape[1] if batch.lengths is None else int(batch.lengths[row])


def _extent(task: Task, output: FloatArray, target: NDArray, how_wrong: float) -> str:
    if task.loss == "mean_squared_error":
        return f"off by {number(how_wrong)}"
    if task.loss == "binary_cross_entropy":
        num_wrong = np.count_nonzero(_wrong_labels(output, target))
        return f"wrong in {num_wrong} of {counted(target.size, 'label')}"
    if task.per_step:
        num_wrong = np.count_nonzero(output.argmax(axis=-1) != target)
        return f"wrong at {num_wrong} of {len(target)} steps"
    return f"{100 * how_wrong:.0f}% sure"


def best_run(contestant: ContestantOutcome, metric: Metric) -> SeedOutcome | None:
    """Return the run with the best test score, the first of equal ones; None if none finished."""
    best = max if metric.higher_is_better else min
    scores = [score for score in contestant.scores if score is not None]
    return contestant.seeds[contestant.scores.index(best(scores))] if scores else None


def _of_contestant(
    contestant: ContestantOutcome, outcome: TaskOutcome, task: GeneratedTask, runs: Path
) -> Mistakes:
    """Return the wrong answers of a contestant's best run, or why they are not known."""
    name = contestant.model
    best = best_run(contestant, outcome.metric)
    if best is None:
        return Mistakes(name, brief="no run", problem="No run finished.")
    spec, run = best.spec, f"seed {best.spec.seed}, test score {number(best.result.score)}"
    try:
        with one_thread():
            found = mistakes(name, task, saved_model(spec, runs / spec.name), spec.seed)
        return found._replace(run=run)
    except LSTMBaselineError as error:
        problem = f"The trained model cannot answer: {error}."
    except Exception as error:
        if not spec.contestant.is_user_class:
            raise
        problem = f"The class failed: {type(error).__name__}: {error}."
    return Mistakes(name, run, brief="not known", problem=problem)


def _told(outcome: TaskOutcome) -> GeneratedTask | None:
    """Return the task if its samples can be told in words, and their answers are certain."""
    task = outcome.task
    if not isinstance(task, GeneratedTask) or task.noisy:
        return None
    sample = task.sample(1, np.random.default_rng(0))
    return task if task.tell(sample.x[0]) else None


def all_mistakes(race: RaceOutcome, runs: Path) -> list[TaskMistakes]:
    """Return the wrong answers of all contestants on all tasks whose samples can be told."""
    return [
        TaskMistakes(
            outcome.title,
            tuple(_of_contestant(each, outcome, task, runs) for each in outcome.contestants),
        )
        for outcome in race.trained
        if (task := _told(outcome)) is not None
    ]


def _from_runs(race: RaceOutcome, runs: Path) -> Mapping[str, object]:
    return {"wrong_answers": all_mistakes(race, runs)}


def _is_shown(race: RaceOutcome) -> bool:
    return any(_told(outcome) is not None for outcome in race.trained)


SECTION = Section("wrong", "Wrong answers", from_runs=_from_runs, is_shown=_is_shown)
