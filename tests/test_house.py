"""What the house promises: the engine stands alone, and what is public is said."""

import subprocess
import sys
from importlib import import_module

import lstm_baseline as lb
from tests.support.engines import run_python

ALONE = """
import importlib.machinery, sys, types
from pathlib import Path

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.startswith("lstm_baseline.") and name.split(".")[1] != "engine":
            raise ImportError(f"the engine imports {name}")

sys.meta_path.insert(0, Refuse())
package = types.ModuleType("lstm_baseline")  # instead of the public face, which imports more
package.__path__ = [sys.argv[1]]
sys.modules["lstm_baseline"] = package

import pkgutil
import lstm_baseline.engine

for module in pkgutil.walk_packages(lstm_baseline.engine.__path__, "lstm_baseline.engine."):
    if not module.name.endswith("._core"):
        importlib.import_module(module.name)
y = lstm_baseline.engine.MODELS["lstm"].model(2, 3, 1, rng=0).forward([[[0.5, 1.0]]])
print(y.shape)
"""


def test_the_engine_imports_and_runs_where_nothing_else_of_the_package_can():
    done = subprocess.run(
        [sys.executable, "-c", ALONE, lb.__path__[0]], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "(1, 1, 1)\n"


def test_only_public_names_are_in_dir():
    modules = [name for name in dir(lb) if not name.startswith("_") and name not in lb.__all__]
    assert modules == ["analysis", "engine", "interop", "tasks", "testing", "training"]
    for name in modules:
        assert getattr(lb, name) is import_module(f"lstm_baseline.{name}")


def test_every_public_module_says_what_it_exports():
    for name in lb.PUBLIC_MODULES:
        module = getattr(lb, name)
        assert set(module.__all__) <= set(dir(module)), name


def test_nothing_is_loaded_before_it_is_asked_for():
    """So that the command line can see to its signals first."""
    script = """
import sys
import lstm_baseline as lb
print("numpy" in sys.modules, hasattr(lb, "GRUU"), lb.GRU.__module__, "GRU" in vars(lb))
from lstm_baseline import *
print(load_model is lb.load_model, LSTMCell.__name__, InputError.__name__)
"""
    told = run_python(script).split()
    assert told == [
        *("False", "False", "lstm_baseline.engine.models.gru", "True"),
        *("True", "LSTMCell", "InputError"),
    ]


OLD_NAMES = """
import warnings
import lstm_baseline

with warnings.catch_warnings(record=True) as seen:
    warnings.simplefilter("always")
    import lstm_baseline.comparison.race_file as old
    from lstm_baseline.activations import log_softmax
    import lstm_baseline.models.lstm as old_lstm
import lstm_baseline.engine.models.lstm as new_lstm
import lstm_baseline.race.race_file as new

assert old is new and old_lstm.LSTM is new_lstm.LSTM is lstm_baseline.LSTM
assert new.__name__ == new.__spec__.name == "lstm_baseline.race.race_file"
print(*(w.message for w in seen if w.category is DeprecationWarning), sep="\\n")
import lstm_baseline.comparison.nothing
"""


def test_old_names_of_modules_import_with_a_warning():
    done = subprocess.run(
        [sys.executable, "-c", OLD_NAMES], capture_output=True, text=True, check=False
    )
    assert "lstm_baseline.activations is now lstm_baseline.engine.activations" in done.stdout
    assert "lstm_baseline.comparison is now lstm_baseline.race" in done.stdout
    assert done.stderr.endswith("No module named 'lstm_baseline.race.nothing'\n"), done.stderr
