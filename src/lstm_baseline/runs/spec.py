"""Specification of a training run: everything that its outcome depends on."""

import hashlib
import json
import re
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from lstm_baseline.contestants.contestant import Contestant, copy_seed
from lstm_baseline.tasks import Task
from lstm_baseline.training import Trainable, TrainingSettings

RUN_FORMAT = 3
"""Raised when the outcome of a specification changes, so that no old run is taken for a new one."""

FIRST_TRIAL_SEED = 1_000_000
"""Seed of trial 0. Trial k has this seed plus k; so no trial shares data with a final run."""

FIRST_RERUN_SEED = 2_000_000
"""Seed of the first rerun of a trial; the further ones follow."""

_UNSAFE = re.compile(r"[^\w.-]+")


Stage = Literal["trial", "rerun", "final"]
"""What a run is for. A rerun repeats a trial on a fresh seed. Only final runs are scored on test
samples."""


@dataclass(frozen=True)
class RunSpec:
    """Specification of a training run: everything that its outcome depends on."""

    task: Task
    contestant: Contestant
    width: int
    settings: TrainingSettings
    seed: int
    stage: Stage = "final"
    copy: int = 0
    """Number of contestants of the same model before this one."""
    also_tested_on: tuple[Task, ...] = ()
    """Tasks of the same form on which the trained model is scored as well."""
    further_tests: tuple[Task, ...] = ()
    """Further tests of the trained model, each judged like a task."""
    code: str | None = None
    """Digest of the code of a user's class; None for the package's own models."""
    task_code: str | None = None
    """Digest of the code of a user's task; None for the package's own tasks."""

    @property
    def model(self) -> str:
        """The contestant's name."""
        return self.contestant.name

    def config(self) -> dict[str, Any]:
        """Return the specification as plain JSON values."""
        # Most runs have none of these keys: the names of earlier ones stay what they were.
        own: dict[str, Any] = {} if self.task_code is None else {"task_code": self.task_code}
        if self.further_tests:
            own["further_tests"] = [task.config() for task in self.further_tests]
        return {
            "format": RUN_FORMAT,
            "stage": self.stage,
            "task": self.task.config(),
            **own,
            "per_step": self.task.per_step,
            "contestant": self.contestant.model_dump(mode="json"),
            "code": self.code,
            "twin": self.copy,
            "width": self.width,
            "settings": self.settings.config(),
            "seed": self.seed,
            "beyond": [task.config() for task in self.also_tested_on],
        }

    @cached_property
    def name(self) -> str:
        """Name of the run and its folder: readable, and different for every specification."""
        readable = f"{self.task.name}--{self.model}--{self.title.replace(' ', '')}"
        readable = _UNSAFE.sub("-", readable).encode()[:120].decode(errors="ignore")
        return f"{readable}--{digest(self.config())[:8]}"

    @property
    def title(self) -> str:
        """Title of the run among the contestant's runs on the task."""
        if self.stage == "trial":
            return f"trial {self.seed - FIRST_TRIAL_SEED}"
        if self.stage == "rerun":
            return f"rerun {self.seed - FIRST_RERUN_SEED}"
        return f"seed {self.seed}"

    def estimated_work(self) -> float:
        """Return an estimate of how long the run takes, in no particular unit."""
        steps = self.settings.num_steps * self.settings.batch_size
        return float(steps * self.contestant.estimated_flops(self.task, self.width))

    def build_model(self) -> Trainable:
        """Return the untrained model; its initial weights depend on the seed alone."""
        return self.contestant.build(self.task, self.width, copy_seed(self.seed, self.copy))


def digest(config: dict[str, Any]) -> str:
    """Return the SHA-256 of plain JSON values."""
    return hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()
