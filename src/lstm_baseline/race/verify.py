"""Checking a race that somebody hands over: its folder against itself, and against new runs.

Everything that the folder says is computed again from what lies below it: the plan's hash from the
plan, the choice of settings from the trials, verdict and tables from the runs, test scores from the
saved models, and some runs from nothing but their specification. What was changed on one level is
found by the next one; whoever changes all of them together is found by the runs trained again.
"""

import csv
import io
import json
import math
import random
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError
from rich.console import Console

from lstm_baseline.engine.errors import FileError, InputError, LSTMBaselineError
from lstm_baseline.engine.storage import read_json
from lstm_baseline.engine.threads import one_thread
from lstm_baseline.engine.wording import counted
from lstm_baseline.installation import arithmetic
from lstm_baseline.plots.formats import listing
from lstm_baseline.race.outcomes import RaceOutcome, Runs
from lstm_baseline.race.plan import RUNS, Plan
from lstm_baseline.race.plan_file import PlanFile, plan_of, read_plan_file
from lstm_baseline.race.race import course, made_with
from lstm_baseline.race.report.exports import CSV, LATEX, VERDICT, results_csv
from lstm_baseline.race.report.latex import results_latex
from lstm_baseline.race.report.verdict_file import verdict_as_data
from lstm_baseline.runs.pool import carry_out_runs
from lstm_baseline.runs.run import RESULT, RunResult, read_result, score_on
from lstm_baseline.runs.saved_model import MODEL, saved_model, saved_outputs
from lstm_baseline.runs.spec import RUN_FORMAT, RunSpec

_MOST_NAMED = 3
_CLOSE = 1e-4
"""How far another processor's rounding may move the score of one model: an answer or two."""

_OF_THE_MACHINE = ("seconds", "peak_memory", "arithmetic")
"""What a result says of the machine."""


class Check(NamedTuple):
    """One level of a folder, held against the level below."""

    name: str
    found: str
    """What was compared, in a few words."""
    problems: tuple[str, ...] = ()
    """What differs; none if it holds."""


class _Missing(Exception):
    """Runs of the plan that the folder lacks."""


def verify_race(
    folder: Path,
    *,
    data: Path,
    sample: int,
    console: Console,
    seed: int = 0,
) -> Iterator[Check]:
    """Yield every check of a race's folder, which is left as it is.

    Parameters
    ----------
    folder
        Folder of the race.
    data
        Folder of the user's files that the race is on.
    sample
        Number of runs that are trained again.
    console
        Console that shows the progress of these.
    seed
        Seed of the choice of these runs.

    Raises
    ------
    LSTMBaselineError
        If the folder holds no race, or the race is on files that are not there.
    """
    found = read_plan_file(folder)
    if (version := found.config.get("format")) != RUN_FORMAT:
        raise InputError(
            f"{folder} holds a race of format {version}, by another version of this package; "
            f"this one can check races of format {RUN_FORMAT}"
        )
    plan = plan_of(found.config, data)
    yield _check_plan(found, plan)
    specs: list[RunSpec] = []
    problems: list[str] = []
    outcome = None
    with suppress(_Missing):
        outcome = course(plan, _reader(folder, specs, problems))
    yield _check_runs(folder, specs, problems, complete=outcome is not None)
    if outcome is None:
        return
    yield _check_verdict(outcome, folder)
    yield _check_table(outcome, folder)
    yield _check_latex(outcome, folder)
    yield _check_models(outcome, folder)
    if sample:
        yield _check_sample(plan, found, specs, folder, sample, seed, console)


def compare_races(one: Path, other: Path) -> Iterator[Check]:
    """Yield what two folders of the same plan agree in.

    Raises
    ------
    LSTMBaselineError
        If a folder holds no race, or they hold different plans.
    """
    plans = [read_plan_file(folder) for folder in (one, other)]
    if plans[0].config != plans[1].config:
        keys = plans[0].config.keys() | plans[1].config.keys()
        differing = sorted(k for k in keys if plans[0].config.get(k) != plans[1].config.get(k))
        raise InputError(
            f"{one} and {other} hold different plans, with other {', '.join(differing)}; "
            "give two folders of one plan"
        )
    same = plans[0].made_with == plans[1].made_with
    yield Check("plan", f"the same plan, {plans[0].hash[:12]}")
    yield _compare_runs(one, other, same_versions=same)
    yield _compare_verdicts(one, other)


def _check_plan(found: PlanFile, plan: Plan) -> Check:
    problems = []
    if not found.is_unchanged:
        problems.append("plan.json was changed: its hash is another one")
    elif plan.config() != found.config:
        now = plan.config()
        keys = now.keys() | found.config.keys()
        differing = sorted(k for k in keys if now.get(k) != found.config.get(k))
        problems.append(f"this version makes another plan of it: other {listing(differing)}")
    return Check("plan", f"hash {found.hash[:12]} computed again", tuple(problems))


def _reader(
    folder: Path, specs: list[RunSpec], problems: list[str]
) -> Callable[[str, list[RunSpec]], Runs]:
    """Return a function that reads runs in place of carrying them out, and notes what is wrong."""

    def read(title: str, wanted: list[RunSpec]) -> Runs:
        specs.extend(wanted)
        found = []
        missing = []
        for spec in wanted:
            try:
                result = read_result(spec, folder / RUNS / spec.name)
            except FileError as error:
                problems.append(str(error))
                continue
            if result is None:
                missing.append(spec.name)
            else:
                found.append((spec, result))
        if missing:
            named = ", ".join(missing[:_MOST_NAMED])
            problems.append(f"{counted(len(missing), 'run')} of the plan are not there: {named}")
        if len(found) < len(wanted):
            raise _Missing
        return found

    return read


def _check_runs(
    folder: Path, specs: Sequence[RunSpec], problems: list[str], *, complete: bool
) -> Check:
    if complete:
        present = {path.name for path in (folder / RUNS).iterdir() if path.is_dir()}
        strangers = sorted(present - {spec.name for spec in specs})
        if strangers:
            named = ", ".join(strangers[:_MOST_NAMED])
            problems.append(f"{counted(len(strangers), 'run')} belong to no plan: {named}")
    number = len({spec.name for spec in specs})
    return Check("runs", f"{counted(number, 'run')} of the plan", tuple(problems))


def _check_verdict(outcome: RaceOutcome, folder: Path) -> Check:
    now = json.loads(json.dumps(verdict_as_data(outcome)))
    there = read_json(folder / VERDICT)
    problems = [f"{VERDICT}: {place}" for place in _differences(there, now, "")]
    return Check("verdict", f"{VERDICT} computed again from the runs", tuple(problems[:1]))


def _check_table(outcome: RaceOutcome, folder: Path) -> Check:
    there = list(csv.DictReader(io.StringIO(_text(folder / CSV))))
    now = list(csv.DictReader(io.StringIO(results_csv(outcome))))
    problems = []
    if len(there) != len(now):
        problems.append(f"{CSV} has {len(there)} runs, the folder {len(now)}")
    for line, (old, new) in enumerate(zip(there, now, strict=False), 2):
        differing = [name for name in new if old.get(name) != new[name]]
        if differing:
            name = differing[0]
            problems.append(
                f"{CSV}, line {line} ({new['task']}, {new['contestant']}, seed {new['seed']}): "
                f"{name} is {old.get(name)!r} there, {new[name]!r} by the run"
            )
            break
    return Check("table", f"{CSV} computed again, {counted(len(now), 'line')}", tuple(problems))


def _check_latex(outcome: RaceOutcome, folder: Path) -> Check:
    same = _text(folder / LATEX) == results_latex(outcome)
    problems = () if same else (f"{LATEX} differs from the table of these runs",)
    return Check("LaTeX", f"{LATEX} computed again", problems)


def _check_models(outcome: RaceOutcome, folder: Path) -> Check:
    """Score the saved model of every run that was tested again."""
    of_tasks = [c.seeds for task in outcome.trained for c in task.contestants]
    of_sweeps = [swept.runs for swept in outcome.sweeps]
    tested = [seed for seeds in (*of_tasks, *of_sweeps) for seed in seeds]
    finals = list(
        {s.spec.name: (s.spec, s.result) for s in tested if s.result.score is not None}.values()
    )
    there = [pair for pair in finals if (folder / RUNS / pair[0].name / MODEL).exists()]
    if not there:
        return Check("models", "none is in the folder, so no score is measured again")
    problems, most = [], 0.0
    if len(there) < len(finals):
        problems.append(f"{len(finals) - len(there)} of {len(finals)} models are not there")
    for spec, result in there:
        # As in the run: the last bits of what NumPy multiplies depend on the number of threads.
        with one_thread():
            wrong, apart = _score_again(spec, result, folder / RUNS / spec.name)
        most = max(most, apart)
        problems += wrong
    how = "the same" if most == 0 else f"at most {most:.2g} apart"
    found = f"{counted(len(there), 'model')} scored again: {how}"
    return Check("models", found, tuple(problems[:_MOST_NAMED]))


def _score_again(spec: RunSpec, result: RunResult, folder: Path) -> tuple[list[str], float]:
    """Return what is wrong with a model, and how far its score is from the run's."""
    digest = sha256((folder / MODEL).read_bytes()).hexdigest()
    if result.model_sha256 not in (None, digest):
        return [f"{spec.name}: {MODEL} is not the file that the run wrote"], 0.0
    try:
        scores: list[float | None] = [
            spec.task.metric.measure(saved_outputs(spec, folder), spec.task.test(spec.seed))
        ]
        if spec.further_tests:
            model = saved_model(spec, folder)
            scores += [score_on(model, test, spec.seed).score for test in spec.further_tests]
    except LSTMBaselineError as error:
        return [f"{spec.name}: {error}"], 0.0
    wrong, most = [], 0.0
    exact = result.arithmetic == arithmetic()
    said = [result.score, *(test.score for test in result.further_tests)]
    for now, there in zip(scores, said, strict=True):
        if now is None or there is None:
            apart = 0.0 if now is there else math.inf
        else:
            apart = abs(now - there)
        if apart > (0.0 if exact else _CLOSE * max(1.0, abs(there or 0.0))):
            wrong.append(f"{spec.name}: the model scores {_six(now)}, the run says {_six(there)}")
        else:
            most = max(most, apart)
    return wrong[:1], most


def _six(score: float | None) -> str:
    return "nothing" if score is None else f"{score:.6g}"


def _check_sample(
    plan: Plan,
    found: PlanFile,
    specs: Sequence[RunSpec],
    folder: Path,
    sample: int,
    seed: int,
    console: Console,
) -> Check:
    """Train some runs again."""
    unique = list({spec.name: spec for spec in specs}.values())
    drawn = random.Random(seed).sample(unique, min(sample, len(unique)))
    with tempfile.TemporaryDirectory() as place:
        carry_out_runs(drawn, Path(place), num_workers=None, console=console)
        problems, same, most = [], 0, 0.0
        for spec in drawn:
            old, new = _result(folder / RUNS / spec.name), _result(Path(place) / spec.name)
            most = max(most, _apart(old, new))
            if _bits(old) == _bits(new):
                same += 1
            elif found.made_with == made_with(plan) and old.arithmetic == new.arithmetic:
                problems.append(f"{spec.name}: trained again it ends otherwise")
    text = f"{counted(len(drawn), 'run')} trained again: {same} with the same bits"
    if same < len(drawn):
        # Other versions or another processor round otherwise, and training amplifies it.
        text += (
            f", the others at most {most:.2g} apart in score; here is {_listed(made_with(plan))}, "
            f"{arithmetic()}; the race was made with {_listed(found.made_with)}"
        )
    return Check("sample", text, tuple(problems))


def _compare_runs(one: Path, other: Path, *, same_versions: bool) -> Check:
    names = [{p.name for p in (folder / RUNS).glob("*/")} for folder in (one, other)]
    both = sorted(names[0] & names[1])
    problems = [
        f"{counted(len(rest), 'run')} only in {folder}: {', '.join(sorted(rest)[:_MOST_NAMED])}"
        for folder, rest in ((one, names[0] - names[1]), (other, names[1] - names[0]))
        if rest
    ]
    pairs = {name: (_result(one / RUNS / name), _result(other / RUNS / name)) for name in both}
    differing = {name: pair for name, pair in pairs.items() if _bits(pair[0]) != _bits(pair[1])}
    found = f"{len(both) - len(differing)} of {counted(len(both), 'run')} are the same"
    if differing:
        most = max(_apart(*pair) for pair in differing.values())
        found += f", the others at most {most:.2g} apart in score"
    wrong = [name for name, (a, b) in differing.items() if a.arithmetic == b.arithmetic]
    if wrong and same_versions:
        named = ", ".join(wrong[:_MOST_NAMED])
        problems.append(f"made with the same versions and processor, yet other results: {named}")
    return Check("runs", found, tuple(problems))


def _compare_verdicts(one: Path, other: Path) -> Check:
    first, second = _decided(one), _decided(other)
    problems = [
        f"{who}: {first.get(who, 'not there')} in {one}, {second.get(who, 'not there')} in {other}"
        for who in sorted(first.keys() | second.keys())
        if first.get(who) != second.get(who)
    ]
    return Check("verdict", f"{counted(len(first), 'decision')} compared", tuple(problems))


def _decided(folder: Path) -> dict[str, str]:
    """Return what was decided, keyed by challenger and task."""
    try:
        return {
            f"{duel['challenger']} on {task['title']}": str(task["verdict"])
            for duel in read_json(folder / VERDICT)["duels"]
            for task in duel["tasks"]
        }
    except (KeyError, TypeError) as error:
        raise FileError(f"{folder / VERDICT} is damaged: it is not a verdict") from error


def _result(folder: Path) -> RunResult:
    try:
        return RunResult.model_validate(read_json(folder / RESULT))
    except ValidationError as error:
        raise FileError(f"{folder / RESULT} is damaged: it is not a run's result") from error


def _bits(result: RunResult) -> dict[str, Any]:
    """Return a result without what it says of the machine, and without unknown values."""
    without = {*_OF_THE_MACHINE, "history", "looked_at_again"}
    found = result.model_dump(exclude=without, exclude_none=True)
    return found | {"history": [record._replace(seconds=0.0) for record in result.history]}


def _apart(one: RunResult, other: RunResult) -> float:
    """Return how far two results of a run are apart in score."""
    a, b = (r.validation_score if r.score is None else r.score for r in (one, other))
    if a is None or b is None:
        return 0.0 if a is b else math.inf
    return abs(a - b)


def _differences(there: Any, now: Any, place: str) -> Iterator[str]:
    """Yield where two JSON values differ."""
    if isinstance(there, dict) and isinstance(now, dict):
        for key in sorted(there.keys() | now.keys()):
            yield from _differences(there.get(key), now.get(key), f"{place}.{key}".lstrip("."))
    elif isinstance(there, list) and isinstance(now, list) and len(there) == len(now):
        for number, pair in enumerate(zip(there, now, strict=True)):
            yield from _differences(*pair, f"{place}[{number}]")
    elif there != now:
        yield f"{place} is {_short(there)} there, {_short(now)} by the runs"


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise FileError(f"cannot read {path}: {error}") from error


def _listed(made_with: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in made_with.items())
