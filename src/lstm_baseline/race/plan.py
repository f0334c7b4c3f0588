"""Plan of a race: every rule, trial and run, fixed before the first run starts."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Any, NamedTuple

import numpy as np

from lstm_baseline.contestants.contestant import Contestant
from lstm_baseline.contestants.match import Count, Match, match_widths, nearest_width
from lstm_baseline.engine.errors import InputError
from lstm_baseline.plots.formats import listing
from lstm_baseline.race.race_statistics import (
    MOST_PAIRS_TRIED_ALL,
    power,
    runs_needed,
    smallest_p_value,
)
from lstm_baseline.race.tuning import Tuning
from lstm_baseline.race.verdict import VerdictRule
from lstm_baseline.runs.spec import (
    FIRST_RERUN_SEED,
    FIRST_TRIAL_SEED,
    RUN_FORMAT,
    RunSpec,
    Stage,
    digest,
)
from lstm_baseline.tasks import GeneratedTask, Task, make_task
from lstm_baseline.tasks.own_task import task_code
from lstm_baseline.training import TrainingSettings
from lstm_baseline.training.curriculum import Curriculum

_POWER_SEED = 1_935

PLAN, RUNS = "plan.json", "runs"
"""Where a race's folder has its plan and its runs."""


@dataclass(frozen=True)
class Sweep:
    """One argument of a task, and the values that it takes."""

    task: Task
    vary: str
    """Name of the argument."""
    values: tuple[Any, ...]
    seeds: int
    train: bool
    """True: train at every value. False: train at the task's own value, test at every value."""

    def __post_init__(self) -> None:
        if not isinstance(self.task, GeneratedTask):
            raise InputError(f"{self.task.name} is a file; nothing in it can be varied")
        if (twice := _first_repeated(map(str, self.values))) is not None:
            raise InputError(f"values lists {twice} twice")
        forms = {(task.input_size, task.output_size, task.per_step) for task in self.tasks}
        forms.add((self.task.input_size, self.task.output_size, self.task.per_step))
        if not self.train and len(forms) > 1:
            raise InputError(
                f"{self.vary} changes what {self.task.name} shows or asks, so a model trained at "
                "one value cannot be tested at others; set train = true"
            )

    @cached_property
    def tasks(self) -> tuple[Task, ...]:
        """The task at each value."""
        config = self.task.config()
        name = config.pop("task")
        return tuple(make_task(name, **config | {self.vary: value}) for value in self.values)


@dataclass(frozen=True)
class FurtherTest:
    """A test of the models that were trained on a task, on samples of another kind."""

    trained: Task
    arguments: Mapping[str, Any]
    """Arguments of the task that are others in the test."""

    def __post_init__(self) -> None:
        own, other = self.trained, self.task
        forms = [(task.input_size, task.output_size, task.per_step) for task in (own, other)]
        if forms[0] != forms[1]:
            raise InputError(
                f"{listing(list(self.arguments))} changes what {own.name} shows or asks, so a "
                "model trained on it cannot be tested so; give arguments that leave both alone"
            )
        if other.config() == own.config():
            raise InputError(f"a test of {own.name} is what it was trained on; give other values")

    @cached_property
    def task(self) -> Task:
        """The task with these arguments."""
        if not isinstance(self.trained, GeneratedTask):
            raise InputError(
                f"{self.trained.name} is a file; models can be tested on its own test rows alone"
            )
        config = self.trained.config()
        name = config.pop("task")
        return make_task(name, **config | dict(self.arguments))


Finalists = Mapping[tuple[int, str], Sequence[TrainingSettings]]
"""Settings of the best trials, best first, keyed by the task's place and the contestant's name."""

Chosen = Mapping[tuple[int, str], TrainingSettings]
"""Tuned settings, keyed by the task's place and the contestant's name."""


class Shortage(NamedTuple):
    """Too few seeds for a verdict."""

    smallest_p: float
    """Smallest p-value that the plan's number of seeds can give."""
    needed_p: float
    """Largest p-value that Holm's correction allows the most certain comparison."""
    needed_seeds: int


@dataclass(frozen=True)
class Plan:
    """A race: tasks × contestants × seeds, all contestants of one size and tuned alike."""

    tasks: tuple[Task, ...]
    contestants: tuple[Contestant, ...]
    """The first is the baseline, which every other one has to beat."""
    seeds: int
    """Number of paired final runs."""
    settings: TrainingSettings
    parameters: int
    """Approximate number of trainable parameters of every contestant, or of the baseline where
    something else is matched."""
    match: Match = "parameters"
    """What all contestants have equally much of."""
    tuning: Tuning = field(default_factory=Tuning)
    rule: VerdictRule = field(default_factory=VerdictRule)
    sweeps: tuple[Sweep, ...] = ()
    further_tests: tuple[FurtherTest, ...] = ()
    """Tests of the tasks' models on samples of another kind; each has a verdict of its own."""
    title: str = ""
    first_seed: int = 0
    """Seed of the first final runs; the others follow. A race that is held again because an earlier
    one left something undecided takes seeds that it did not have."""

    def __post_init__(self) -> None:
        if not self.tasks or not self.contestants:
            raise InputError("a race needs at least one task and one contestant")
        names = [contestant.name.casefold() for contestant in self.contestants]
        if (twice := _first_repeated(names)) is not None:
            raise InputError(f"contestants lists {self.models[names.index(twice)]} twice")
        configs = [task.config() for task in self.tasks]
        for place, config in enumerate(configs):
            if config in configs[:place]:
                raise InputError(f"tasks lists {self.tasks[place].name} twice")
            tested = [t.arguments for t in self.further_tests if t.trained is self.tasks[place]]
            if (twice := _first_repeated(map(str, tested))) is not None:
                raise InputError(f"tests of {self.tasks[place].name} list {twice} twice")
        if self.seeds < 1:
            raise InputError(f"seeds is {self.seeds}; give at least 1")
        if not 0 <= self.first_seed <= FIRST_TRIAL_SEED - self.seeds:
            raise InputError(
                f"first_seed is {self.first_seed}; give at least 0, and less than "
                f"{FIRST_TRIAL_SEED:,}, where the seeds of trials begin"
            )
        self.tuning.check(self.settings)
        for settings in (self.settings, *self.tuning.settings(self.settings)):
            for task in self.tasks:
                Curriculum(task, settings.curriculum_steps)  # refuses a task that has none
        comparisons = self.num_comparisons
        needed = math.ceil(2 * comparisons / self.rule.level) - 1
        if self.seeds > MOST_PAIRS_TRIED_ALL and self.rule.num_resamples < needed:
            raise InputError(
                f"num_resamples is {self.rule.num_resamples:,}, with which no comparison of "
                f"{comparisons} can be significant at a level of {self.rule.level:g}; give at "
                f"least {needed:,}"
            )
        for sweep in self.sweeps:
            if sweep.seeds > self.seeds:
                raise InputError(
                    f"a sweep of {sweep.task.name} has {sweep.seeds} seeds; the race has "
                    f"{self.seeds}, give at most as many"
                )

    @property
    def models(self) -> tuple[str, ...]:
        """Names of the contestants."""
        return tuple(contestant.name for contestant in self.contestants)

    @property
    def baseline(self) -> str:
        """Name of the contestant to beat."""
        return self.models[0]

    @property
    def challengers(self) -> tuple[str, ...]:
        """Names of all contestants but the baseline."""
        return self.models[1:]

    @property
    def judged(self) -> tuple[Task, ...]:
        """The tasks, each followed by the tests of its models on samples of another kind."""
        return tuple(each for task in self.tasks for each in (task, *self.tests_of(task)))

    @property
    def num_comparisons(self) -> int:
        """Number of verdicts: those of every challenger, on every task and every further test."""
        return (len(self.tasks) + len(self.further_tests)) * len(self.challengers)

    def tests_of(self, task: Task) -> tuple[Task, ...]:
        """Return what the models of a task are tested on besides."""
        return tuple(test.task for test in self.further_tests if test.trained is task)

    @property
    def final_seeds(self) -> range:
        """Seeds of the final runs."""
        return range(self.first_seed, self.first_seed + self.seeds)

    def trials(self) -> list[RunSpec]:
        """Return every tuning run: trial by trial, task by task.

        Raises
        ------
        InputError
            If the contestants cannot be made of one size.
        """
        return [
            self._run(task, contestant, settings, FIRST_TRIAL_SEED + trial, stage="trial")
            for trial, settings in enumerate(self.tuning.settings(self.settings))
            for task in self.tasks
            for contestant in self.contestants
        ]

    def reruns(self, finalists: Finalists) -> list[RunSpec]:
        """Return every rerun of the best trials, on fresh seeds."""
        return [
            self._run(task, contestant, settings, FIRST_RERUN_SEED + rerun, stage="rerun")
            for place, task in enumerate(self.tasks)
            for contestant in self.contestants
            for settings in finalists[place, contestant.name]
            for rerun in range(self.tuning.reruns)
        ]

    def finals(self, chosen: Chosen) -> list[RunSpec]:
        """Return every final run, seed by seed: a race that is stopped then has whole pairs."""
        return [
            self._run(
                task,
                contestant,
                chosen[place, contestant.name],
                seed,
                also_tested_on=self._also_tested_on(task),
                further_tests=self.tests_of(task),
            )
            for seed in self.final_seeds
            for place, task in enumerate(self.tasks)
            for contestant in self.contestants
        ]

    def sweep_runs(self, sweep: Sweep, chosen: Chosen) -> list[RunSpec]:
        """Return the runs of a sweep that trains, with the settings of the task that it varies."""
        place, own = self.tasks.index(sweep.task), sweep.task.config()
        return [
            self._run(
                task,
                contestant,
                chosen[place, contestant.name],
                seed,
                # At the task's own value these are final runs of the race, which are done once.
                also_tested_on=self._also_tested_on(sweep.task) if task.config() == own else (),
                further_tests=self.tests_of(sweep.task) if task.config() == own else (),
            )
            for seed in self.final_seeds[: sweep.seeds]
            for task in (sweep.tasks if sweep.train else ())
            for contestant in self.contestants
        ]

    def all_tasks(self) -> list[Task]:
        """Return the tasks of the race and those that sweeps train on."""
        swept = [task for sweep in self.sweeps if sweep.train for task in sweep.tasks]
        return [*self.tasks, *swept]

    def shortage(self) -> Shortage | None:
        """Return how far the seeds fall short of any verdict; None if they suffice."""
        comparisons = self.num_comparisons
        if not comparisons:
            return None
        smallest, needed = smallest_p_value(self.seeds), self.rule.level / comparisons
        if smallest <= needed:
            return None
        return Shortage(smallest, needed, runs_needed(self.rule.level, comparisons))

    @cached_property
    def power(self) -> float:
        """The chance to find a difference of one standard deviation beyond the margin on a task.

        At the level of Holm's strictest step, as if nothing else were decided.
        """
        comparisons = max(1, self.num_comparisons)
        level = self.rule.level / comparisons
        return power(self.seeds, level, np.random.default_rng(_POWER_SEED))

    def config(self) -> dict[str, Any]:
        """Return everything that is fixed before the first run, as plain JSON values."""
        return {
            "format": RUN_FORMAT,
            "title": self.title,
            "tasks": [
                {
                    **task.config(),
                    **_code(task),
                    "metric": task.metric.name,
                    "widths": {c.name: self.width(task, c) for c in self.contestants},
                }
                for task in self.tasks
            ],
            "contestants": [
                c.model_dump(mode="json") | {"code": self._codes[c.name]} for c in self.contestants
            ],
            "parameters": self.parameters,
            "training": self.settings.config(),
            "tuning": self.tuning.model_dump(mode="json")
            | {"drawn": [s.config() for s in self.tuning.settings(self.settings)]},
            "seeds": list(self.final_seeds),
            "verdict": self.rule.model_dump(),
            "sweeps": [
                {
                    "task": self.tasks.index(sweep.task),
                    "vary": sweep.vary,
                    "values": list(sweep.values),
                    "seeds": list(self.final_seeds[: sweep.seeds]),
                    "train": sweep.train,
                }
                for sweep in self.sweeps
            ],
            **self._further_tests_config(),
            # What earlier versions had no choice of is not stated, so that their hashes hold.
            **({} if self.match == "parameters" else {"match": self.match}),
        }

    def _further_tests_config(self) -> dict[str, Any]:
        """Return the further tests; nothing where there are none, as in earlier versions."""
        tests = [
            {"task": self.tasks.index(test.trained), "arguments": dict(test.arguments)}
            for test in self.further_tests
        ]
        return {"further_tests": tests} if tests else {}

    @cached_property
    def hash(self) -> str:
        """SHA-256 of ``config``: two races with the same hash are decided by the same rules."""
        return digest(self.config())

    def _run(
        self,
        task: Task,
        contestant: Contestant,
        settings: TrainingSettings,
        seed: int,
        *,
        stage: Stage = "final",
        also_tested_on: tuple[Task, ...] = (),
        further_tests: tuple[Task, ...] = (),
    ) -> RunSpec:
        before = self.contestants[: self.contestants.index(contestant)]
        return RunSpec(
            task=task,
            contestant=contestant,
            width=self.width(task, contestant),
            settings=settings,
            seed=seed,
            stage=stage,
            copy=sum(other.model == contestant.model for other in before),
            also_tested_on=also_tested_on,
            further_tests=further_tests,
            code=self._codes[contestant.name],
            task_code=task_code(task),
        )

    def _also_tested_on(self, task: Task) -> tuple[Task, ...]:
        """Return the other tasks on which models trained on ``task`` are tested."""
        of_task = [sweep for sweep in self.sweeps if sweep.task is task and not sweep.train]
        return tuple(other for sweep in of_task for other in sweep.tasks)

    def width(self, task: Task, contestant: Contestant) -> int:
        """Return the width at which a contestant has the race's size on a task."""
        return self._widths[self._form(task)][contestant.name]

    @cached_property
    def _widths(self) -> dict[str, dict[str, int]]:
        """Widths of all contestants on the tasks of each form."""
        forms = {self._form(task): task for task in self.all_tasks()}
        return {form: self._matched(task) for form, task in forms.items()}

    def _form(self, task: Task) -> str:
        """Return what sizes depend on: operations, as those of attention, on rows as well."""
        if self.match == "flops":
            return digest(task.config())
        return f"{task.input_size} to {task.output_size}"

    def _matched(self, task: Task) -> dict[str, int]:
        counts = {c.name: _counter(c, task, self.match) for c in self.contestants}
        if self.match == "parameters":
            return match_widths(counts, self.parameters)
        parameters = _counter(self.contestants[0], task, "parameters")
        wanted = counts[self.baseline](nearest_width(parameters, self.parameters))
        return match_widths(counts, wanted, self.match, parameters)

    @cached_property
    def _codes(self) -> dict[str, str | None]:
        return {contestant.name: contestant.code() for contestant in self.contestants}


def _code(task: Task) -> dict[str, str]:
    """Return the digest of a user's task; nothing for the package's, whose code is a version's."""
    code = task_code(task)
    return {} if code is None else {"code": code}


def _first_repeated(names: Iterable[str]) -> str | None:
    """Return the first name that is repeated; None if each comes once."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    return None


def _counter(contestant: Contestant, task: Task, by: Match) -> Count:
    return cache(lambda width: contestant.size(task, width, by))
