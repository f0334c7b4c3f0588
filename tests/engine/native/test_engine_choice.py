"""Which engine and which instruction set run, and what a user is told where one is missing."""

import numpy as np
import pytest

from lstm_baseline import GRU, LSTM, InputError, RelationalRNN
from lstm_baseline.engine import backend
from lstm_baseline.engine.cells import Cache, Cell, GRUState
from lstm_baseline.engine.core import ENGINE_VARIABLE, ISA_VARIABLE
from tests.support.engines import INSTRUCTION_SETS, NO_CORE, core, run_python, running


class Leak(Cell):
    """A cell without kernels: h = x + h' / 2."""

    state_type = GRUState

    gates = ()
    input_weights = ("W", "b")
    output_size = 1
    config = {}  # noqa: RUF012

    def shapes(self, input_size):
        return {}

    def initial_params(self, input_size, rng):
        return {}

    def flops_per_step(self, input_size):
        return 0

    def input_part(self, params, x):
        return x

    def step(self, params, u_t, state):
        return GRUState(u_t + state.h / 2), None

    def step_backward(self, params, d_state, cache, d_params):
        return d_state.h, GRUState(d_state.h / 2)

    def input_part_backward(self, params, d_u, x, d_params):
        return d_u

    def initial_state(self, params, num_rows):
        return GRUState(np.zeros((num_rows, 1)))


needs_core = pytest.mark.skipif(core is None, reason=NO_CORE)


@pytest.fixture(autouse=True)
def _nothing_chosen(monkeypatch):
    monkeypatch.delenv(ENGINE_VARIABLE, raising=False)


@needs_core
class TestWithTheCore:
    def test_it_runs_unless_the_reference_is_asked_for(self, monkeypatch):
        assert backend.select_engine().name == "native"
        assert backend.select_engine("native").name == "native"
        assert backend.select_engine("reference").name == "reference"
        monkeypatch.setenv(ENGINE_VARIABLE, "reference")
        assert backend.select_engine().name == "reference"
        # What the program asks for stands above what its surroundings do.
        assert backend.select_engine("native").name == "native"
        for nothing in ("native", "auto", ""):
            monkeypatch.setenv(ENGINE_VARIABLE, nothing)
            assert backend.select_engine().name == "native"

    def test_a_model_takes_the_engine_that_it_is_given(self):
        x = np.zeros((2, 3, 4), np.float32)
        for engine, runs in (("auto", 1), ("native", 1), ("reference", 0)):
            model = LSTM(4, 5, engine=engine)
            before = core.calls(core.instruction_set())
            model.forward(x)
            assert core.calls(core.instruction_set()) == before + runs

    @pytest.mark.parametrize("kind", [LSTM, GRU, RelationalRNN])
    def test_copies_and_derivatives_stay_with_the_engine(self, kind):
        options = {} if kind is RelationalRNN else {"hidden_size": 5}
        for engine in ("native", "reference"):
            model = kind(4, engine=engine, **options)
            assert model.astype(np.float64).engine.name == engine

    def test_a_cell_without_kernels_runs_on_the_reference(self):
        native = backend.select_engine("native")
        outputs, last, cache = native.unroll(Leak(), {}, np.ones((1, 3, 1)), None, None, True)
        np.testing.assert_array_equal(outputs.ravel(), [1, 1.5, 1.75])
        assert isinstance(cache, Cache)
        _, d_x, d_first = cache.backward(None, last)
        np.testing.assert_array_equal(d_x().ravel(), [1.75 / 4, 1.75 / 2, 1.75])
        np.testing.assert_array_equal(d_first.h, [[1.75 / 8]])

    def test_description(self, monkeypatch):
        with running(INSTRUCTION_SETS[-1]):
            assert backend.describe() == {
                "engine": "native",
                "instruction_set": INSTRUCTION_SETS[-1],
                "available": INSTRUCTION_SETS,
                "threads": core.get_num_threads(),
            }
        monkeypatch.setenv(ENGINE_VARIABLE, "reference")
        assert backend.describe()["engine"] == "reference"
        assert ENGINE_VARIABLE in backend.describe()["reason"]

    def test_the_machine_s_best_instruction_set_comes_first(self):
        found = run_python(
            "from lstm_baseline.engine import backend; print(backend.describe()['instruction_set'])"
        )
        assert found == INSTRUCTION_SETS[0]

    @pytest.mark.parametrize("name", INSTRUCTION_SETS)
    def test_the_instruction_set_that_is_forced_is_the_one_that_runs(self, name):
        script = """
import numpy as np
from lstm_baseline.engine import backend
from lstm_baseline import LSTM
from lstm_baseline.engine.core import load_core
calls = []
for dtype in (np.float32, np.float64):
    x = np.ones((2, 3, 4), dtype)
    model = LSTM(4, 5, dtype=dtype, rng=0)
    frozen = model.freeze()
    for run in (model.forward, model.forward_with_cache, frozen.forward):
        run(x)
    frozen.step(x[:, 0])
core = load_core()
print(backend.describe()["instruction_set"], *[core.calls(n) for n in core.instruction_sets()])
"""
        told, *calls = run_python(script, **{ISA_VARIABLE: name}).split()
        assert told == name
        assert list(map(int, calls)) == [8 * (other == name) for other in INSTRUCTION_SETS]

    def test_an_instruction_set_that_is_not_here_is_refused_in_one_line(self):
        script = """
from lstm_baseline import LSTM, InputError
try:
    LSTM(1, 1)
except InputError as error:
    print(error)
"""
        names = ", ".join(INSTRUCTION_SETS)
        expected = f"{ISA_VARIABLE} is 'abacus'; this machine runs: {names}"
        assert run_python(script, **{ISA_VARIABLE: "abacus"}) == expected
        assert not core.use_instruction_set("abacus")
        assert core.calls("abacus") == 0


class TestWithoutTheCore:
    @pytest.fixture(autouse=True)
    def _no_core(self, monkeypatch):
        monkeypatch.setattr(backend, "load_core", lambda: None)

    def test_the_reference_steps_in(self):
        assert backend.select_engine().name == "reference"
        assert backend.describe()["engine"] == "reference"
        assert "was not built" in backend.describe()["reason"]
        model = LSTM(2, 3, rng=0)
        x = np.ones((1, 2, 2))
        np.testing.assert_array_equal(model.freeze().forward(x), model.forward(x))

    def test_asking_for_it_is_refused_in_one_line(self, monkeypatch):
        for engine in ("native", "auto"):
            with pytest.raises(InputError, match="the compiled core was not built") as caught:
                LSTM(1, 1, engine=engine)
            assert "\n" not in str(caught.value)
            monkeypatch.setenv(ENGINE_VARIABLE, "native")


def test_an_unknown_engine_is_refused_in_one_line(monkeypatch):
    with pytest.raises(InputError, match="engine is 'warp'; give one of: auto, native, reference"):
        LSTM(1, 1, engine="warp")
    monkeypatch.setenv(ENGINE_VARIABLE, "warp")
    with pytest.raises(InputError, match=f"{ENGINE_VARIABLE} is 'warp'; give one of: auto"):
        LSTM(1, 1)
