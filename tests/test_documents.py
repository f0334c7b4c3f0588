"""Commands, files and links that the documents name are there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
DOCUMENTS = [
    *sorted(ROOT.glob("*.md")),
    *sorted(ROOT.glob("docs/*.md")),
    ROOT / "measurements" / "README.md",
]
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text()
TARGETS = set(re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE))


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_to_files(document):
    for link in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", document.read_text()):
        if "://" not in link:
            assert (document.parent / link).exists(), link


def test_contributing_has_every_command_of_the_makefile_and_no_other():
    named = set(re.findall(r"\bmake ([a-z-]+)", CONTRIBUTING))
    assert named == TARGETS - {"help"}
    phony = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert set(phony[1].split()) == TARGETS


def test_files_that_contributing_names_are_there():
    named = re.findall(
        r"`((?:src|tests|tools|docs|engine|tasks|race|commands)/[\w./*-]+)`", CONTRIBUTING
    )
    assert len(named) > 10
    for path in named:
        inside = ROOT / "src" / "lstm_baseline" / path
        assert (ROOT / path).exists() or inside.exists(), path


@pytest.mark.parametrize("folder", ["src", "tests", "tools", "examples", "measurements"])
def test_files_that_docstrings_name_are_there(folder):
    there = {path.as_posix() for path in ROOT.rglob("*.*") if ".git" not in path.parts}
    for path in (ROOT / folder).rglob("*.py"):
        for name in re.findall(r"``([\w./-]+\.(?:py|h|cpp|md|toml|cmake))``", path.read_text()):
            assert any(f"/{file}".endswith(f"/{name}") for file in there), (path, name)


def test_the_hook_calls_the_check():
    hooks = (ROOT / ".pre-commit-config.yaml").read_text()
    assert re.findall(r"repo: (.*)", hooks) == ["local"]
    assert set(re.findall(r"entry: make ([a-z-]+)", hooks)) <= TARGETS
    assert "entry: make check" in hooks
