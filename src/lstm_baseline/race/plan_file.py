"""A race's plan, read back from the ``plan.json`` in its folder."""

from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError

from lstm_baseline.contestants.contestant import Contestant
from lstm_baseline.engine.errors import FileError, LSTMBaselineError
from lstm_baseline.engine.storage import read_json
from lstm_baseline.own_code import search_also
from lstm_baseline.race.plan import PLAN, FurtherTest, Plan, Sweep
from lstm_baseline.race.tuning import Tuning
from lstm_baseline.race.verdict import VerdictRule
from lstm_baseline.runs.spec import digest
from lstm_baseline.tasks import ArrayFile, MusicFile, Task, TextFile, make_task
from lstm_baseline.tasks.files import Split
from lstm_baseline.tasks.own_task import task_code
from lstm_baseline.training import TrainingSettings


class PlanFile(NamedTuple):
    """Content of ``plan.json``."""

    hash: str
    """Hash that the file gives."""
    config: dict[str, Any]
    """What was fixed before the first run."""
    made_with: dict[str, Any]
    """What else results depend on: versions and engine."""

    @property
    def is_unchanged(self) -> bool:
        """True if the hash is that of the plan."""
        return self.hash == digest(self.config)


def read_plan_file(folder: Path) -> PlanFile:
    """Read the plan's file in the folder of a race.

    Raises
    ------
    FileError
        If it is missing or is not the file of a plan.
    """
    path = folder / PLAN
    if not path.exists():
        raise FileError(f"{folder} holds no race: it has no {PLAN}")
    found = read_json(path)
    kinds = {"hash": str, "plan": dict, "made_with": dict}
    if not isinstance(found, dict) or any(
        not isinstance(found.get(key), kind) for key, kind in kinds.items()
    ):
        raise FileError(f"{path} is damaged: it is not the file of a plan")
    return PlanFile(found["hash"], found["plan"], found["made_with"])


def plan_of(config: dict[str, Any], data: Path = Path()) -> Plan:
    """Return the plan of which ``Plan.config`` gave these values.

    Parameters
    ----------
    config
        The values.
    data
        Folder of the user's files that the race is on, and of modules with classes of the user's.

    Raises
    ------
    FileError
        If the values are not those of a plan, or a file of the user's is missing or another one, or
        the code of a user's task has changed.
    InputError
        If a class of the user's is not there.
    """
    try:
        if any(":" in given["task"] for given in config["tasks"]) or any(
            ":" in given["model"] for given in config["contestants"]
        ):
            search_also(data)
        tasks = tuple(_task(given, data) for given in config["tasks"])
        contestants = [
            Contestant.model_validate({k: v for k, v in given.items() if k != "code"})
            for given in config["contestants"]
        ]
        tuning = {key: value for key, value in config["tuning"].items() if key != "drawn"}
        plan = Plan(
            tasks=tasks,
            contestants=tuple(contestants),
            seeds=len(config["seeds"]),
            first_seed=config["seeds"][0],
            settings=TrainingSettings.model_validate(config["training"]),
            parameters=config["parameters"],
            match=config.get("match", "parameters"),
            tuning=Tuning.model_validate(tuning),
            rule=VerdictRule.model_validate(config["verdict"]),
            sweeps=tuple(_sweep(given, tasks) for given in config["sweeps"]),
            further_tests=tuple(
                FurtherTest(tasks[given["task"]], given["arguments"])
                for given in config.get("further_tests", ())
            ),
            title=config["title"],
        )
        _ = plan.hash  # solves the widths, which no check of single values does
    except LSTMBaselineError:
        raise
    except (ValidationError, KeyError, TypeError, AttributeError, IndexError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise FileError(f"this is not a plan ({type(error).__name__}: {reason})") from error
    return plan


def _task(config: dict[str, Any], data: Path) -> Task:
    given = {key: value for key, value in config.items() if key not in ("metric", "widths")}
    name, code = given.pop("task"), given.pop("code", None)
    task: Task
    if "sha256" not in given:
        task = make_task(name, **given)
        if task_code(task) != code:
            raise FileError(
                f"the code of {name} is not what it was when the race began: its digest is "
                f"{task_code(task)}, and the plan has {code}"
            )
        return task
    path = data / Path(given["path"]).name
    if "window" in given:
        task = TextFile(path)
    elif "keys" in given:
        task = MusicFile(path)
    else:
        split: Split = "time" if given.get("split") == "time" else "auto"
        task = ArrayFile(path, target=given["target"], split=split)
    if task.config()["sha256"] != given["sha256"]:
        raise FileError(f"{path} is not the file that the race was on: its content differs")
    return task


def _sweep(config: dict[str, Any], tasks: tuple[Task, ...]) -> Sweep:
    return Sweep(
        tasks[config["task"]],
        config["vary"],
        tuple(config["values"]),
        len(config["seeds"]),
        config["train"],
    )
