"""What the README shows runs."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest

from processes import run

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


def write_data(folder: Path) -> None:
    rng = np.random.default_rng(0)
    np.savez(folder / "FILE.npz", X=rng.random((40, 5, 2)), y=rng.integers(0, 2, 40))


@pytest.mark.parametrize("code", blocks("python"), ids=range(len(blocks("python"))))
def test_python_examples_run(code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    if "FILE.npz" in code:
        write_data(tmp_path)
        assert run("train", "--data", "FILE.npz", "--steps", 2, cwd=tmp_path).returncode == 0
    exec(code, {})


def test_commands_run(tmp_path: Path) -> None:
    write_data(tmp_path)
    (tmp_path / "FILE").write_text(README)
    commands = re.findall(
        r"^lstm-baseline (.*?)\s*(?:#.*)?$", "\n".join(blocks("sh")), re.MULTILINE
    )
    assert len(commands) == 3
    for number, command in enumerate(commands):
        few = ["--steps", 2, "--out", tmp_path / str(number)]
        ended = run(*shlex.split(command), *few, cwd=tmp_path)
        assert ended.returncode == 0, ended.stderr


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
