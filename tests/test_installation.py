"""What runs here is one thing, whoever says it."""

import platform

import numpy as np
import pytest

import lstm_baseline
from lstm_baseline import installation
from lstm_baseline.installation import describe_installation, results_depend_on


def test_versions_and_system_are_those_of_this_process():
    here = describe_installation()
    assert (here.version, here.numpy) == (lstm_baseline.__version__, np.__version__)
    assert (here.python, here.platform) == (platform.python_version(), platform.platform())
    assert here.system == f"{platform.system()} {platform.machine()}"
    assert (here.why_not_native is None) == (here.engine == "native")


@pytest.mark.parametrize(
    ("engine", "expected"),
    [
        (
            {"engine": "native", "instruction_set": "b", "available": ["a", "b"], "threads": 3},
            ("b", ("a", "b"), 3, None),
        ),
        ({"engine": "reference", "reason": "not built"}, (None, (), None, "not built")),
    ],
)
def test_either_engine_is_described(monkeypatch, engine, expected):
    monkeypatch.setattr(installation, "describe", lambda: engine)
    here = describe_installation()
    assert here.engine == engine["engine"]
    assert (here.instruction_set, here.available, here.threads, here.why_not_native) == expected


def test_results_depend_on_package_numpy_and_engine():
    here = describe_installation()
    assert results_depend_on() == {
        "lstm-baseline": here.version,
        "NumPy": here.numpy,
        "engine": here.engine,
    }
