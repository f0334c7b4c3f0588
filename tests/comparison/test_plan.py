"""Plans: equal size, every run fixed and named before the first one starts."""

from dataclasses import replace

import pytest

from lstm_baseline import InputError
from lstm_baseline.comparison.match import TOLERANCE, build_model, count_params, match_width
from lstm_baseline.comparison.plan import Plan
from lstm_baseline.comparison.presets import PRESETS, find_preset
from lstm_baseline.tasks import make_task
from lstm_baseline.training import TrainingSettings

PLAN = Plan(
    tasks=(make_task("pair-matching"), make_task("qa")),
    models=("lstm", "gru", "relational"),
    seeds=2,
    settings=TrainingSettings(num_steps=10),
    head_size=16,
)


@pytest.mark.parametrize("preset", PRESETS)
def test_contestants_have_equal_parameters(preset: str) -> None:
    chosen = find_preset(preset)
    plan = replace(PLAN, tasks=tuple(chosen.tasks.values()), head_size=chosen.head_size)
    counts: dict[str, set[int]] = {}
    for run in plan.runs():
        counts.setdefault(run.task.name, set()).add(run.build_model().num_params)
    for task, sizes in counts.items():
        assert max(sizes) - min(sizes) <= TOLERANCE * max(sizes), (task, sizes)


@pytest.mark.parametrize("model", ["lstm", "gru", "relational"])
def test_counted_parameters_are_those_of_the_model(model: str) -> None:
    assert count_params(model, 5, 3, 7) == build_model(model, 5, 3, 7, rng=0).num_params


@pytest.mark.parametrize("target", [1, 2, 99, 100, 101, 4096])
def test_matched_width_is_the_nearest(target: int) -> None:
    assert match_width("line", lambda width: width, target) == target


def test_size_that_no_width_reaches_is_refused() -> None:
    with pytest.raises(InputError, match=r"square has 100 or 121 parameters at widths 10 and 11"):
        match_width("square", lambda width: width * width, 110)
    with pytest.raises(InputError, match="neither within 2% of 1000000"):
        match_width("line", lambda width: width, 1_000_000)


def test_runs_are_every_combination_with_names_of_their_own() -> None:
    runs = PLAN.runs()
    assert len(runs) == 2 * 3 * 2 == len({run.name for run in runs})
    assert [run.seed for run in runs] == [0] * 6 + [1] * 6
    assert [run.name for run in runs] == [run.name for run in PLAN.runs()]


def test_name_changes_with_whatever_changes_the_outcome() -> None:
    first = PLAN.runs()[0]
    others = [
        replace(first, task=make_task("pair-matching", num_pairs=3)),
        replace(first, model="gru"),
        replace(first, width=first.width + 1),
        replace(first, settings=TrainingSettings(num_steps=11)),
        replace(first, seed=7),
    ]
    assert len({first.name, *(run.name for run in others)}) == 6


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"models": ("lstm", "transformer")}, "no model is named 'transformer'"),
        ({"models": ()}, "at least one task and one model"),
        ({"models": ("lstm", "lstm")}, "models names one twice"),
        ({"seeds": 0}, "seeds is 0"),
        ({"tasks": (make_task("qa"), make_task("qa"))}, "tasks names one twice"),
    ],
)
def test_bad_plans_are_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        replace(PLAN, **change)  # type: ignore[arg-type]


def test_unknown_preset_is_refused() -> None:
    with pytest.raises(InputError, match="no preset is named 'fast'; give one of: quick, standard"):
        find_preset("fast")
