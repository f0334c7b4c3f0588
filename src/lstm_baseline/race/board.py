"""A board: races on equal tasks side by side, as one static page and a table.

A board reads folders that ``compare`` wrote. Each is checked by ``verify`` first, without training
anything again, and a board says what did not pass. Races are put together by task: the same name,
arguments, metric and, for a further test, the task that was trained on.
"""

import csv
import io
import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import BaseModel, ValidationError
from rich.console import Console

from lstm_baseline.engine.errors import FileError, LSTMBaselineError
from lstm_baseline.engine.storage import read_json, write_whole
from lstm_baseline.race.plan_file import read_plan_file
from lstm_baseline.race.report.exports import VERDICT
from lstm_baseline.race.report.page import PAGE, page_environment
from lstm_baseline.race.verify import verify_race

CSV = "board.csv"
BASELINE = "lstm"

_COLUMNS = (
    "task",
    "arguments",
    "metric",
    "contestant",
    "parameters",
    "steps",
    "seeds",
    "score",
    "standard_deviation",
    "share_learned",
    "against_lstm",
    "race",
    "plan",
    "verified",
)


class _Spread(BaseModel):
    mean: float
    std: float | None


class _Share(BaseModel):
    estimate: float


class _Contestant(BaseModel):
    name: str
    parameters: int
    share_learned: _Share
    score: _Spread | None
    runs: list[Any]


class _Task(BaseModel):
    title: str
    task: dict[str, Any]
    trained_on: dict[str, Any] | None = None
    metric: str
    higher_is_better: bool
    contestants: list[_Contestant]


class _Comparison(BaseModel):
    title: str
    verdict: str
    barrier: str | None
    num_steps: int


class _Duel(BaseModel):
    challenger: str
    tasks: list[_Comparison]


class _Verdict(BaseModel):
    """The part of ``verdict.json`` that a board shows."""

    title: str
    plan: str
    baseline: str
    duels: list[_Duel]
    tasks: list[_Task]


class Entry(NamedTuple):
    """A contestant on a task in a race."""

    contestant: str
    parameters: int
    num_steps: int
    seeds: int
    score: float | None
    """Mean test score of the runs that finished."""
    std: float | None
    share_learned: float
    verdict: str
    """Against the LSTM in the same race: better, worse, equivalent, undecided, not compared;
    baseline for the LSTM itself, and empty where the race's baseline is another."""
    race: str
    """Title of its race, or else the folder's name."""
    folder: Path
    plan: str
    problems: tuple[str, ...]
    """What ``verify`` found wrong; empty if all holds."""


class BoardTask(NamedTuple):
    """A task, and its contestants in all races, the best first."""

    name: str
    arguments: dict[str, Any]
    trained_on: dict[str, Any] | None
    metric: str
    entries: tuple[Entry, ...]


def make_board(folders: Sequence[Path], *, data: Path = Path()) -> list[BoardTask]:
    """Read and check races, and put them together by task; those with most entries come first.

    Parameters
    ----------
    folders
        Folders that ``compare`` wrote, of races that have ended.
    data
        Folder of the user's files that a race is on.

    Raises
    ------
    FileError
        If a folder holds no race that has ended, or its verdict is damaged.
    """
    tasks: dict[str, tuple[_Task, list[Entry]]] = {}
    for folder in folders:
        for task, entries in _read(folder, data):
            key = json.dumps([task.task, task.trained_on, task.metric], sort_keys=True)
            tasks.setdefault(key, (task, []))[1].extend(entries)
    board = [
        BoardTask(
            str(task.task.get("task")),
            {key: value for key, value in task.task.items() if key not in ("task", "metric")},
            task.trained_on,
            task.metric,
            tuple(sorted(entries, key=lambda entry: _place(entry, task.higher_is_better))),
        )
        for task, entries in tasks.values()
    ]
    return sorted(board, key=lambda task: -len(task.entries))


def write_board(board: Sequence[BoardTask], folder: Path) -> Path:
    """Write ``index.html`` and ``board.csv``, and return the path of the page."""
    for name, content in ((CSV, board_csv(board)), (PAGE, board_page(board, folder))):
        write_whole(folder / name, content.encode())
    return folder / PAGE


def board_csv(board: Sequence[BoardTask]) -> str:
    """Return a line for each entry."""
    file = io.StringIO()
    table = csv.writer(file, lineterminator="\n")
    table.writerow(_COLUMNS)
    for task in board:
        for entry in task.entries:
            row = (
                *(task.name, json.dumps(task.arguments), task.metric, entry.contestant),
                *(entry.parameters, entry.num_steps, entry.seeds, entry.score, entry.std),
                *(entry.share_learned, entry.verdict, entry.race, entry.plan),
                "no" if entry.problems else "yes",
            )
            table.writerow(["" if value is None else value for value in row])
    return file.getvalue()


def board_page(board: Sequence[BoardTask], folder: Path) -> str:
    """Return the page, whose links to reports start in the folder."""
    return (
        page_environment()
        .get_template("board.html.j2")
        .render(board=board, csv=CSV, link=lambda entry: _link(entry, folder))
    )


def _link(entry: Entry, folder: Path) -> str | None:
    """Return the way from the board to the report of an entry's race, if there is one."""
    report = entry.folder / PAGE
    return Path(os.path.relpath(report, folder)).as_posix() if report.exists() else None


def _place(entry: Entry, higher_is_better: bool) -> tuple[bool, float]:
    score = 0.0 if entry.score is None else entry.score
    return entry.score is None, -score if higher_is_better else score


def _read(folder: Path, data: Path) -> Iterable[tuple[_Task, list[Entry]]]:
    plan = read_plan_file(folder)
    path = folder / VERDICT
    if not path.exists():
        raise FileError(f"{folder} has no {VERDICT}: give folders of races that have ended")
    try:
        verdict = _Verdict.model_validate(read_json(path))
    except ValidationError as error:
        raise FileError(f"{path} is damaged; `lstm-baseline verify` says more") from error
    problems = _problems(folder, data)
    models = {each.get("name"): each.get("model") for each in plan.config.get("contestants", ())}
    against_lstm = models.get(verdict.baseline) == BASELINE
    found = {(duel.challenger, each.title): each for duel in verdict.duels for each in duel.tasks}
    for task in verdict.tasks:
        steps = {each.num_steps for (_, title), each in found.items() if title == task.title}
        planned = plan.config.get("training", {}).get("num_steps", 0)
        yield (
            task,
            [
                Entry(
                    contestant=each.name,
                    parameters=each.parameters,
                    num_steps=max(steps, default=planned),
                    seeds=len(each.runs),
                    score=None if each.score is None else each.score.mean,
                    std=None if each.score is None else each.score.std,
                    share_learned=each.share_learned.estimate,
                    verdict=_word(each.name, verdict.baseline, found.get((each.name, task.title)))
                    if against_lstm
                    else "",
                    race=verdict.title or folder.resolve().name,
                    folder=folder,
                    plan=verdict.plan[:12],
                    problems=problems,
                )
                for each in task.contestants
            ],
        )


def _word(name: str, baseline: str, comparison: _Comparison | None) -> str:
    if name == baseline:
        return "baseline"
    if comparison is None:
        return ""
    if comparison.barrier is not None:
        return "not compared"
    words = {"challenger better": "better", "baseline better": "worse"}
    return words.get(comparison.verdict, comparison.verdict)


def _problems(folder: Path, data: Path) -> tuple[str, ...]:
    """Return what ``verify`` finds without training a run again."""
    try:
        checks = list(verify_race(folder, data=data, sample=0, console=Console(quiet=True)))
    except LSTMBaselineError as error:
        return (str(error),)
    return tuple(f"{check.name}: {problem}" for check in checks for problem in check.problems)
