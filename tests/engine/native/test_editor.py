"""Each C++ file opens in an editor without errors: by itself, without the build's definitions."""

import shutil
import subprocess
import sysconfig
from pathlib import Path

import numpy as np
import pytest

PACKAGE = Path(__file__).parents[3] / "src" / "lstm_baseline"
FILES = sorted(path for ending in ("*.h", "*.cpp") for path in PACKAGE.rglob(ending))


def includes_of_the_bindings() -> list[str]:
    nanobind = pytest.importorskip("nanobind")
    folders = (sysconfig.get_path("include"), np.get_include(), nanobind.include_dir())
    return [f"-I{folder}" for folder in folders]


def test_there_are_files() -> None:
    assert {"gru_kernel.h", "kernels.h", "dispatch.cpp"} <= {path.name for path in FILES}


@pytest.mark.skipif(not shutil.which("g++"), reason="no g++ is here")
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_file_opens_by_itself(path: Path) -> None:
    text = path.read_text()
    needs_python = path.name.startswith(("arrays", "batch_order", "bind", "module"))
    includes = includes_of_the_bindings() if needs_python else []
    command = ["g++", "-std=c++17", "-fsyntax-only", *includes, str(path)]

    ended = subprocess.run(command, capture_output=True, text=True, check=False)

    assert ended.returncode == 0, ended.stderr[-3000:]
    assert max(map(len, text.splitlines())) <= 100
