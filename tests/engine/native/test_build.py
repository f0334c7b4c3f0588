"""Real builds: the source distribution, and from it the package with the core and without."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import venv
import zipfile
from importlib.util import find_spec
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]
SOURCES = (".cpp", ".h", ".cmake")


def run(*command: object, cwd: Path, **variables: str) -> str:
    # What is installed must be found, not what a developer's path points to.
    surroundings = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    ended = subprocess.run(
        list(map(str, command)),
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
        env=surroundings | variables,
    )
    assert ended.returncode == 0, (ended.stdout + ended.stderr)[-6000:]
    return ended.stdout


def make_venv(folder: Path) -> Path:
    """Make an environment with pip and return its Python."""
    venv.create(folder, with_pip=True)
    return folder / "bin" / "python"


def package_files() -> set[str]:
    """Return what the package consists of, as the checkout has it."""
    source = ROOT / "src"
    files = {path for path in source.rglob("*") if path.is_file() and path.suffix != ".pyc"}
    return {
        str(path.relative_to(source))
        for path in files
        if path.suffix not in (".so", ".pyd") and ".egg-info" not in str(path)
    }


@pytest.fixture(scope="module")
def builder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Python with all that a build needs: this one, or a new one."""
    if all(map(find_spec, ("pip", "scikit_build_core", "nanobind"))) and shutil.which("cmake"):
        return Path(sys.executable)
    folder = tmp_path_factory.mktemp("builder")
    python = make_venv(folder)
    requires = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"]
    run(python, "-m", "pip", "install", "--quiet", *requires, "cmake", "ninja", cwd=folder)
    return python


@pytest.fixture(scope="module")
def unpacked(builder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the source distribution, unpacked."""
    folder = tmp_path_factory.mktemp("sdist")
    code = "import sys, scikit_build_core.build as b; b.build_sdist(sys.argv[1])"
    run(builder, "-c", code, folder, cwd=ROOT)
    (archive,) = folder.glob("*.tar.gz")
    with tarfile.open(archive) as file:
        file.extractall(folder, filter="data")
    (inside,) = folder.glob("*/")
    return inside


def build_wheel(builder: Path, unpacked: Path, folder: Path, **variables: str) -> Path:
    command = [builder, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "-w", folder]
    run(*command, unpacked, cwd=folder, **variables)
    (wheel,) = folder.glob("*.whl")
    return wheel


def describe(wheel: Path, folder: Path) -> dict[str, object]:
    """Install a wheel where nothing else is, and return what it says of its engine."""
    python = make_venv(folder / "installed")
    run(python, "-m", "pip", "install", "--quiet", "--no-deps", wheel, cwd=folder)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    site = folder / "installed" / "lib" / version / "site-packages"
    # The libraries that it needs are those of the environment that runs the tests.
    paths = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    (site / "libraries.pth").write_text("\n".join(paths))
    code = (
        "import json, lstm_baseline; from lstm_baseline.engine.backend import describe;"
        "print(json.dumps(describe() | {'file': lstm_baseline.__file__}))"
    )
    says = json.loads(run(python, "-W", "error", "-c", code, cwd=folder))
    assert says["file"].startswith(str(site))
    return dict(says)


def test_the_source_distribution_holds_every_source(unpacked: Path) -> None:
    assert all((unpacked / "src" / name).is_file() for name in package_files())
    assert (unpacked / "CMakeLists.txt").is_file()
    assert not list(unpacked.rglob("*.so"))


def test_without_a_compiler_the_reference_is_installed(
    builder: Path, unpacked: Path, tmp_path: Path
) -> None:
    wheel = build_wheel(builder, unpacked, tmp_path, CXX="no-such-compiler")

    assert wheel.name.endswith("-py3-none-any.whl")
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert names == {name for name in package_files() if not name.endswith(SOURCES)}
    assert describe(wheel, tmp_path)["engine"] == "reference"


@pytest.mark.skipif(not shutil.which("c++"), reason="no C++ compiler is here")
def test_with_a_compiler_the_core_is_installed(
    builder: Path, unpacked: Path, tmp_path: Path
) -> None:
    wheel = build_wheel(builder, unpacked, tmp_path)

    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    (core,) = names - package_files()
    assert core.startswith("lstm_baseline/engine/native/_core.")
    assert names - {core} == {name for name in package_files() if not name.endswith(SOURCES)}
    assert describe(wheel, tmp_path)["engine"] == "native"
