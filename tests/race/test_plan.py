"""Plans: equal size, every run fixed and named before the first one starts."""

from dataclasses import replace
from typing import Any

import pytest

from lstm_baseline import InputError
from lstm_baseline.contestants.contestant import Contestant, copy_seed
from lstm_baseline.contestants.match import TOLERANCE, Match, match_widths, nearest_width
from lstm_baseline.race.plan import Plan, Sweep
from lstm_baseline.race.race_file import PRESETS, read_preset
from lstm_baseline.race.tuning import Range, Tuning
from lstm_baseline.race.verdict import VerdictRule
from lstm_baseline.runs.spec import FIRST_TRIAL_SEED
from lstm_baseline.tasks import make_task
from lstm_baseline.training import TrainingSettings
from tests.support.plain_challenger import ReLUNetwork

PAIRS, QA = make_task("pair-matching"), make_task("qa")
LSTM, GRU, RELATIONAL = map(Contestant.model_validate, ("lstm", "gru", "relational"))
PLAN = Plan(
    tasks=(PAIRS, QA),
    contestants=(LSTM, GRU, RELATIONAL),
    seeds=2,
    settings=TrainingSettings(num_steps=10),
    parameters=20_000,
    tuning=Tuning(trials=3, space={"learning_rate": Range(low=1e-3, high=1e-1)}),
)


def untuned(plan: Plan) -> dict[tuple[int, str], TrainingSettings]:
    return {(k, name): plan.settings for k in range(len(plan.tasks)) for name in plan.models}


# Equal size


@pytest.mark.parametrize("preset", PRESETS)
def test_contestants_have_equal_parameters_at_every_difficulty(preset: str) -> None:
    plan = read_preset(preset).plan()
    runs = plan.finals(untuned(plan))
    runs += [run for sweep in plan.sweeps for run in plan.sweep_runs(sweep, untuned(plan))]
    counts: dict[int, set[int]] = {}
    for run in runs:
        if run.seed == 0:
            model = run.build_model()
            counts.setdefault(id(run.task), set()).add(sum(v.size for v in model.params.values()))
    assert len(counts) >= len(plan.tasks)
    for sizes in counts.values():
        assert max(sizes) - min(sizes) <= TOLERANCE * min(sizes), sizes
        assert 0.8 < max(sizes) / plan.parameters < 1.2


@pytest.mark.parametrize("match", ["state", "flops"])
def test_state_or_operations_can_be_equal_in_place_of_parameters(match: Match) -> None:
    plan = replace(PLAN, match=match)
    assert plan.hash != PLAN.hash
    for task in plan.tasks:
        widths = [(each, plan.width(task, each)) for each in plan.contestants]
        sizes = [each.size(task, width, match) for each, width in widths]
        assert max(sizes) <= (1 + TOLERANCE) * min(sizes)
        parameters = [each.size(task, width) for each, width in widths]
        assert 1 / 1.5 < parameters[0] / PLAN.parameters < 1.5
        assert max(parameters) > 1.5 * min(parameters)
    for run in plan.finals(untuned(plan))[:3]:
        model = run.build_model()
        measured = model.state_size if match == "state" else model.flops_per_step
        assert measured == run.contestant.size(run.task, run.width, match)


@pytest.mark.parametrize(
    ("match", "value", "told"),
    [
        ("state", None, "its state_size is None, give a whole number of numbers of state"),
        ("state", 4.5, "its state_size is 4.5, give"),
        ("state", lambda self: 4, "its state_size is <bound method .*, give"),
        ("flops", None, "its flops_per_step is None, give a whole number of operations a step"),
        ("flops", -1, "its flops_per_step is -1, give"),
    ],
)
def test_what_is_not_known_cannot_be_equal(
    match: Match, value: object, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = Contestant(name="plain", model="tests.support.plain_challenger:ReLUNetwork")
    if value is not None:
        attribute = {"state": "state_size", "flops": "flops_per_step"}[match]
        monkeypatch.setattr(ReLUNetwork, attribute, value, raising=False)
    with pytest.raises(InputError, match=f"plain cannot be matched by {match}: {told}"):
        _ = replace(PLAN, contestants=(LSTM, plain), match=match).hash


@pytest.mark.parametrize("contestant", [LSTM, GRU, RELATIONAL])
def test_counted_parameters_are_those_of_the_model(contestant: Contestant) -> None:
    model = contestant.build(PAIRS, 7, seed=0)
    assert contestant.size(PAIRS, 7) == sum(v.size for v in model.params.values())


@pytest.mark.parametrize("target", [1, 2, 99, 100, 101, 4096])
def test_width_is_the_nearest(target: int) -> None:
    assert nearest_width(lambda width: width, target) == target


def test_the_coarsest_contestant_sets_the_size() -> None:
    widths = match_widths({"fine": lambda w: 3 * w, "coarse": lambda w: 100 * w * w}, 1000)
    assert widths == {"fine": 300, "coarse": 3}


def test_two_coarse_contestants_meet_at_the_nearest_size_that_both_have() -> None:
    counts = {"a": lambda w: 1000 * w, "b": lambda w: 1250 * w, "fine": lambda w: 10 * w}
    assert match_widths(counts, 9000) == {"a": 10, "b": 8, "fine": 1000}


def test_sizes_agree_in_pairs_and_not_only_with_the_coarsest() -> None:
    counts = {"coarse": lambda w: 1000 * w, "up": lambda w: 985 + 25 * (w - 1)}
    counts["down"] = lambda w: 988 + 27 * (w - 1)
    # Nearest to 1,000 are 1,010 or 985, and 988 or 1,015.
    widths = match_widths(counts, 1000)
    sizes = [counts[name](width) for name, width in widths.items()]
    assert max(sizes) <= (1 + TOLERANCE) * min(sizes)


def test_size_that_no_width_reaches_is_refused() -> None:
    with pytest.raises(InputError, match=r"a has 1,000 .* and b 1,100 .* within 2%"):
        match_widths({"a": lambda w: 1000 * w, "b": lambda w: 1100 * w}, 1000)
    # At 10,000 and 11,000 they would meet, but that is not the size wanted.
    with pytest.raises(InputError, match="the nearest to the 10,000,000 wanted"):
        match_widths({"line": lambda w: w}, 10_000_000)
    with pytest.raises(InputError, match="the 10 wanted; parameters = 1000 can be met"):
        match_widths({"big": lambda w: 1000 * w}, 10)


# Runs


def test_trials_are_equal_for_everyone_and_never_scored() -> None:
    trials = PLAN.trials()
    assert len(trials) == 3 * 2 * 3 == len({run.name for run in trials})
    for seed in {run.seed for run in trials}:
        assert len({run.settings for run in trials if run.seed == seed}) == 1
    assert len({run.settings.learning_rate for run in trials}) == 3
    assert {run.stage for run in trials} == {"trial"}
    finals = PLAN.finals(untuned(PLAN))
    assert not {run.seed for run in trials} & {run.seed for run in finals}


def test_runs_are_every_combination_with_names_of_their_own() -> None:
    runs = PLAN.finals(untuned(PLAN))
    assert len(runs) == 2 * 3 * 2 == len({run.name for run in runs})
    assert [run.seed for run in runs] == [0] * 6 + [1] * 6
    assert [run.name for run in runs] == [run.name for run in PLAN.finals(untuned(PLAN))]


def test_name_changes_with_whatever_changes_the_outcome() -> None:
    first = PLAN.finals(untuned(PLAN))[0]
    changes: list[dict[str, Any]] = [
        {"task": make_task("pair-matching", num_pairs=3)},
        {"contestant": GRU},
        {"contestant": LSTM.model_copy(update={"arguments": {"num_layers": 2}})},
        {"width": first.width + 1},
        {"settings": TrainingSettings(num_steps=11)},
        {"seed": 7},
        {"stage": "trial"},
        {"copy": 1},
        {"also_tested_on": (QA,)},
        {"code": "other"},
    ]
    others = [replace(first, **change) for change in changes]
    assert len({first.name, *(run.name for run in others)}) == 1 + len(changes)


def test_names_of_folders_are_safe_whatever_a_contestant_is_called() -> None:
    contestant = Contestant(name="../../etc/<b>x</b> é\x00", model="lstm")
    (run, *_) = replace(PLAN, contestants=(contestant,), seeds=1).finals(
        {(k, contestant.name): PLAN.settings for k in range(2)}
    )
    assert "/" not in run.name
    assert "\x00" not in run.name
    assert not run.name.startswith(".")


def test_a_contestant_that_enters_twice_starts_from_other_weights() -> None:
    twin = Contestant(name="twin", model="lstm")
    plan = replace(PLAN, contestants=(LSTM, twin))
    first, second, *_ = plan.finals(untuned(plan))
    assert (first.copy, second.copy) == (0, 1)
    assert first.width == second.width
    one, other = first.build_model().params, second.build_model().params
    assert not (one["W"] == other["W"]).any()
    assert copy_seed(5, 0) == 5


def test_sweep_at_the_tasks_own_value_is_the_final_run() -> None:
    sweeps = (
        Sweep(PAIRS, "num_pairs", (2, 4), seeds=1, train=True),
        Sweep(PAIRS, "num_pairs", (3, 5), seeds=1, train=False),
    )
    plan = replace(PLAN, sweeps=sweeps)
    finals = {run.name for run in plan.finals(untuned(plan))}
    swept = plan.sweep_runs(sweeps[0], untuned(plan))
    assert len(swept) == 2 * 3
    assert len({run.name for run in swept} & finals) == 3
    assert plan.sweep_runs(sweeps[1], untuned(plan)) == []
    assert [t.config()["num_pairs"] for t in plan.finals(untuned(plan))[0].also_tested_on] == [3, 5]


# The plan


def test_hash_changes_with_every_rule() -> None:
    changes: list[dict[str, Any]] = [
        {"seeds": 3},
        {"settings": TrainingSettings(num_steps=11)},
        {"parameters": 20_001},
        {"rule": VerdictRule(margin=0.03)},
        {"tuning": Tuning(trials=4, space=PLAN.tuning.space)},
        {"tuning": Tuning(trials=3, space={"learning_rate": Range(low=1e-3, high=2e-1)})},
        {"tasks": (PAIRS,)},
        {"contestants": (GRU, LSTM, RELATIONAL)},
        {"sweeps": (Sweep(PAIRS, "num_pairs", (2,), 1, True),)},
        {"title": "another"},
    ]
    hashes = {replace(PLAN, **change).hash for change in changes}
    assert len(hashes | {PLAN.hash}) == 1 + len(changes)
    assert replace(PLAN).hash == PLAN.hash
    assert len(PLAN.hash) == 64


def test_too_few_resamples_are_refused() -> None:
    """Beyond 14 seeds p is at least 2/(num_resamples + 1)."""
    plan = replace(PLAN, tasks=PLAN.tasks[:1], contestants=(LSTM, GRU))
    rule = VerdictRule(num_resamples=100, level=0.004)
    with pytest.raises(InputError, match=r"num_resamples is 100, .* at a level of 0.004; give at"):
        replace(plan, seeds=15, rule=rule)
    assert replace(plan, seeds=14, rule=rule).shortage() is None
    enough = rule.model_copy(update={"num_resamples": 499})
    assert replace(plan, seeds=15, rule=enough).shortage() is None
    with pytest.raises(InputError, match="give at least 499"):
        replace(plan, seeds=15, rule=rule.model_copy(update={"num_resamples": 498}))


@pytest.mark.parametrize(
    ("seeds", "tasks", "enough", "needed"),
    [
        (5, 1, False, 6),
        (6, 1, True, None),
        (5, 2, False, 7),
        (6, 2, False, 7),
        (7, 2, True, None),
        (1, 2, False, 7),
    ],
)
def test_too_few_seeds_are_told_beforehand(
    seeds: int, tasks: int, enough: bool, needed: int | None
) -> None:
    plan = replace(PLAN, contestants=(LSTM, GRU), seeds=seeds, tasks=PLAN.tasks[:tasks])
    shortage = plan.shortage()
    assert (shortage is None) == enough
    if shortage is not None:
        assert shortage.needed_seeds == needed
        assert shortage.smallest_p == 2 / 2**seeds
    assert replace(plan, contestants=(LSTM,)).shortage() is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"contestants": ()}, "at least one task and one contestant"),
        ({"contestants": (LSTM, LSTM)}, "contestants lists lstm twice"),
        ({"contestants": (LSTM, Contestant(name="LSTM", model="gru"))}, "lists lstm twice"),
        ({"seeds": 0}, "seeds is 0"),
        ({"tasks": (QA, make_task("qa"))}, "tasks lists qa twice"),
        ({"sweeps": (Sweep(QA, "num_facts", (8,), 3, True),)}, "has 3 seeds; the race has 2"),
    ],
)
def test_bad_plans_are_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        replace(PLAN, **change)  # type: ignore[arg-type]


def test_unknown_model_is_refused() -> None:
    plan = replace(PLAN, contestants=(Contestant.model_validate("hyena"),))
    with pytest.raises(InputError, match=r"no model is named 'hyena'; .* package\.module:Name"):
        plan.trials()


def test_sweeps_that_cannot_be_run_are_refused() -> None:
    with pytest.raises(InputError, match="num_objects changes what object-tracking shows or asks"):
        Sweep(make_task("object-tracking"), "num_objects", (3, 4), 1, train=False)
    with pytest.raises(InputError, match="values lists 8 twice"):
        Sweep(QA, "num_facts", (8, 8), 1, train=True)
    with pytest.raises(InputError, match="num_facts is 1"):
        _ = Sweep(QA, "num_facts", (1,), 1, train=True).tasks


def test_power_is_that_of_the_plan():
    few = replace(PLAN, seeds=5)
    assert few.power == 0.0
    alone = replace(PLAN, seeds=20, tasks=PLAN.tasks[:1], contestants=(LSTM, GRU), sweeps=())
    many = replace(alone, contestants=(LSTM, GRU, *extra_lstms(9)))
    assert 0.95 < alone.power <= 1
    assert many.power < alone.power - 0.05


def extra_lstms(count):
    return [Contestant.model_validate({"name": f"lstm {k}", "model": "lstm"}) for k in range(count)]


def test_a_race_may_begin_at_another_seed():
    later = replace(PLAN, first_seed=PLAN.seeds)
    chosen = {(k, name): PLAN.settings for k in range(len(PLAN.tasks)) for name in PLAN.models}
    seeds = {spec.seed for spec in PLAN.finals(chosen)}
    others = {spec.seed for spec in later.finals(chosen)}
    assert not seeds & others
    assert len(seeds) == len(others)
    assert later.config()["seeds"] == sorted(others)
    assert later.hash != PLAN.hash
    for wrong in (-1, FIRST_TRIAL_SEED):
        with pytest.raises(InputError, match=f"first_seed is {wrong}"):
            replace(PLAN, first_seed=wrong)
