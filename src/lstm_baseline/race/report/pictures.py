"""Which figures a race's report shows: each drawn once, described in words, under a file's name."""

import base64
import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from matplotlib.figure import Figure

from lstm_baseline.engine.errors import LSTMBaselineError
from lstm_baseline.engine.models import load_model
from lstm_baseline.plots import formats
from lstm_baseline.plots.drawing import to_png, to_svg
from lstm_baseline.race.judge import Duel, RaceOutcome
from lstm_baseline.race.report import words
from lstm_baseline.race.report.difficulty_figures import difficulty_curves, difficulty_figure
from lstm_baseline.race.report.inside_figures import (
    Inside,
    attention_figure,
    gates_figure,
    gradient_figure,
    look_inside,
    saturation_figure,
    states_figure,
)
from lstm_baseline.race.report.score_figures import (
    final_scores,
    final_scores_figure,
    learning_curves,
    learning_curves_figure,
)
from lstm_baseline.race.report.speed_figures import (
    ReachedCurves,
    reached_curves,
    reached_figure,
)
from lstm_baseline.race.report.tuning_figures import tuning_curves, tuning_curves_figure
from lstm_baseline.race.report.verdict_figures import (
    differences,
    differences_figure,
    overall_scores,
    overall_scores_figure,
)
from lstm_baseline.race.results import ContestantOutcome, SweepOutcome, TaskOutcome
from lstm_baseline.runs.run import MODEL

RUNS = "runs"
_LONGEST_PART = 40


class Picture(NamedTuple):
    """A figure as the page shows it, and as it is saved."""

    name: str
    """Of its files, without their endings; no two pictures of a race share it."""
    svg: bytes
    png: bytes
    alt: str
    caption: str

    @property
    def source(self) -> str:
        """The SVG as a data URI."""
        return f"data:image/svg+xml;base64,{base64.b64encode(self.svg).decode()}"


class InsideModel(NamedTuple):
    """Pictures of what goes on inside one trained model."""

    title: str
    pictures: list[Picture]
    attention: Picture | None
    """Of a relational RNN."""
    problem: str
    """Why there are none; empty if there are."""


class TaskPictures(NamedTuple):
    """All pictures of a task."""

    scores: Picture
    curves: list[Picture]
    """Against steps, and against seconds."""
    tuning: Picture | None
    """None if nobody was tuned."""
    reached: list[Picture]
    """Against steps, and against seconds; none where there is no threshold."""
    inside: list[InsideModel]
    gradient: Picture | None
    """None if no model could be looked into."""


@dataclass(frozen=True)
class RacePictures:
    """All pictures of a race."""

    overall: Picture | None
    """None where no score can be normalised, or there is one seed."""
    duels: dict[str, Picture]
    """By the challenger's name, for those that are compared with the baseline at all."""
    tasks: tuple[TaskPictures, ...]
    sweeps: tuple[Picture, ...]

    def __iter__(self) -> Iterator[Picture]:
        """Yield every picture."""
        if self.overall is not None:
            yield self.overall
        yield from self.duels.values()
        for task in self.tasks:
            single = (task.scores, task.tuning, task.gradient)
            yield from (picture for picture in single if picture is not None)
            yield from (*task.curves, *task.reached)
            for model in task.inside:
                yield from model.pictures
                if model.attention is not None:
                    yield model.attention
        yield from self.sweeps


def draw_race(race: RaceOutcome, folder: Path) -> RacePictures:
    """Draw all figures of a race; trained models are read from the ``runs/`` of its folder."""
    return RacePictures(
        _overall(race) if race.judgement.overall else None,
        {
            duel.challenger: _duel(race, place, duel)
            for place, duel in enumerate(race.judgement.duels, 1)
            if duel.compared
        },
        tuple(_task(place, outcome, folder) for place, outcome in enumerate(race.tasks, 1)),
        tuple(_sweep(place, outcome) for place, outcome in enumerate(race.sweeps, 1)),
    )


def file_name(*parts: str | int) -> str:
    """Return a file's name that any system takes, made from what users named.

    Names may come out the same, or empty: tell them apart by a number among the parts.
    """
    found = []
    for part in parts:
        letters = unicodedata.normalize("NFKD", str(part)).lower()
        bare = "".join(letter for letter in letters if not unicodedata.combining(letter))
        found.append(re.sub(r"[^a-z0-9]+", "-", bare)[:_LONGEST_PART].strip("-"))
    return "-".join(filter(None, found))


def _overall(race: RaceOutcome) -> Picture:
    scores = [
        f"{formats.model_label(name)} {formats.number(found.estimate)} ({words.interval(found)})"
        for name, found in race.judgement.overall.items()
    ]
    return _picture(
        file_name("overall"),
        overall_scores_figure(overall_scores(race)),
        f"Interquartile mean of normalised scores over all tasks: {'; '.join(scores)}.",
    )


def _duel(race: RaceOutcome, place: int, duel: Duel) -> Picture:
    found = [
        f"{task.title} {words.difference(task.comparison.difference.estimate)} "
        f"({words.interval(task.comparison.difference)})"
        for task in duel.compared
        if task.comparison is not None
    ]
    return _picture(
        file_name("differences", place, duel.challenger),
        differences_figure(differences(race, duel.challenger)),
        f"Normalised score of {formats.the(duel.challenger)} minus that of "
        f"{formats.the(duel.baseline)}: {'; '.join(found)}.",
    )


def _task(place: int, outcome: TaskOutcome, folder: Path) -> TaskPictures:
    looked = [
        _look_inside(place, outcome, number, contestant, folder)
        for number, contestant in enumerate(outcome.contestants, 1)
    ]
    seen = [inside for _, inside in looked if inside is not None]
    axes: tuple[Literal["steps", "seconds"], ...] = ("steps", "seconds")
    reached = [(against, reached_curves(outcome, against)) for against in axes]
    return TaskPictures(
        _scores(place, outcome),
        [_curves(place, outcome, against) for against in axes],
        _tuning(place, outcome),
        [_reached(place, outcome, against, data) for against, data in reached if data is not None],
        [model for model, _ in looked],
        _gradient(place, outcome, seen) if seen else None,
    )


def _scores(place: int, outcome: TaskOutcome) -> Picture:
    return _picture(
        _of_task(place, outcome, "scores"),
        final_scores_figure(final_scores(outcome)),
        f"{outcome.title}: final test scores. "
        + _of_each(outcome, lambda contestant: words.spread(contestant.score)),
    )


def _curves(place: int, outcome: TaskOutcome, against: Literal["steps", "seconds"]) -> Picture:
    data = learning_curves(outcome, against)
    ends = [
        f"{formats.model_label(curve.model)} from {formats.number(curve.mean[0])} "
        f"to {formats.number(curve.mean[-1])}"
        for curve in data.curves
        if len(curve.mean)
    ]
    return _picture(
        _of_task(place, outcome, f"learning-curves-{against}"),
        learning_curves_figure(data),
        f"{outcome.title}: validation {formats.metric_label(outcome.metric)}, against "
        f"{data.x_label}. {'; '.join(ends) or 'No run finished'}.",
    )


def _tuning(place: int, outcome: TaskOutcome) -> Picture | None:
    data = tuning_curves(outcome)
    if data is None:
        return None
    return _picture(
        _of_task(place, outcome, "tuning"),
        tuning_curves_figure(data),
        f"{outcome.title}: expected best validation {outcome.metric.name} against the number of "
        f"tuning trials. Best of all: {_of_each(outcome, _best_trial)}",
    )


def _best_trial(contestant: ContestantOutcome) -> str:
    finished = [trial for trial in contestant.trials if trial.score is not None]
    chosen = [trial for trial in finished if trial.settings == contestant.settings]
    return formats.number(chosen[0].score) if chosen else "no trial finished"


def _reached(
    place: int, outcome: TaskOutcome, against: Literal["steps", "seconds"], data: ReachedCurves
) -> Picture:
    return _picture(
        _of_task(place, outcome, f"reached-{against}"),
        reached_figure(data),
        f"{outcome.title}: share of runs that had reached the threshold, against {against} of "
        f"training. In the end: {_of_each(outcome, words.reached)}",
    )


def _look_inside(
    place: int, outcome: TaskOutcome, number: int, contestant: ContestantOutcome, folder: Path
) -> tuple[InsideModel, Inside | None]:
    """Return pictures of a contestant's first run that finished."""
    label = formats.model_label(contestant.model)
    finished = [seed for seed in contestant.seeds if seed.result.score is not None]
    if not finished:
        return InsideModel(label, [], None, "No run finished."), None
    first = finished[0]
    spec = first.spec
    title = f"{label}, seed {spec.seed}, test score {formats.number(first.result.score)}"
    if spec.contestant.is_user_class:
        problem = "This class is not the package's own: its states and gates are not known here."
        return InsideModel(title, [], None, problem), None
    try:
        model = load_model(folder / RUNS / spec.name / MODEL)
        inside = look_inside(spec.model, model, spec.task, spec.seed)
    except LSTMBaselineError as error:
        return InsideModel(title, [], None, f"The trained model cannot be shown: {error}."), None
    of = f"{outcome.title}, {label}"
    states, gates = (
        formats.listing(list(names) or [""]) for names in (inside.states, inside.gates)
    )
    drawn = [
        (
            "state",
            states_figure(inside),
            f"{of}: mean and standard deviation of {states} over time.",
        )
    ]
    if inside.gates:
        drawn += [
            ("gates", gates_figure(inside), f"{of}: mean of {gates} over time."),
            (
                "saturation",
                saturation_figure(inside),
                f"{of}: share of {gates} nearly open or nearly shut over time.",
            ),
        ]
    pictures = [
        _picture(_of_task(place, outcome, kind, number, spec.model), figure, alt, kind.capitalize())
        for kind, figure, alt in drawn
    ]
    attention = None
    if inside.attention is not None:
        attention = _picture(
            _of_task(place, outcome, "attention", number, spec.model),
            attention_figure(inside),
            f"{of}: attention of memory slots to each other and to the input.",
            "Attention",
        )
    return InsideModel(title, pictures, attention, ""), inside


def _gradient(place: int, outcome: TaskOutcome, seen: Sequence[Inside]) -> Picture:
    return _picture(
        _of_task(place, outcome, "gradient"),
        gradient_figure(seen, [contestant.model for contestant in outcome.contestants]),
        f"{outcome.title}: norm of the loss gradient with respect to the state at every step.",
        "Gradient flow",
    )


def _sweep(place: int, outcome: SweepOutcome) -> Picture:
    values = [str(value) for value in outcome.sweep.values]
    how = "trained at each" if outcome.sweep.train else "trained at the task's own"
    return _picture(
        file_name("sweep", place, outcome.title, outcome.sweep.vary),
        difficulty_figure(difficulty_curves(outcome)),
        f"{outcome.title}: test {formats.metric_label(outcome.metric)}, at {outcome.sweep.vary} of "
        f"{formats.listing(values)}, {how}.",
    )


def _of_task(place: int, outcome: TaskOutcome, *kind: str | int) -> str:
    return file_name("task", place, outcome.task.name, *kind)


def _of_each(outcome: TaskOutcome, say: Callable[[ContestantOutcome], str]) -> str:
    found = [f"{formats.model_label(each.model)} {say(each)}" for each in outcome.contestants]
    return f"{'; '.join(found)}."


def _picture(name: str, figure: Figure, alt: str, caption: str = "") -> Picture:
    return Picture(name, to_svg(figure), to_png(figure), formats.printable(alt), caption)
