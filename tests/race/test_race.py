"""Whole races, small and real: a plan that cannot change, equal tuning, a race against oneself."""

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from lstm_baseline import FileError
from lstm_baseline.contestants.contestant import Contestant
from lstm_baseline.race.plan import Plan, Sweep
from lstm_baseline.race.race import PLAN, RUNS, hold_race
from lstm_baseline.race.tuning import Choices, Range, Tuning
from lstm_baseline.runs.run import RESULT, RUN
from lstm_baseline.runs.spec import FIRST_TRIAL_SEED
from lstm_baseline.tasks import make_task
from lstm_baseline.training import TrainingSettings

PAIRS = make_task("pair-matching", num_pairs=2, num_symbols=4)
SMALL = Plan(
    tasks=(PAIRS,),
    contestants=(Contestant.model_validate("lstm"), Contestant.model_validate("gru")),
    seeds=2,
    settings=TrainingSettings(num_steps=30, evaluate_every=10),
    parameters=1000,
    tuning=Tuning(
        trials=3,
        space={
            "learning_rate": Range(low=1e-4, high=3e-2),
            "clip_norm": Choices(choices=(0.5, None)),
        },
    ),
    sweeps=(
        Sweep(PAIRS, "num_pairs", (2,), seeds=1, train=True),
        Sweep(PAIRS, "num_pairs", (2,), seeds=2, train=False),
    ),
)


def run_race(plan: Plan, folder: Path) -> str:
    """Carry out a race and return what it printed."""
    shown = io.StringIO()
    hold_race(plan, folder, num_workers=2, console=Console(file=shown, width=200))
    return shown.getvalue()


def runs_in(folder: Path) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    return [
        (json.loads((path / RUN).read_text()), json.loads((path / RESULT).read_text()))
        for path in sorted((folder / RUNS).iterdir())
    ]


def test_trials_choose_the_settings_of_final_runs(tmp_path: Path) -> None:
    shown = run_race(SMALL, tmp_path)
    assert f"plan {SMALL.hash[:12]}" in shown
    assert "2 seeds cannot decide any task" in shown
    found = runs_in(tmp_path)
    trials = [(run, result) for run, result in found if run["stage"] == "trial"]
    finals = [(run, result) for run, result in found if run["stage"] == "final"]
    assert len(trials) == 2 * 3
    # The sweep that trains at the task's own value shares its runs with the race.
    assert len(finals) == 2 * 2
    for _, result in trials:
        assert result["score"] is result["untrained_score"] is None
        assert result["validation_score"] is not None
    for name in SMALL.models:
        own = [pair for pair in trials if pair[0]["contestant"]["name"] == name]
        best = max(own, key=lambda pair: (pair[1]["validation_score"], -pair[0]["seed"]))
        chosen = [run["settings"] for run, _ in finals if run["contestant"]["name"] == name]
        assert chosen == [best[0]["settings"]] * 2
    assert {run["seed"] for run, _ in trials} == {FIRST_TRIAL_SEED + k for k in range(3)}


def test_a_sweep_that_tests_scores_the_trained_model_there(tmp_path: Path) -> None:
    run_race(SMALL, tmp_path)
    finals = [result for run, result in runs_in(tmp_path) if run["stage"] == "final"]
    # At the task's own value the samples are those of its own test.
    assert all(result["beyond"] == [result["score"]] for result in finals)


def test_an_ended_race_runs_nothing_again(tmp_path: Path) -> None:
    run_race(SMALL, tmp_path)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("runs/*/*")}
    shown = run_race(SMALL, tmp_path)
    assert "6 of 6 runs have ended before" in shown
    assert {path: path.stat().st_mtime_ns for path in tmp_path.glob("runs/*/*")} == before


def test_the_plan_is_on_disk_before_the_first_run_and_cannot_change(tmp_path: Path) -> None:
    plan = replace(SMALL, tuning=Tuning(), sweeps=(), seeds=1)
    run_race(plan, tmp_path)
    written = json.loads((tmp_path / PLAN).read_text())
    assert written["hash"] == plan.hash
    assert written["plan"]["verdict"]["margin"] == plan.rule.margin
    first_run = min(path.stat().st_mtime_ns for path in tmp_path.glob("runs/*/*"))
    assert (tmp_path / PLAN).stat().st_mtime_ns < first_run
    with pytest.raises(FileError, match=r"holds another race, with other seeds: a changed plan"):
        run_race(replace(plan, seeds=2), tmp_path)
    assert len(runs_in(tmp_path)) == 2
    (tmp_path / PLAN).write_text("[]")
    with pytest.raises(FileError, match=r"plan\.json is damaged"):
        run_race(plan, tmp_path)


@pytest.mark.slow
def test_a_race_against_oneself_is_open(tmp_path: Path) -> None:
    contestants = (
        Contestant(name="one", model="lstm"),
        Contestant(name="the other", model="lstm"),
    )
    plan = Plan(
        tasks=(
            make_task("pair-matching", num_pairs=3, num_symbols=6),
            make_task("object-tracking", num_objects=2, grid=2, num_sightings=3),
        ),
        contestants=contestants,
        seeds=8,
        settings=TrainingSettings(num_steps=300, learning_rate=2e-2),
        parameters=1500,
    )
    outcome = hold_race(plan, tmp_path, console=Console(quiet=True))
    for of_task in outcome.tasks:
        one, other = of_task.contestants
        assert one.learned
        assert other.learned
        assert one.num_params == other.num_params
        # They are two, not a copy.
        for seed, other_seed in zip(one.seeds, other.seeds, strict=True):
            assert seed.result.untrained_score != other_seed.result.untrained_score
    (duel,) = outcome.duels
    assert duel.verdict == "open"
    assert [task.verdict for task in duel.tasks if task.evidence] == ["undecided"] * 2
