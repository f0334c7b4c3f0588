"""Results against numbers worked out by hand."""

import math

import numpy as np
import pytest

from lstm_baseline.contestants.contestant import Contestant
from lstm_baseline.race.outcomes import Speed
from lstm_baseline.race.plan import Sweep
from lstm_baseline.race.scores import Spread
from lstm_baseline.race.summarise import choose_finalists, choose_settings, summarise
from lstm_baseline.race.tuning import Choices, Tuning
from lstm_baseline.tasks import make_task
from tests.support.races import (
    CHANCE,
    CONSTANT,
    ERROR_LADDER,
    HEURISTIC,
    LADDER,
    ORACLE,
    SETTINGS,
    LadderTask,
    contestant,
    outcome,
    planned,
    race,
    run,
    trial,
)


def error_task(ladder=ERROR_LADDER):
    return LadderTask(ladder, higher_is_better=False)


def test_scores_are_kept_by_seed_with_mean_and_sample_deviation():
    given = contestant([run(0.5, untrained=0.1), run(0.7, untrained=0.3), run(0.9, untrained=0.2)])
    assert given.scores == (0.5, 0.7, 0.9)
    assert given.score == pytest.approx((0.7, 0.2, 3))
    assert given.untrained == pytest.approx((0.2, 0.1, 3))
    assert [seed.spec.seed for seed in given.seeds] == [0, 1, 2]
    model = Contestant.model_validate("lstm")
    assert given.num_params == model.size(LadderTask(), given.width)
    assert (given.num_fixed, given.state_size, given.flops_per_step) == (0, 20, 4000)
    assert given.settings == SETTINGS


def test_one_seed_has_no_deviation():
    assert contestant([run(0.75)]).score == Spread(0.75, None, 1)


def test_normalised_runs_from_the_best_heuristic_to_the_oracle():
    given = contestant([run(0.5), run(0.75), run(1.0), run(0.25)])
    assert [seed.normalised for seed in given.seeds] == pytest.approx([0.0, 0.5, 1.0, -0.5])
    assert given.normalised.mean == pytest.approx(0.25)


def test_normalised_of_a_lower_is_better_metric():
    given = contestant([run(0.4), run(0.1), run(0.0), run(0.8)], error_task())
    assert [seed.normalised for seed in given.seeds] == pytest.approx([0.0, 0.75, 1.0, -1.0])


@pytest.mark.parametrize(
    "ladder",
    [
        (),
        (ORACLE,),
        (HEURISTIC, ORACLE._replace(score=0.5)),
        (CHANCE, ORACLE, ORACLE._replace(kind="heuristic")),
    ],
)
def test_no_normalised_score_without_two_ends(ladder):
    given = contestant([run(0.75)], LadderTask(ladder))
    assert given.seeds[0].normalised is None
    assert given.normalised is None


def test_without_an_oracle_the_perfect_score_takes_its_place():
    given = contestant([run(0.75)], LadderTask((CHANCE, HEURISTIC)))
    assert given.seeds[0].normalised == pytest.approx(0.5)


def test_learned_is_to_beat_heuristics_and_the_untrained_network():
    given = contestant(
        [
            run(0.51, untrained=0.2),
            run(0.50, untrained=0.2),  # no better than the heuristic
            run(0.60, untrained=0.6),  # no better than untrained
            run(0.40, untrained=0.2),  # better than chance alone
            run(None),
        ]
    )
    assert [seed.learned for seed in given.seeds] == [True, False, False, False, False]
    assert given.num_learned == 1


def test_learned_where_lower_is_better():
    given = contestant([run(0.3, untrained=2.0), run(0.5, untrained=2.0)], error_task())
    assert [seed.learned for seed in given.seeds] == [True, False]


def test_without_a_ladder_learned_is_to_beat_the_untrained_network():
    given = contestant([run(0.3, untrained=0.2), run(0.1, untrained=0.2)], LadderTask(()))
    assert [seed.learned for seed in given.seeds] == [True, False]
    assert given.speed is None
    assert given.seeds[0].steps is None


def test_chance_counts_where_it_beats_every_heuristic():
    task = LadderTask((HEURISTIC._replace(score=0.1), CHANCE, ORACLE))
    given = outcome({"lstm": [run(0.2, untrained=0.0)]}, task)
    assert given.best_heuristic == CHANCE
    assert given.contestants[0].num_learned == 0


def test_learned_by_more_than_two_standard_errors():
    given = contestant([run(0.56, standard_error=0.029), run(0.56, standard_error=0.031)])
    assert [seed.learned for seed in given.seeds] == [True, False]
    assert not given.learned  # half of the runs is not more than half


def test_more_than_half_of_the_runs_have_to_learn():
    assert contestant([run(0.9), run(0.9), run(0.1)]).learned
    assert not contestant([run(0.9), run(0.1), run(None)]).learned


def test_a_verdict_counts_no_run_below_chance():
    given = contestant([run(0.75), run(0.25), run(0.0), run(None)])
    assert given.values == pytest.approx([0.5, -0.5, -0.5, -0.5])
    assert np.isnan(contestant([run(0.75)], LadderTask(())).values).all()


def test_threshold_is_half_way_to_the_oracle():
    assert outcome({"lstm": [run(1.0)]}).threshold == 0.75
    assert outcome({"lstm": [run(0.0)]}, error_task()).threshold == 0.2


def test_threshold_without_oracle_is_the_best_heuristic():
    assert outcome({"lstm": [run(1.0)]}, LadderTask((CHANCE, HEURISTIC))).threshold == 0.5
    assert outcome({"lstm": [run(1.0)]}, LadderTask(())).threshold is None


def test_steps_and_seconds_to_the_threshold():
    given = contestant([run(0.9, history=[0.2, 0.74, 0.75, 0.6, 0.9])])
    assert (given.seeds[0].steps, given.seeds[0].seconds) == (200, 2.0)
    given = contestant([run(0.1, history=[0.9, 0.21, 0.2])], error_task())
    assert given.speed == Speed(200, 2.0, 1)


def test_what_was_not_reached_is_infinitely_late():
    slow, fast = run(0.7, history=[0.2, 0.7]), run(0.9, history=[0.2, 0.9])
    later = run(0.9, history=[0.2, 0.3, 0.4, 0.9])
    assert contestant([fast, slow, later]).speed == Speed(300, 3.0, 2)
    assert contestant([fast, slow]).speed == Speed(100, 1.0, 1)  # half of them have
    assert contestant([slow, slow, fast]).speed == Speed(math.inf, math.inf, 1)


def test_a_run_that_failed_has_not_reached_the_threshold():
    given = contestant([run(None, history=[0.2, 0.9])])
    assert given.speed == Speed(math.inf, math.inf, 0)


def test_failures_are_kept_with_their_reasons_and_out_of_the_means():
    given = contestant([run(0.6, seconds=2.0), run(None, seconds=90.0), run(0.8, seconds=4.0)])
    assert given.scores == (0.6, None, 0.8)
    assert given.score == pytest.approx((0.7, math.sqrt(0.02), 2))
    assert given.training_seconds.mean == 3.0
    assert [(f.spec.seed, f.result.reason) for f in given.failures] == [
        (1, "loss is nan at step 7")
    ]


def test_a_contestant_whose_runs_all_failed():
    given = contestant([run(None), run(None)])
    assert (given.score, given.normalised, given.training_seconds) == (None, None, None)
    assert given.untrained.mean == 0.2
    assert given.num_learned == 0


def test_each_seed_of_a_file_is_held_against_its_own_rows():
    task = LadderTask(lambda seed: [HEURISTIC._replace(score=(0.5, 0.7)[seed]), ORACLE])
    given = outcome({"lstm": [run(0.6), run(0.6)]}, task)
    assert [seed.learned for seed in given.contestants[0].seeds] == [True, False]
    assert [rung.score for rung in given.ladder] == pytest.approx([0.6, 1.0])
    assert given.threshold == pytest.approx(0.8)


def test_rungs_that_change_places_from_seed_to_seed_are_matched_by_name():
    a, b = CHANCE._replace(name="a"), CHANCE._replace(name="b")
    scores = {0: (0.1, 0.2), 1: (0.6, 0.3)}

    def ladder(seed):
        rungs = [a._replace(score=scores[seed][0]), b._replace(score=scores[seed][1])]
        return sorted(rungs, key=lambda rung: rung.score)

    given = outcome({"lstm": [run(0.6), run(0.6)]}, LadderTask(ladder))
    assert [rung.name for rung in given.ladder] == ["b", "a"]
    assert [rung.score for rung in given.ladder] == pytest.approx([0.25, 0.35])


def test_best_of_a_lower_is_better_ladder():
    better = CONSTANT._replace(name="better", kind="heuristic", score=0.3)
    given = outcome({"lstm": [run(0.1)]}, error_task((CONSTANT, better, ERROR_LADDER[1])))
    assert given.best_heuristic == better
    assert given.oracle == ERROR_LADDER[1]
    assert [rung.score for rung in given.ladder] == [0.4, 0.3, 0.0]


def test_a_generated_task_s_ladder_is_measured_once(monkeypatch):
    task = make_task("pair-matching", num_pairs=2, num_symbols=4)
    asked = []
    monkeypatch.setattr(
        type(task), "ladder", lambda self, seed=0: asked.append(seed) or list(LADDER)
    )
    outcome({"lstm": [run(0.6), run(0.6), run(0.6)]}, task)
    assert asked == [0]


def test_tasks_and_contestants_come_in_the_plan_s_order_whatever_the_runs():
    tasks = LadderTask(name="first"), LadderTask(name="second")
    plan = planned(["relational", "lstm"], tasks, 2)
    chosen = {(k, name): SETTINGS for k in range(2) for name in plan.models}
    finals = [
        (spec, run({"relational": 0.6, "lstm": 0.9}[spec.model])) for spec in plan.finals(chosen)
    ]
    given = summarise(plan, finals[::-1])
    assert [of_task.title for of_task in given] == ["first", "second"]
    for of_task in given:
        assert [c.model for c in of_task.contestants] == ["relational", "lstm"]
        assert [c.score.mean for c in of_task.contestants] == pytest.approx([0.6, 0.9])
        assert [seed.spec.seed for seed in of_task.contestants[0].seeds] == [0, 1]
        assert all(seed.spec.task is of_task.task for seed in of_task.contestants[0].seeds)


def test_tasks_of_one_name_are_told_apart_by_what_differs():
    tasks = LadderTask(level=1), LadderTask(level=2), LadderTask(name="other", level=2)
    given = race({"lstm": [run(0.6)]}, *tasks).tasks
    assert [of_task.title for of_task in given] == [
        "made-up (level=1)",
        "made-up (level=2)",
        "other",
    ]


TUNING = Tuning(trials=3, space={"learning_rate": {"low": 1e-3, "high": 1e-1}})


def test_trials_are_kept_with_what_they_drew_and_why_they_failed():
    tuned = {"lstm": [trial(0.3), trial(None, reason="diverged", seconds=1.0), trial(0.6)]}
    given = race({"lstm": [run(0.6)]}, tuning=TUNING, trials=tuned).tasks[0].contestants[0]
    assert [t.score for t in given.trials] == [0.3, None, 0.6]
    assert [t.reason for t in given.trials] == ["", "diverged", ""]
    assert [t.settings for t in given.trials] == TUNING.settings(SETTINGS)
    assert given.tuning_seconds == 5.0


@pytest.mark.parametrize(("higher_is_better", "best"), [(True, 2), (False, 0)])
def test_the_best_trial_s_settings_are_chosen(higher_is_better, best):
    task = LadderTask(ERROR_LADDER, higher_is_better=higher_is_better)
    plan = planned(["lstm", "relational"], [task], 1, tuning=TUNING)
    scores = {"lstm": [0.1, None, 0.6], "relational": [None, None, None]}
    runs = [(spec, trial(scores[spec.model][k // 2])) for k, spec in enumerate(plan.trials())]
    chosen = choose_settings(plan, runs)
    assert chosen[0, "lstm"] == TUNING.settings(SETTINGS)[best]
    assert chosen[0, "relational"] == SETTINGS  # no trial finished


def swept(train, runs, trained=None):
    task = make_task("adding", length=6)
    sweep = Sweep(task, "length", (4, 6), seeds=2, train=train)
    options = {"parameters": 9000} if train else {}
    given = race(runs, task, sweeps=(sweep,), trained=trained, **options)
    return task, given.sweeps[0]


def test_a_sweep_that_tests_takes_the_scores_of_the_final_runs():
    runs = [run(0.1, beyond=(0.2, 0.1)), run(None), run(0.1, beyond=(0.9, 0.9))]
    task, given = swept(train=False, runs={"lstm": runs})
    at_4, at_6 = given.points["lstm"]
    assert (at_4.scores, at_6.scores) == ((0.2, None), (0.1, None))  # two seeds of the three
    best = min(rung.score for rung in given.ladders[1] if rung.kind != "oracle")
    assert at_6.normalised == pytest.approx(((0.1 - best) / -best, None))
    assert given.runs == ()
    assert (given.title, given.metric) == ("adding", task.metric)


def test_a_sweep_that_trains_keeps_its_own_runs():
    def trained(spec):
        return run(None if spec.seed else spec.task.config()["length"] / 100)

    _, given = swept(train=True, runs={"lstm": [run(0.1)] * 3}, trained=trained)
    at_4, at_6 = given.points["lstm"]
    assert (at_4.scores, at_6.scores) == ((0.04, None), (0.06, None))
    assert [(seed.spec.seed, seed.result.score) for seed in given.runs] == [
        (0, 0.04),
        (0, 0.06),
        (1, None),
        (1, None),
    ]
    assert [seed.learned for seed in given.runs] == [True, True, False, False]


def test_a_run_of_a_sweep_is_held_against_the_ladder_of_its_value():
    task = make_task("pair-matching", num_pairs=2, num_symbols=6)
    given = race(
        {"lstm": [run(0.9)]},
        task,
        parameters=9000,
        sweeps=(Sweep(task, "num_pairs", (2, 3), seeds=1, train=True),),
        trained=lambda spec: run(0.9),
    ).sweeps[0]
    # The last pair has the answer with a chance of 1 / n, any of 5 other symbols with 1 / 5.
    expected = [(0.9 - best) / (1 - best) for best in (1 / 2 + 1 / 10, 1 / 3 + 2 / 15)]
    assert [seed.normalised for seed in given.runs] == pytest.approx(expected, abs=0.02)
    assert [point.normalised[0] for point in given.points["lstm"]] == [
        seed.normalised for seed in given.runs
    ]


def test_parts_of_the_samples_have_scores_of_their_own():
    parts = [{"easy": 0.8}, {"easy": 0.6}, {"easy": 0.9}]
    given = contestant(
        [run(0.7 if k else None, partial_scores=part) for k, part in enumerate(parts)]
    )
    assert given.partial_scores == {"easy": pytest.approx((0.75, math.sqrt(0.045), 2))}
    assert contestant([run(0.7)]).partial_scores == {}
    assert contestant([run(None)]).partial_scores == {}


TUNED = Tuning(
    trials=4,
    space={"learning_rate": {"low": 1e-4, "high": 1e-1}},
    finalists=2,
    reruns=3,
    double_above=0.25,
)


def reruns_of(plan, trials, results):
    """Return reruns with the given results, contestant by contestant, finalist by finalist."""
    specs = plan.reruns(choose_finalists(plan, trials))
    return list(zip(specs, results, strict=True))


def test_the_best_trials_are_run_again_and_the_best_median_is_chosen():
    plan = planned(["lstm"], [LadderTask()], 2, tuning=TUNED)
    drawn = plan.tuning.settings(plan.settings)
    trials = list(zip(plan.trials(), map(trial, (0.6, 0.9, 0.2, 0.8)), strict=True))
    assert choose_finalists(plan, trials) == {(0, "lstm"): [drawn[1], drawn[3]]}
    lucky = [trial(score) for score in (0.9, 0.5, None)]
    steady = [trial(score) for score in (0.7, 0.6, 0.8)]
    chosen = choose_settings(plan, trials, reruns_of(plan, trials, lucky + steady))
    assert chosen == {(0, "lstm"): drawn[3]}
    specs = [spec for spec, _ in reruns_of(plan, trials, lucky + steady)]
    assert [spec.title for spec in specs] == ["rerun 0", "rerun 1", "rerun 2"] * 2
    assert len({spec.name for spec in specs}) == 6
    assert {spec.stage for spec in specs} == {"rerun"}
    assert not {spec.seed for spec in specs} & {0, 1, *(spec.seed for spec, _ in trials)}


def test_trials_that_drew_the_same_settings_are_one_finalist():
    tuning = TUNED.model_copy(update={"space": {"clip_norm": Choices(choices=(0.5,))}})
    plan = planned(["lstm"], [LadderTask()], 2, tuning=tuning)
    trials = list(zip(plan.trials(), map(trial, (0.6, 0.9, 0.2, 0.8)), strict=True))
    assert len(choose_finalists(plan, trials)[0, "lstm"]) == 1


def test_no_finalist_finished_or_no_trial_did():
    plan = planned(["lstm"], [LadderTask()], 2, tuning=TUNED)
    drawn = plan.tuning.settings(plan.settings)
    trials = list(zip(plan.trials(), map(trial, (None, 0.9, 0.2, 0.8)), strict=True))
    failed = reruns_of(plan, trials, [trial(None)] * 6)
    assert choose_settings(plan, trials, failed) == {(0, "lstm"): drawn[1]}
    none = [(spec, trial(None)) for spec in plan.trials()]
    assert choose_finalists(plan, none) == {(0, "lstm"): []}
    assert choose_settings(plan, none) == {(0, "lstm"): plan.settings}


@pytest.mark.parametrize(("improving", "doubled"), [(0, False), (1, False), (2, True), (6, True)])
def test_everyone_gets_twice_the_steps_where_many_reruns_still_improved(improving, doubled):
    tasks = [LadderTask(name="one"), LadderTask(name="two")]
    tuning = TUNED.model_copy(update={"finalists": 1})
    plan = planned(["lstm", "gru"], tasks, 2, tuning=tuning)
    trials = [(spec, trial(0.6)) for spec in plan.trials()]
    rising, flat = [0.2, 0.5, 0.5, 0.9], [0.2, 0.8, 0.9, 0.9]
    results = [run(0.9, history=rising if k < improving else flat) for k in range(6)]
    # The first six reruns are those of the first task.
    rest = [run(0.9, history=flat)] * 6
    chosen = choose_settings(plan, trials, reruns_of(plan, trials, results + rest))
    steps = plan.settings.num_steps
    for name in plan.models:
        assert chosen[0, name].num_steps == (2 * steps if doubled else steps)
        assert chosen[1, name].num_steps == steps
    for spec in plan.finals(chosen):
        assert spec.settings.num_steps == chosen[tasks.index(spec.task), spec.model].num_steps


def test_a_run_says_whether_it_still_improved_and_used_the_question():
    task = LadderTask()
    task.oracle_on_other_questions = lambda: 0.0
    given = contestant(
        [
            run(0.9, history=[0.2, 0.5, 0.5, 0.9], other_question_score=0.1),
            run(0.6, history=[0.2, 0.6, 0.6, 0.6], other_question_score=0.6),
            run(None, history=[0.2, 0.5, 0.5, 0.9]),
        ],
        task,
    )
    assert [seed.still_improved for seed in given.seeds] == [True, False, False]
    assert [seed.uses_question for seed in given.seeds] == [True, False, None]
    assert (given.num_still_improved, given.uses_question) == (1, (1, 2))
    share = given.share_learned(0.05)
    assert share.estimate == pytest.approx(2 / 3)
    # Clopper and Pearson's interval of 2 of 3.
    assert (share.low, share.high) == pytest.approx((0.0943, 0.9916), abs=1e-4)
