"""What the tests of reports share."""

import pytest

from lstm_baseline.race.report.sections import section


@pytest.fixture
def svg_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out every picture's PNG and PDF, which take longer than all the rest of a page."""
    monkeypatch.setattr(section, "to_png", lambda figure: b"")
    monkeypatch.setattr(section, "to_pdf", lambda figure: b"")
