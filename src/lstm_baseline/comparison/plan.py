"""What a race consists of: every run, fixed before the first one starts."""

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from lstm_baseline.comparison.match import build_model, count_params, match_width
from lstm_baseline.errors import InputError
from lstm_baseline.models import MODELS, RecurrentModel
from lstm_baseline.tasks import Task
from lstm_baseline.training import TrainingSettings

# Bump when a run's outcome changes for the same specification, so that no old run is taken for new.
_RUN_FORMAT = 1


def check_model(name: str) -> None:
    """Refuse a name that no model has."""
    if name not in MODELS:
        raise InputError(f"no model is named {name!r}; give one of: {', '.join(MODELS)}")


@dataclass(frozen=True)
class RunSpec:
    """One training run: everything that its outcome depends on."""

    task: Task
    model: str
    width: int
    settings: TrainingSettings
    seed: int

    def config(self) -> dict[str, Any]:
        """Return the specification as plain JSON values."""
        return {
            "format": _RUN_FORMAT,
            "task": self.task.config(),
            "per_step": self.task.per_step,
            "model": self.model,
            "width": self.width,
            "settings": self.settings.model_dump(),
            "seed": self.seed,
        }

    @cached_property
    def name(self) -> str:
        """Folder of the run: readable, and different for every different specification."""
        content = json.dumps(self.config(), sort_keys=True).encode()
        digest = hashlib.sha256(content).hexdigest()[:8]
        return f"{self.task.name}--{self.model}--seed{self.seed}--{digest}"

    def estimated_work(self) -> float:
        """Return about how long the run takes, in no particular unit."""
        return float(self.settings.num_steps * self.build_model().flops_per_step)

    def build_model(self) -> RecurrentModel:
        """Return the untrained model; its initial weights depend on the seed alone."""
        task = self.task
        return build_model(self.model, task.input_size, task.output_size, self.width, self.seed)


@dataclass(frozen=True)
class Plan:
    """A race: tasks × models × seeds, all of one size and under one set of settings."""

    tasks: tuple[Task, ...]
    models: tuple[str, ...]
    seeds: int
    settings: TrainingSettings
    head_size: int
    """Width of the relational RNN whose parameter count every contestant is given."""

    def __post_init__(self) -> None:
        if not self.tasks or not self.models:
            raise InputError("a race needs at least one task and one model")
        for model in self.models:
            check_model(model)
        if len(set(self.models)) < len(self.models):
            raise InputError(f"models names one twice: {', '.join(self.models)}")
        configs = [task.config() for task in self.tasks]
        if any(config in configs[:k] for k, config in enumerate(configs)):
            raise InputError(f"tasks names one twice: {', '.join(t.name for t in self.tasks)}")
        if self.seeds < 1:
            raise InputError(f"seeds is {self.seeds}; give at least 1")

    def runs(self) -> list[RunSpec]:
        """Return every run, seed by seed, so that a stopped race has whole pairs.

        Raises
        ------
        InputError
            If a model cannot be given the size.
        """
        widths = {
            (task, model): self._width(task, model) for task in self.tasks for model in self.models
        }
        return [
            RunSpec(task, model, widths[task, model], self.settings, seed)
            for seed in range(self.seeds)
            for task in self.tasks
            for model in self.models
        ]

    def _width(self, task: Task, model: str) -> int:
        """Return the width that gives a model the race's size on a task."""
        sizes = (task.input_size, task.output_size)
        target = count_params("relational", *sizes, self.head_size)
        return match_width(model, lambda width: count_params(model, *sizes, width), target)
