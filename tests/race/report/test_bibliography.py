"""The bibliography: every entry is BibTeX, and everything that has a source names one."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from lstm_baseline import __version__, challengers
from lstm_baseline.engine.models import MODELS
from lstm_baseline.engine.models.options import LSTMKeywords
from lstm_baseline.race.report import bibliography
from lstm_baseline.race.report.bibliography import (
    DEVELOPERS,
    OF_ARGUMENT,
    OF_MODEL,
    OF_OPTIMIZER,
    OF_SCHEDULE,
    OF_TASK,
    SOFTWARE,
    SOURCES,
    TITLE,
    YEAR,
    Citations,
    bibtex,
)
from lstm_baseline.tasks.registry import TASKS
from lstm_baseline.training.optimizers import OPTIMIZERS
from lstm_baseline.training.schedules import ScheduleName

ROOT = Path(__file__).parents[3]
OF_WHAT = (OF_MODEL, OF_ARGUMENT, OF_TASK, OF_OPTIMIZER, OF_SCHEDULE)
NEEDED = {
    "article": {"author", "title", "year", "journal"},
    "inproceedings": {"author", "title", "year", "booktitle"},
    "book": {"author", "title", "year", "publisher"},
    "misc": {"author", "title", "year"},
}


def parsed(text):
    """Return the kind and the fields of each entry; anything that is not one is an error."""
    entries, rest = {}, text
    while rest := rest.lstrip():
        head = re.match(r"@([a-z]+)\{([a-z0-9-]+),", rest)
        assert head, rest[:80]
        kind, key = head.groups()
        rest, fields = rest[head.end() :], {}
        while not (end := re.match(r"\s*\}", rest)):
            name = re.match(r"\s*([a-z]+) = \{", rest)
            assert name, rest[:80]
            depth, place = 1, name.end()
            while depth:
                depth += {"{": 1, "}": -1}.get(rest[place], 0)
                place += 1
            assert rest[place] == ","
            assert name[1] not in fields
            fields[name[1]] = rest[name.end() : place - 1]
            rest = rest[place + 1 :]
        assert key not in entries
        entries[key] = kind, fields
        rest = rest[end.end() :]
    return entries


def everything():
    return bibtex([*SOURCES, SOFTWARE], __version__)


def test_every_entry_is_whole():
    entries = parsed(everything())
    assert set(entries) == {*SOURCES, SOFTWARE}
    for key, (kind, fields) in entries.items():
        assert NEEDED[kind] <= set(fields), key
        assert all(value and value.isascii() for value in fields.values()), key
        if key == SOFTWARE:
            continue
        assert str(fields["year"]) == key[-4:]
        authors = fields["author"].split(" and ")
        assert all(re.fullmatch(r"[^,]+, [^,]+|others", author) for author in authors), key
        first = re.sub(r"\{?\\.\{?(\w)\}+", r"\1", authors[0].partition(",")[0]).lower()
        assert key.startswith(first), key


def test_whatever_can_race_names_its_sources():
    assert set(OF_MODEL) == {*MODELS, *challengers.NAMES}
    assert set(OF_TASK) == set(TASKS)
    assert set(OF_OPTIMIZER) == set(OPTIMIZERS)
    assert set(OF_SCHEDULE) == set(ScheduleName.__args__)
    assert set(OF_ARGUMENT) <= {*LSTMKeywords.__annotations__, "negative"}  # of a DeltaNet
    for of_what in OF_WHAT:
        assert all(key in SOURCES for keys in of_what.values() for key in keys)


def test_no_source_is_there_for_nothing():
    methods = (Path(bibliography.__file__).parent / "methods.py").read_text(encoding="utf-8")
    used = {key for of_what in OF_WHAT for keys in of_what.values() for key in keys}
    used |= set(re.findall(r"['\"]([a-z]+\d{4})['\"]", methods))
    assert used == set(SOURCES)


def test_the_software_is_cited_as_its_citation_file_says():
    entry = parsed(everything())[SOFTWARE][1]
    cff = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\ntitle: {TITLE}\n" in cff
    assert f"\n  - name: {DEVELOPERS}\n" in cff
    assert re.search(r"\ndate-released: (\d{4})", cff)[1] == str(YEAR)
    assert entry["author"] == f"{{{DEVELOPERS}}}"
    assert entry["note"] == f"Version {__version__}"


def test_a_key_is_cited_as_often_as_wanted_and_listed_once():
    citations = Citations()
    assert citations.cite("holm1979") == " [@holm1979]"
    assert citations.cite("holm1979", "lakens2017") == " [@holm1979; @lakens2017]"
    assert citations.cite() == ""
    assert citations.keys == ["holm1979", "lakens2017"]
    assert list(parsed(bibtex(citations.keys, "1"))) == ["holm1979", "lakens2017"]
    with pytest.raises(KeyError):
        bibtex(["nobody1900"], "1")


@pytest.mark.skipif(
    shutil.which("pdflatex") is None or shutil.which("bibtex") is None, reason="no BibTeX here"
)
def test_bibtex_takes_it_without_a_warning(tmp_path):
    (tmp_path / "references.bib").write_text(everything())
    (tmp_path / "paper.tex").write_text(
        r"\documentclass{article}\begin{document}\nocite{*}\bibliographystyle{plain}"
        r"\bibliography{references}\end{document}"
    )
    latex = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape", "paper"]
    for command in (latex, ["bibtex", "paper"], latex):
        found = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
        assert found.returncode == 0, found.stdout
    assert "Warning" not in (tmp_path / "paper.blg").read_text()
    assert (tmp_path / "paper.bbl").read_text().count(r"\bibitem") == len(SOURCES) + 1
