"""The report of a race: one self-contained HTML file, with exports next to it."""

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from lstm_baseline.contestants.match import UNITS
from lstm_baseline.engine.storage import write_whole
from lstm_baseline.engine.wording import counted
from lstm_baseline.plots import formats
from lstm_baseline.plots.drawing import INK, MARKERS, model_style
from lstm_baseline.plots.palette import BLUE
from lstm_baseline.race.outcomes import RaceOutcome
from lstm_baseline.race.plan import PLAN, RUNS, Plan
from lstm_baseline.race.report import words
from lstm_baseline.race.report.environment import describe_environment
from lstm_baseline.race.report.exports import CSV, FIGURES, LATEX, VERDICT, write_exports
from lstm_baseline.race.report.next_step import next_step
from lstm_baseline.race.report.paper import CHECKLIST, METHODS, REFERENCES, write_paper
from lstm_baseline.race.report.sections import HEAD, SECTIONS, Picture

PAGE = "index.html"
_LINE_WIDTH = 1.8
"""Width of the lines of contestants in the page's key, as in the figures."""


class Key(NamedTuple):
    """Mark of a contestant in every figure."""

    symbol: str
    color: str
    dashes: str
    """Lengths of dashes and gaps of its line; empty if it is solid."""


def write_report(race: RaceOutcome, folder: Path, command: str) -> Path:
    """Write the report of a race as ``index.html`` with its exports, and return its path.

    Parameters
    ----------
    race
        Outcome of the race.
    folder
        Folder of the report. Trained models are read from its ``runs/``; if one is missing or
        damaged, the report says so in place of its pictures.
    command
        Command that reproduces the race.

    Raises
    ------
    WriteError
        If a file cannot be written.
    """
    pictures = draw_all(race, folder / RUNS)
    environment = describe_environment(folder, command)
    write_exports(race, pictures, folder)
    write_paper(race, environment, folder)
    plan = race.plan
    names: dict[str, object] = {
        "title": formats.printable(plan.title) or _title(plan),
        "race": race,
        "plan": plan,
        "matched": UNITS[plan.match],
        "outcomes": race.tasks,
        "duels": race.duels,
        "head": HEAD,
        "sections": [section for section in SECTIONS if section.is_shown(race)],
        "pictures": _by_slot(pictures),
        "keys": {name: _key(name, plan.models) for name in plan.models},
        "trials": plan.tuning.settings(plan.settings),
        "environment": environment.facts()
        | {"report written": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"},
        "command": command,
        "next_step": next_step(race),
        "files": [
            *(CSV, VERDICT, LATEX, f"{FIGURES}/"),
            *(METHODS, CHECKLIST, REFERENCES),
            *(PLAN, f"{RUNS}/"),
        ],
    }
    for section in (HEAD, *SECTIONS):
        names |= section.facts(race)
        names |= section.from_runs(race, folder / RUNS)
    page = page_environment().get_template("report.html.j2").render(names)
    path = folder / PAGE
    write_whole(path, page.encode())
    return path


def draw_all(race: RaceOutcome, runs: Path) -> list[Picture]:
    """Draw the pictures of all sections; trained models are read from the folder of the runs."""
    return [
        picture
        for section in (HEAD, *SECTIONS)
        if section.is_shown(race)
        for picture in section.pictures(race, runs)
    ]


def _by_slot(pictures: Iterable[Picture]) -> Callable[..., list[Picture]]:
    """Return a function that templates call with a slot's parts to get its pictures."""
    found: dict[tuple[object, ...], list[Picture]] = {}
    for picture in pictures:
        found.setdefault(picture.slot, []).append(picture)
    return lambda *slot: found.get(slot, [])


def page_environment() -> Environment:
    """Return what renders a page from its template."""
    environment = Environment(
        loader=PackageLoader("lstm_baseline.race.report"),
        autoescape=True,
        undefined=StrictUndefined,
        # Whatever a user named, and wherever it is shown.
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {"formats": formats, "words": words}
    environment.filters["model_label"] = formats.model_label
    environment.filters["printable"] = formats.printable
    return environment


def _shown(value: object) -> object:
    """Return a value as the page shows it: text, unless it is markup already, moves nothing."""
    if isinstance(value, str) and not isinstance(value, Markup):
        return formats.printable_lines(value)
    return value


def _title(plan: Plan) -> str:
    models = formats.listing([formats.model_label(model) for model in plan.models])
    return f"{models} on {counted(len(plan.tasks), 'task')}"


def _key(name: str, models: Sequence[str]) -> Key:
    style = model_style(name, models)
    # The page itself defines the two colours that must differ on a dark page.
    color = {BLUE: "var(--blue)", INK: "var(--ink)"}.get(style.color, style.color)
    # Matplotlib's lengths are in widths of the line.
    lengths = () if isinstance(style.dash, str) else style.dash[1]
    dashes = " ".join(f"{_LINE_WIDTH * length:g}" for length in lengths)
    return Key(MARKERS[style.marker], color, dashes)
