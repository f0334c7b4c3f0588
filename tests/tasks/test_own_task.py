"""Tasks of the user's: found by name, and known by their code."""

import json
import sys

import pytest

from lstm_baseline import LSTM, FileError, InputError
from lstm_baseline.tasks import GeneratedTask, Parity, make_task
from lstm_baseline.tasks.own_task import check_task_code, is_own_task, task_code, task_source
from lstm_baseline.testing import check_task
from lstm_baseline.training import TrainingSettings, evaluate, train
from tests.support.own_tasks import MAJORITY, load_task, write_task


@pytest.fixture
def load(tmp_path, monkeypatch):
    return lambda *changes: load_task(tmp_path, monkeypatch, MAJORITY, *changes)


def test_it_is_made_by_name_with_its_arguments(load):
    cls = load()
    name = f"{cls.__module__}:Majority"
    task = make_task(name, voters=7)
    assert type(task) is cls
    assert (task.voters, make_task(name).voters) == (7, 25)
    assert task.config() == {"task": name, "voters": 7}
    config = json.loads(json.dumps(task.config()))
    assert make_task(config.pop("task"), **config).config() == task.config()


def test_a_task_of_the_package_is_no_own_one_by_whatever_name():
    task = make_task("lstm_baseline.tasks.parity:Parity", lengths=3)
    assert type(task) is Parity
    assert task.config() == {"task": "parity", "lengths": 3, "every_step": False}
    assert not is_own_task(task)
    assert task_code(task) is task_source(task) is None
    check_task_code(task, None)


@pytest.mark.parametrize(
    ("changes", "arguments", "message"),
    [
        ([("(GeneratedTask)", "")], {}, "is no subclass of lstm_baseline.tasks.GeneratedTask"),
        ([("def predictors", "def rules")], {}, "lacks predictors; a task has sample and pred"),
        ([], {"voter": 3}, "has no 'voter'; it takes voters"),
        ([("voters=25", "target=25")], {}, "takes target, which is a key of its own in a race's"),
        ([("voters=25", "*voters")], {}, r"takes \*voters; name each argument"),
        (
            [("self.voters = voters", "self.voters = 100 // voters")],
            {"voters": 0},
            r"Majority\(voters=0\) raised ZeroDivisionError: .* \(own_tasks_\d+\.py, line \d+\)",
        ),
        ([("voters=25", "voters")], {}, "has no default for voters; give each argument one"),
        ([("summary", "text")], {}, "it does not state summary; a task has name, summary"),
        ([("self.voters", "self.v")], {}, "it does not keep voters; .* self.voters = voters"),
    ],
)
def test_what_is_no_task_is_refused_in_one_line(load, changes, arguments, message):
    name = f"{load(*changes).__module__}:Majority"
    with pytest.raises(InputError, match=message) as caught:
        make_task(name, **arguments)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["nowhere_at_all:Task", "json:Task", "a:b:c", ":x"])
def test_what_is_not_there_is_refused_in_one_line(name):
    with pytest.raises(InputError, match=r"there is no module|json has no Task|names no class"):
        make_task(name)


def test_an_unknown_name_is_told_of_classes_too():
    with pytest.raises(InputError, match=r"or a class of your own as package\.module:Name"):
        make_task("majority")


def test_code_is_that_of_the_file_and_of_what_it_imports(tmp_path, monkeypatch):
    helper = write_task(tmp_path, "SIZE = 25\n")
    own = ("import numpy as np\n", f"import numpy as np\nimport {helper}\n")
    use = ("voters=25", f"voters={helper}.SIZE")
    task = load_task(tmp_path, monkeypatch, MAJORITY, own, use)()
    code = task_code(task)
    assert task_source(task).name == f"{type(task).__module__}.py"
    check_task_code(task, code)
    (tmp_path / f"{helper}.py").write_text("SIZE = 9\n")
    assert task_code(task) == code  # what is loaded is what was loaded
    for name in (helper, type(task).__module__):
        monkeypatch.delitem(sys.modules, name)
    again = make_task(f"{type(task).__module__}:Majority")
    assert again.voters == 9
    assert task_code(again) != code
    with pytest.raises(FileError, match=r"the code of own_tasks_.*:Majority is not what it was"):
        check_task_code(again, code)


def test_a_subclass_of_the_user_s_is_one_of_theirs():
    class Longer(Parity):
        pass

    assert isinstance(Longer(), GeneratedTask)
    assert is_own_task(Longer(30))
    assert Longer(30).config()["task"].startswith("tests.tasks.test_own_task:")


class TestExample:
    """The task of ``examples/own_task.py``."""

    @pytest.fixture
    def task(self):
        return make_task("examples.own_task:Latch", length=20, write_probability=0.2)

    def test_it_keeps_every_rule(self, task):
        assert check_task(task) == []

    def test_targets_are_the_bits_written_last(self, task):
        batch = task.train_batch(0, 50, 0)
        for x, y in zip(batch.x, batch.y, strict=True):
            held = None
            for (write, ignore, bit), target in zip(x, y, strict=True):
                assert write + ignore == 1
                held = bit if write else held
                assert held == target

    def test_samples_are_told(self, task):
        batch = task.train_batch(0, 1, 0)
        told = task.tell(batch.x[0])
        assert told.startswith("write ")
        assert told.count("write ") == batch.x[0, :, 0].sum()
        oracle = task.predictors()[-1].predict(batch.x)[0]
        assert task.answer(oracle) == task.answer(batch.y[0])

    def test_it_is_learned(self, task):
        model = LSTM(task.input_size, 12, task.output_size, rng=0)
        settings = TrainingSettings(num_steps=400, learning_rate=2e-2)
        train(model, task, settings, seed=0)
        assert evaluate(model, task, task.validation(1)) > 0.98


def test_a_file_in_place_of_a_module_is_told():
    with pytest.raises(InputError, match=r"no module nowhere.*; leave out \.py"):
        make_task("nowhere.py:Task")
