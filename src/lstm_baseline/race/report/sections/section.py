"""Sections of the report: place in the page, pictures, and facts for the template.

A module here has functions that return data, functions that draw them, ``pictures``, and a
``SECTION`` that page and exports read.
"""

import base64
import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from matplotlib.figure import Figure

from lstm_baseline.plots import formats
from lstm_baseline.plots.drawing import remove_legend, to_pdf, to_png
from lstm_baseline.plots.svg import to_svg
from lstm_baseline.race.outcomes import ContestantOutcome, RaceOutcome, TaskOutcome
from lstm_baseline.race.plan import RUNS
from lstm_baseline.runs.spec import RunSpec

_LONGEST_PART = 40

Slot = tuple[str | int, ...]
"""A place in a template: a word, then the numbers of task, contestant or sweep from 1 on."""


class Spot(NamedTuple):
    """A point of a figure that leads to the folder of its run."""

    x: float
    y: float
    """In the data's own units."""
    spec: RunSpec
    label: str


class Link(NamedTuple):
    """A place on a picture that leads somewhere."""

    left: float
    top: float
    """In percent of the picture."""
    target: str
    label: str


class Picture(NamedTuple):
    """A figure for the page and for saving, or the reason why there is none."""

    slot: Slot
    """Place in a template, shared with the other pictures of the same slot."""
    name: str = ""
    """Name of its files, without extensions; no two pictures of a race share it."""
    alt: str = ""
    caption: str = ""
    svg: bytes = b""
    """For the page, which may have the legend itself."""
    own_svg: bytes = b""
    """For saving, with its own legend."""
    png: bytes = b""
    pdf: bytes = b""
    links: tuple[Link, ...] = ()
    """Points that lead to their runs, on the page alone."""
    problem: str = ""
    """Reason why it was not drawn; empty if it was. A picture with a problem has nothing else."""

    @property
    def source(self) -> str:
        """The SVG as a data URI."""
        return f"data:image/svg+xml;base64,{base64.b64encode(self.svg).decode()}"


def no_pictures(race: RaceOutcome, runs: Path) -> list[Picture]:
    """Return no pictures, for a section of text and tables."""
    return []


def no_facts(race: RaceOutcome) -> Mapping[str, object]:
    """Return no facts, for a section that needs only the race itself."""
    return {}


def nothing_from_runs(race: RaceOutcome, runs: Path) -> Mapping[str, object]:
    """Return no facts, for a section that reads no trained models."""
    return {}


def always(race: RaceOutcome) -> bool:
    """Return True, for a section that every report has."""
    return True


class Section(NamedTuple):
    """A section of the report."""

    name: str
    """Its anchor in the page; its template is named after it."""
    title: str
    """Title in the page's list of sections."""
    pictures: Callable[[RaceOutcome, Path], Sequence[Picture]] = no_pictures
    """Function that draws its figures, given the race and the folder of its runs."""
    facts: Callable[[RaceOutcome], Mapping[str, object]] = no_facts
    """Function that returns further names for the templates."""
    from_runs: Callable[[RaceOutcome, Path], Mapping[str, object]] = nothing_from_runs
    """Function that returns further names for its template, given the folder of the runs too."""
    is_shown: Callable[[RaceOutcome], bool] = always

    @property
    def template(self) -> str:
        """Name of its template."""
        return f"{self.name}.html.j2"


def draw(
    slot: Slot,
    name: str,
    figure: Figure,
    alt: str,
    caption: str = "",
    *,
    shared_key: bool = False,
    spots: Sequence[Spot] = (),
) -> Picture:
    """Return a figure as a picture with a description.

    With ``shared_key`` the page explains the lines once for many figures: there, and only there,
    the figure goes without its legend. ``spots`` are points of its first axes.
    """
    own, png, pdf = to_svg(figure), to_png(figure), to_pdf(figure)
    if shared_key:
        remove_legend(figure)
    shown = to_svg(figure) if shared_key else own
    links = tuple(_links(figure, spots))
    return Picture(slot, name, formats.printable(alt), caption, shown, own, png, pdf, links)


def _links(figure: Figure, spots: Sequence[Spot]) -> Iterator[Link]:
    for spot in spots:
        x, y = figure.axes[0].transData.transform((spot.x, spot.y))
        left, top = 100 * x / figure.bbox.width, 100 * (1 - y / figure.bbox.height)
        if 0 <= left <= 100 and 0 <= top <= 100:  # others lie beyond a cut axis
            target = f"{RUNS}/{quote(spot.spec.name)}/"
            yield Link(round(left, 2), round(top, 2), target, formats.printable(spot.label))


def file_name(*parts: str | int) -> str:
    """Return a file name that any system accepts, made from names that users gave.

    Different parts may give the same name or an empty one: add a number to tell them apart.
    """
    found = []
    for part in parts:
        letters = unicodedata.normalize("NFKD", str(part)).lower()
        bare = "".join(letter for letter in letters if not unicodedata.combining(letter))
        found.append(re.sub(r"[^a-z0-9]+", "-", bare)[:_LONGEST_PART].strip("-"))
    return "-".join(filter(None, found))


def task_file(place: int, outcome: TaskOutcome, *kind: str | int) -> str:
    """Return the file name of a picture that belongs to a task."""
    return file_name("task", place, outcome.task.name, *kind)


def of_each(outcome: TaskOutcome, say: Callable[[ContestantOutcome], str]) -> str:
    """Return a sentence that says something about each contestant."""
    found = [f"{formats.model_label(each.model)} {say(each)}" for each in outcome.contestants]
    return f"{'; '.join(found)}."
