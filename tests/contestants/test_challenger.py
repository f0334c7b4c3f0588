"""Challengers: found by name, made at a width, and refused by the first promise they break."""

import itertools
import random
import subprocess
import sys
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from lstm_baseline import GRU, LSTM, InputError, RelationalRNN
from lstm_baseline.contestants.challenger import (
    check_challenger,
    flops_per_step,
    make_challenger,
    width_argument,
)
from lstm_baseline.contestants.checks import Sample, check_independence
from lstm_baseline.contestants.one_hot_inputs import OneHotInputs
from lstm_baseline.own_code import load_class
from lstm_baseline.tasks import ArrayFile, make_task
from lstm_baseline.training import TrainingSettings, evaluate, train
from tests.support.plain_challenger import ReLUNetwork

EXAMPLES = Path(__file__).parents[2] / "examples"
PAIRS = make_task("pair-matching", num_pairs=2, num_symbols=6)
COPY = make_task("copy-memory", delay=3)


@pytest.fixture
def ragged(tmp_path):
    """A per-row task, or with ``per_step`` a per-step one, whose rows differ in length."""

    def make(per_step=False):
        rng = np.random.default_rng(0)
        x = rng.standard_normal((60, 7, 3))
        y = x.sum(axis=2, keepdims=True)
        y = y if per_step else y[:, 0]
        np.savez(tmp_path / "ragged.npz", X=x, y=y, lengths=rng.integers(1, 8, 60))
        return ArrayFile(tmp_path / "ragged.npz")

    return make


def check(cls, task=PAIRS, name="mine", **arguments):
    sizes = task.input_size, task.output_size
    check_challenger(lambda seed: make_challenger(cls, *sizes, arguments, seed), task, name)


class TestLoading:
    @pytest.fixture(autouse=True)
    def _in_a_folder(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "path", [*sys.path])
        before = set(sys.modules)
        (tmp_path / "own_nets").mkdir()
        (tmp_path / "own_nets" / "good.py").write_text(
            "class Net:\n    pass\n\nclass Other:\n    pass\n\nnumber = 3\n"
        )
        (tmp_path / "own_nets" / "raises.py").write_text("x = 1\ny = x / 0\n")
        (tmp_path / "own_nets" / "imports.py").write_text("import no_such_library\n")
        (tmp_path / "own_nets" / "broken.py").write_text("class Net\n")
        (tmp_path / "own_nets" / "empty.py").write_text("")
        yield
        for name in set(sys.modules) - before:
            del sys.modules[name]

    def test_a_class_of_the_current_folder(self):
        assert load_class("own_nets.good:Net").__name__ == "Net"

    def test_an_installed_class(self):
        assert load_class("lstm_baseline.engine.models.gru:GRU") is GRU

    @pytest.mark.parametrize(
        ("spec", "message"),
        [
            ("own_nets.good", "'own_nets.good' names no class; give package.module:Name"),
            ("own_nets/good.py:Net", "names no class"),
            ("own_nets.good:Net:Net", "names no class"),
            ("", "'' names no class"),
            ("nowhere:Net", "there is no module nowhere, neither in /.* nor installed"),
            ("own_nets.nowhere:Net", r"there is no module own_nets\.nowhere"),
            (
                "own_nets.raises:Net",
                r"raises cannot be imported: ZeroDivisionError: division by zero "
                r"\(raises\.py, line 2\)",
            ),
            (
                "own_nets.imports:Net",
                "imports cannot be imported: ModuleNotFoundError: No module named 'no_such_lib",
            ),
            ("own_nets.broken:Net", "broken cannot be imported: SyntaxError"),
            ("own_nets.good:Nat", "good has no Nat; its classes are Net, Other"),
            ("own_nets.empty:Net", "empty has no Net; it has no class"),
            ("own_nets.good:number", "good:number is a int; name a class"),
        ],
    )
    def test_what_cannot_be_loaded_is_refused_in_one_line(self, spec, message):
        with pytest.raises(InputError, match=message) as refused:
            load_class(spec)
        assert "\n" not in str(refused.value)

    def test_a_namespace_folder_needs_no_init_file(self):
        code = "from lstm_baseline.own_code import load_class as load; print("
        code += "load('examples.own_cell:MinimalGatedUnit').__name__)"
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=EXAMPLES.parent, capture_output=True, text=True
        )
        assert done.stdout.strip() == "MinimalGatedUnit", done.stderr


class TestWidth:
    def test_hidden_size_unless_another_is_named(self):
        class Plain:
            def __init__(self, input_size, output_size, hidden_size):
                pass

        assert width_argument(Plain) == "hidden_size"
        assert width_argument(RelationalRNN) == "head_size"

    @pytest.mark.parametrize("named", ["hidden_size", "depth", 3, "input_size", "rng"])
    def test_it_must_be_an_argument_of_the_constructor(self, named):
        cls = type("Odd", (RelationalRNN,), {"width_argument": named})
        with pytest.raises(InputError, match=r"Odd has no argument .*\(it takes num_slots, "):
            width_argument(cls)


class TestMaking:
    def test_own_contract(self):
        model, twin, other = (
            make_challenger(LSTM, 3, 2, {"hidden_size": 5}, seed) for seed in (0, 0, 1)
        )
        assert (model.input_size, model.output_size, model.hidden_size) == (3, 2, 5)
        np.testing.assert_array_equal(model.params["W"], twin.params["W"])
        assert not np.array_equal(model.params["W"], other.params["W"])

    def test_a_class_that_is_no_model_lacks_the_contract(self):
        class Half:
            def __init__(self, input_size, output_size):
                self.params = {}

            def forward(self):
                pass

        message = r"Half is not a torch\.nn\.Module and lacks forward_with_cache, backward"
        with pytest.raises(InputError, match=message):
            make_challenger(Half, 3, 2, {}, 0)

    def test_a_constructor_that_raises_is_named_with_its_line(self):
        class Odd(ReLUNetwork):
            def __init__(self, input_size, output_size, hidden_size, rng):
                raise ValueError("no odd\nsizes")

        message = (
            r"Odd\(input_size=3, output_size=2, hidden_size=5\) raised ValueError: no odd sizes "
            r"\(test_challenger\.py, line \d+\)$"
        )
        with pytest.raises(InputError, match=message):
            make_challenger(Odd, 3, 2, {"hidden_size": 5}, 0)

    def test_an_unknown_argument_is_told(self):
        with pytest.raises(InputError, match=r"raised TypeError: .*'depth'"):
            make_challenger(ReLUNetwork, 3, 2, {"depth": 5}, 0)


class TestGoodChallengers:
    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    @pytest.mark.parametrize("task", [PAIRS, COPY], ids=lambda task: task.name)
    def test_the_contract_and_no_more(self, task, dtype):
        check(type("Net", (ReLUNetwork,), {"dtype": dtype}), task)

    @pytest.mark.parametrize("per_step", [False, True])
    def test_rows_that_differ_in_length(self, ragged, per_step):
        check(ReLUNetwork, ragged(per_step))

    @pytest.mark.parametrize(
        ("cls", "arguments"),
        [
            (LSTM, {"hidden_size": 6}),
            (LSTM, {"hidden_size": 6, "num_layers": 2, "recurrent_dropout": 0.2, "zoneout": 0.1}),
            (LSTM, {"hidden_size": 6, "bidirectional": True}),
            (LSTM, {"hidden_size": 6, "layer_norm": True, "peepholes": True}),
            (GRU, {"hidden_size": 6}),
            (RelationalRNN, {"head_size": 3}),
        ],
        ids=str,
    )
    def test_own_models(self, ragged, cls, arguments):
        check(cls, ragged(), **arguments)
        check(cls, PAIRS, **arguments)

    def test_the_class_of_another_seed_is_not_refused_either(self):
        # The slopes are where chance could refuse: many starting points, none refused.
        for start in range(20):
            make = lambda seed, start=start: ReLUNetwork(  # noqa: E731
                COPY.input_size, COPY.output_size, rng=np.random.default_rng([start, seed])
            )
            check_challenger(make, COPY, "mine")


def broken(**methods):
    return type("Broken", (ReLUNetwork,), methods)


def changed_outputs(change):
    """Return a class whose outputs are changed in both kinds of forward."""

    def forward_with_cache(self, x, *args, **options):
        outputs, cache = ReLUNetwork.forward_with_cache(self, x, *args, **options)
        return change(outputs), cache

    return broken(forward_with_cache=forward_with_cache)


def changed_gradients(change):
    def backward(self, d_outputs, cache):
        return SimpleNamespace(params=change(ReLUNetwork.backward(self, d_outputs, cache).params))

    return broken(backward=backward)


def changed_params(change):
    def start(self, input_size, output_size, rng=None):
        ReLUNetwork.__init__(self, input_size, output_size, rng=rng)
        self.params = change(self.params)

    return broken(__init__=start)


def raising(*args, **options):
    raise RuntimeError("boom")


class OwnSeed(ReLUNetwork):
    def __init__(self, input_size, output_size):
        super().__init__(input_size, output_size, rng=np.random.default_rng(0))


class GlobalStart(ReLUNetwork):
    def __init__(self, input_size, output_size):
        super().__init__(input_size, output_size, rng=np.random)


class GlobalDropout(ReLUNetwork):
    drawn = itertools.count()

    def forward_with_cache(self, x, *args, rng=None, **options):
        rng = None if rng is None else np.random.default_rng(next(self.drawn))
        return super().forward_with_cache(x, *args, rng=rng, **options)


class AlwaysDropping(ReLUNetwork):
    def forward(self, x, *args, **options):
        return self.forward_with_cache(x, *args, rng=np.random.default_rng(), **options)[0]


class CarriedState(ReLUNetwork):
    calls = 0

    def forward(self, x, *args, **options):
        self.calls += 1
        return super().forward(x, *args, **options) + np.float32(self.calls)


class TrainedByValidation(ReLUNetwork):
    """Fails only when forward is called between training steps."""

    calls = 0

    def forward(self, x, *args, **options):
        self.calls += 1
        return super().forward(x, *args, **options)

    def backward(self, d_outputs, cache):
        gradients = super().backward(d_outputs, cache)
        if self.calls == 1:
            gradients.params["b"][0] += 1
        return gradients


class GradientOfItsOwn(ReLUNetwork):
    number = count()

    def __init__(self, input_size, output_size, rng):
        super().__init__(input_size, output_size, rng=rng)
        self.share = 1e-6 * next(self.number)

    def backward(self, d_outputs, cache):
        gradients = super().backward(d_outputs, cache)
        gradients.params["b_out"] += np.float32(self.share)
        return gradients


class RunningMean(ReLUNetwork):
    mean = np.float32(0)

    def forward(self, x, *args, **options):
        return super().forward(x - self.mean, *args, **options)

    def forward_with_cache(self, x, *args, rng=None, **options):
        if rng is not None:
            self.mean = x.mean()
        return super().forward_with_cache(x, *args, rng=rng, **options)


class DrawsByItself(ReLUNetwork):
    """Each is made with a mask of its own."""

    def __init__(self, input_size, output_size, rng):
        super().__init__(input_size, output_size, rng=rng)
        self.share = random.random()

    def forward_with_cache(self, x, *args, rng=None, **options):
        outputs, cache = super().forward_with_cache(x, *args, rng=rng, **options)
        return outputs if rng is None else outputs * np.float32(self.share), cache


class StartsByItself(DrawsByItself):
    def forward(self, x, *args, **options):
        return super().forward(x, *args, **options) * np.float32(self.share)


class KeepsParams(ReLUNetwork):
    """Packs its weights once, and again when they have changed; what it packed it never drops."""

    packed = 0.0

    def forward(self, x, *args, **options):
        self.packed = max(self.packed, np.abs(self.params["W"]).max())
        return super().forward(x, *args, **options) * self.packed


class ChangesX(ReLUNetwork):
    def forward(self, x, *args, **options):
        outputs = super().forward(x, *args, **options)
        x *= 2
        return outputs


class ChangesGradients(ReLUNetwork):
    def backward(self, d_outputs, cache):
        gradients = super().backward(d_outputs, cache)
        d_outputs *= 2
        return gradients


class ChangesParams(ReLUNetwork):
    def forward_with_cache(self, x, *args, **options):
        found = super().forward_with_cache(x, *args, **options)
        self.params["b"] += 1e-3
        return found


class Copies(ReLUNetwork):
    """Hands out copies of its parameters."""

    @property
    def params(self):
        return {name: value.copy() for name, value in self.own.items()}

    @params.setter
    def params(self, values):
        self.own = values


class OtherRows(ReLUNetwork):
    def forward(self, x, *args, **options):
        outputs = super().forward(x, *args, **options)
        return outputs + np.float32(0.1) * outputs.mean(axis=0)


class IgnoresLengths(ReLUNetwork):
    def forward(self, x, return_sequences=True, *, lengths=None):
        return super().forward(x, return_sequences)


class LooksAhead(ReLUNetwork):
    def forward(self, x, *args, **options):
        outputs = super().forward(x, *args, **options)
        return outputs + outputs[:, ::-1]


class SeesTheNextSymbol(ReLUNetwork):
    """A single step ahead, of two symbols that are often the same, and of rows that are short."""

    def forward(self, x, *args, lengths=None, **options):
        outputs = super().forward(x, *args, lengths=lengths, **options)
        if lengths is not None:
            x = np.where((np.arange(x.shape[1]) < lengths[:, None])[..., None], x, 0)
        outputs[:, :-1] += x[:, 1:, : outputs.shape[-1]]
        return outputs


class OneRowFails(ReLUNetwork):
    def forward(self, x, *args, **options):
        return super().forward(x, *args, **options).squeeze()


def of_two_dtypes(params):
    return params | {"b": params["b"].astype(np.float64)}


def without(name):
    return lambda arrays: {key: value for key, value in arrays.items() if key != name}


def scaled(name, share):
    return lambda arrays: arrays | {name: share * arrays[name]}


BAD = {
    "constructor": (broken(__init__=raising), r"raised RuntimeError: boom \(test_chall"),
    "forward": (broken(forward=raising), r"forward raised RuntimeError: boom \(test_challenger"),
    "forward_with_cache": (
        broken(forward_with_cache=raising, forward=lambda self, x, *a, **o: self_forward(self, x)),
        "forward_with_cache raised RuntimeError: boom",
    ),
    "backward": (broken(backward=raising), "backward raised RuntimeError: boom"),
    "no keyword lengths": (
        broken(forward=lambda self, x, return_sequences: x),
        "forward raised TypeError: .*'lengths'",
    ),
    "params a list": (changed_params(lambda p: [*p.values()]), "params is a list; give a dict"),
    "no params": (changed_params(lambda p: {}), "params is empty; give a dict"),
    "params of nothing": (
        changed_params(lambda p: {"W": np.zeros((0, 3))}),
        "params has no number in it",
    ),
    "params as lists": (
        changed_params(lambda p: p | {"b": [0.0]}),
        r"params\['b'\] is a list; give a NumPy array",
    ),
    "whole numbers": (
        changed_params(lambda p: p | {"b": np.zeros(8, int)}),
        r"params\['b'\] is int64 of shape \(8,\); give float32",
    ),
    "no axis": (
        changed_params(lambda p: p | {"b": np.array(0.0)}),
        r"params\['b'\] is float64 of shape \(\); .* at least one axis",
    ),
    "NaN at the start": (
        changed_params(lambda p: p | {"b": np.full(8, np.nan)}),
        r"params\['b'\] holds NaN",
    ),
    "two dtypes": (changed_params(of_two_dtypes), "params are float32 and float64; give one"),
    "its own seed": (OwnSeed, "parameters are the same under every seed"),
    "global start": (GlobalStart, "parameters differ between two challengers of one seed"),
    "outputs a list": (changed_outputs(list), "forward's output is a list; give a NumPy array"),
    "wrong shape": (
        changed_outputs(lambda y: y[:, :-1]),
        r"forward's output has shape \(4, 5\); expected \(4, 6\)",
    ),
    "wrong dtype": (
        changed_outputs(lambda y: y.astype(np.float64)),
        "forward's output is float64; expected float32",
    ),
    "infinite": (changed_outputs(lambda y: y / 0), "forward's output is not finite"),
    "keeps state": (CarriedState, "forward gives other outputs when called again"),
    "always drops out": (AlwaysDropping, "forward gives other outputs when called again"),
    "global dropout": (GlobalDropout, "forward_with_cache gives other outputs for the same rng"),
    "draws by itself": (DrawsByItself, "forward_with_cache differs between two challengers"),
    "starts by itself": (StartsByItself, "forward differs between two challengers of one seed"),
    "running averages": (RunningMean, "forward gives other outputs after a training pass"),
    "keeps params": (KeepsParams, "outputs differ once params are restored"),
    "changes x": (ChangesX, "forward changes x in place; work on a copy"),
    "changes d_outputs": (ChangesGradients, "backward changes d_outputs in place"),
    "changes params": (ChangesParams, r"forward changes params\['b'\] in place"),
    "copies of params": (Copies, "outputs stay the same when params are changed in place"),
    "rows mixed": (OtherRows, "a row's output depends on other rows"),
    "one row": (OneRowFails, r"forward with one row's output has shape \(6,\)"),
    "no gradients": (
        broken(backward=lambda self, d_outputs, cache: {}),
        "backward returned a dict without a dict params",
    ),
    "a gradient missing": (changed_gradients(without("U")), "backward's gradients lack U"),
    "a gradient misnamed": (
        changed_gradients(lambda g: g | {"V": g["U"]}),
        "backward's gradients have unknown V",
    ),
    "a gradient's shape": (
        changed_gradients(lambda g: g | {"b": g["b"][None]}),
        r"backward's gradient of b has shape \(1, 8\); expected \(8,\)",
    ),
    "a gradient's dtype": (
        changed_gradients(lambda g: g | {"b": g["b"].astype(float)}),
        "backward's gradient of b is float64; expected float32",
    ),
    "a gradient's NaN": (
        changed_gradients(lambda g: g | {"b": g["b"] * np.float32(np.nan)}),
        "backward's gradient of b is not finite",
    ),
    "no gradient at all": (
        changed_gradients(lambda g: {n: np.zeros_like(v) for n, v in g.items()}),
        "backward gives zero for every parameter",
    ),
    "gradients that differ": (GradientOfItsOwn, "backward gives other gradients"),
    "no gradient of b": (
        changed_gradients(scaled("b", 0)),
        "the gradient of b gives",
    ),
    "half of U": (
        changed_gradients(scaled("U", 0.5)),
        "the gradient of U gives",
    ),
    "a wrong sign": (
        changed_gradients(scaled("W_out", -1)),
        "the gradient of W_out gives",
    ),
    "a transposed one": (
        changed_gradients(lambda g: g | {"U": g["U"].T}),
        "along one direction the gradient of U gives .*, and differences",
    ),
    "validation trains": (TrainedByValidation, "3 training steps from one seed end at other"),
}


def self_forward(model, x):
    return ReLUNetwork.forward_with_cache(model, x, False)[0]


@pytest.mark.parametrize(("cls", "message"), BAD.values(), ids=BAD)
def test_a_bad_challenger_is_refused_by_name_in_one_line(cls, message):
    with pytest.raises(InputError, match=f"^mine: .*{message}") as refused:
        check(cls)
    assert "\n" not in str(refused.value)


def test_lengths_that_are_ignored_are_refused(ragged):
    for per_step in (False, True):
        cls = IgnoresLengths if not per_step else OtherPadding
        with pytest.raises(InputError, match="mine: outputs depend on the padding"):
            check(cls, ragged(per_step))


class OtherPadding(ReLUNetwork):
    """Averages over time, padding included."""

    def forward(self, x, *args, **options):
        return super().forward(x, *args, **options) + x.mean(axis=(1, 2))[:, None, None]


def test_looking_ahead_is_refused_where_every_step_has_a_target():
    with pytest.raises(InputError, match="mine: outputs depend on later steps"):
        check(LooksAhead, COPY)
    with pytest.raises(InputError, match="mine: outputs depend on later steps"):
        check(LSTM, COPY, hidden_size=5, bidirectional=True)


@pytest.mark.parametrize("trained", [False, True])
@pytest.mark.parametrize("lengths", [40, [3, 40]], ids=str)
def test_one_symbol_ahead_is_seen_among_two_and_in_rows_of_any_length(lengths, trained):
    task = make_task("parity", lengths=lengths, every_step=True)
    sample = Sample.of_test(task, 0) if trained else Sample.of(task)
    for cls in (ReLUNetwork, SeesTheNextSymbol):
        model = make_challenger(cls, task.input_size, task.output_size, {}, 0)
        wrapped = OneHotInputs(model, task.input_size)
        if cls is ReLUNetwork:
            check_independence(wrapped, sample, trained=trained)
        else:
            with pytest.raises(InputError, match="outputs depend on later steps"):
                check_independence(wrapped, sample, trained=trained)


def test_a_check_leaves_no_trace():
    before = random.getstate()
    made = []

    def make(seed):
        made.append(make_challenger(ReLUNetwork, PAIRS.input_size, PAIRS.output_size, {}, seed))
        return made[-1]

    check_challenger(make, PAIRS, "mine")
    assert random.getstate() == before
    untouched = make_challenger(ReLUNetwork, PAIRS.input_size, PAIRS.output_size, {}, 0)
    for name, value in made[0].params.items():
        np.testing.assert_array_equal(value, untouched.params[name])


class TestExamples:
    @pytest.fixture(autouse=True)
    def _in_the_folder(self, monkeypatch):
        monkeypatch.chdir(EXAMPLES)
        monkeypatch.setattr(sys, "path", [*sys.path])

    @pytest.fixture(
        params=[
            "challengers:TorchGRU",
            "challengers:CausalAttention",
            "own_cell:MinimalGatedUnit",
        ]
    )
    def cls(self, request):
        if request.param.startswith("challengers"):
            pytest.importorskip("torch", reason="the example is a network of PyTorch")
        return load_class(request.param)

    def test_it_keeps_every_promise_at_any_width(self, cls, ragged):
        for width in (1, 5, 16):
            check(cls, PAIRS, **{width_argument(cls): width})
            check(cls, COPY, **{width_argument(cls): width})
            check(cls, ragged(), **{width_argument(cls): width})

    def test_it_learns_what_no_heuristic_can(self, cls):
        sizes = PAIRS.input_size, PAIRS.output_size
        model = make_challenger(cls, *sizes, {width_argument(cls): 16}, 0)
        settings = TrainingSettings(num_steps=600, batch_size=64, learning_rate=1e-2)
        train(model, PAIRS, settings, seed=0)
        heuristic = max(rung.score for rung in PAIRS.ladder() if rung.kind != "oracle")
        assert evaluate(model, PAIRS, PAIRS.test(0)) > heuristic + 0.2

    def test_operations_of_a_step(self, cls):
        I, O, T, W = PAIRS.input_size, PAIRS.output_size, 3, 7
        model = make_challenger(cls, I, O, {width_argument(cls): W}, 0)
        F = 2 * W
        products = {
            "TorchGRU": 3 * W * (I + W) + O * W,
            "CausalAttention": I * F + 2 * (8 * F * F + 2 * T * F) + O * F,
            "MinimalGatedUnit": 2 * W * (I + W) + O * W,
        }
        assert flops_per_step(model, PAIRS) == 2 * products[cls.__name__]


def test_operations_of_a_challenger_that_does_not_say_are_unknown():
    assert flops_per_step(ReLUNetwork(13, 6, rng=np.random.default_rng(0)), PAIRS) is None
