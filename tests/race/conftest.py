"""What the tests of races share."""

import sys
from collections.abc import Iterator

import pytest

from lstm_baseline import own_code
from lstm_baseline.race.report.sections import section


@pytest.fixture(autouse=True, scope="session")
def figures_without_pdf() -> Iterator[None]:
    """Leave out the PDF of every figure, for whose letters it takes longer than for all the rest.

    ``test_exports.py`` and ``tests/plots`` make them, and so do the commands that tests start.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(section, "to_pdf", lambda figure: b"")
        yield


@pytest.fixture(autouse=True)
def modules_are_looked_for_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget the folders beside which a race's classes were looked for."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(own_code, "_folders", list(own_code._folders))
