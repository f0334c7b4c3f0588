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
