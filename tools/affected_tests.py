"""Name the test files that a change touches: ``python tools/affected_tests.py [FILE ...]``.

Without files, the change is what git sees: everything since the branch left main, committed or
not, and files that are not tracked. A module touches the tests that import it, directly or through
others, or name it in a string; a file that is no module touches the tests of its folder.
"""

import re
import subprocess
import sys
from collections.abc import Collection, Iterable
from functools import cache
from pathlib import Path, PurePosixPath
from unittest.mock import patch

import grimp

ROOT = Path(__file__).parents[1]
MODULES = {"lstm_baseline": "src/lstm_baseline", "tests": "tests", "examples": "examples"}
ALONE = "tests/support/alone/"
"""Files that stand alone, as a user's do: tests import them by their bare name."""

KERNEL_TESTS = (
    "tests/engine/cells",
    "tests/engine/models",
    "tests/engine/native",
    "tests/engine/test_threads.py",
    "tests/training/test_losses.py",
    "tests/training/test_optimizers.py",
)
"""What runs on the compiled core, which no import shows."""

OTHER_FILES = (
    (r"(.*\.(cpp|h|cmake)|(.*/)?CMakeLists\.txt)", KERNEL_TESTS),
    (r"src/lstm_baseline/race/report/templates/.*", ("tests/race/report",)),
    (r"src/lstm_baseline/race/presets/.*", ("tests/race", "tests/test_cli.py")),
    (r"(README\.md|docs/.*)", ("tests/test_readme.py", "tests/test_documents.py")),
    (r".*\.md|Makefile|\.pre-commit-config\.yaml|\.ci/.*", ("tests/test_documents.py",)),
    (r"tools/.*", ("tests/tools",)),
    (r"measurements/.*", ("tests/benchmarks",)),
    (r"(pyproject\.toml|tests/conftest\.py|tests/__init__\.py)", ("tests",)),
)
"""Patterns of files that are no modules, and what tests them. The first that fits counts."""


def git(*arguments: str) -> list[str]:
    """Return the lines that a git command prints, none where it fails."""
    done = subprocess.run(
        ["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, check=False
    )
    return done.stdout.splitlines() if done.returncode == 0 else []


def changed_files() -> list[str]:
    """Return the files that differ from where the branch left main, or from HEAD on main."""
    left = git("merge-base", "HEAD", "main") or git("merge-base", "HEAD", "origin/main")
    changed = git("diff", "--name-only", *(left or ["HEAD"]))
    return sorted({*changed, *git("ls-files", "--others", "--exclude-standard")})


def module_of(path: str) -> str | None:
    """Return the module's name that a Python file has, None where it is not one of ours."""
    if not path.endswith(".py"):
        return None
    if path.startswith(ALONE):
        return PurePosixPath(path).stem
    for package, folder in MODULES.items():
        if path.startswith(f"{folder}/"):
            parts = PurePosixPath(path).relative_to(folder).with_suffix("").parts
            return ".".join([package, *(part for part in parts if part != "__init__")])
    return None


def test_files() -> dict[str, str]:
    """Return the module's name of every test file."""
    files = (path.relative_to(ROOT).as_posix() for path in ROOT.glob("tests/**/test_*.py"))
    return {path: str(module_of(path)) for path in files}


@cache
def imports() -> grimp.ImportGraph:
    """Return who imports whom, with what tests and their helpers only name in strings."""
    # Only here: processes that a test starts later would take its own path for theirs.
    with patch.object(sys, "path", [str(ROOT), str(ROOT / "src"), *sys.path]):
        graph = grimp.build_graph("lstm_baseline", "tests", cache_dir=None)
    # The package loads the race where `compare` is called: whoever imports an LSTM has not got it.
    graph.remove_import(importer="lstm_baseline", imported="lstm_baseline.race.compare")
    examples = {f"examples.{path.stem}" for path in ROOT.glob("examples/*.py")}
    alone = {path.stem for path in ROOT.glob(f"{ALONE}*.py")}
    known = graph.modules | examples | alone
    for path in ROOT.glob("tests/**/*.py"):
        importer = str(module_of(path.relative_to(ROOT).as_posix()))
        for name in re.findall(r"\w+(?:\.\w+)*", path.read_text()):
            imported = _longest_of(known, name)
            if imported and imported != importer:
                graph.add_import(importer=importer, imported=imported)
    return graph


def _longest_of(modules: Collection[str], name: str) -> str | None:
    """Return the module in a dotted name, whose last parts may be a class or a function."""
    parts = name.split(".")
    candidates = (".".join(parts[:length]) for length in range(len(parts), 0, -1))
    found = next((candidate for candidate in candidates if candidate in modules), None)
    return None if found in MODULES else found  # a package's name alone says nothing


def touched_by(path: str) -> set[str]:
    """Return the test files that a change to one file touches."""
    tests = test_files()
    module = module_of(path)
    if module in imports().modules:
        importers = imports().find_downstream_modules(module) | {module}
        touched = {test for test, name in tests.items() if name in importers}
        if touched:
            return touched
    for pattern, places in OTHER_FILES:
        if re.fullmatch(pattern, path):
            return _inside(places, tests)
    if path.startswith("tests/"):  # data beside tests, a module that has gone
        folders = map(str, PurePosixPath(path).parents)
        return next(filter(None, (_inside([folder], tests) for folder in folders)))
    if path.startswith("src/lstm_baseline/"):
        first = PurePosixPath(path).parts[2]
        return _inside([f"tests/{first}"], tests) or set(tests)
    return set()


def _inside(places: Iterable[str], tests: Iterable[str]) -> set[str]:
    return {test for test in tests for place in places if f"{test}/".startswith(f"{place}/")}


def main(files: list[str]) -> None:
    """Print one test file a line."""
    touched = set().union(*map(touched_by, files or changed_files()))
    print(*sorted(touched), sep="\n", end="\n" if touched else "")


if __name__ == "__main__":
    main(sys.argv[1:])
