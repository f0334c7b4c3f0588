"""The command line: what each command does, and one clear line for each wrong use."""

import json
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import lstm_baseline
from lstm_baseline import LSTM, load_model
from lstm_baseline.cli import main
from lstm_baseline.race.race_file import read_preset, read_race
from lstm_baseline.tasks import TASKS, ArrayFile
from tests.support.processes import COMMAND, run


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """scikit-learn's bundled digits, as 8 steps of 8 values."""
    load_digits = pytest.importorskip("sklearn.datasets").load_digits
    data = load_digits()
    path = tmp_path_factory.mktemp("data") / "digits.npz"
    np.savez(path, X=data.images, y=data.target)
    return path


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["compare", "--foo"], "No such option: --foo"),
        (["compare", "--seeds", "0"], "--seeds"),
        (["compare", "--steps", "many"], "--steps"),
        (["compare", "--tasks", "chess"], "no task is named 'chess'"),
        (["compare", "--models", "lstm,hyena"], "no model is named 'hyena'"),
        (["compare", "--preset", "fast"], "no preset is named 'fast'"),
        (["compare", "--data", "missing.npz"], "missing.npz"),
        (["compare", "--text", "missing.txt"], "missing.txt"),
        (["compare", "--data", "a", "--text", "b"], "at most one of --tasks, --data and --text"),
        (["compare", "--tasks", ""], "tasks is empty; give at least one"),
        (["compare", "race.toml"], "cannot read race.toml"),
        (["compare", "--models", "lstm,lstm"], "contestants lists lstm twice"),
        (["compare", "--challenger", "mine"], "no model is named 'mine'"),
        (["compare", "--challenger", "mine:Net"], "there is no module mine"),
        (["compare", "--trials", "3"], "trials is 3, but space is empty"),
        (["compare", "--workers", "2", "--dask", "tcp://x:1"], "give one"),
        (["init", "race.toml", "--preset", "slow"], "no preset is named 'slow'"),
        (["train"], "give one of --task, --data and --text"),
        (["train", "--task", "qa", "--model", "lstmm"], "no model is named 'lstmm'"),
        (["train", "--task", "qa", "--optimizer", "lion"], "--optimizer is 'lion'"),
        (
            ["train", "--task", "qa", "--weight-decay", "0.1"],
            "--weight-decay is 0.1; the optimizer adam takes no weight decay",
        ),
        (["train", "--task", "qa", "--learning-rate", "-1"], "--learning-rate is -1.0"),
        (["train", "--task", "qa", "--learning-rate", "nan"], "--learning-rate is nan"),
        (["train", "--task", "qa", "--width", "9999999"], "hidden_size is 9999999"),
        (["demo", "dance"], "no demo is named 'dance'"),
        (["demo", "state", "--plot", "picture"], "end it in .png, .svg or .pdf"),
        (["fly"], "No such command 'fly'"),
    ],
)
def test_wrong_use_is_one_line_and_changes_nothing(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    # In this process: the tests below start one, which takes a second or two.
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])  # a challenger's folder comes to its head
    monkeypatch.setattr(sys, "argv", ["lstm-baseline", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    said = capsys.readouterr().err
    assert ended.value.code == 2
    assert message in said
    assert said.count("\n") == 1, said
    assert said.startswith("lstm-baseline: ")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("arguments", [["compare", "--foo"], ["train", "--data", "missing.npz"]])
def test_wrong_use_ends_a_process_with_2_and_one_line(arguments: list[str]) -> None:
    ended = run(*arguments)
    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (2, "", 1)


def test_out_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "report").write_text("mine")
    ended = run("train", "--task", "qa", "--steps", 1, "--out", "report", cwd=tmp_path)
    assert (ended.returncode, ended.stderr.count("\n")) == (2, 1)
    assert (tmp_path / "report").read_text() == "mine"


def test_without_arguments_it_says_what_there_is() -> None:
    ended = run()
    for command in ("compare", "train", "tasks", "demo"):
        assert command in ended.stdout


def test_tasks_lists_every_task_with_its_ladder() -> None:
    ended = run("tasks")
    assert ended.returncode == 0, ended.stderr
    for name in TASKS:
        assert name in ended.stdout.replace("-\n", "-")
    assert ended.stdout.count("oracle") >= len(TASKS)


@pytest.mark.slow
def test_digits_are_learned_from_a_file(digits: Path, tmp_path: Path) -> None:
    ended = run("train", "--data", digits, "--steps", 700, "--out", tmp_path / "out")
    assert ended.returncode == 0, ended.stderr
    model = load_model(tmp_path / "out" / "model.safetensors")
    with np.load(digits) as file:
        images, labels = file["X"], file["y"]
    # The saved model takes the file's own numbers. Test rows are those that training never saw.
    untouched = ArrayFile(digits).test(0)
    mean, scale = ArrayFile(digits).scaling(0)
    rows = untouched.x * scale + mean
    assert np.mean(model.forward(rows, False).argmax(axis=1) == untouched.y) > 0.9
    assert np.mean(model.forward(images, False).argmax(axis=1) == labels) > 0.9


def test_regression_model_takes_and_gives_the_files_own_numbers(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x = 500 + 100 * rng.standard_normal((400, 6, 2))
    y = 3000 + 10 * x[:, :, 0].mean(axis=1)
    np.savez(tmp_path / "own.npz", X=x, y=y)
    ended = run("train", "--data", "own.npz", "--steps", 500, "--out", "out", cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    model = load_model(tmp_path / "out" / "model.safetensors")
    error = model.forward(x, False)[:, 0] - y
    assert np.std(error) < np.std(y) / 5


@pytest.mark.slow
def test_text_is_learned_better_than_by_letter_frequency(tmp_path: Path) -> None:
    text = Path(__file__).parent.parent / "ARCHITECTURE.md"
    ended = run("train", "--text", text, "--steps", 150, "--out", tmp_path / "out")
    assert ended.returncode == 0, ended.stderr
    rows = {
        cells[1].strip(): float(cells[2])
        for line in ended.stdout.splitlines()
        if len(cells := line.split("│")) == 4
    }
    trained = next(score for name, score in rows.items() if "best step" in name)
    assert trained < rows["unigram (heuristic)"]


def test_diverged_training_exits_with_1(tmp_path: Path) -> None:
    ended = run(
        *("train", "--task", "adding", "--optimizer", "sgd", "--learning-rate", "1e30"),
        *("--steps", 500, "--out", tmp_path / "out"),
    )
    assert ended.returncode == 1
    assert ended.stderr.count("\n") == 1
    assert "lower the learning rate" in ended.stderr


def test_importing_is_silent_and_light() -> None:
    code = (
        "import sys, lstm_baseline; heavy = {'torch', 'matplotlib', 'pydantic', 'rich', 'typer'}; "
        "sys.exit(str(heavy & set(sys.modules)) if heavy & set(sys.modules) else 0)"
    )
    ended = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


@pytest.mark.slow
def test_numbers_too_large_for_float32_are_served_in_float64(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((300, 4, 1)) + np.array([1e8])
    np.savez(tmp_path / "times.npz", X=x, y=(x[:, 0, 0] > 1e8).astype(int))
    ended = run("train", "--data", "times.npz", "--steps", 300, "--out", "out", cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    model = load_model(tmp_path / "out" / "model.safetensors")
    assert model.dtype == np.float64
    assert np.mean(model.forward(x, False).argmax(axis=1) == (x[:, 0, 0] > 1e8)) > 0.9


def test_numbers_too_large_for_float64_are_refused_before_training(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x = 1e17 + 1600 * rng.integers(0, 3, (100, 4, 1))
    np.savez(tmp_path / "huge.npz", X=x, y=rng.integers(0, 2, 100))
    ended = run("train", "--data", "huge.npz", "--steps", 5, "--out", "out", cwd=tmp_path)
    assert (ended.returncode, ended.stderr.count("\n")) == (2, 1)
    assert "component 0 of X has a mean of 1e+17 and a standard deviation of 1.3" in ended.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_names_with_brackets_come_out_as_they_are(tmp_path: Path) -> None:
    ended = run("train", "--task", "qa", "--steps", 2, "--out", "o[/b][a]:smile:", cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert "model: o[/b][a]:smile:/model.safetensors" in ended.stdout
    assert (tmp_path / "o[/b][a]:smile:" / "model.safetensors").is_file()


def test_convert_takes_the_folder_of_train_and_says_what_is_left_out(tmp_path: Path) -> None:
    LSTM(2, 5, 3, dropout=0.5, rng=0).save(tmp_path / "trained" / "model.safetensors")
    names = ["--prefix", "lstm.", "--head", "fc"]
    ended = run("convert", "trained", "net.safetensors", "--to", "torch", *names, cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert "left out, as it acts in training alone: dropout 0.5" in ended.stdout.splitlines()
    ended = run("convert", "net.safetensors", "own.safetensors", *names[:2], cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    lines = ended.stdout.splitlines()
    assert "left out: 'fc.bias', 'fc.weight'; --head fc takes a linear layer along" in lines
    ended = run("convert", tmp_path, "own.safetensors", cwd=tmp_path)
    assert ended.returncode == 2
    assert f"cannot read {tmp_path / 'model.safetensors'}: there is no such file" in ended.stderr


def test_control_characters_in_names_are_shown_and_not_obeyed(tmp_path: Path) -> None:
    name = "\x1b]0;title\x07\u202e.safetensors"
    shown = r"\x1b]0;title\x07\u202e.safetensors"
    LSTM(2, 5, rng=0).save(tmp_path / "own.safetensors")
    try:
        ended = run("convert", "own.safetensors", name, cwd=tmp_path)
    except OSError:
        pytest.skip("makes a file of such a name, which this system does not")
    assert ended.stdout.splitlines()[-1].startswith(f"{shown}: outputs are ")
    ended = run("convert", f"no{name}", "x.onnx", cwd=tmp_path)
    assert ended.stderr.startswith(f"lstm-baseline: cannot read no{shown}: there is no such file")


def test_other_settings_in_the_same_folder_are_refused(tmp_path: Path) -> None:
    assert run("train", "--task", "qa", "--steps", 2, cwd=tmp_path).returncode == 0
    before = (tmp_path / "trained" / "model.safetensors").read_bytes()
    ended = run("train", "--task", "qa", "--steps", 3, cwd=tmp_path)
    assert ended.returncode == 2
    assert "holds a run with other settings; choose another folder with --out" in ended.stderr
    assert (tmp_path / "trained" / "model.safetensors").read_bytes() == before
    again = run("train", "--task", "qa", "--steps", 2, cwd=tmp_path)
    assert "this run has ended before" in again.stdout


def test_output_that_is_full_is_one_line() -> None:
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(
            [*COMMAND, "tasks"], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert ended.returncode == 1
    assert ended.stderr == "lstm-baseline: cannot write the output: No space left on device\n"


def test_who_reads_no_further_gets_no_error() -> None:
    ended = subprocess.run(
        ["bash", "-o", "pipefail", "-c", f"{shlex.join(COMMAND)} tasks | true"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (141, "")


def test_version_is_shown() -> None:
    assert run("--version").stdout == f"{lstm_baseline.__version__}\n"


RACE = """
contestants = ["lstm", "gru"]
parameters = 1000
seeds = 2
training = { num_steps = 20, evaluate_every = 10 }

[[tasks]]
task = "pair-matching"
num_pairs = 2
num_symbols = 4
"""

BROKEN = """
class Silent:
    def __init__(self, input_size, output_size, hidden_size):
        raise RuntimeError("no {room}, no\\nluck")
"""


@pytest.mark.slow
def test_a_race_is_run_from_its_file(tmp_path: Path) -> None:
    (tmp_path / "race.toml").write_text(RACE)
    ended = run("compare", "race.toml", "--seeds", 1, "--workers", 1, cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    plan = json.loads((tmp_path / "report" / "plan.json").read_text())["plan"]
    assert plan["seeds"] == [0]  # options change what the file says
    assert plan["training"]["num_steps"] == 20
    assert (tmp_path / "report" / "index.html").is_file()
    again = run("compare", "race.toml", "--seeds", 2, "--workers", 1, cwd=tmp_path)
    assert again.returncode == 2
    assert "holds another race, with other seeds" in again.stderr


def test_init_writes_a_race_and_leaves_files_alone(tmp_path: Path) -> None:
    ended = run("init", "race.toml", cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    written = (tmp_path / "race.toml").read_text()
    assert run("init", "race.toml", cwd=tmp_path).returncode == 2
    assert (tmp_path / "race.toml").read_text() == written
    # That it runs is tested with README's commands.
    assert read_race(tmp_path / "race.toml") == read_preset("quick")


def test_a_challenger_that_fails_a_check_is_refused_before_anything_starts(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(BROKEN)
    ended = run("compare", "--challenger", "mine:Silent", cwd=tmp_path)
    assert ended.returncode == 2
    assert ended.stderr.count("\n") == 1
    assert "no {room}, no luck" in ended.stderr
    assert not (tmp_path / "report").exists()
