"""Train one model on one task."""

import json
import math
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias, cast

import numpy as np

from lstm_baseline.engine.contract import Model, StatefulModel
from lstm_baseline.engine.errors import DivergenceError, InputError
from lstm_baseline.engine.shapes import FloatArray, IntArray, NDArray
from lstm_baseline.engine.storage import write_whole
from lstm_baseline.engine.threads import one_thread
from lstm_baseline.tasks.base import Task
from lstm_baseline.tasks.metrics import Batch
from lstm_baseline.training import selection
from lstm_baseline.training.checkpoint import Progress, Record
from lstm_baseline.training.counted_outputs import counted_outputs, forward_where_it_counts
from lstm_baseline.training.curriculum import Curriculum
from lstm_baseline.training.losses import LOSSES
from lstm_baseline.training.optimizers import OPTIMIZERS, clip_by_global_norm
from lstm_baseline.training.schedules import learning_rate_at
from lstm_baseline.training.settings import TrainingSettings
from lstm_baseline.training.truncation import truncated_gradients

CHECKPOINT, METRICS = "checkpoint.safetensors", "metrics.jsonl"

# Keeps a step's draws apart from those of the task, whose streams are numbered from 1.
_MODEL_STREAM = 100
EVALUATION_ROWS = 250


Trainable: TypeAlias = Model[Any]
"""A model of any kind, as ``engine/contract.py`` says what it must have."""


class TrainingResult(NamedTuple):
    """The course of a run; the model holds the best weights."""

    history: list[Record]
    best_step: int
    """Step of the weights that did best in validation; ``selection.py`` has the rule."""
    selected_by: selection.Reason
    """What decided for this step."""


def train(
    model: Trainable,
    task: Task,
    settings: TrainingSettings,
    *,
    seed: int,
    folder: Path | None = None,
    on_validation: Callable[[Record], None] | None = None,
) -> TrainingResult:
    """Train a model and leave it with the weights that did best in validation.

    Parameters
    ----------
    model
        Its ``params`` are updated in place.
    task
        Task that gives the batches; its loss is of the last output, or of every one if per step.
    settings
        How to train.
    seed
        Seed of the data and of the model's own draws. Two models with one seed see the same data.
    folder
        Folder of the checkpoint and ``metrics.jsonl``. If it holds a checkpoint of the same run,
        training goes on from it and ends with the same bits as if it had never stopped.
    on_validation
        Called with each line of the history.

    Raises
    ------
    InputError
        If the settings truncate gradients of a model that is bidirectional.
    DivergenceError
        If the loss or a gradient is not finite; the last checkpoint is left as it was.
    FileError
        If a checkpoint in ``folder`` is damaged or of another run.
    """
    # A number that is not finite stops the run below, so NumPy need not warn of it.
    with one_thread(), np.errstate(over="ignore", invalid="ignore"):
        return _Run(model, task, settings, seed, folder, on_validation).train()


def evaluate(model: Trainable, task: Task, batch: Batch) -> float:
    """Return the task's metric of a model on some samples."""
    return task.metric.measure(predict(model, task, batch), batch)


def predict(model: Trainable, task: Task, batch: Batch) -> FloatArray:
    """Return a model's outputs for some samples, in the form that the task's metric takes."""
    parts = [
        batch.rows(slice(start, start + EVALUATION_ROWS))
        for start in range(0, len(batch.x), EVALUATION_ROWS)
    ]
    one_pass = partial(forward_where_it_counts, model, per_step=task.per_step)
    return np.concatenate([task.outputs_of(one_pass, part) for part in parts])


class _Run:
    """One call of ``train``."""

    def __init__(
        self,
        model: Trainable,
        task: Task,
        settings: TrainingSettings,
        seed: int,
        folder: Path | None,
        on_validation: Callable[[Record], None] | None,
    ) -> None:
        if settings.truncate is not None and getattr(model, "bidirectional", False):
            raise InputError(
                "truncate is set, and the model is bidirectional: it needs the whole sequence; "
                "set recompute instead"
            )
        self.model, self.task, self.settings, self.seed = model, task, settings, seed
        self.folder, self.on_validation = folder, on_validation
        self.curriculum = Curriculum(task, settings.curriculum_steps)
        self.loss = LOSSES[task.loss]
        self.optimizer = OPTIMIZERS[settings.optimizer](
            model.params, momentum=settings.momentum, weight_decay=settings.weight_decay
        )
        self.progress = Progress(model.params, self.optimizer.state)
        self.validation = task.validation(seed)
        self.higher_is_better = task.metric.higher_is_better

    def train(self) -> TrainingResult:
        """Train to the end, from the checkpoint if there is one."""
        if self.folder is not None and (self.folder / CHECKPOINT).exists():
            self.progress.restore(self.folder / CHECKPOINT, self._identity())
            self._write_history()
        else:
            self._validate(0, 0.0, [], [], None)
        while self.progress.step < self.settings.num_steps and not self._out_of_patience():
            self._train_to_next_validation()
        for name, value in self.model.params.items():
            value[...] = self.progress.best_params[name]
        history, best_step = self.progress.history, self.progress.best_step
        return TrainingResult(
            history,
            best_step,
            selection.reason(history, best_step, higher_is_better=self.higher_is_better),
        )

    def _train_to_next_validation(self) -> None:
        settings, first = self.settings, self.progress.step
        last = min(first + settings.evaluate_every, settings.num_steps)
        losses, norms, rate = [], [], 0.0
        started = time.perf_counter()
        for step in range(first, last):
            rate = learning_rate_at(
                step,
                peak=settings.learning_rate,
                schedule=settings.schedule,
                num_steps=settings.num_steps,
                warmup_steps=settings.warmup_steps,
            )
            loss, norm = self._train_step(step, rate)
            losses.append(loss)
            norms.append(norm)
        seconds = self.progress.history[-1].seconds + time.perf_counter() - started
        self._validate(last, seconds, losses, norms, rate)

    def _train_step(self, step: int, rate: float) -> tuple[float, float]:
        """Update the parameters once; return the loss and the gradient's norm."""
        batch = self.curriculum.task_at(step).train_batch(step, self.settings.batch_size, self.seed)
        options: dict[str, Any] = {
            "rng": np.random.default_rng([self.seed, _MODEL_STREAM, step]),
            # A user's class need not have this argument.
            **({"recompute": True} if self.settings.recompute else {}),
        }
        per_step = self.task.per_step
        if self.settings.truncate is None:
            found = counted_outputs(self.model, batch, per_step=per_step, **options)
            loss, d_outputs = self.loss(found.outputs, found.targets, found.lengths)
            self._refuse_non_finite("loss", loss, step)
            gradients = found.backward(d_outputs)
        else:
            stateful = cast(StatefulModel[Any], self.model)  # others are refused below
            loss, gradients = truncated_gradients(
                stateful, self.loss, batch, self.settings.truncate, per_step=per_step, **options
            )
            self._refuse_non_finite("loss", loss, step)
        gradients, norm = clip_by_global_norm(gradients, self.settings.clip_norm)
        self._refuse_non_finite("gradient norm", norm, step)
        self.optimizer.update(gradients, rate)
        return loss, norm

    def _validate(
        self, step: int, seconds: float, losses: list[float], norms: list[float], rate: float | None
    ) -> None:
        """Add a line to the history, keep the weights if they are the best, write a checkpoint."""
        outputs = predict(self.model, self.task, self.validation)
        metric = self.task.metric.measure(outputs, self.validation)
        self._refuse_non_finite(f"validation {self.task.metric.name}", metric, step)
        loss, _ = self.loss(outputs, *self._targets(self.validation))
        self._refuse_non_finite("validation loss", loss, step)
        record = Record(step, seconds, _mean(losses), _mean(norms), rate, metric, loss)
        self.progress.history.append(record)
        if self._replaces_the_kept(record):
            self.progress.best_step = step
            for name, value in self.model.params.items():
                self.progress.best_params[name][...] = value
        if self.folder is not None:
            self.progress.save(self.folder / CHECKPOINT, self._identity())
            self._write_history()
        if self.on_validation is not None:
            self.on_validation(record)

    def _targets(self, batch: Batch) -> tuple[NDArray, IntArray | None]:
        """Return targets and lengths as the loss takes them, beside outputs of ``predict``."""
        if batch.mask is not None:
            return batch.y[batch.mask], None
        return batch.y, batch.lengths if self.task.per_step else None

    def _replaces_the_kept(self, record: Record) -> bool:
        history, kept_step = self.progress.history, self.progress.best_step
        kept = next(r for r in history if r.step == kept_step)
        return selection.replaces(record, kept, history[0], higher_is_better=self.higher_is_better)

    def _out_of_patience(self) -> bool:
        if self.settings.patience is None:
            return False
        since = selection.validations_since_better(
            self.progress.history,
            self.progress.best_step,
            higher_is_better=self.higher_is_better,
            perfect=self.task.metric.perfect,
        )
        return since >= self.settings.patience

    def _refuse_non_finite(self, name: str, value: float, step: int) -> None:
        if math.isfinite(value):
            return
        kept = ""
        if self.folder is not None and self.progress.history:
            kept = f"; the checkpoint of step {self.progress.step} is kept"
        raise DivergenceError(
            f"{name} is {value} at step {step}{kept}; lower the learning rate or check the data"
        )

    def _write_history(self) -> None:
        """Write the history for people and tools, one JSON object a line."""
        assert self.folder is not None
        lines = [json.dumps(record._asdict()) + "\n" for record in self.progress.history]
        write_whole(self.folder / METRICS, "".join(lines).encode())

    def _identity(self) -> dict[str, Any]:
        """Return what a checkpoint must agree in to be continued."""
        model = {"class": type(self.model).__name__, **getattr(self.model, "config", {})}
        return {
            "settings": self.settings.config(),
            "seed": self.seed,
            "task": self.task.config(),
            "model": model,
        }


def _mean(values: list[float]) -> float | None:
    return math.fsum(values) / len(values) if values else None
