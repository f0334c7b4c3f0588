"""A curriculum over length: which rows a step is trained on."""

import json

import numpy as np
import pytest

from lstm_baseline import LSTM, InputError
from lstm_baseline.race.race_file import make_race
from lstm_baseline.tasks import make_task
from lstm_baseline.training import TrainingSettings, train
from lstm_baseline.training.curriculum import Curriculum
from lstm_baseline.training.loop import CHECKPOINT


def longest(task, curriculum, step):
    return curriculum.task_at(step).train_batch(step, 512, seed=0).x.shape[1]


def test_rows_grow_to_their_full_length():
    task = make_task("parity", lengths=[3, 13])
    curriculum = Curriculum(task, 100)
    found = [longest(task, curriculum, step) for step in (0, 9, 10, 49, 98, 99, 100, 5000)]
    assert found == [3, 4, 4, 8, 12, 13, 13, 13]
    assert curriculum.task_at(99) is task


def test_without_one_every_step_has_the_task_itself():
    task = make_task("adding")
    assert Curriculum(task, 0).task_at(0) is task


def test_lengths_that_no_row_has_are_passed_over():
    task = make_task("modular-arithmetic", lengths=[3, 30], brackets=True)
    assert longest(task, Curriculum(task, 9), 0) == 6


@pytest.mark.parametrize(("name", "arguments"), [("adding", {}), ("parity", {"lengths": 9})])
def test_a_task_of_one_length_is_refused_before_a_race(name, arguments):
    with pytest.raises(InputError, match=f"rows of {name} have one length"):
        Curriculum(make_task(name, **arguments), 10)
    with pytest.raises(InputError, match="curriculum_steps is set"):
        make_race(
            tasks=[{"task": name, **arguments}],
            contestants=["lstm"],
            parameters=1000,
            seeds=1,
            training={"curriculum_steps": 10},
        ).plan()


def test_training_has_it_and_resumes_to_the_same_bits(tmp_path):
    task = make_task("parity", lengths=[2, 12])
    settings = TrainingSettings(num_steps=60, evaluate_every=20, curriculum_steps=40)

    def trained(settings, folder):
        model = LSTM(2, 6, 2, rng=0)
        train(model, task, settings, seed=1, folder=folder)
        return model.params

    with_it = trained(settings, tmp_path / "whole")
    without = trained(TrainingSettings(num_steps=60, evaluate_every=20), tmp_path / "none")
    assert not np.array_equal(with_it["W"], without["W"])

    class Stopped(Exception):
        pass

    def stop(record):
        if record.step == 40:
            raise Stopped

    cut = tmp_path / "cut"
    with pytest.raises(Stopped):
        train(LSTM(2, 6, 2, rng=0), task, settings, seed=1, folder=cut, on_validation=stop)
    assert (tmp_path / "cut" / CHECKPOINT).exists()
    again = trained(settings, tmp_path / "cut")
    assert all(np.array_equal(again[name], with_it[name]) for name in with_it)


def test_a_plan_without_it_is_what_it_was():
    assert "curriculum_steps" not in json.dumps(TrainingSettings().config())
    assert TrainingSettings(curriculum_steps=3).config()["curriculum_steps"] == 3
