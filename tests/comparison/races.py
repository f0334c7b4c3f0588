"""Races with known numbers: a task that is nothing but its ladder, and runs written by hand."""

import numpy as np

from lstm_baseline.comparison.plan import Plan, RunSpec
from lstm_baseline.comparison.results import summarise
from lstm_baseline.comparison.run import RunResult
from lstm_baseline.tasks import Task
from lstm_baseline.tasks.base import Rung
from lstm_baseline.tasks.metrics import ACCURACY, MEAN_SQUARED_ERROR, Batch
from lstm_baseline.training import Record, TrainingSettings

CHANCE = Rung("chance", "chance", "any answer", 0.25)
HEURISTIC = Rung("last one", "heuristic", "the one shown last", 0.5)
ORACLE = Rung("oracle", "oracle", "knows it all", 1.0)
LADDER = (CHANCE, HEURISTIC, ORACLE)

CONSTANT = Rung("mean", "chance", "the mean", 0.4)
ORACLE_ERROR = Rung("oracle", "oracle", "knows it all", 0.0)
ERROR_LADDER = (CONSTANT, ORACLE_ERROR)

SETTINGS = TrainingSettings(num_steps=300, batch_size=8, evaluate_every=100)


class LadderTask(Task):
    """A task with a given ladder; its data are zeros."""

    input_size, output_size = 2, 3
    loss = "cross_entropy"
    per_step = False
    summary = "nothing is shown, nothing is asked"

    def __init__(self, ladder=LADDER, *, name="made-up", higher_is_better=True, level=1):
        self.ladder_rungs = ladder
        self.name = name
        self.metric = ACCURACY if higher_is_better else MEAN_SQUARED_ERROR
        self.level = level

    def train_batch(self, step, size, seed):
        return Batch(np.zeros((size, 4, 2), np.float32), np.zeros(size, np.int64))

    def validation(self, seed):
        return self.train_batch(0, 5, seed)

    def test(self, seed):
        return self.train_batch(0, 5, seed)

    def ladder(self, seed=0):
        return list(self.ladder_rungs(seed) if callable(self.ladder_rungs) else self.ladder_rungs)

    def config(self):
        return {"task": self.name, "level": self.level}


def run(score, *, untrained=0.2, history=None, seconds=3.0, reason=""):
    """Return how a run ended; ``history`` holds validation scores, one each 100 steps and second.

    A score of None is a failure.
    """
    metrics = [untrained, 0.5 if score is None else score] if history is None else history
    return RunResult(
        status="failed" if score is None else "finished",
        reason=reason or ("loss is nan at step 7" if score is None else ""),
        untrained_score=untrained,
        score=score,
        best_step=100,
        seconds=seconds,
        num_params=1000,
        state_size=20,
        flops_per_step=4000,
        history=[
            Record(100 * k, 1.0 * k, 0.7, 1.0, 0.01, metric) for k, metric in enumerate(metrics)
        ],
    )


def race(runs, *tasks):
    """Return plan, specs and results; ``runs`` holds the runs of each model, seed by seed."""
    tasks = tasks or (LadderTask(),)
    num_seeds = len(next(iter(runs.values())))
    plan = Plan(tasks, tuple(runs), num_seeds, SETTINGS, 4)
    cells = [(t, m, k) for k in range(num_seeds) for t in tasks for m in runs]
    specs = [RunSpec(task, model, 10, SETTINGS, seed) for task, model, seed in cells]
    return plan, specs, [runs[model][seed] for _, model, seed in cells]


def outcome(runs, task=None):
    """Return the outcome of a race on one task."""
    (of_task,) = summarise(*race(runs, task or LadderTask()))
    return of_task


def contestant(runs, task=None):
    """Return the outcome of one model's runs on a task."""
    return outcome({"lstm": runs}, task).contestants[0]
