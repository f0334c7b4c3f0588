"""The kernels without Python, held to the reference's numbers: as they ship and under sanitizers.

Each test builds ``kernel_test.cpp`` in its own way and runs it on the same vectors.
"""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from lstm_baseline.engine.backend import describe
from tests.support.kernel_vectors import write_vectors

pytestmark = pytest.mark.slow

HERE = describe().get("available", ["sse2"])
"""Instruction sets of this machine, the fastest first."""

ARM = ["-DCMAKE_SYSTEM_NAME=Linux", "-DCMAKE_SYSTEM_PROCESSOR=aarch64"]


@pytest.fixture(scope="module")
def vectors(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("vectors") / "vectors"
    write_vectors(path)
    return path


def need(*tools: str) -> None:
    for tool in tools:
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not here")


def run(*command: object) -> str:
    """Run to the end and return what was printed, which must be no complaint."""
    ended = subprocess.run(
        list(map(str, command)),
        capture_output=True,
        text=True,
        check=False,
        timeout=1200,
        env=os.environ | {"TSAN_OPTIONS": "halt_on_error=1"},
    )
    assert ended.returncode == 0, (ended.stdout + ended.stderr)[-6000:]
    return ended.stdout


def build(folder: Path, *options: str) -> Path:
    need("cmake")
    generator = ["-G", "Ninja"] if shutil.which("ninja") else []
    run("cmake", *generator, *options, "-S", Path(__file__).parent, "-B", folder)
    run("cmake", "--build", folder, "--parallel", 2)
    return folder / "kernel_test"


@pytest.mark.parametrize("compiler", ["g++", "clang++"])
def test_as_it_ships(compiler: str, vectors: Path, tmp_path: Path) -> None:
    need(compiler)
    program = build(tmp_path, f"-DCMAKE_CXX_COMPILER={compiler}", "-DCMAKE_BUILD_TYPE=Release")
    assert run(program, vectors).startswith("ok: ")


def sets(*names: str) -> str:
    """Return the option that builds these instruction sets alone; of Arm there is one."""
    return f"-DLB_INSTRUCTION_SETS={';'.join(names)}"


def test_no_number_out_of_bounds_and_nothing_undefined(vectors: Path, tmp_path: Path) -> None:
    need("g++")
    options = ["-DLB_SANITIZE=address,undefined", sets(*HERE)]
    program = build(tmp_path, "-DCMAKE_CXX_COMPILER=g++", *options)
    # Its allocator takes no care of a fork while other threads allocate.
    assert run(program, vectors, "no-fork").startswith("ok: ")


def test_no_two_threads_race(vectors: Path, tmp_path: Path) -> None:
    need("g++")
    # Threads meet in what all instruction sets share.
    options = ["-DLB_SANITIZE=thread", sets(HERE[-1])]
    program = build(tmp_path, "-DCMAKE_CXX_COMPILER=g++", *options)
    # This sanitizer follows no fork of a process with several threads.
    assert run(program, vectors, "no-fork").startswith("ok: ")


def test_on_arm(vectors: Path, tmp_path: Path) -> None:
    need("aarch64-linux-gnu-g++", "qemu-aarch64")
    compiler = "-DCMAKE_CXX_COMPILER=aarch64-linux-gnu-g++"
    program = build(tmp_path, *ARM, compiler, "-DCMAKE_BUILD_TYPE=Release")
    emulator = ["qemu-aarch64", "-L", "/usr/aarch64-linux-gnu"]
    # Nor does the emulator.
    assert " neon" in run(*emulator, program, vectors, "no-fork")
