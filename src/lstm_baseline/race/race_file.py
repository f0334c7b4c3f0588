"""A race as a TOML file: contestants and tasks, tuning, and the rule of the verdict.

`docs/races.md` explains every key; `lstm-baseline init` writes a file to start from.
"""

import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from lstm_baseline.contestants.contestant import Contestant
from lstm_baseline.contestants.match import Match
from lstm_baseline.engine.errors import FileError, InputError
from lstm_baseline.engine.storage import check_is_file, write_whole
from lstm_baseline.engine.wording import did_you_mean
from lstm_baseline.own_code import search_also
from lstm_baseline.race.plan import FurtherTest, Plan, Sweep
from lstm_baseline.race.tuning import Choices, Range, Tuning
from lstm_baseline.race.verdict import VerdictRule
from lstm_baseline.runs.spec import FIRST_TRIAL_SEED
from lstm_baseline.tasks import TASKS, Task, TextFile, make_task, read_data
from lstm_baseline.tasks.files import Split, Target
from lstm_baseline.training import TrainingSettings

Count = Annotated[int, Field(ge=1, le=1_000_000_000)]
Seeds = Annotated[int, Field(ge=1, le=10_000)]
PRESETS = ("quick", "standard", "nth-farthest", "state-tracking", "recall")
"""Races that come with the package; each is a file that ``init`` copies."""


OWN_DATA = {"num_steps": 2000, "batch_size": 32, "learning_rate": 3e-3}
"""Training settings that suit most users' own data, used where nothing is tuned."""


class SweepEntry(BaseModel):
    """One argument of the task above it, and the values that it takes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    vary: str
    values: Annotated[tuple[Any, ...], Field(min_length=1)]
    seeds: Seeds
    train: bool = True
    """True to train at every value, False to only test the trained models there."""


class TaskEntry(BaseModel):
    """A named task with its arguments, or the user's own arrays or text."""

    model_config = ConfigDict(extra="allow", frozen=True)

    task: str = ""
    """Name of a generated task, or a class of the user's as package.module:Name."""
    data: Path | None = None
    """An .npz file, in place of a generated task."""
    target: Target = "auto"
    """Meaning of y in ``data``."""
    split: Split = "auto"
    """Which rows of ``data`` are for test: as the file says or drawn, or the last ones."""
    text: Path | None = None
    """A UTF-8 file, in place of a generated task."""
    sweeps: tuple[SweepEntry, ...] = ()
    test_lengths: tuple[Any, ...] = ()
    """Lengths, or ranges of them, at which the trained models are tested and judged as well."""
    tests: tuple[Annotated[dict[str, Any], Field(min_length=1)], ...] = ()
    """The same for any arguments of the task: those of each test that differ from the task's."""

    @model_validator(mode="before")
    @classmethod
    def _from_name(cls, value: Any) -> Any:
        return {"task": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _check(self) -> Self:
        if bool(self.task) + (self.data is not None) + (self.text is not None) != 1:
            raise ValueError(
                f"give one of task ({', '.join(TASKS)}, or a class of your own as "
                "package.module:Name), data and text"
            )
        if self.target != "auto" and self.data is None:
            raise ValueError("target says what y in data is; give data as well")
        if self.split != "auto" and self.data is None:
            raise ValueError("split says which rows of data are for test; give data as well")
        return self

    def make(self, folder: Path) -> Task:
        """Return the task; the path of a file is relative to ``folder``."""
        arguments = dict(self.model_extra or {})
        if self.task:
            return make_task(self.task, **arguments)
        if self.data is not None:
            _refuse_arguments(arguments, "data")
            return read_data(folder / self.data, self.target, self.split)
        assert self.text is not None
        _refuse_arguments(arguments, "text")
        return TextFile(folder / self.text)

    def further_tests(self, task: Task) -> list[FurtherTest]:
        """Return the tests of the models of ``task``, which ``make`` returned."""
        arguments = task.config().keys() & {"lengths", "length"}
        if self.test_lengths and not arguments:
            raise InputError(
                f"test_lengths: {task.name} has neither lengths nor length; give its tests with "
                "arguments of its own, as tests = [{...}]"
            )
        given = [{name: lengths} for lengths in self.test_lengths for name in arguments]
        return [FurtherTest(task, arguments) for arguments in (*given, *self.tests)]


class RaceFile(BaseModel):
    """Content of a race's file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    title: str = ""
    contestants: Annotated[tuple[Contestant, ...], Field(min_length=1)]
    """The first is the baseline."""
    tasks: Annotated[tuple[TaskEntry, ...], Field(min_length=1)]
    parameters: Count
    """Approximate number of trainable parameters of every contestant, or of the baseline where
    something else is matched."""
    match: Match = "parameters"
    """What all contestants have equally much of."""
    seeds: Seeds
    """Number of paired final runs of each contestant on each task."""
    first_seed: Annotated[int, Field(ge=0, lt=FIRST_TRIAL_SEED)] = 0
    """Seed of the first final runs."""
    training: TrainingSettings = TrainingSettings()
    tuning: Tuning = Tuning()
    verdict: VerdictRule = VerdictRule()

    def plan(self, folder: Path = Path()) -> Plan:
        """Make the tasks and return the plan; paths in the file are relative to ``folder``.

        Modules with classes of the user's are looked for there, too.

        Raises
        ------
        InputError
            If a task or a sweep cannot be made.
        FileError
            If a file of the user cannot be read.
        """
        if any(":" in entry.task for entry in self.tasks) or any(
            contestant.is_user_class for contestant in self.contestants
        ):
            search_also(folder)
        tasks, sweeps = [], []
        tests: list[FurtherTest] = []
        for number, entry in enumerate(self.tasks):
            with _at(f"tasks.{number}"):
                tasks.append(task := entry.make(folder))
                tests += entry.further_tests(task)
            for each, sweep in enumerate(entry.sweeps):
                with _at(f"tasks.{number}.sweeps.{each}"):
                    sweeps.append(Sweep(task, sweep.vary, sweep.values, sweep.seeds, sweep.train))
                    _ = sweeps[-1].tasks
        return Plan(
            tasks=tuple(tasks),
            contestants=self.contestants,
            seeds=self.seeds,
            settings=self.training,
            parameters=self.parameters,
            match=self.match,
            tuning=self.tuning,
            rule=self.verdict,
            sweeps=tuple(sweeps),
            further_tests=tuple(tests),
            title=self.title,
            first_seed=self.first_seed,
        )


_KEYS = {
    key
    for model in (
        RaceFile,
        TaskEntry,
        SweepEntry,
        Contestant,
        TrainingSettings,
        Tuning,
        Range,
        Choices,
        VerdictRule,
    )
    for key in model.model_fields
}


def read_race(path: Path) -> RaceFile:
    """Read a race's file.

    Raises
    ------
    FileError
        If the file is missing or not TOML, or a key or value is wrong; the message says where.
    """
    check_is_file(path)
    try:
        text = path.read_text(encoding="utf-8-sig")  # some editors write a byte order mark
    except (OSError, UnicodeDecodeError) as error:
        raise FileError(
            f"cannot read {path}: {getattr(error, 'strerror', None) or 'it is not UTF-8 text'}"
        ) from error
    return _parse(text, str(path))


def read_preset(name: str) -> RaceFile:
    """Return one of the races that come with the package."""
    return _parse(preset_text(name), f"preset {name}")


def preset_text(name: str) -> str:
    """Return the text of a preset's file, with its comments."""
    if name not in PRESETS:
        raise InputError(f"no preset is named {name!r}; give one of: {', '.join(PRESETS)}")
    return files("lstm_baseline.race").joinpath("presets", f"{name}.toml").read_text("utf-8")


def write_preset(name: str, path: Path) -> None:
    """Write a preset's file for the user to change; refuse to overwrite a file."""
    text = preset_text(name)
    if path.exists():
        raise InputError(f"{path} is there already; give another name, or remove it")
    write_whole(path, text.encode())


def change(race: RaceFile, **values: Any) -> RaceFile:
    """Return the race with some values changed; they are checked like those of a file.

    Raises
    ------
    InputError
        If a value is wrong.
    """
    kept = {name: getattr(race, name) for name in RaceFile.model_fields}
    return make_race(**(kept | values))


def make_race(**values: Any) -> RaceFile:
    """Return a race of values by key; they are checked like those of a file.

    Raises
    ------
    InputError
        If a key or value is wrong.
    """
    try:
        return RaceFile.model_validate(values)
    except ValidationError as error:
        raise InputError(_first_problem(error)) from error


@dataclass(frozen=True, kw_only=True)
class Options:
    """Changes that the command line makes to a race; None keeps the race's own value.

    Raises
    ------
    InputError
        If more than one option chooses the tasks.
    """

    tasks: tuple[str, ...] | None = None
    """Names of tasks or of classes; a task that the race has keeps its arguments and sweeps."""
    data: Path | None = None
    """A user's arrays, which replace all tasks."""
    target: Target = "auto"
    """Meaning of y in ``data``."""
    split: Split = "auto"
    """Which rows of ``data`` are for test."""
    text: Path | None = None
    """A user's text, which replaces all tasks."""
    models: tuple[str, ...] | None = None
    """Models that replace all contestants."""
    challengers: tuple[str, ...] = ()
    """Models added to the contestants."""
    seeds: int | None = None
    first_seed: int | None = None
    trials: int | None = None
    steps: int | None = None

    def __post_init__(self) -> None:
        if sum(given is not None for given in (self.tasks, self.data, self.text)) > 1:
            raise InputError("give at most one of --tasks, --data and --text")


def with_options(race: RaceFile, options: Options, *, is_preset: bool) -> RaceFile:
    """Return a race with the changes that the options of the command line make.

    Parameters
    ----------
    race
        The race of the file or preset.
    options
        Options that the user gave in addition.
    is_preset
        True if the race is a preset. The training settings of a preset suit its own tasks; where
        nothing is tuned, a user's own data are trained with ``OWN_DATA`` instead.

    Raises
    ------
    InputError
        If a value is wrong.
    """
    own_data = options.data is not None or options.text is not None
    tuning = race.tuning.model_dump()
    if options.trials is not None:
        tuning["trials"] = options.trials
    training = race.training.model_dump()
    if is_preset and own_data and not race.tuning.trials:
        training |= OWN_DATA
    if options.steps is not None:
        training["num_steps"] = options.steps
    contestants = race.contestants if options.models is None else options.models
    return change(
        race,
        tasks=_entries(race, options),
        contestants=[*contestants, *options.challengers],
        seeds=race.seeds if options.seeds is None else options.seeds,
        first_seed=race.first_seed if options.first_seed is None else options.first_seed,
        tuning=tuning,
        training=training,
    )


def _entries(race: RaceFile, options: Options) -> list[object]:
    """Return the entries of the tasks: the user's file, or those of the race that are named."""
    if options.data is not None:
        return [{"data": options.data.absolute(), "target": options.target, "split": options.split}]
    if options.text is not None:
        return [{"text": options.text.absolute()}]
    if options.tasks is None:
        return list(race.tasks)
    given: dict[str, list[object]] = {name: [] for name in options.tasks}
    for entry in race.tasks:
        given.get(entry.task, []).append(entry)
    return [entry for name in given for entry in given[name] or [name]]


def _parse(text: str, source: str) -> RaceFile:
    try:
        return RaceFile.model_validate(tomllib.loads(text))
    except ValidationError as error:
        raise FileError(f"{source}: {_first_problem(error)}") from error
    except (ValueError, RecursionError) as error:
        raise FileError(f"{source} is not TOML: {error}") from error


def _first_problem(error: ValidationError) -> str:
    """Describe the first wrong key or value: its place, what it is and what is wrong with it."""
    # An unknown key comes first: it may explain why another one is missing.
    first = min(error.errors(), key=lambda found: found["type"] != "extra_forbidden")
    # Skip pydantic's labels of union alternatives: they are not keys.
    parts = [part for part in map(str, first["loc"]) if " " not in part]
    place = ".".join(parts)
    message = first["msg"].removeprefix("Value error, ")
    if first["type"] == "extra_forbidden":
        meant = did_you_mean(parts[-1], _KEYS)
        return f"{place} is not a key of a race{meant}; docs/races.md lists them"
    if first["type"] == "missing":
        return f"{place} is missing"
    if first["type"] == "too_short":
        return f"{place} is empty; give at least one"
    given = f" is {first['input']!r}" if first["type"] != "value_error" else ""
    return f"{place}{given}: {message}"


def _refuse_arguments(arguments: dict[str, Any], kind: str) -> None:
    if arguments:
        raise InputError(f"{', '.join(arguments)} is not a key of a task made from {kind}")


@contextmanager
def _at(place: str) -> Iterator[None]:
    """Name the entry of the file in the message of an error about it."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{place}: {error}") from error
