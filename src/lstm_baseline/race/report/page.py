"""The race's report: one HTML file that needs nothing else, and exports beside it."""

import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined

import lstm_baseline
from lstm_baseline.engine.backend import describe
from lstm_baseline.engine.storage import write_whole
from lstm_baseline.plots import formats
from lstm_baseline.plots.drawing import INK, model_style
from lstm_baseline.plots.palette import BLUE
from lstm_baseline.race.judge import RaceOutcome, TaskVerdict
from lstm_baseline.race.plan import Plan
from lstm_baseline.race.report import words
from lstm_baseline.race.report.exports import CSV, FIGURES, LATEX, write_exports
from lstm_baseline.race.report.pictures import RUNS, draw_race
from lstm_baseline.race.results import TaskOutcome
from lstm_baseline.runs.run import RunResult
from lstm_baseline.runs.spec import RunSpec

PAGE = "index.html"

_KEYS = {"o": "●", "s": "■", "^": "▲", "D": "◆", "v": "▼", "P": "✚", "X": "✖", "p": "⬟"}


class Key(NamedTuple):
    """How a contestant is marked in every figure."""

    symbol: str
    color: str


class Failure(NamedTuple):
    """A run that failed."""

    stage: str
    run: str
    reason: str


def write_report(race: RaceOutcome, folder: Path, command: str) -> Path:
    """Write the report of a race as ``index.html`` with its exports, and return its path.

    Parameters
    ----------
    race
        The race.
    folder
        Where the report goes. Trained models are read from its ``runs/``; where one is missing or
        damaged, the report says so in the place of its pictures.
    command
        What reproduces the race.

    Raises
    ------
    WriteError
        If a file cannot be written.
    """
    pictures = draw_race(race, folder)
    write_exports(race, pictures, folder)
    plan = race.plan
    page = (
        _environment()
        .get_template("report.html.j2")
        .render(
            title=formats.printable(plan.title) or _title(plan),
            race=race,
            plan=plan,
            outcomes=race.tasks,
            duels=race.judgement.duels,
            pictures=pictures,
            drawn=list(zip(race.tasks, pictures.tasks, strict=True)),
            keys={name: _key(name, plan.models) for name in plan.models},
            comparisons=[_comparisons(race, place) for place in range(len(race.tasks))],
            counts=_counts(race),
            failures=_failures(race),
            size_difference=_size_difference(race.tasks),
            trials=plan.tuning.settings(plan.settings),
            environment=_environment_facts(),
            command=command,
            files=[CSV, LATEX, f"{FIGURES}/", "plan.json", f"{RUNS}/"],
        )
    )
    path = folder / PAGE
    write_whole(path, page.encode())
    return path


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("lstm_baseline.race.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {"formats": formats, "words": words}
    environment.filters["model_label"] = formats.model_label
    environment.filters["printable"] = formats.printable
    return environment


def _title(plan: Plan) -> str:
    models = formats.listing([formats.model_label(model) for model in plan.models])
    return f"{models} on {formats.counted(len(plan.tasks), 'task')}"


def _key(name: str, models: Sequence[str]) -> Key:
    style = model_style(name, models)
    # The two colours that a dark page needs otherwise are the page's own.
    color = {BLUE: "var(--blue)", INK: "var(--ink)"}.get(style.color, style.color)
    return Key(_KEYS[style.marker], color)


def _comparisons(race: RaceOutcome, place: int) -> dict[str, TaskVerdict]:
    """Return every challenger's verdict on a task."""
    return {duel.challenger: duel.tasks[place] for duel in race.judgement.duels}


def _runs(race: RaceOutcome) -> list[tuple[str, str, RunSpec, RunResult]]:
    """Return each run once, with its stage and its task."""
    found: dict[str, tuple[str, str, RunSpec, RunResult]] = {}
    for outcome in race.tasks:
        for contestant in outcome.contestants:
            for seed in contestant.seeds:
                found[seed.spec.name] = ("final run", outcome.title, seed.spec, seed.result)
            for trial in contestant.trials:
                found[trial.spec.name] = ("tuning trial", outcome.title, *trial)
    for swept in race.sweeps:
        for seed in swept.runs:
            value = f"{swept.title}, {swept.sweep.vary} {seed.spec.task.config()[swept.sweep.vary]}"
            found.setdefault(seed.spec.name, ("sweep run", value, seed.spec, seed.result))
    return list(found.values())


def _counts(race: RaceOutcome) -> str:
    """Say of each stage how many runs failed."""
    found: dict[str, list[bool]] = {}
    for stage, _, _, result in _runs(race):
        found.setdefault(stage, []).append(result.status == "failed")
    return formats.listing(
        [
            f"{sum(failed)} of {formats.counted(len(failed), stage)}"
            for stage, failed in found.items()
        ]
    )


def _failures(race: RaceOutcome) -> list[Failure]:
    failures = [
        Failure(
            stage,
            f"{title}, {formats.model_label(spec.model)}, {spec.title}",
            result.reason or "no reason was recorded",
        )
        for stage, title, spec, result in _runs(race)
        if result.status == "failed"
    ]
    for swept in race.sweeps:
        if swept.sweep.train:
            continue
        (outcome,) = (each for each in race.tasks if each.task is swept.sweep.task)
        for contestant in outcome.contestants:
            for value, point in zip(
                swept.sweep.values, swept.points[contestant.model], strict=True
            ):
                failures += [
                    Failure(
                        "sweep test",
                        f"{swept.title}, {formats.model_label(contestant.model)}, "
                        f"{seed.spec.title}",
                        f"no finite score at {swept.sweep.vary} {value}",
                    )
                    for seed, score in zip(contestant.seeds, point.scores, strict=False)
                    if score is None and seed.result.score is not None
                ]
    return failures


def _size_difference(outcomes: Sequence[TaskOutcome]) -> float:
    """Return the largest relative difference in parameters between contestants on one task."""
    sizes = [[c.num_params for c in outcome.contestants] for outcome in outcomes]
    return max(max(size) / min(size) - 1 for size in sizes)


def _environment_facts() -> dict[str, Any]:
    engine = describe()
    native = f", {engine['instruction_set']}" if engine["engine"] == "native" else ""
    return {
        "lstm-baseline": lstm_baseline.__version__,
        "engine": f"{engine['engine']}{native}",
        "Python": platform.python_version(),
        "NumPy": np.__version__,
        "platform": platform.platform(),
        "CPU cores": os.cpu_count(),
        "report written": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
    }
