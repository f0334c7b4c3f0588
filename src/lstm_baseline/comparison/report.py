"""The race's report: one HTML file that needs nothing else, and a table for the terminal."""

import base64
import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from matplotlib.figure import Figure
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

import lstm_baseline
from lstm_baseline.comparison import words
from lstm_baseline.comparison.drawing import to_svg
from lstm_baseline.comparison.figures import (
    final_scores,
    final_scores_figure,
    learning_curves,
    learning_curves_figure,
)
from lstm_baseline.comparison.inside import (
    Inside,
    gates_figure,
    gradient_figure,
    look_inside,
    saturation_figure,
    states_figure,
)
from lstm_baseline.comparison.judge import RaceOutcome
from lstm_baseline.comparison.plan import Plan
from lstm_baseline.comparison.results import ContestantOutcome, SeedOutcome, TaskOutcome
from lstm_baseline.comparison.run import MODEL
from lstm_baseline.errors import FileError
from lstm_baseline.models import load_model
from lstm_baseline.storage import write_whole

PAGE, RUNS = "index.html", "runs"


class Picture(NamedTuple):
    """A figure as the page shows it."""

    source: str
    """A data URI."""
    alt: str
    caption: str


class InsideModel(NamedTuple):
    """Pictures of what goes on inside one trained model."""

    title: str
    pictures: list[Picture]
    problem: str
    """Why there are none; empty if there are."""


class TaskPictures(NamedTuple):
    """All pictures of a task."""

    curves: list[Picture]
    scores: Picture
    inside: list[InsideModel]
    gradient: Picture | None
    """None if no model could be looked into."""


def write_report(
    race: RaceOutcome,
    folder: Path,
    command: str,
) -> Path:
    """Write the report of a race as ``index.html`` and return its path.

    Parameters
    ----------
    plan
        The race.
    outcomes
        From ``summarise``.
    folder
        Where the report goes. Trained models are read from its ``runs/``; where one is missing or
        damaged, the report says so in the place of its pictures.
    command
        What reproduces the race.

    Raises
    ------
    FileError
        If the file cannot be written.
    """
    plan, outcomes = race.plan, race.tasks
    page = (
        _environment()
        .get_template("report.html.j2")
        .render(
            title=_title(plan),
            plan=plan,
            outcomes=outcomes,
            pictures=[_pictures(outcome, folder) for outcome in outcomes],
            failures=[
                (outcome, seed)
                for outcome in outcomes
                for contestant in outcome.contestants
                for seed in contestant.failures
            ],
            size_difference=_size_difference(outcomes),
            environment=_environment_facts(),
            command=command,
            words=words,
        )
    )
    path = folder / PAGE
    write_whole(path, page.encode())
    return path


def print_table(race: RaceOutcome, console: Console) -> None:
    """Print the outcome of a race, a small table for each task, within 80 columns.

    Parameters
    ----------
    plan
        The race.
    outcomes
        From ``summarise``.
    console
        Where to print.
    """
    plan, outcomes = race.plan, race.tasks
    for outcome in outcomes:
        console.print()
        console.print(_table_heading(outcome))
        console.print(_table(outcome))
    console.print()
    console.print(
        Text(
            f"mean ± standard deviation over {words.seeds(plan.seeds)}: a comparison, not a test; "
            "no winner is declared",
            style="dim",
        )
    )


def _table_heading(outcome: TaskOutcome) -> Text:
    rungs = [rung for rung in (outcome.best_heuristic, outcome.oracle) if rung is not None]
    ladder = "".join(f"; {rung.name} {words.number(rung.score)}" for rung in rungs)
    heading = Text(outcome.title, style="bold")
    return heading.append(f"  {words.metric_label(outcome.metric)}{ladder}", style="not bold")


def _table(outcome: TaskOutcome) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=0, show_edge=False)
    goal = "half way" if outcome.oracle is not None else "heuristic"
    table.add_column("model", min_width=10, overflow="fold")
    table.add_column("test score", min_width=17, justify="right", no_wrap=True)
    table.add_column("untrained", min_width=9, justify="right", no_wrap=True)
    table.add_column("params", min_width=8, justify="right", no_wrap=True)
    table.add_column("training", min_width=9, justify="right", no_wrap=True)
    table.add_column(f"steps to {goal}", width=11, justify="right")
    table.add_column("learned", min_width=9, justify="right", no_wrap=True)
    for contestant in outcome.contestants:
        untrained = contestant.untrained
        seconds = contestant.training_seconds
        table.add_row(
            contestant.model,
            words.spread(contestant.score),
            words.number(None if untrained is None else untrained.mean),
            f"{contestant.num_params:,}",
            words.duration(None if seconds is None else seconds.mean),
            words.steps_to_threshold(contestant),
            f"{contestant.num_learned} of {len(contestant.seeds)}",
        )
    return table


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("lstm_baseline.comparison"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["model_label"] = words.model_label
    return environment


def _title(plan: Plan) -> str:
    models = words.listing([words.model_label(model) for model in plan.models])
    return f"{models} on {len(plan.tasks)} {'task' if len(plan.tasks) == 1 else 'tasks'}"


def _size_difference(outcomes: Sequence[TaskOutcome]) -> float:
    """Return the largest relative difference in parameters between contestants on one task."""
    sizes = [[c.num_params for c in outcome.contestants] for outcome in outcomes]
    return max(max(size) / min(size) - 1 for size in sizes)


def _environment_facts() -> dict[str, str]:
    return {
        "lstm-baseline": lstm_baseline.__version__,
        "Python": platform.python_version(),
        "NumPy": np.__version__,
        "platform": platform.platform(),
        "CPU cores": str(os.cpu_count()),
        "report written": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
    }


def _pictures(outcome: TaskOutcome, folder: Path) -> TaskPictures:
    looked = [_look_inside(outcome, contestant, folder) for contestant in outcome.contestants]
    seen = [inside for _, inside in looked if inside is not None]
    return TaskPictures(
        [_curves_picture(outcome, "steps"), _curves_picture(outcome, "seconds")],
        _scores_picture(outcome),
        [model for model, _ in looked],
        _gradient_picture(outcome, seen) if seen else None,
    )


def _curves_picture(outcome: TaskOutcome, against: Any) -> Picture:
    data = learning_curves(outcome, against)
    ends = [
        f"{words.model_label(curve.model)} from {words.number(curve.mean[0])} "
        f"to {words.number(curve.mean[-1])}"
        for curve in data.curves
        if len(curve.mean)
    ]
    return _picture(
        learning_curves_figure(data),
        f"{outcome.title}: validation {words.metric_label(outcome.metric)}, against "
        f"{data.x_label}. {'; '.join(ends)}.",
        "",
    )


def _scores_picture(outcome: TaskOutcome) -> Picture:
    scores = [
        f"{words.model_label(contestant.model)} {words.spread(contestant.score)}"
        for contestant in outcome.contestants
    ]
    return _picture(
        final_scores_figure(final_scores(outcome)),
        f"{outcome.title}: final test scores. {'; '.join(scores)}.",
        "",
    )


def _look_inside(
    outcome: TaskOutcome, contestant: ContestantOutcome, folder: Path
) -> tuple[InsideModel, Inside | None]:
    """Return pictures of a contestant's first run that finished."""
    label = words.model_label(contestant.model)
    finished = [seed for seed in contestant.seeds if seed.result.score is not None]
    if not finished:
        return InsideModel(label, [], "No run finished."), None
    chosen: SeedOutcome = finished[0]
    spec = chosen.spec
    title = f"{label}, seed {spec.seed}, test score {words.number(chosen.result.score)}"
    try:
        model = load_model(folder / RUNS / spec.name / MODEL)
    except FileError as error:
        return InsideModel(title, [], f"The trained model cannot be shown: {error}."), None
    inside = look_inside(spec.model, model, spec.task, spec.seed)
    of = f"{outcome.title}, {label}"
    pictures = [
        _picture(
            states_figure(inside),
            f"{of}: mean and standard deviation of {words.listing(list(inside.states))} over time.",
            "State",
        )
    ]
    if inside.gates:
        names = words.listing(list(inside.gates))
        pictures += [
            _picture(
                gates_figure(inside),
                f"{of}: mean of {names} over time.",
                "Gates",
            ),
            _picture(
                saturation_figure(inside),
                f"{of}: share of {names} nearly open or nearly shut over time.",
                "Saturation",
            ),
        ]
    return InsideModel(title, pictures, ""), inside


def _gradient_picture(outcome: TaskOutcome, seen: Sequence[Inside]) -> Picture:
    return _picture(
        gradient_figure(seen),
        f"{outcome.title}: norm of the loss gradient with respect to the state at every step.",
        "Gradient flow",
    )


def _picture(figure: Figure, alt: str, caption: str) -> Picture:
    encoded = base64.b64encode(to_svg(figure)).decode()
    return Picture(f"data:image/svg+xml;base64,{encoded}", alt, caption)
