"""What holds for all tests: one thread of linear algebra, and shape checks of the equations.

Tests run in several processes. Were each process's linear algebra to wait busily on threads of its
own, they would take several times as long. Processes that tests start choose for themselves.

In the tests of ``engine`` and ``testing`` every function in ``cells`` is held to the shapes in its
signature; elsewhere that would only take time. The models and the losses refuse or convert what
users give with messages of their own, so they stay unhooked.

No file of tests changes where the processes started after it find the package, or which engine they
take.
"""

import os
import sys
from collections.abc import Iterator

import pytest

chosen = os.environ.get("OPENBLAS_NUM_THREADS")
os.environ["OPENBLAS_NUM_THREADS"] = "1"
import numpy  # noqa: E402, F401  # reads it

if chosen is None:
    del os.environ["OPENBLAS_NUM_THREADS"]
else:
    os.environ["OPENBLAS_NUM_THREADS"] = chosen

import jaxtyping  # noqa: E402

jaxtyping.install_import_hook("lstm_baseline.engine.cells", "beartype.beartype")


@pytest.fixture(autouse=True, scope="module")
def shapes_checked_where_they_matter(request: pytest.FixtureRequest) -> Iterator[None]:
    """Leave out the checks of shapes where other things are tested."""
    of_engine = request.node.nodeid.startswith(("tests/engine/", "tests/testing/"))
    jaxtyping.config.update("jaxtyping_disable", not of_engine)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.fixture(autouse=True, scope="module")
def surroundings_of_later_processes() -> Iterator[None]:
    """Refuse a file that leaves them changed: those of files after it would give other bits."""
    before = _surroundings()
    yield
    assert _surroundings() == before


def _surroundings() -> tuple[list[str], dict[str, str]]:
    ours = {key: value for key, value in os.environ.items() if key.startswith("LSTM_BASELINE_")}
    return list(sys.path), ours
