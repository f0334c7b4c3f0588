"""What the README shows runs."""

import importlib.util
import re
import shlex
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from lstm_baseline import LSTM
from lstm_baseline.interop import to_state_dict
from lstm_baseline.race.race_file import PRESETS, read_preset
from tests.support.processes import run

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
FILE_FORMAT = (ROOT / "docs" / "file-format.md").read_text()


def blocks(language: str, text: str = README) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, flags=re.DOTALL)


def write_data(folder: Path) -> None:
    rng = np.random.default_rng(0)
    np.savez(folder / "FILE.npz", X=rng.random((40, 5, 2)), y=rng.integers(0, 2, 40))


def write_modules(folder: Path) -> None:
    """Write the modules of the user's that are shown."""
    for name, shown in (("my_nets", "class MyNet"), ("my_tasks", "class Majority")):
        (code,) = [block for block in blocks("python") if shown in block]
        (folder / f"{name}.py").write_text(code)


def examples() -> list[object]:
    """Return the examples in Python; one that holds a race takes a while."""
    return [
        pytest.param(code, marks=pytest.mark.slow if "compare(" in code else (), id=str(number))
        for number, code in enumerate(blocks("python"))
    ]


@pytest.mark.parametrize("code", examples())
def test_python_examples_run(code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])  # where my_tasks is found
    write_modules(tmp_path)
    if "FILE.npz" in code:
        write_data(tmp_path)
        assert run("train", "--data", "FILE.npz", "--steps", 2, cwd=tmp_path).returncode == 0
    if "torch" in code:
        pytest.importorskip("torch", reason="a network of PyTorch, which is not installed")
    exec(code, {"__name__": "example"})


@pytest.mark.slow
def test_commands_run(tmp_path: Path) -> None:
    write_data(tmp_path)
    (tmp_path / "FILE").write_text(README)
    LSTM(2, 5, 2, rng=0).save(tmp_path / "trained" / "model.safetensors")
    save_file(to_state_dict(LSTM(2, 5, rng=0)), tmp_path / "FILE.safetensors")
    commands = re.findall(
        r"^lstm-baseline (.*?)\s*(?:#.*)?$", "\n".join(blocks("sh")), re.MULTILINE
    )
    write_modules(tmp_path)
    assert len(commands) == 14
    for number, command in enumerate(commands):
        few: list[object] = []
        if command.startswith(("train ", "compare ")):
            few += ["--steps", 2]
            # `verify report` is about the race of the file.
            out = "report" if command == "compare race.toml" else str(number)
            few += [] if "--out" in command else ["--out", tmp_path / out]
        if command.startswith("compare "):
            few += ["--seeds", 1]
        if command.startswith("compare ") and not {"--data", "--tasks"} & {*command.split()}:
            few += ["--tasks", "qa"]
        if "--dask" in command:
            continue  # with the commands of docs/many-machines.md
        for word, module in (("convert", "onnx"), ("my_nets", "torch")):
            if word in command and importlib.util.find_spec(module) is None:
                break
        else:
            ended = run(*shlex.split(command), *few, cwd=tmp_path)
            assert ended.returncode == 0, ended.stderr


def test_a_file_is_read_without_this_package_as_its_documentation_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    model, x = LSTM(3, 5, 2, dtype=np.float64, rng=0), np.random.default_rng(0).random((1, 7, 3))
    model.save("model.safetensors")
    np.save("x.npy", x)
    (code,) = blocks("python", FILE_FORMAT)
    exec(code, {})
    printed = np.fromstring(capsys.readouterr().out.strip("[] \n"), sep=" ")
    np.testing.assert_allclose(printed, model.forward(x, False)[0], atol=1e-7)


def test_the_documented_arrays_are_those_of_a_file() -> None:
    table = FILE_FORMAT.split("## Arrays of an LSTM")[1].split("## Reading")[0]
    documented = set(re.findall(r"`(\w+)`", table.split("| when |")[1].split("With several")[0]))
    model = LSTM(
        3, 5, 2, peepholes=True, layer_norm=True, projection_size=4, rng=0, engine="reference"
    )
    assert documented >= model.params.keys()
    assert "_l0_reverse" in table


def test_continuous_integration_runs_the_test_command_of_the_readme() -> None:
    commands = [line for block in blocks("sh") for line in block.splitlines() if "pip" in line]
    assert len(commands) == 2
    main_job, tests = commands
    assert main_job == "pip install . && lstm-baseline compare"
    script = (ROOT / ".ci" / "run").read_text()
    assert tests.replace("pip install", "pip install --quiet") in script


def test_files_that_are_named_exist() -> None:
    for path in re.findall(r"`(src/[\w/.]+)`", README) + re.findall(r"\]\((\w+\.\w+)\)", README):
        assert (ROOT / path).exists(), path


def test_the_table_of_presets_is_that_of_their_plans() -> None:
    rows = re.findall(r"^\| `([a-z-]+)` \| .* \| (\d+) \| (\d+) \| .* \| (\d+)% \|$", README, re.M)
    assert [name for name, *_ in rows] == list(PRESETS)
    for name, comparisons, seeds, power in rows:
        plan = read_preset(name).plan()
        assert (plan.num_comparisons, plan.seeds) == (int(comparisons), int(seeds))
        assert f"{plan.power:.0%}" == f"{power}%"
