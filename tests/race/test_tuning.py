"""Random search: equal for everyone, within its space, chosen by validation alone."""

import numpy as np
import pytest
from pydantic import ValidationError

from lstm_baseline import InputError
from lstm_baseline.race.tuning import Choices, Range, Tuning, ValidationScore, median_score, rank
from lstm_baseline.training import TrainingSettings

BASE = TrainingSettings(num_steps=50)
TUNING = Tuning(
    trials=200,
    space={
        "learning_rate": Range(low=1e-4, high=1e-1),
        "clip_norm": Choices(choices=(0.5, None)),
        "momentum": Range(low=0.1, high=0.9, scale="linear"),
    },
)


def test_draws_cover_the_space_and_leave_the_budget_alone() -> None:
    drawn = TUNING.settings(BASE)
    rates = np.array([settings.learning_rate for settings in drawn])
    assert rates.min() >= 1e-4
    assert rates.max() <= 1e-1
    # Uniform in the logarithm: a third of the draws in each of three decades.
    decades = np.bincount(np.clip(np.floor(np.log10(rates)).astype(int) + 4, 0, 2))
    assert (np.abs(decades - 200 / 3) < 25).all()
    momenta = [settings.momentum for settings in drawn]
    assert abs(np.mean(momenta) - 0.5) < 0.06
    assert {settings.clip_norm for settings in drawn} == {0.5, None}
    assert {settings.num_steps for settings in drawn} == {50}


def test_whole_numbers_are_drawn_whole() -> None:
    tuning = Tuning(trials=30, space={"batch_size": Range(low=8, high=64)})
    sizes = {settings.batch_size for settings in tuning.settings(BASE)}
    assert len(sizes) > 10
    assert min(sizes) >= 8
    assert max(sizes) <= 64


def test_batch_sizes_are_drawn_and_the_steps_stay() -> None:
    tuning = Tuning(trials=40, space={"batch_size": Choices(choices=(16, 32, 64))})
    drawn = tuning.settings(BASE)
    assert {settings.batch_size for settings in drawn} == {16, 32, 64}
    assert {settings.num_steps for settings in drawn} == {BASE.num_steps}


def test_weight_decay_is_drawn_for_adamw() -> None:
    space = {"weight_decay": {"low": 1e-4, "high": 1e-1}}
    decoupled = BASE.model_copy(update={"optimizer": "adamw"})
    tuning = Tuning.model_validate({"trials": 20, "space": space})
    tuning.check(decoupled)
    decays = [settings.weight_decay for settings in tuning.settings(decoupled)]
    assert len(set(decays)) == 20
    assert all(1e-4 <= decay <= 1e-1 for decay in decays)


@pytest.mark.parametrize(
    ("space", "base", "named"),
    [
        ({"weight_decay": {"low": 1e-3, "high": 1e-1}}, {}, "adam and a weight_decay of 0.001"),
        ({"weight_decay": {"choices": [0, 0.1]}}, {"optimizer": "sgd"}, "sgd and a weight_decay"),
        (
            {"optimizer": {"choices": ["adamw", "rmsprop"]}},
            {"optimizer": "adamw", "weight_decay": 0.1},
            "rmsprop and a weight_decay of 0.1",
        ),
        (
            {"optimizer": {"choices": ["adamw", "adam"]}, "weight_decay": {"choices": [0, 0.2]}},
            {"optimizer": "adamw"},
            "adam and a weight_decay of 0.2",
        ),
    ],
)
def test_a_weight_decay_that_a_trial_s_optimizer_does_not_take_is_refused(
    space: dict[str, object], base: dict[str, object], named: str
) -> None:
    tuning = Tuning.model_validate({"trials": 2, "space": space})
    with pytest.raises(InputError, match=f"a trial may have the optimizer {named}"):
        tuning.check(TrainingSettings.model_validate(base))


@pytest.mark.parametrize(
    ("space", "base"),
    [
        ({"optimizer": {"choices": ["adamw", "adam", "rmsprop", "sgd"]}}, {}),
        ({"weight_decay": {"choices": [0]}}, {}),
        ({"weight_decay": {"choices": [0, 0.1]}}, {"optimizer": "adamw"}),
        (
            {"optimizer": {"choices": ["adamw"]}, "weight_decay": {"low": 1e-3, "high": 1e-1}},
            {},
        ),
    ],
)
def test_what_goes_together_is_drawn(space: dict[str, object], base: dict[str, object]) -> None:
    tuning = Tuning.model_validate({"trials": 20, "space": space})
    settings = TrainingSettings.model_validate(base)
    tuning.check(settings)
    for name, values in space.items():
        drawn = {getattr(each, name) for each in tuning.settings(settings)}
        if "choices" in values:
            assert drawn == set(values["choices"])


def test_trials_do_not_depend_on_how_many_there_are() -> None:
    few = TUNING.model_copy(update={"trials": 5})
    assert few.settings(BASE) == TUNING.settings(BASE)[:5]


def test_the_best_validation_score_is_chosen_whichever_way_it_goes() -> None:
    scores = {k: ValidationScore(m, None) for k, m in {0: 0.2, 1: 0.9, 3: 0.9}.items()}
    assert rank(scores, higher_is_better=True) == [1, 3, 0]
    assert rank(scores, higher_is_better=False) == [0, 1, 3]
    assert rank({}, higher_is_better=True) == []


@pytest.mark.parametrize("higher_is_better", [True, False])
def test_trials_that_tie_are_told_apart_by_their_loss(higher_is_better: bool) -> None:
    scores = {0: (0.9, 0.5), 1: (0.9, None), 2: (0.9, 0.3), 3: (0.9, 0.3)}
    tied = {k: ValidationScore(*score) for k, score in scores.items()}
    assert rank(tied, higher_is_better=higher_is_better) == [2, 3, 0, 1]


def test_the_median_of_reruns_counts_a_failure_as_worst() -> None:
    low, middle, high = (ValidationScore(metric, 0.1) for metric in (0.2, 0.5, 0.9))
    assert median_score([high, low, middle], higher_is_better=True) == middle
    assert median_score([high, None, middle], higher_is_better=True) == middle
    assert median_score([high, None, None], higher_is_better=True) is None
    # Of two the worse one counts, so that one lucky run chooses nothing.
    assert median_score([high, low], higher_is_better=True) == low
    assert median_score([high, low], higher_is_better=False) == high


@pytest.mark.parametrize(
    ("rate", "momentum", "expected"),
    [
        (1e-2, 0.5, []),
        (1.9e-4, 0.5, ["learning_rate"]),
        (5.1e-2, 0.5, ["learning_rate"]),
        (2.1e-4, 0.17, ["momentum"]),
        (1e-4, 0.9, ["learning_rate", "momentum"]),
    ],
)
def test_values_in_the_outer_tenth_of_a_range_are_at_its_edge(rate, momentum, expected) -> None:
    settings = BASE.model_copy(update={"learning_rate": rate, "momentum": momentum})
    assert TUNING.at_edge(settings) == expected


@pytest.mark.parametrize(
    ("tuning", "message"),
    [
        ({"trials": 3}, "trials is 3, but space is empty"),
        ({"space": {"num_steps": {"choices": [10, 20]}}}, "num_steps is the budget"),
        ({"space": {"learning_rat": {"low": 1, "high": 2}}}, "learning_rat may draw 1.0: Extra"),
        ({"space": {"learning_rate": {"low": 0.0, "high": 1}}}, "a log scale starts above 0"),
        ({"space": {"learning_rate": {"low": 2, "high": 1}}}, "low is 2.0 and high 1.0"),
        ({"space": {"momentum": {"low": 0.5, "high": 1.5}}}, "momentum may draw 1.5"),
        ({"space": {"optimizer": {"choices": ["adam", "lion"]}}}, "may draw 'lion'"),
        ({"space": {"optimizer": {"choices": []}}}, "at least 1 item"),
        ({"space": {"weight_decay": {"choices": [-1]}}}, "weight_decay may draw -1"),
        ({"space": {"batch_size": {"choices": [16, 0]}}}, "batch_size may draw 0"),
        ({"space": {"batch_size": {"choices": [16, 2.5]}}}, "batch_size may draw 2.5"),
        ({"space": {"learning_rate": {"low": 1, "high": float("inf")}}}, "finite"),
        ({"space": {"patience": {"choices": [1, 2]}}}, "patience is the budget"),
        ({"double_above": 0.25}, "finalists is 0"),
        ({"trials": -1}, "greater than or equal to 0"),
    ],
)
def test_unusable_search_is_refused(tuning: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Tuning.model_validate(tuning)
