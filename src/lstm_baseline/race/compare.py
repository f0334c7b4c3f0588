"""A race from Python: what ``lstm-baseline compare`` does with a race's file, with values."""

import inspect
import json
import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from rich.console import Console

from lstm_baseline.contestants.contestant import Contestant
from lstm_baseline.contestants.match import Match
from lstm_baseline.engine.errors import InputError
from lstm_baseline.engine.inputs import as_size
from lstm_baseline.engine.models import MODELS
from lstm_baseline.own_code import check_can_be_found, name_of
from lstm_baseline.race.outcomes import RaceOutcome
from lstm_baseline.race.race import hold_race, report_race
from lstm_baseline.race.race_file import RaceFile, make_race
from lstm_baseline.race.tuning import Tuning
from lstm_baseline.race.verdict import VerdictRule
from lstm_baseline.tasks import TASKS, GeneratedTask, Task
from lstm_baseline.tasks.checks import check_config
from lstm_baseline.tasks.own_task import is_own_task
from lstm_baseline.training import TrainingSettings

Table: TypeAlias = Mapping[str, Any]
"""What stands under a key of a race's file."""

TaskLike: TypeAlias = (
    str | type[GeneratedTask] | tuple[str | type[GeneratedTask], Table] | Table | Task
)
ContestantLike: TypeAlias = str | type | Table | Contestant


def compare(
    tasks: Iterable[TaskLike],
    contestants: Iterable[ContestantLike],
    *,
    parameters: int = 18_000,
    match: Match = "parameters",
    seeds: int = 10,
    first_seed: int = 0,
    training: TrainingSettings | Table | None = None,
    tuning: Tuning | Table | None = None,
    verdict: VerdictRule | Table | None = None,
    title: str = "",
    out: str | Path = "report",
    workers: int | None = None,
    dask: str | None = None,
    quiet: bool = False,
) -> RaceOutcome:
    """Race the contestants at equal size and equal tuning, and say who won, if anybody did.

    It is the race of the file that says the same: one plan with one hash, the same runs, the same
    report. Runs that have ended in ``out`` are not repeated, so that a call that was stopped goes
    on when it is made again.

    Parameters
    ----------
    tasks
        Each a name; a class, or its name as "package.module:Name"; one of these with arguments,
        ``("parity", {"length": 8})``; a task that is made already; or a table as under
        ``[[tasks]]`` in a race's file, which may have ``sweeps``, or ``data`` or ``text`` in place
        of a task. Classes are subclasses of ``lstm_baseline.tasks.GeneratedTask``.
    contestants
        Each a name; a class, or its name; or a table of ``name``, ``model`` and ``arguments``. The
        first is the baseline.
    parameters
        Approximate number of trainable parameters of every contestant.
    match
        What all have equally much of. With "state" (numbers carried from step to step) or "flops"
        (operations of a forward step), ``parameters`` are those of the baseline, and the others are
        as large as that one in what is matched.
    seeds
        Number of paired final runs of each contestant on each task.
    first_seed
        Seed of the first of them; the others follow.
    training, tuning, verdict
        Settings, or tables as under these keys of a race's file; its defaults where None, with
        which nothing is tuned.
    title
        Title of the report.
    out
        Folder of the report and of the runs that it rests on.
    workers
        Number of processes; if None, one for each core.
    dask
        Address of a Dask scheduler whose workers carry out the runs.
    quiet
        True to print nothing.

    Returns
    -------
    The outcome: ``duels``, one for each challenger, with the ``verdict`` of the race and a
    comparison for each of its ``tasks``; ``tasks``, each with the ``scores`` of its
    ``contestants``.

    Raises
    ------
    InputError
        If a value is wrong, or a task or a contestant breaks a rule.
    FileError
        If ``out`` holds another race, or a file cannot be read or written.
    WorkerError
        If runs cannot be carried out where they were to be.
    """
    folder = Path(out)
    if folder.exists() and not folder.is_dir():
        raise InputError(f"out is {str(out)!r}, which is a file; give a folder")
    if workers is not None:
        as_size("workers", workers)
    if workers is not None and dask is not None:
        raise InputError("workers are processes here, dask has workers of its own; give one")
    race = race_of(
        tasks,
        contestants,
        parameters=parameters,
        match=match,
        seeds=seeds,
        first_seed=first_seed,
        title=title,
        **{
            key: value
            for key, value in (("training", training), ("tuning", tuning), ("verdict", verdict))
            if value is not None
        },
    )
    console = Console(quiet=quiet, markup=False, emoji=False, highlight=False)
    outcome = hold_race(race.plan(), folder, num_workers=workers, scheduler=dask, console=console)
    report = report_race(outcome, folder, command=command_of(race, folder), console=console)
    console.print(f"report: {report}", soft_wrap=True)
    return outcome


def race_of(
    tasks: Iterable[TaskLike], contestants: Iterable[ContestantLike], **values: Any
) -> RaceFile:
    """Return a race as its file would state it.

    Parameters
    ----------
    tasks, contestants
        As ``compare`` takes them.
    values
        Values of the other keys of a race's file.

    Raises
    ------
    InputError
        If a value is wrong.
    """
    if isinstance(tasks, str | Mapping) or isinstance(contestants, str | Mapping):
        raise InputError("give tasks and contestants each as a list")
    return make_race(
        tasks=[_task_entry(task) for task in tasks],
        contestants=[_contestant_entry(each) for each in contestants],
        **values,
    )


def command_of(race: RaceFile, folder: Path) -> str:
    """Return a command line that holds a race in a folder."""
    values = race.model_dump(mode="json", exclude_defaults=True)
    values["tasks"] = [e["task"] if e.keys() == {"task"} else e for e in values["tasks"]]
    values["contestants"] = [_short(each) for each in values["contestants"]]
    values |= {} if folder == Path("report") else {"out": str(folder)}
    listed = ", ".join(f"{key}={_literal(value)}" for key, value in values.items())
    return shlex.join(["python", "-c", f"import lstm_baseline as lb; lb.compare({listed})"])


def _short(contestant: dict[str, Any]) -> Any:
    """Return a contestant by its model alone, where this says it all."""
    alone = Contestant.model_validate(contestant["model"])
    return alone.model if alone.model_dump(exclude_defaults=True) == contestant else contestant


def _literal(value: Any) -> str:
    """Return a value as Python reads it, with double quotes: it stands in single ones."""
    if isinstance(value, dict):
        return f"{{{', '.join(f'{_literal(k)}: {_literal(v)}' for k, v in value.items())}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(_literal, value))}]"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else repr(value)


def _task_entry(given: TaskLike) -> dict[str, Any]:
    """Return what would stand under ``[[tasks]]`` of a race's file."""
    if isinstance(given, str):
        return {"task": given}
    if isinstance(given, type):
        return {"task": _task_name(given)}
    if isinstance(given, Mapping):
        return dict(given)
    if isinstance(given, GeneratedTask):
        return _entry_of(given)
    if isinstance(given, tuple | list) and len(given) == 2 and isinstance(given[1], Mapping):
        (entry, arguments) = given
        if isinstance(entry, str | type):
            return {**_task_entry(entry), **arguments}
    if isinstance(given, Task):
        raise InputError(
            f"the task {given.name} is on a file; give a table with its path, "
            '{"data": "FILE.npz"} or {"text": "FILE"}'
        )
    raise InputError(
        f"tasks has {given!r}; give a name, a class, (name, arguments), a table as in a race's "
        "file, or a task"
    )


def _entry_of(task: GeneratedTask) -> dict[str, Any]:
    """Return the entry of a task that is made already, without arguments at their defaults.

    Raises
    ------
    InputError
        If it is not what its config says, as where an attribute was changed.
    """
    check_config(task)
    config = task.config()
    name = config.pop("task")
    defaults = inspect.signature(type(task) if is_own_task(task) else TASKS[name]).parameters
    return {
        "task": name,
        **{key: value for key, value in config.items() if defaults[key].default != value},
    }


def _task_name(cls: type) -> str:
    """Return the name of a task's class: of the package's its own, of others package.module:Name.

    Raises
    ------
    InputError
        If workers would not find the class.
    """
    known = {made: name for name, made in TASKS.items() if isinstance(made, type)}
    if cls in known:
        return known[cls]
    check_can_be_found(cls)
    return name_of(cls)


def _contestant_entry(given: ContestantLike) -> Any:
    """Return what would stand in the list of contestants of a race's file."""
    if isinstance(given, type):
        return _model_name(given)
    if isinstance(given, Mapping) and isinstance(given.get("model"), type):
        return {**given, "model": _model_name(given["model"])}
    return given


def _model_name(cls: type) -> str:
    known = {kind.model: name for name, kind in MODELS.items()}
    if cls in known:
        return known[cls]
    check_can_be_found(cls)
    return name_of(cls)
