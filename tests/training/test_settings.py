"""Settings refuse what they do not know, in one line of our own."""

import copy
import pickle

import pytest
from pydantic import ValidationError

from lstm_baseline import InputError
from lstm_baseline.training import TrainingSettings


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (
            {"steps": 4},
            r"no setting 'steps' \(did you mean 'num_steps'\?\); give any of: ",
        ),
        ({"learning_rat": 4}, r"did you mean 'learning_rate'\?"),
        ({"zzz": 4}, "there is no setting 'zzz'; give any of"),
        ({"num_steps": 0}, "num_steps is 0: Input should be greater than or equal to 1"),
        ({"schedule": "cosin"}, "schedule is 'cosin': Input should be 'constant', "),
        ({"learning_rate": "fast"}, "learning_rate is 'fast': Input should be a valid number"),
        (
            {"weight_decay": 0.1},
            "weight_decay is 0.1: the optimizer adam takes no weight decay; give 0, or the ",
        ),
        ({"optimizer": "sgd", "weight_decay": 1e-9}, "the optimizer sgd takes no weight decay"),
        ({"optimizer": "rmsprop", "weight_decay": 2}, "the optimizer rmsprop takes no weight"),
        ({"optimizer": "adamw", "weight_decay": -0.1}, "weight_decay is -0.1: Input should be gr"),
        ({"optimizer": "adamw", "weight_decay": float("inf")}, "weight_decay is inf: "),
        ({"optimizer": "lion", "weight_decay": 0.1}, "optimizer is 'lion': Input should be"),
    ],
)
def test_wrong_settings_are_one_line(given, words):
    with pytest.raises(InputError, match=words) as refusal:
        TrainingSettings(**given)
    assert "\n" not in str(refusal.value)


def test_settings_within_a_file_are_checked_with_the_file():
    with pytest.raises(ValidationError):
        TrainingSettings.model_validate({"steps": 4})
    assert TrainingSettings.model_validate({"num_steps": 4}).num_steps == 4


def test_settings_are_copied_and_sent():
    given = TrainingSettings(num_steps=4, patience=3)
    assert copy.deepcopy(given) == pickle.loads(pickle.dumps(given)) == given


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "rmsprop", "sgd"])
def test_no_weight_decay_goes_with_every_optimizer(optimizer):
    assert TrainingSettings(optimizer=optimizer, weight_decay=0).weight_decay == 0
    assert TrainingSettings(optimizer="adamw", weight_decay=0.1).weight_decay == 0.1


def test_what_came_later_is_left_out_of_the_config_where_it_has_its_default():
    # The keys of the first format: plans and runs of then keep their hashes and names.
    keys = {
        *("num_steps", "batch_size", "optimizer", "learning_rate", "momentum", "schedule"),
        *("warmup_steps", "clip_norm", "evaluate_every", "truncate", "recompute", "patience"),
    }
    assert set(TrainingSettings().config()) == keys
    given = TrainingSettings(optimizer="adamw", weight_decay=0.1, curriculum_steps=9, num_steps=7)
    assert given.config() == given.model_dump()
    for settings in (given, TrainingSettings(optimizer="adamw")):
        assert TrainingSettings.model_validate(settings.config()) == settings
