"""Races on tasks of the user's: found beside the race's file, checked, told, verified."""

import json
import sys
from pathlib import Path

import pytest
from rich.console import Console

from lstm_baseline import FileError, InputError
from lstm_baseline.race.plan import PLAN, Plan
from lstm_baseline.race.plan_file import plan_of
from lstm_baseline.race.race import hold_race
from lstm_baseline.race.race_file import Options, read_preset, read_race, with_options
from lstm_baseline.runs.run import carry_out_run
from lstm_baseline.tasks.own_task import task_code
from tests.support.own_tasks import ECHO, MAJORITY, write_task
from tests.support.processes import run

RACE = """
contestants = ["lstm", "gru"]
parameters = 1000
seeds = 2
training = { num_steps = 20, evaluate_every = 10 }

[[tasks]]
task = "NAME:Majority"
voters = 21

[[tasks.sweeps]]
vary = "voters"
values = [21, 31]
seeds = 1

[[tasks.sweeps]]
vary = "voters"
values = [41]
seeds = 2
train = false

[[tasks]]
task = "parity"
lengths = 9
"""


@pytest.fixture(autouse=True)
def path_of_modules(monkeypatch):
    monkeypatch.setattr(sys, "path", [*sys.path])


@pytest.fixture
def race(tmp_path):
    """Write a race's file with a task beside it, and return the file and the task's module."""

    def write(source=MAJORITY, *changes, text=RACE):
        name = write_task(tmp_path, source, *changes)
        (tmp_path / "race.toml").write_text(text.replace("NAME", name))
        return tmp_path / "race.toml", name

    return write


def plan(path: Path) -> Plan:
    return read_race(path).plan(path.parent)


def spoil(folder: Path, name: str) -> None:
    path = folder / f"{name}.py"
    path.write_text(path.read_text() + "\n# changed\n")


class TestPlan:
    def test_it_has_the_class_its_arguments_and_its_code(self, race):
        path, name = race()
        config = plan(path).config()
        (own, packages) = config["tasks"]
        assert (own["task"], own["voters"]) == (f"{name}:Majority", 21)
        assert own["code"] == task_code(plan(path).tasks[0])
        assert "code" not in packages

    def test_other_code_is_another_race(self, race, tmp_path, monkeypatch):
        path, name = race()
        before = plan(path).hash
        assert plan(path).hash == before
        spoil(tmp_path, name)
        monkeypatch.delitem(sys.modules, name)
        assert plan(path).hash != before

    def test_sweeps_vary_its_arguments(self, race):
        path, _ = race()
        trained, tested = plan(path).sweeps
        assert [task.voters for task in (*trained.tasks, *tested.tasks)] == [21, 31, 41]
        path, name = race(text=RACE.replace('vary = "voters"', 'vary = "people"'))
        with pytest.raises(InputError, match=f"tasks.0.sweeps.0: {name}:Majority has no 'people'"):
            plan(path)

    def test_runs_carry_the_code(self, race):
        path, _ = race()
        made = plan(path)
        chosen = {(k, name): made.settings for k in (0, 1) for name in made.models}
        own, _, packages, *_ = made.finals(chosen)
        assert own.config()["task_code"] == task_code(made.tasks[0])
        assert "task_code" not in packages.config()

    def test_it_is_found_beside_the_file_and_by_the_option(self, race, tmp_path, monkeypatch):
        path, name = race()
        (tmp_path / "elsewhere").mkdir()
        monkeypatch.chdir(tmp_path / "elsewhere")
        assert plan(path).tasks[0].name == "majority"
        path, _ = race(text=RACE.replace("NAME", "not_written"))
        with pytest.raises(
            InputError, match=f"there is no module not_written, neither in .*{tmp_path}"
        ):
            plan(path)
        options = Options(tasks=(f"{name}:Majority", "qa"))
        changed = with_options(read_preset("quick"), options, is_preset=True).plan()
        assert [task.config()["task"] for task in changed.tasks] == [f"{name}:Majority", "qa"]
        # A race's own arguments and sweeps stay.
        path, name = race()
        options = Options(tasks=(f"{name}:Majority",))
        changed = with_options(read_race(path), options, is_preset=False).plan(tmp_path)
        assert [task.voters for task in changed.tasks] == [21]
        assert len(changed.sweeps) == 2


class TestReadAgain:
    def read(self, path: Path, data: Path) -> Plan:
        return plan_of(json.loads(json.dumps(plan(path).config())), data)

    def test_it_is_the_same_plan(self, race, tmp_path):
        path, _ = race()
        assert self.read(path, tmp_path).hash == plan(path).hash

    def test_code_that_has_changed_is_refused(self, race, tmp_path, monkeypatch):
        path, name = race()
        config = json.loads(json.dumps(plan(path).config()))
        spoil(tmp_path, name)
        monkeypatch.delitem(sys.modules, name)
        with pytest.raises(FileError, match=f"the code of {name}:Majority is not what it was when"):
            plan_of(config, tmp_path)

    def test_a_class_that_is_not_there_is_refused(self, race, tmp_path, monkeypatch):
        path, name = race()
        config = json.loads(json.dumps(plan(path).config()))
        monkeypatch.delitem(sys.modules, name)
        (tmp_path / f"{name}.py").unlink()
        with pytest.raises(InputError, match=f"there is no module {name}, neither in"):
            plan_of(config, tmp_path)
        (tmp_path / f"{name}.py").write_text("")
        with pytest.raises(InputError, match=f"{name} has no Majority; it has no class"):
            plan_of(config, tmp_path)

    def test_a_task_of_the_package_has_no_code(self):
        config = read_preset("quick").plan().config()
        config["tasks"][0]["code"] = "0123456789abcdef"
        with pytest.raises(FileError, match="the code of object-tracking is not what it was"):
            plan_of(config)


class TestBeforeTheStart:
    def test_a_task_that_breaks_a_rule_is_refused(self, race, tmp_path):
        path, name = race(MAJORITY, ("np.float32), y)", "float), y)"))
        with pytest.raises(InputError, match=f"{name}:Majority: x of train_batch .* is float64"):
            hold_race(plan(path), tmp_path / "report", console=Console(quiet=True))
        assert not (tmp_path / "report").exists()

    def test_so_is_one_of_a_sweep_s(self, race, tmp_path):
        """At 31 votes the last of them says it all."""
        worse = (
            "        if self.voters == 31:\n            votes[:, -1, 0] = y\n        return Batch(v"
        )
        path, _ = race(MAJORITY, ("        return Batch(v", worse))
        with pytest.raises(InputError, match="y can be read from x at the last step alone"):
            hold_race(plan(path), tmp_path / "report", console=Console(quiet=True))

    def test_a_run_whose_code_has_changed_is_refused(self, race, tmp_path, monkeypatch):
        path, name = race()
        made = plan(path)
        spec = made.finals({(k, n): made.settings for k in (0, 1) for n in made.models})[0]
        spoil(tmp_path, name)
        monkeypatch.delitem(sys.modules, name)
        changed = plan(path)
        object.__setattr__(spec, "task", changed.tasks[0])  # as another process would load it
        with pytest.raises(FileError, match=f"the code of {name}:Majority is not what it was"):
            carry_out_run(spec, tmp_path / "run")
        assert not (tmp_path / "run").exists()


@pytest.fixture(scope="module")
def held(tmp_path_factory):
    """A race of the command line's, from another folder than the file's."""
    folder = tmp_path_factory.mktemp("race")
    (folder / "here").mkdir()
    majority, echo = write_task(folder), write_task(folder, ECHO)
    text = RACE.replace("NAME", majority).replace('"parity"\nlengths = 9', f'"{echo}:Echo"')
    (folder / "race.toml").write_text(text)
    ended = run("compare", "../race.toml", cwd=folder / "here")
    assert ended.returncode == 0, ended.stderr
    return folder, majority, echo, ended.stdout


@pytest.mark.slow
class TestHeld:
    def test_every_run_knows_its_task(self, held):
        folder, majority, echo, _ = held
        report = folder / "here" / "report"
        tasks = json.loads((report / PLAN).read_text())["plan"]["tasks"]
        codes = {task["task"]: task["code"] for task in tasks}
        assert codes.keys() == {f"{majority}:Majority", f"{echo}:Echo"}
        runs = [json.loads(path.read_text()) for path in report.glob("runs/*/run.json")]
        results = [json.loads(path.read_text()) for path in report.glob("runs/*/result.json")]
        assert len(runs) == len(results) == 2 * (2 + 2 + 1)
        assert all(run["task_code"] == codes[run["task"]["task"]] for run in runs)
        assert {result["status"] for result in results} == {"finished"}

    def test_the_report_tells_of_them(self, held):
        folder, majority, echo, _ = held
        report = folder / "here" / "report"
        methods, checklist = (
            (report / name).read_text() for name in ("methods.md", "checklist.md")
        )
        code = json.loads((report / PLAN).read_text())["plan"]["tasks"][0]["code"]
        assert (
            "Its class is not part of lstm-baseline; the SHA-256 of its code begins with" in methods
        )
        assert code in methods
        assert f"{majority}:Majority and {echo}:Echo. Release it" in checklist.replace("\\", "")
        page = (report / "index.html").read_text()
        assert f"majority ({majority}:Majority), voters = 21" in page
        assert 'id="wrong"' in page  # of the task whose samples can be told

    def test_it_is_verified_where_the_code_is(self, held):
        folder, majority, _, _ = held
        ended = run("verify", "report", "--sample", "1", "--data", "..", cwd=folder / "here")
        assert ended.returncode == 0, ended.stdout + ended.stderr
        assert ended.stdout.splitlines()[-1] == "verified: report is what its runs say"
        ended = run("verify", "report", "--sample", "0", cwd=folder / "here")
        assert (ended.returncode, ended.stderr.count("\n")) == (2, 1)
        assert "there is no module own_tasks_" in ended.stderr
        path = folder / f"{majority}.py"
        before = path.read_text()
        path.write_text(before.replace("> 0.5", ">= 0.5"))
        ended = run("verify", "report", "--sample", "0", "--data", "..", cwd=folder / "here")
        path.write_text(before)
        assert (ended.returncode, ended.stderr.count("\n")) == (2, 1)
        assert f"the code of {majority}:Majority is not what it was when the race" in ended.stderr


@pytest.mark.slow
def test_train_takes_one_and_tells_what_is_noted(tmp_path):
    name = write_task(tmp_path, MAJORITY, ("voters=25", "voters=9"))
    task = ("--task", f"{name}:Majority")
    ended = run("train", *task, "--steps", 20, cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert "majority: votes are shown; is the majority for it?" in ended.stdout
    assert f"hint: {name}:Majority: there are few different samples" in ended.stdout
    about = json.loads((tmp_path / "trained" / "run" / "run.json").read_text())
    assert about["task"] == {"task": f"{name}:Majority", "voters": 9}
    assert len(about["task_code"]) == 16
    path = tmp_path / f"{name}.py"
    path.write_text(path.read_text() + "\n# changed\n")
    ended = run("train", *task, "--steps", 20, cwd=tmp_path)
    assert ended.returncode == 2
    assert "holds a run with other task_code; choose another folder" in ended.stderr
    path.write_text(path.read_text().replace("np.float32), y)", "float), y)"))
    ended = run("train", *task, "--out", "other", cwd=tmp_path)
    assert (ended.returncode, ended.stderr.count("\n")) == (2, 1)
    assert f"{name}:Majority: x of train_batch with one row is float64" in ended.stderr
    assert not (tmp_path / "other").exists()
