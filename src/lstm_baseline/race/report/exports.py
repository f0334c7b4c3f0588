"""Files for other programs: every run as CSV, the verdict as JSON, LaTeX tables, figures.

Names and reasons may hold any text. In the CSV an apostrophe is put before a text that a
spreadsheet would take for a formula.
"""

import csv
import io
import json
import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from lstm_baseline.engine.storage import write_json, write_whole
from lstm_baseline.plots.svg import to_paper
from lstm_baseline.race.outcomes import RaceOutcome, SeedOutcome, SweepOutcome, TaskOutcome
from lstm_baseline.race.report.latex import results_latex
from lstm_baseline.race.report.sections import Picture
from lstm_baseline.race.report.verdict_file import verdict_as_data
from lstm_baseline.runs.run import RunResult
from lstm_baseline.runs.spec import FIRST_TRIAL_SEED, RunSpec
from lstm_baseline.tasks import Task

CSV, VERDICT, LATEX, FIGURES = "results.csv", "verdict.json", "results.tex", "figures"

COLUMNS = (
    "stage",
    "task",
    "task_arguments",
    "contestant",
    "model",
    "seed",
    "trial",
    "settings",
    "metric",
    "score",
    "normalised",
    "value",
    "standard_error",
    "partial_scores",
    "untrained_score",
    "learned",
    "still_improved",
    "other_question_score",
    "validation_score",
    "best_step",
    "seconds",
    "steps_to_threshold",
    "seconds_to_threshold",
    "parameters",
    "width",
    "state_size",
    "flops_per_step",
    "peak_memory",
    "model_sha256",
    "status",
    "reason",
)
"""CSV columns. Stages: trial, rerun, final, sweep (trained at a value), sweep test (tested there).
"""

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


def write_exports(race: RaceOutcome, pictures: Iterable[Picture], folder: Path) -> None:
    """Write every run, the verdict, tables, and each picture as SVG, PNG and PDF.

    The files are ``results.csv``, ``verdict.json``, ``results.tex`` and those in ``figures/``.

    Raises
    ------
    WriteError
        If a file cannot be written.
    """
    write_whole(folder / CSV, results_csv(race).encode())
    write_json(folder / VERDICT, verdict_as_data(race))
    write_whole(folder / LATEX, results_latex(race).encode())
    for picture in (each for each in pictures if not each.problem):
        write_whole(folder / FIGURES / f"{picture.name}.svg", to_paper(picture.own_svg))
        write_whole(folder / FIGURES / f"{picture.name}.png", picture.png)
        write_whole(folder / FIGURES / f"{picture.name}.pdf", picture.pdf)


def results_csv(race: RaceOutcome) -> str:
    """Return a CSV with a line for each run: final runs, trials, sweeps.

    An unknown number is empty; a threshold that is never reached is ``inf`` steps away. A final run
    that also belongs to a sweep has a line in both.
    """
    content = io.StringIO()
    writer = csv.DictWriter(content, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for row in _rows(race):
        writer.writerow({name: _cell(value) for name, value in row.items()})
    return content.getvalue()


def _rows(race: RaceOutcome) -> Iterator[dict[str, Any]]:
    for outcome in race.tasks:
        for contestant in outcome.contestants:
            for trial in contestant.trials:
                yield _row("trial", outcome.title, trial.spec, trial.result)
            for rerun in contestant.reruns:
                yield _row("rerun", outcome.title, rerun.spec, rerun.result)
            for seed in contestant.seeds:
                yield _final_row(outcome, seed)
    for swept in race.sweeps:
        for seed in swept.runs:
            yield _row("sweep", swept.title, seed.spec, seed.result) | _standing(seed)
        if not swept.sweep.train:
            yield from _test_rows(race, swept)


def _test_rows(race: RaceOutcome, swept: SweepOutcome) -> Iterator[dict[str, Any]]:
    """Yield the scores of the race's own models at every value of a sweep that only tests."""
    (outcome,) = (each for each in race.trained if each.task is swept.sweep.task)
    for contestant in outcome.contestants:
        points = swept.points[contestant.model]
        for task, point in zip(swept.sweep.tasks, points, strict=True):
            for seed, score, normalised in zip(contestant.seeds, *point, strict=False):
                yield _who("sweep test", swept.title, seed.spec, task) | {
                    "score": score,
                    "normalised": normalised,
                    "status": "failed" if score is None else "finished",
                    "reason": seed.result.reason or ("no finite score" if score is None else ""),
                }


def _final_row(outcome: TaskOutcome, seed: SeedOutcome) -> dict[str, Any]:
    if outcome.trained_on is None:
        return _row("final", outcome.title, seed.spec, seed.result) | _standing(seed)
    return _who("further test", outcome.title, seed.spec, outcome.task) | {
        "score": seed.result.score,
        "standard_error": seed.result.standard_error,
        "status": seed.result.status,
        "reason": seed.result.reason,
        **_standing(seed),
    }


def _standing(seed: SeedOutcome) -> dict[str, Any]:
    return {
        "normalised": seed.normalised,
        "value": seed.value,
        "learned": "yes" if seed.learned else "no",
        "still_improved": "yes" if seed.still_improved else "no",
        "steps_to_threshold": seed.steps,
        "seconds_to_threshold": seed.seconds,
    }


def _row(stage: str, title: str, spec: RunSpec, result: RunResult) -> dict[str, Any]:
    return _who(stage, title, spec, spec.task) | {
        "score": result.score,
        "standard_error": result.standard_error,
        "partial_scores": json.dumps(result.partial_scores) if result.partial_scores else None,
        "untrained_score": result.untrained_score,
        "other_question_score": result.other_question_score,
        "validation_score": result.validation_score,
        "best_step": result.best_step,
        "seconds": result.seconds,
        "parameters": result.num_params,
        "width": spec.width,
        "state_size": result.state_size,
        "flops_per_step": result.flops_per_step,
        "peak_memory": result.peak_memory,
        "model_sha256": result.model_sha256,
        "status": result.status,
        "reason": result.reason,
    }


def _who(stage: str, title: str, spec: RunSpec, task: Task) -> dict[str, Any]:
    return {
        "stage": stage,
        "task": title,
        "task_arguments": json.dumps({k: v for k, v in task.config().items() if k != "task"}),
        "contestant": spec.model,
        "model": spec.contestant.model,
        "seed": spec.seed,
        "trial": spec.seed - FIRST_TRIAL_SEED if spec.stage == "trial" else None,
        "settings": json.dumps(spec.settings.config()),
        "metric": task.metric.name,
    }


def _cell(value: Any) -> Any:
    """Return a value for the CSV, in which a text is never a formula."""
    if value is None:
        return ""
    if isinstance(value, float):
        return repr(value) if math.isfinite(value) else "inf"
    if isinstance(value, str) and value.lstrip().startswith(_FORMULA):
        return f"'{value}"
    return value
