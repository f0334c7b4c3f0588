"""A plan read back from its file is the plan that was written."""

import json
from pathlib import Path

import numpy as np
import pytest

from lstm_baseline.engine.errors import FileError, LSTMBaselineError
from lstm_baseline.race.plan import PLAN
from lstm_baseline.race.plan_file import plan_of, read_plan_file
from lstm_baseline.race.race_file import PRESETS, Options, change, read_preset, with_options
from lstm_baseline.runs.run import read_result

PUBLISHED = Path(__file__).parents[2] / "measurements" / "results"


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_comes_back(name):
    plan = read_preset(name).plan()
    again = plan_of(json.loads(json.dumps(plan.config())))
    assert again.hash == plan.hash


def test_settings_that_came_later_change_no_published_race():
    """What ended under the former settings is taken as it is: hashes and names are the same."""
    race = PUBLISHED / "nth-farthest"
    file = read_plan_file(race)
    plan = plan_of(file.config)
    assert plan.hash == file.hash == read_preset("nth-farthest").plan().hash
    ended = {folder.name for folder in (race / "runs").iterdir()}
    trials = plan.trials()
    assert {spec.name for spec in trials} == {name for name in ended if "--trial" in name}
    for spec in trials:
        assert read_result(spec, race / "runs" / spec.name).status == "finished"


def test_a_weight_decay_comes_back():
    race = read_preset("quick")
    given = change(race, training={"optimizer": "adamw", "weight_decay": 0.1}, tuning={}).plan()
    config = json.loads(json.dumps(given.config()))
    assert config["training"]["weight_decay"] == 0.1
    assert plan_of(config).settings == given.settings
    other = change(race, training={"optimizer": "adamw"}, tuning={}).plan()
    assert "weight_decay" not in other.config()["training"]
    assert plan_of(config).hash == given.hash != other.hash


def test_what_is_matched_comes_back():
    race = read_preset("quick")
    given = change(race, match="state").plan()
    config = json.loads(json.dumps(given.config()))
    assert plan_of(config).hash == given.hash != race.plan().hash
    assert plan_of(config).match == "state"


@pytest.mark.parametrize("split", ["auto", "time"])
def test_a_race_on_files_comes_back_from_the_files_themselves(tmp_path, split):
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "mine.npz", X=rng.normal(size=(40, 5, 2)), y=rng.normal(size=40))
    options = Options(data=tmp_path / "mine.npz", split=split)
    plan = with_options(read_preset("quick"), options, is_preset=True).plan()
    config = json.loads(json.dumps(plan.config()))
    assert plan_of(config, tmp_path).hash == plan.hash
    np.savez(tmp_path / "mine.npz", X=rng.normal(size=(40, 5, 2)), y=rng.normal(size=40))
    with pytest.raises(FileError, match="is not the file that the race was on"):
        plan_of(config, tmp_path)
    (tmp_path / "mine.npz").unlink()
    with pytest.raises(LSTMBaselineError, match=r"mine\.npz"):
        plan_of(config, tmp_path)


def test_a_race_on_text_comes_back(tmp_path):
    (tmp_path / "mine.txt").write_text("to be or not to be, that is the question. " * 200)
    options = Options(text=tmp_path / "mine.txt")
    plan = with_options(read_preset("quick"), options, is_preset=True).plan()
    assert plan_of(json.loads(json.dumps(plan.config())), tmp_path).hash == plan.hash


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("tasks", None),
        ("tasks", [{"task": "no such task"}]),
        ("tasks", [3]),
        ("contestants", []),
        ("seeds", 3),
        ("parameters", "many"),
        ("training", {"learning_rat": 1}),
        ("tuning", {"trials": -1}),
        ("verdict", []),
        ("sweeps", [{"task": 99, "vary": "x", "values": [], "seeds": [], "train": True}]),
        ("sweeps", "none"),
    ],
)
def test_what_is_no_plan_is_refused_in_one_line(key, value):
    config = read_preset("quick").plan().config() | {key: value}
    with pytest.raises(LSTMBaselineError) as caught:
        plan_of(config)
    assert "\n" not in str(caught.value)


def test_a_changed_plan_is_noticed(tmp_path):
    plan = read_preset("quick").plan()
    content = {"hash": plan.hash, "plan": plan.config(), "made_with": {}}
    (tmp_path / PLAN).write_text(json.dumps(content))
    assert read_plan_file(tmp_path).is_unchanged
    content["plan"]["verdict"]["margin"] = 0.03
    (tmp_path / PLAN).write_text(json.dumps(content))
    assert not read_plan_file(tmp_path).is_unchanged


@pytest.mark.parametrize("content", ["[]", "{}", "{", '{"hash": 1, "plan": {}, "made_with": {}}'])
def test_what_is_no_plan_s_file_is_refused(tmp_path, content):
    (tmp_path / PLAN).write_text(content)
    with pytest.raises(FileError, match=r"damaged|not JSON|is not"):
        read_plan_file(tmp_path)


def test_a_folder_without_a_plan_is_no_race(tmp_path):
    with pytest.raises(FileError, match="holds no race"):
        read_plan_file(tmp_path)
