"""The test files that a change touches, named by the import graph."""

import runpy
import subprocess
from pathlib import Path

import pytest

pytest.importorskip("grimp", reason="the import graph is the extra dev's")

ROOT = Path(__file__).parents[2]
TOOL = runpy.run_path(str(ROOT / "tools" / "affected_tests.py"))
touched_by = TOOL["touched_by"]


def test_a_module_touches_those_that_import_it_and_no_others():
    touched = touched_by("src/lstm_baseline/training/schedules.py")
    assert {"tests/training/test_schedules.py", "tests/training/test_loop.py"} <= touched
    assert "tests/engine/test_column_cell.py" not in touched
    assert touched_by("src/lstm_baseline/engine/errors.py") - touched


def test_imports_count_through_other_modules_and_helpers():
    verdict = touched_by("src/lstm_baseline/race/verdict.py")
    assert {"tests/race/test_verdict.py", "tests/race/report/test_words.py"} <= verdict
    helper = touched_by("tests/support/figure_races.py")
    assert any(file.startswith("tests/race/report/") for file in helper)
    assert not any(file.startswith(("tests/engine/", "tests/tasks/")) for file in helper)


def test_what_a_string_names_counts():
    # Its tests run the command line in a process of its own.
    assert "tests/test_cli.py" in touched_by("src/lstm_baseline/commands/info.py")
    assert "tests/contestants/test_challenger.py" in touched_by("examples/own_cell.py")
    assert "tests/runs/test_pool.py" in touched_by("tests/support/alone/troubles.py")


def test_a_test_file_touches_itself():
    assert touched_by("tests/test_demos.py") == {"tests/test_demos.py"}


@pytest.mark.parametrize(
    ("path", "test"),
    [
        ("src/lstm_baseline/engine/cells/gru_kernel.h", "tests/engine/native/test_conformance.py"),
        ("CMakeLists.txt", "tests/engine/native/test_build.py"),
        ("src/lstm_baseline/race/report/templates/report.css", "tests/race/report/test_report.py"),
        ("src/lstm_baseline/race/presets/quick.toml", "tests/race/test_race_file.py"),
        ("README.md", "tests/test_readme.py"),
        ("docs/races.md", "tests/test_documents.py"),
        ("Makefile", "tests/test_documents.py"),
        ("tools/affected_tests.py", "tests/tools/test_affected_tests.py"),
        ("tests/interop/keras_exports/last.onnx", "tests/interop/test_interop_onnx.py"),
        ("src/lstm_baseline/race/gone.py", "tests/race/test_race.py"),
    ],
)
def test_files_that_are_no_modules_have_tests_of_their_own(path, test):
    touched = touched_by(path)
    assert test in touched
    assert "tests/tasks/test_task_metrics.py" not in touched


def test_what_everything_rests_on_touches_everything():
    every = set(TOOL["test_files"]())
    assert len(every) > 80
    assert touched_by("pyproject.toml") == touched_by("tests/conftest.py") == every


def test_every_place_that_is_named_exists():
    for _, places in TOOL["OTHER_FILES"]:
        for place in places:
            assert (ROOT / place).exists(), place


def test_changes_are_those_since_main_and_new_files(tmp_path, monkeypatch):
    def git(*arguments):
        command = ["git", "-c", "user.name=a", "-c", "user.email=a@b", *arguments]
        subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)

    git("init", "-b", "main")
    for name in ("kept.py", "committed.py", "edited.py"):
        (tmp_path / name).write_text("1")
    git("add", ".")
    git("commit", "-m", "first")
    monkeypatch.setitem(TOOL["changed_files"].__globals__, "ROOT", tmp_path)
    assert TOOL["changed_files"]() == []
    (tmp_path / "edited.py").write_text("2")
    assert TOOL["changed_files"]() == ["edited.py"]  # on main: against its last commit
    git("switch", "-c", "branch")
    (tmp_path / "committed.py").write_text("2")
    git("commit", "-m", "second", "committed.py")
    (tmp_path / "new.py").write_text("1")
    assert TOOL["changed_files"]() == ["committed.py", "edited.py", "new.py"]
