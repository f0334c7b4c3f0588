"""Races as files: what a preset says, and one clear line for whatever is wrong with a file."""

import json
import tomllib
from pathlib import Path

import numpy as np
import pytest

from lstm_baseline import FileError, InputError
from lstm_baseline.race.plan_file import plan_of
from lstm_baseline.race.race_file import (
    OWN_DATA,
    PRESETS,
    Options,
    RaceFile,
    change,
    preset_text,
    read_preset,
    read_race,
    with_options,
    write_preset,
)
from lstm_baseline.tasks import TASKS, ArrayFile, TextFile

RACE = """
contestants = [
    "lstm",
    { name = "wide memory", model = "relational", arguments = { num_slots = 6 } },
]
parameters = 20_000
seeds = 6

[training]
num_steps = 20

[tuning]
trials = 2
space.learning_rate = { low = 1e-3, high = 1e-2 }

[[tasks]]
task = "qa"
num_facts = 8

[[tasks.sweeps]]
vary = "num_facts"
values = [8, 12]
seeds = 2

[[tasks]]
task = "adding"
length = 9
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "race.toml"
    path.write_text(text)
    return path


def test_a_file_says_everything_about_its_race(tmp_path: Path) -> None:
    plan = read_race(write(tmp_path, RACE)).plan()
    assert plan.models == ("lstm", "wide memory")
    assert plan.baseline == "lstm"
    assert [task.config()["task"] for task in plan.tasks] == ["qa", "adding"]
    assert plan.tasks[0].config()["num_facts"] == 8
    assert plan.settings.num_steps == 20
    assert plan.tuning.trials == 2
    (sweep,) = plan.sweeps
    assert sweep.task is plan.tasks[0]
    assert (sweep.vary, sweep.values, sweep.train) == ("num_facts", (8, 12), True)
    model = plan.trials()[1].build_model()
    assert model.config["num_slots"] == 6  # type: ignore[attr-defined]


def test_own_files_are_found_beside_the_race(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "mine.npz", X=rng.standard_normal((40, 3, 2)), y=np.arange(40) % 2)
    (tmp_path / "mine.txt").write_text("to be or not to be, that is the question " * 100)
    text = (
        RACE.split("[[tasks]]")[0] + '[[tasks]]\ndata = "mine.npz"\n[[tasks]]\ntext = "mine.txt"\n'
    )
    path = write(tmp_path, text)
    plan = read_race(path).plan(path.parent)
    assert [type(task) for task in plan.tasks] == [ArrayFile, TextFile]


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_commented_files_that_init_copies(name: str, tmp_path: Path) -> None:
    write_preset(name, tmp_path / "race.toml")
    text = (tmp_path / "race.toml").read_text()
    assert text == preset_text(name)
    assert text.startswith("#")
    assert read_race(tmp_path / "race.toml") == read_preset(name)
    with pytest.raises(InputError, match=r"race\.toml is there already"):
        write_preset(name, tmp_path / "race.toml")
    assert (tmp_path / "race.toml").read_text() == text


def test_standard_race_can_be_published() -> None:
    race = read_preset("standard")
    plan = race.plan()
    assert race.seeds >= 10
    assert {entry.task for entry in race.tasks} <= set(TASKS)
    assert plan.shortage() is None
    # Budgets that suffice, or are doubled; no choice by one lucky run.
    assert race.training.patience is not None
    assert race.tuning.finalists == 3
    assert race.tuning.double_above == 0.25
    assert {"learning_rate", "warmup_steps", "clip_norm", "schedule"} == set(race.tuning.space)
    varied = {sweep.vary for sweep in plan.sweeps if sweep.train}
    assert varied == {"num_objects", "num_pairs", "num_facts"}
    assert any(not sweep.train for sweep in plan.sweeps)


def test_quick_race_can_come_to_a_verdict() -> None:
    assert read_preset("quick").plan().shortage() is None


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "parameters = 20_000",
            "parametres = 2000",
            r"race\.toml: parametres is not a key .*did you mean 'parameters'",
        ),
        (
            "parameters = 20_000",
            "parameters = 0",
            r"parameters is 0: .* greater than or equal to 1",
        ),
        ("parameters = 20_000", "", "parameters is missing"),
        ("seeds = 6", "seeds = '6x'", r"seeds is '6x'"),
        ("num_steps = 20", "num_stepps = 20", r"training\.num_stepps is not a key"),
        ("num_steps = 20", "num_steps = -1", r"training\.num_steps is -1"),
        ("low = 1e-3", "low = 1", r"tuning\.space\.learning_rate: low is 1\.0 and high 0\.01"),
        ('task = "qa"\n', "", r"tasks\.0: give one of task \(object-tracking"),
        ('task = "qa"', 'task = "aq"', r"tasks\.0: no task is named 'aq'"),
        ("num_facts = 8\n", "num_fact = 8\n", r"tasks\.0: qa has no 'num_fact'"),
        ("length = 9", "length = 1", r"tasks\.1: length is 1"),
        ("values = [8, 12]", "values = []", r"tasks\.0\.sweeps\.0\.values is empty"),
        ("values = [8, 12]", "values = [8, 1]", r"tasks\.0\.sweeps\.0: num_facts is 1"),
        ('vary = "num_facts"', 'vary = "facts"', r"tasks\.0\.sweeps\.0: qa has no 'facts'"),
        ('model = "relational"', 'modle = "relational"', r"contestants\.1\.\w+ is"),
        ('    "lstm",', "    3,", r"contestants\.0 is 3"),
        (
            "low = 1e-3, high = 1e-2 }",
            "low = 1e-3, high = 1e-2 }\nspace.clip_norm = 0.5",
            r"space\.clip_norm is 0\.5",
        ),
        ("seeds = 6", f"seeds = {2**63}", "seeds is"),
        pytest.param("seeds = 6", "seeds = 1" + "0" * 5000, "is not TOML", id="long"),
        pytest.param("seeds = 6", "seeds = " + "[" * 100_000, "is not TOML", id="deep"),
        ("length = 9", "name = 'x'", r"tasks\.1: adding has no 'name'"),
        ("[training]", "[training", "is not TOML: .* line 9"),
        (
            "num_steps = 20",
            "num_steps = 20\nweight_decay = 0.1",
            r"training\.weight_decay: the optimizer adam takes no weight decay; give 0",
        ),
        (
            "low = 1e-3, high = 1e-2 }",
            "low = 1e-3, high = 1e-2 }\nspace.weight_decay = { choices = [0, 0.1] }",
            r"a trial may have the optimizer adam and a weight_decay of 0\.1",
        ),
        ("[tuning]", "[verdict]\nlevel = 2\n[tuning]", r"verdict\.level is 2"),
    ],
)
def test_wrong_file_is_one_line_that_says_where(
    old: str, new: str, message: str, tmp_path: Path
) -> None:
    assert old in RACE
    path = write(tmp_path, RACE.replace(old, new, 1))
    with pytest.raises((FileError, InputError), match=message) as caught:
        read_race(path).plan(tmp_path)
    assert "\n" not in str(caught.value)


def test_batch_sizes_are_tuned_as_the_file_says(tmp_path: Path) -> None:
    old = "low = 1e-3, high = 1e-2 }"
    assert old in RACE
    space = f"{old}\nspace.batch_size = {{ choices = [16, 32, 64] }}"
    text = RACE.replace(old, space).replace("trials = 2", "trials = 30")
    plan = read_race(write(tmp_path, text)).plan(tmp_path)
    runs = plan.trials()
    assert {run.settings.batch_size for run in runs} == {16, 32, 64}
    assert {run.settings.num_steps for run in runs} == {20}
    assert len({run.name for run in runs}) == len(runs)
    for run in runs[:6]:
        size = run.settings.batch_size
        assert len(run.task.train_batch(0, size, run.seed).x) == size
    assert plan_of(json.loads(json.dumps(plan.config())), tmp_path).hash == plan.hash


def test_missing_and_unreadable_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"cannot read .*race\.toml: there is no such file"):
        read_race(tmp_path / "race.toml")
    (tmp_path / "race.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(FileError, match="it is not UTF-8 text"):
        read_race(tmp_path / "race.toml")


def test_files_as_editors_on_windows_write_them(tmp_path: Path) -> None:
    plain = read_race(write(tmp_path, RACE))
    for content in (RACE.replace("\n", "\r\n").encode(), b"\xef\xbb\xbf" + RACE.encode()):
        (tmp_path / "race.toml").write_bytes(content)
        assert read_race(tmp_path / "race.toml") == plain


def test_changes_are_checked_like_a_file() -> None:
    race = read_preset("quick")
    assert change(race, seeds=9).seeds == 9
    assert change(race, contestants=["gru", "lstm"]).plan().baseline == "gru"
    assert change(race).plan().hash == race.plan().hash
    with pytest.raises(InputError, match=r"contestants\.0\.model"):
        change(race, contestants=[{"name": "x"}])
    with pytest.raises(InputError, match="seeds is 0"):
        change(race, seeds=0)


def test_every_key_is_documented() -> None:
    documentation = (Path(__file__).parents[2] / "docs" / "races.md").read_text()
    for name in PRESETS:
        for key, value in tomllib.loads(preset_text(name)).items():
            keys = {key, *(value if isinstance(value, dict) else ())}
            assert all(f"`{key}`" in documentation for key in keys), keys


class TestOptions:
    """What the command line changes in a race."""

    @pytest.fixture
    def race(self, tmp_path: Path) -> RaceFile:
        return read_race(write(tmp_path, RACE))

    def test_without_any_the_race_stays(self, race: RaceFile) -> None:
        assert with_options(race, Options(), is_preset=False) == race
        for name in PRESETS:
            assert with_options(read_preset(name), Options(), is_preset=True) == read_preset(name)

    def test_numbers_take_the_place_of_the_race_s(self, race: RaceFile) -> None:
        changed = with_options(race, Options(seeds=3, trials=5, steps=7), is_preset=False)
        assert (changed.seeds, changed.tuning.trials, changed.training.num_steps) == (3, 5, 7)
        assert changed.tuning.space == race.tuning.space
        assert changed.training.learning_rate == race.training.learning_rate
        assert (changed.tasks, changed.contestants) == (race.tasks, race.contestants)
        assert with_options(race, Options(trials=0), is_preset=False).tuning.trials == 0

    def test_models_replace_contestants_and_challengers_join_them(self, race: RaceFile) -> None:
        def names(options: Options) -> list[str]:
            changed = with_options(race, options, is_preset=False)
            return [contestant.name for contestant in changed.contestants]

        assert names(Options(models=("gru", "lstm"))) == ["gru", "lstm"]
        assert names(Options(challengers=("gru",))) == ["lstm", "wide memory", "gru"]
        assert names(Options(models=("gru",), challengers=("a:B", "a:C"))) == ["gru", "B", "C"]

    def test_a_task_that_the_race_has_keeps_its_arguments(self, race: RaceFile) -> None:
        changed = with_options(race, Options(tasks=("adding", "copy", "qa")), is_preset=False)
        assert [entry.task for entry in changed.tasks] == ["adding", "copy", "qa"]
        assert changed.tasks[0] == race.tasks[1]
        assert changed.tasks[2] == race.tasks[0]
        assert changed.tasks[1].sweeps == ()
        assert changed.training == race.training

    @pytest.mark.parametrize("is_preset", [True, False])
    def test_own_data_take_the_place_of_all_tasks(self, race: RaceFile, is_preset: bool) -> None:
        untuned = change(race, tuning={}, training={"learning_rate": 0.5})
        options = Options(data=Path("mine.npz"), target="regression", split="time", steps=50)
        (entry,) = with_options(untuned, options, is_preset=is_preset).tasks
        assert entry.split == "time"
        assert (entry.data, entry.target) == (Path("mine.npz").absolute(), "regression")
        training = with_options(untuned, options, is_preset=is_preset).training
        assert training.num_steps == 50
        assert training.learning_rate == (OWN_DATA["learning_rate"] if is_preset else 0.5)
        (entry,) = with_options(untuned, Options(text=Path("a.txt")), is_preset=is_preset).tasks
        assert entry.text == Path("a.txt").absolute()

    def test_own_data_behind_links_in_a_circle(self, race: RaceFile, tmp_path: Path) -> None:
        (tmp_path / "a.npz").symlink_to(tmp_path / "b.npz")
        (tmp_path / "b.npz").symlink_to(tmp_path / "a.npz")
        for options in (Options(data=tmp_path / "a.npz"), Options(text=tmp_path / "a.npz")):
            with_options(race, options, is_preset=True)  # whoever reads the file refuses it

    def test_a_race_that_tunes_keeps_its_training_for_own_data(self, race: RaceFile) -> None:
        assert with_options(race, Options(text=Path("a")), is_preset=True).training == race.training

    def test_wrong_options_are_refused(self, race: RaceFile) -> None:
        with pytest.raises(InputError, match="at most one of --tasks, --data and --text"):
            Options(tasks=("qa",), text=Path("a"))
        with pytest.raises(InputError, match="seeds is 0"):
            with_options(race, Options(seeds=0), is_preset=False)
        with pytest.raises(InputError, match="tasks is empty"):
            with_options(race, Options(tasks=()), is_preset=False)
