"""A race from Python is the race of the file that says the same."""

import shlex
import sys

import numpy as np
import pytest

import lstm_baseline as lb
from lstm_baseline import InputError
from lstm_baseline.race.compare import command_of, race_of
from lstm_baseline.race.race_file import PRESETS, read_preset, read_race
from lstm_baseline.race.tuning import Range, Tuning
from lstm_baseline.race.verdict import VerdictRule
from lstm_baseline.race.verify import compare_races
from lstm_baseline.tasks import Adding, ArrayFile, ObjectTracking, Parity
from lstm_baseline.training import TrainingSettings
from tests.support.own_tasks import MAJORITY, load_task
from tests.support.plain_challenger import ReLUNetwork
from tests.support.processes import run

RACE = """
title = "A race"
contestants = [
    "lstm",
    { name = "deep", model = "gru", arguments = { num_layers = 2 } },
    "tests.support.plain_challenger:ReLUNetwork",
]
parameters = 20_000
seeds = 2
first_seed = 5
training = { num_steps = 20, evaluate_every = 10, learning_rate = 0.01 }
tuning = { trials = 1, space = { learning_rate = { low = 1e-3, high = 1e-2 } } }
verdict = { margin = 0.05 }

[[tasks]]
task = "OWN:Majority"
voters = 21

[[tasks]]
task = "parity"
lengths = 9

[[tasks]]
task = "object-tracking-position"

[[tasks]]
task = "adding"
length = 6

[[tasks.sweeps]]
vary = "length"
values = [6, 8]
seeds = 1
"""

SWEEP = {"vary": "length", "values": [6, 8], "seeds": 1}
ADDING = {"task": "adding", "length": 6, "sweeps": [SWEEP]}
DEEP = {"name": "deep", "model": "gru", "arguments": {"num_layers": 2}}
VALUES = {
    "title": "A race",
    "parameters": 20_000,
    "seeds": 2,
    "first_seed": 5,
    "training": {"num_steps": 20, "evaluate_every": 10, "learning_rate": 0.01},
    "tuning": {"trials": 1, "space": {"learning_rate": {"low": 1e-3, "high": 1e-2}}},
    "verdict": {"margin": 0.05},
}


@pytest.fixture
def own(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", [*sys.path])
    return load_task(tmp_path, monkeypatch, MAJORITY)


@pytest.fixture
def file(tmp_path, own):
    (tmp_path / "race.toml").write_text(RACE.replace("OWN", own.__module__))
    return tmp_path / "race.toml"


class TestOnePlan:
    """The hash is that of the file's race, however its parts are given."""

    def test_by_name(self, own, file):
        name = f"{own.__module__}:Majority"
        tasks = [
            (name, {"voters": 21}),
            ("parity", {"lengths": 9}),
            "object-tracking-position",
            ADDING,
        ]
        contestants = ["lstm", DEEP, "tests.support.plain_challenger:ReLUNetwork"]
        race = race_of(tasks, contestants, **VALUES)
        assert race.plan().hash == read_race(file).plan(file.parent).hash

    def test_by_classes(self, own, file):
        tasks = [
            (own, {"voters": 21}),
            (Parity, {"lengths": 9}),
            "object-tracking-position",
            {**ADDING, "task": "adding"},
        ]
        contestants = [lb.LSTM, {**DEEP, "model": lb.GRU}, ReLUNetwork]
        race = race_of(tasks, contestants, **VALUES)
        assert race.plan().hash == read_race(file).plan(file.parent).hash

    def test_by_objects(self, own, file):
        tasks = [own(21), Parity(9), ObjectTracking(target="position"), ADDING]
        settings = {
            "training": TrainingSettings(num_steps=20, evaluate_every=10, learning_rate=0.01),
            "tuning": Tuning(trials=1, space={"learning_rate": Range(low=1e-3, high=1e-2)}),
            "verdict": VerdictRule(margin=0.05),
        }
        contestants = read_race(file).contestants
        race = race_of(tasks, contestants, **(VALUES | settings))
        assert race.plan().hash == read_race(file).plan(file.parent).hash

    def test_of_the_presets(self):
        for name in PRESETS:
            preset = read_preset(name)
            values = preset.model_dump(exclude={"tasks", "contestants"})
            entries = [entry.model_dump(exclude_defaults=True) for entry in preset.tasks]
            race = race_of(entries, preset.contestants, **values)
            assert race.plan().hash == preset.plan().hash

    def test_the_command_that_a_report_gives_holds_it(self, file, tmp_path, monkeypatch):
        """Every value comes back from the shell and from Python."""
        race = read_race(file)
        given = {}
        monkeypatch.setattr(lb, "compare", lambda **values: given.update(values))
        program, option, code = shlex.split(command_of(race, tmp_path / "it's here"))
        assert (program, option) == ("python", "-c")
        exec(code, {})
        assert given.pop("out") == str(tmp_path / "it's here")
        assert given["tasks"][2] == "object-tracking-position"
        assert given["contestants"][2] == "tests.support.plain_challenger:ReLUNetwork"
        assert race_of(**given).plan().hash == race.plan(file.parent).hash


@pytest.mark.slow
def test_it_is_held_and_reported_as_the_command_does(own, tmp_path, capsys):
    tasks = [own, ("parity", {"lengths": 5})]
    values = VALUES | {"parameters": 800, "training": {"num_steps": 30, "evaluate_every": 10}}
    one, other = tmp_path / "one", tmp_path / "other"
    outcome = lb.compare(tasks, ["lstm", "gru"], **values, out=one)
    said = capsys.readouterr().out
    assert "majority: votes are shown" in said
    assert "report: " in said
    (duel,) = outcome.duels
    assert (duel.challenger, duel.verdict, len(duel.tasks)) == ("gru", "open", 2)
    assert [len(task.of("gru").scores) for task in outcome.tasks] == [2, 2]
    assert "import lstm_baseline as lb" in (one / "methods.md").read_text()

    # The file has the same keys, and other tasks and contestants.
    given = RACE[RACE.index("first_seed") : RACE.index("[[tasks]]")]
    given = given.replace("num_steps = 20", "num_steps = 30").replace(", learning_rate = 0.01", "")
    text = f"""
title = "A race"
contestants = ["lstm", "gru"]
parameters = 800
seeds = 2
tasks = ["{own.__module__}:Majority", {{ task = "parity", lengths = 5 }}]
{given}
"""
    (tmp_path / "race.toml").write_text(text)
    ended = run("compare", "race.toml", "--out", "other", cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    found = list(compare_races(one, other))
    assert [check.name for check in found] == ["plan", "runs", "verdict"]
    assert not any(check.problems for check in found)

    # What has ended is not done again, and says nothing where nothing is to be said.
    again = lb.compare(tasks, ["lstm", "gru"], **values, out=str(one), quiet=True)
    assert capsys.readouterr().out == ""
    assert again.duels == outcome.duels


class TestRefusals:
    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"tasks": "parity"}, "give tasks and contestants each as a list"),
            ({"contestants": "lstm"}, "give tasks and contestants each as a list"),
            ({"tasks": []}, "tasks is empty"),
            ({"tasks": [3]}, "tasks has 3; give a name, a class"),
            ({"tasks": [("parity", 3)]}, r"tasks has \('parity', 3\); give a name"),
            ({"tasks": ["chess"]}, r"tasks\.0: no task is named 'chess'"),
            ({"tasks": [("parity", {"lenght": 3})]}, r"tasks\.0: parity has no 'lenght'"),
            ({"tasks": [str]}, r"tasks\.0: builtins:str is no subclass of lstm"),
            ({"tasks": ["parity", Parity()]}, "tasks lists parity twice"),
            ({"contestants": ["hyena"]}, "no model is named 'hyena'"),
            ({"contestants": [3]}, r"contestants\.0 is 3"),
            ({"seeds": 0}, "seeds is 0"),
            ({"training": {"steps": 3}}, r"training\.steps is not a key"),
            ({"tuning": {"trials": 3}}, "trials is 3, but space is empty"),
            ({"workers": 2, "dask": "tcp://x:1"}, "workers are processes here"),
            ({"workers": 0}, "workers is 0; give a whole number from 1"),
        ],
    )
    def test_one_line_before_anything_starts(self, tmp_path, changes, message):
        values = {"tasks": ["parity"], "contestants": ["lstm"], "out": tmp_path / "out"} | changes
        with pytest.raises(InputError, match=message) as caught:
            lb.compare(**values, quiet=True)
        assert "\n" not in str(caught.value)
        assert not (tmp_path / "out").exists()

    def test_a_file_in_the_place_of_the_folder(self, tmp_path):
        (tmp_path / "out").write_text("mine")
        with pytest.raises(InputError, match="which is a file; give a folder"):
            lb.compare(["parity"], ["lstm"], out=tmp_path / "out", quiet=True)

    def test_a_task_that_was_changed_after_it_was_made(self):
        task = Adding(6)
        task.test_size = 200
        with pytest.raises(InputError, match=r"made again from its config .* other samples"):
            race_of([task], ["lstm"])

    def test_classes_that_workers_do_not_find(self):
        class Net(ReLUNetwork):
            pass

        class Odd(Parity):
            pass

        for tasks, contestants in (([Odd], ["lstm"]), ([Odd()], ["lstm"]), (["qa"], [Net])):
            with pytest.raises(InputError, match="is defined inside a function"):
                race_of(tasks, contestants)

    def test_a_task_on_a_file_is_given_by_its_path(self, tmp_path):
        rng = np.random.default_rng(0)
        np.savez(tmp_path / "mine.npz", X=rng.random((40, 5, 2)), y=rng.integers(0, 2, 40))
        path = tmp_path / "mine.npz"
        with pytest.raises(InputError, match="the task mine is on a file; give a table"):
            race_of([ArrayFile(path)], ["lstm"], parameters=1000, seeds=1)
        race = race_of([{"data": path, "split": "time"}], ["lstm"], parameters=1000, seeds=1)
        assert race.plan().tasks[0].config()["path"] == "mine.npz"


def test_the_package_race_keeps_its_name():
    """A function ``lb.race`` would hide it from whoever imports a module of it."""
    assert lb.race is sys.modules["lstm_baseline.race"]
    assert lb.race.race_file.read_race is read_race
    assert "compare" in dir(lb)
