"""What the tests of races share."""

from collections.abc import Iterator

import pytest

from lstm_baseline.race.report.sections import section


@pytest.fixture(autouse=True, scope="session")
def figures_without_pdf() -> Iterator[None]:
    """Leave out the PDF of every figure, for whose letters it takes longer than for all the rest.

    ``test_exports.py`` and ``tests/plots`` make them, and so do the commands that tests start.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(section, "to_pdf", lambda figure: b"")
        yield
