"""Each C++ file opens in an editor without errors: by itself, without the build's definitions.

The kernels include most others; each of those by itself, and what includes Python's headers, waits
for the slow tests.
"""

import shutil
import subprocess
import sysconfig
from pathlib import Path

import numpy as np
import pytest

PACKAGE = Path(__file__).parents[3] / "src" / "lstm_baseline"
FILES = sorted(path for ending in ("*.h", "*.cpp") for path in PACKAGE.rglob(ending))
BINDINGS = [p for p in FILES if p.name.startswith(("arrays", "batch_order", "bind", "module"))]
KERNELS = [path for path in FILES if path not in BINDINGS]

pytestmark = pytest.mark.skipif(not shutil.which("g++"), reason="no g++ is here")


def check(path: Path, *options: str) -> None:
    command = ["g++", "-std=c++17", "-fsyntax-only", *options, str(path)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr[-3000:]
    assert max(map(len, path.read_text().splitlines())) <= 100


def test_there_are_files() -> None:
    assert {"gru_kernel.h", "kernels.h", "dispatch.cpp"} <= {path.name for path in KERNELS}


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(path, marks=[] if "kernel" in path.name else pytest.mark.slow)
        for path in KERNELS
    ],
    ids=lambda path: path.name,
)
def test_a_kernel_or_what_it_needs(path: Path) -> None:
    check(path)


@pytest.mark.slow
@pytest.mark.parametrize("path", BINDINGS, ids=lambda path: path.name)
def test_a_binding(path: Path) -> None:
    nanobind = pytest.importorskip("nanobind")
    folders = (sysconfig.get_path("include"), np.get_include(), nanobind.include_dir())
    check(path, *(f"-I{folder}" for folder in folders))
