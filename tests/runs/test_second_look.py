"""A second look at trained models of users: they are what their files say, whatever they do."""

import json
from pathlib import Path

import numpy as np
import pytest

from lstm_baseline import FileError
from lstm_baseline.contestants.contestant import Contestant
from lstm_baseline.own_code import forget, load_class
from lstm_baseline.runs.pool import carry_out_runs
from lstm_baseline.runs.run import RESULT, read_result
from lstm_baseline.runs.saved_model import MODEL
from lstm_baseline.runs.second_look import OUTPUTS, look_again
from lstm_baseline.runs.spec import RunSpec
from lstm_baseline.tasks import ArrayFile, make_task
from lstm_baseline.training import TrainingSettings
from tests.support import plain_challenger
from tests.support.runs import LSTM, comparable, quiet

PAIRS = make_task("pair-matching", num_pairs=2, num_symbols=6)
STEPS = make_task("cycle-navigation", lengths=8, every_step=True)
RAGGED = make_task("parity", lengths=[3, 40], every_step=True)
SETTINGS = TrainingSettings(num_steps=80, evaluate_every=40)
PLAIN = "tests.support.plain_challenger:ReLUNetwork"


def spec_of(model, task=PAIRS, seed=0, settings=SETTINGS, **options):
    contestant = Contestant.model_validate(model)
    return RunSpec(task, contestant, 8, settings, seed, code=contestant.code(), **options)


def carried_out(specs, folder, num_workers=1):
    return carry_out_runs(specs, folder, num_workers=num_workers, console=quiet())


@pytest.mark.parametrize("model", [PLAIN, "examples.own_cell:MinimalGatedUnit"])
@pytest.mark.parametrize("task", [PAIRS, STEPS])
def test_an_honest_model_is_looked_at_once(tmp_path, task, model):
    spec = spec_of(model, task)
    (result,) = carried_out([spec], tmp_path)
    assert result.status == "finished"
    assert result.looked_at_again
    assert not (tmp_path / spec.name / OUTPUTS).exists()
    assert read_result(spec, tmp_path / spec.name) == result
    # A changed score would be found by a second look; nobody takes a third.
    path = tmp_path / spec.name / RESULT
    path.write_text(json.dumps(json.loads(path.read_text()) | {"score": 0.125}))
    (again,) = carried_out([spec], tmp_path)
    assert again.score == 0.125


@pytest.mark.parametrize(
    ("name", "task", "reason"),
    [
        ("LearnsElsewhere", PAIRS, "built from its file it scores 0."),
        ("LooksAtOthers", PAIRS, "a row's output depends on other rows"),
        ("MixesTheFirst", PAIRS, "a row's output depends on other rows"),
        ("LooksAhead", STEPS, "outputs depend on later steps"),
        ("LooksAhead", RAGGED, "outputs depend on later steps"),
        ("LooksAtItself", PAIRS, ", and 1 where it was trained"),
        ("ChangesLater", PAIRS, "built from its file it scores 0."),
        ("FailsLater", PAIRS, "not in this process"),
        ("ChangesScores", PAIRS, ", and 1 where it was trained"),
    ],
)
def test_who_breaks_the_rules_in_the_race_has_failed(tmp_path, name, task, reason):
    spec = spec_of(f"tests.support.second_look:{name}", task)
    (result,) = carried_out([spec], tmp_path)
    assert (result.status, result.score) == ("failed", None)
    assert result.reason.startswith("a second look at the trained model: ")
    assert reason in result.reason
    assert not (tmp_path / spec.name / OUTPUTS).exists()
    assert read_result(spec, tmp_path / spec.name) == result


def test_a_run_that_nobody_has_looked_at_is_looked_at_when_the_race_goes_on(tmp_path):
    spec = spec_of(PLAIN)
    carried_out([spec], tmp_path)
    path = tmp_path / spec.name / RESULT
    stopped_before = json.loads(path.read_text()) | {"looked_at_again": False, "score": 0.125}
    path.write_text(json.dumps(stopped_before))
    (again,) = carried_out([spec], tmp_path)
    assert again.status == "failed"
    assert "where it was trained" in again.reason
    # What is published without its models stays as it is.
    path.write_text(json.dumps(stopped_before))
    (tmp_path / spec.name / MODEL).unlink()
    (again,) = carried_out([spec], tmp_path)
    assert again.score == 0.125


def test_further_tests_are_looked_at_as_well(tmp_path):
    task = make_task("parity", lengths=[3, 10])
    longer = (make_task("parity", lengths=[20, 30]),)
    (result,) = carried_out([spec_of(PLAIN, task, further_tests=longer)], tmp_path)
    assert result.looked_at_again
    spec = spec_of("tests.support.second_look:MixesLongRows", task, further_tests=longer)
    (result,) = carried_out([spec], tmp_path)
    assert "a row's output depends on other rows" in result.reason


def test_a_cell_is_held_to_the_rules_with_the_inputs_that_it_was_trained_on(tmp_path):
    """Its file takes raw numbers, of which the largest hides all that moves."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(1000, 5, (1500, 4, 2)), rng.normal(1000, 3, 1500)
    np.savez(tmp_path / "own.npz", X=X, y=y + X[:, -1, 0])
    task = ArrayFile(tmp_path / "own.npz")
    (result,) = carried_out([spec_of("examples.own_cell:MinimalGatedUnit", task)], tmp_path)
    assert result.looked_at_again
    (result,) = carried_out([spec_of("tests.support.second_look:MixesInACell", task)], tmp_path)
    assert "a row's output depends on other rows" in result.reason


def test_code_that_has_changed_stops_the_race_and_fails_no_run(tmp_path, monkeypatch):
    module = tmp_path / "edited_class.py"
    module.write_text(Path(plain_challenger.__file__).read_text())
    monkeypatch.syspath_prepend(tmp_path)
    spec = spec_of("edited_class:ReLUNetwork")
    carried_out([spec], tmp_path)
    before = (tmp_path / spec.name / RESULT).read_bytes()
    module.write_text(module.read_text() + "\n# edited\n")
    forget(load_class(spec.contestant.model))  # as a new process, which has loaded nothing yet
    with pytest.raises(FileError, match="is not what it was"):
        look_again(spec, tmp_path / spec.name)
    assert (tmp_path / spec.name / RESULT).read_bytes() == before


def test_trials_have_no_second_look(tmp_path):
    (result,) = carried_out([spec_of(PLAIN, stage="trial")], tmp_path)
    assert not result.looked_at_again


def test_no_process_is_shared_with_a_user_s_class(tmp_path):
    spoils = [spec_of("tests.support.second_look:Spoils", seed=seed) for seed in range(2)]
    # The longest runs come first: those that spoil.
    few = TrainingSettings(num_steps=4, evaluate_every=2)
    others = [spec_of(LSTM.model_dump(), seed=seed, settings=few) for seed in range(2)]
    assert others[0].estimated_work() < spoils[0].estimated_work()
    alone = carried_out(others, tmp_path / "alone")
    together = carried_out([spoils[0], *others, spoils[1]], tmp_path / "together")
    assert comparable(together[1:3]) == comparable(alone)
    assert together[0].status == together[3].status == "finished"
