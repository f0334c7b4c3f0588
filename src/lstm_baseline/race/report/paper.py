"""What a paper needs beside the tables: how the race was run, what it cost, and its sources."""

from pathlib import Path

from lstm_baseline.engine.storage import write_whole
from lstm_baseline.race.outcomes import RaceOutcome
from lstm_baseline.race.report.bibliography import bibtex
from lstm_baseline.race.report.checklist import checklist
from lstm_baseline.race.report.environment import Environment
from lstm_baseline.race.report.methods import methods

METHODS, CHECKLIST, REFERENCES = "methods.md", "checklist.md", "references.bib"


def write_paper(race: RaceOutcome, environment: Environment, folder: Path) -> None:
    """Write the race's methods, answers to a conference's checklist, and what the methods cite.

    The files are ``METHODS``, ``CHECKLIST`` and ``REFERENCES``.

    Raises
    ------
    WriteError
        If a file cannot be written.
    """
    found = methods(race, environment)
    write_whole(folder / METHODS, found.text.encode())
    write_whole(folder / CHECKLIST, checklist(race, environment).encode())
    write_whole(folder / REFERENCES, bibtex(found.cited, environment.version).encode())
