"""A network of PyTorch under our losses, clipping and optimizer: the same as PyTorch alone."""

import warnings

import numpy as np
import pytest

from lstm_baseline.engine.errors import InputError
from lstm_baseline.tasks import make_task
from lstm_baseline.testing import ModelConformance
from lstm_baseline.training import SGD, Adam, AdamW, RMSProp, TrainingSettings, evaluate, train
from tests.support.models import assert_same_arrays, normal

torch = pytest.importorskip("torch", reason="trains networks of PyTorch, which is not installed")

from torch import nn  # noqa: E402

from lstm_baseline.contestants.challenger import check_challenger, make_challenger  # noqa: E402
from lstm_baseline.contestants.torch_model import TorchModel  # noqa: E402

I, H, O = 3, 5, 2
PAIRS = make_task("pair-matching", num_pairs=2, num_symbols=6)


class Recurrent(nn.Module):
    """An LSTM or GRU and a readout, (B, T, I) -> (B, T, O)."""

    def __init__(
        self, input_size=I, output_size=O, hidden_size=H, dropout=0.0, kind="LSTM", **form
    ):
        super().__init__()
        self.cell = getattr(nn, kind)(input_size, hidden_size, batch_first=True, **form)
        self.drop = nn.Dropout(dropout)
        directions = 2 if form.get("bidirectional") else 1
        self.readout = nn.Linear(directions * hidden_size, output_size)

    def forward(self, x):
        return self.readout(self.drop(self.cell(x)[0]))


class Pooled(nn.Module):
    """Attention over all steps and their mean, (B, T, I) -> (B, O)."""

    def __init__(self, input_size=I, output_size=O, hidden_size=H):
        super().__init__()
        self.attention = nn.MultiheadAttention(input_size, 1, batch_first=True)
        self.readout = nn.Linear(input_size, output_size)

    def forward(self, x):
        return self.readout(self.attention(x, x, x)[0].mean(1))


def seeded(make, *args, dtype=torch.float64, **options):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return make(*args, **options).to(dtype)


def module_of(forward, **attributes):
    """Return a module with a linear map and some other forward."""
    module = nn.Linear(I, O, dtype=torch.float64)
    for name, value in attributes.items():
        setattr(module, name, value)
    module.forward = lambda x: forward(module, x)
    return module


def linear(module, x):
    return nn.functional.linear(x, module.weight, module.bias)


def test_training_ends_where_pytorch_alone_does():
    settings = TrainingSettings(num_steps=50, clip_norm=0.2, schedule="constant", evaluate_every=50)
    sizes = PAIRS.input_size, PAIRS.output_size
    ours, theirs = seeded(Recurrent, *sizes), seeded(Recurrent, *sizes)
    result = train(TorchModel(ours), PAIRS, settings, seed=3)
    assert result.best_step == 50
    optimizer = torch.optim.Adam(theirs.parameters(), lr=settings.learning_rate)
    clipped = 0
    for step in range(settings.num_steps):
        batch = PAIRS.train_batch(step, settings.batch_size, 3)
        optimizer.zero_grad()
        outputs = theirs(torch.tensor(batch.x).double())[:, -1]
        nn.functional.cross_entropy(outputs, torch.tensor(batch.y)).backward()
        # Not clip_grad_norm_, which adds 1e-6 to the norm.
        norm = torch.stack([p.grad.square().sum() for p in theirs.parameters()]).sum().sqrt()
        clipped += bool(norm > settings.clip_norm)
        for p in theirs.parameters():
            p.grad *= min(1.0, settings.clip_norm / float(norm))
        optimizer.step()
    assert 0 < clipped < 50
    for (name, own), other in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        np.testing.assert_allclose(own.detach(), other.detach(), rtol=0, atol=1e-12, err_msg=name)


class TestParams:
    def test_they_are_the_module_s_own_memory(self):
        module = seeded(Recurrent)
        model = TorchModel(module)
        assert model.params.keys() == dict(module.named_parameters()).keys()
        assert model.num_params == sum(p.numel() for p in module.parameters())
        model.params["readout.bias"] += 1
        np.testing.assert_array_equal(
            model.params["readout.bias"], module.readout.bias.detach().numpy()
        )
        for name, p in module.named_parameters():
            assert np.shares_memory(model.params[name], p.detach().numpy())

    def test_shared_ones_appear_once_and_frozen_ones_not_at_all(self):
        module = nn.Sequential(nn.Linear(I, I), nn.Linear(I, I), nn.Linear(I, I)).double()
        module[1].weight = module[0].weight
        module[2].weight.requires_grad_(False)
        assert TorchModel(module).params.keys() == {"0.weight", "0.bias", "1.bias", "2.bias"}

    def test_what_is_held_beside_them_is_counted_once(self):
        """A reservoir may be a buffer, a frozen parameter, or hidden among the attributes."""
        module = Recurrent(3, 2)
        assert TorchModel(module).num_fixed == 0
        module.register_buffer("reservoir", torch.zeros(10, 10))
        module.frozen = nn.Parameter(torch.zeros(7), requires_grad=False)
        module.again = [module.frozen, {"table": np.zeros((2, 3)), "number": 1.0}]
        module.again.append(module.again)
        module.part = nn.Sequential(nn.Identity())
        module.part[0].hidden = (torch.zeros(4),)
        assert TorchModel(module).num_fixed == 100 + 7 + 6 + 4
        assert TorchModel(module).num_params == TorchModel(Recurrent(3, 2)).num_params

    @pytest.mark.parametrize("optimizer", [SGD, Adam, AdamW, RMSProp])
    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    def test_single_numbers_and_transposed_arrays_are_trained(self, optimizer, dtype):
        module = module_of(lambda m, x: m.scale * (x @ m.turned))
        module.scale = nn.Parameter(torch.tensor(2.0))
        module.turned = nn.Parameter(torch.randn(O, I).T)
        model = TorchModel(module.to(dtype))
        assert model.params["scale"].shape == (1,)
        before = {name: value.copy() for name, value in model.params.items()}
        outputs, cache = model.forward_with_cache(normal(2, 4, I))
        gradients = model.backward(np.ones_like(outputs), cache).params
        optimizer(model.params).update(gradients, 0.1)
        for name in ("scale", "turned"):
            assert not np.array_equal(model.params[name], before[name])
            p = getattr(module, name).detach().numpy()
            np.testing.assert_array_equal(p.reshape(model.params[name].shape), model.params[name])

    def test_parameters_without_effect_have_gradient_zero(self):
        module = module_of(linear, unused=nn.Linear(2, 2, dtype=torch.float64))
        model = TorchModel(module)
        outputs, cache = model.forward_with_cache(normal(2, 4, I))
        gradients = model.backward(np.ones_like(outputs), cache).params
        assert gradients.keys() == model.params.keys()
        assert not gradients["unused.weight"].any()
        assert gradients["weight"].any()

    def test_the_configuration_tells_shapes_and_class(self):
        one, other = (TorchModel(seeded(Recurrent, hidden_size=h)).config for h in (5, 6))
        assert one["module"].endswith("test_torch_model:Recurrent")
        assert one["params"]["readout.weight"] == [2, 5]
        assert one != other


class TestOutputs:
    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    def test_every_step_or_the_last(self, dtype):
        module, x = seeded(Recurrent, dtype=dtype), normal(2, 4, I)
        expected = module(torch.tensor(x).to(dtype)).detach().numpy()
        model = TorchModel(module)
        np.testing.assert_allclose(model.forward(x), expected, atol=1e-6)
        np.testing.assert_array_equal(model.forward(x, False), model.forward(x)[:, -1])
        assert model.forward(x).dtype == expected.dtype

    def test_one_output_a_row(self):
        model = TorchModel(seeded(Pooled))
        assert model.forward(normal(2, 4, I), False).shape == (2, O)
        message = r"Pooled returned \(2, 2\), one output a row, where every step"
        with pytest.raises(InputError, match=message):
            model.forward(normal(2, 4, I))

    @pytest.mark.parametrize(
        "make",
        [Recurrent, lambda: Recurrent(bidirectional=True), Pooled],
        ids=["recurrent", "both ways", "pooled"],
    )
    @pytest.mark.parametrize("sequences", [True, False])
    def test_each_row_is_cut_to_its_length(self, make, sequences):
        model = TorchModel(seeded(make))
        if sequences and make is Pooled:
            pytest.skip("one output a row")
        lengths = np.array([2, 5, 1, 5, 2])
        x = normal(5, 5, I)
        x[np.arange(5) >= lengths[:, None]] = np.nan
        outputs, cache = model.forward_with_cache(x, sequences, lengths=lengths)
        np.testing.assert_array_equal(outputs, model.forward(x, sequences, lengths=lengths))
        gradients = model.backward(outputs, cache)
        summed = {name: np.zeros_like(value) for name, value in model.params.items()}
        for row, n in enumerate(lengths):
            alone, its_cache = model.forward_with_cache(x[row : row + 1, :n], sequences)
            given = outputs[row : row + 1, :n] if sequences else outputs[row : row + 1]
            np.testing.assert_allclose(given, alone, rtol=0, atol=1e-14)
            its = model.backward(alone, its_cache)
            np.testing.assert_allclose(gradients.x[row, :n], its.x[0], rtol=0, atol=1e-14)
            for name, value in its.params.items():
                summed[name] += value
        assert_same_arrays(gradients.params, summed, tolerance=1e-13)
        assert not gradients.x[np.isnan(x)].any()
        if sequences:
            assert not outputs[np.isnan(x).any(axis=2)].any()

    def test_a_module_may_change_what_it_is_given(self):
        model, x = TorchModel(module_of(lambda m, x: linear(m, x.mul_(2)))), normal(2, 4, I)
        before = x.copy()
        outputs, cache = model.forward_with_cache(x)
        expected = 2 * np.ones_like(outputs) @ model.params["weight"]
        np.testing.assert_allclose(model.backward(np.ones_like(outputs), cache).x, expected)
        np.testing.assert_array_equal(x, before)

    def test_outputs_are_no_memory_of_the_module(self):
        model = TorchModel(module_of(lambda m, x: m.bias.expand(len(x), O)))
        outputs = model.forward(normal(2, 4, I), False)
        before = outputs.copy()
        model.params["bias"] += 1
        np.testing.assert_array_equal(outputs, before)


class TestGradients:
    def test_those_of_x_and_a_second_time(self):
        model, x = TorchModel(seeded(Recurrent, dropout=0.5)), normal(2, 4, I)
        outputs, cache = model.forward_with_cache(x, rng=7)
        first, second = model.backward(outputs, cache), model.backward(outputs, cache)
        assert_same_arrays(first.params, second.params)
        np.testing.assert_array_equal(first.x, second.x)
        shifted = x.copy()
        shifted[1, 2, 0] += 1e-6
        moved, _ = model.forward_with_cache(shifted, rng=7)
        slope = ((moved - model.forward_with_cache(x, rng=7)[0]) * outputs).sum() / 1e-6
        assert first.x[1, 2, 0] == pytest.approx(slope, rel=1e-4)

    def test_the_module_runs_once_unless_more_is_asked(self):
        calls = []
        model = TorchModel(module_of(lambda m, x: calls.append(len(x)) or linear(m, x)))
        outputs, cache = model.forward_with_cache(normal(2, 4, I))
        gradients = model.backward(outputs, cache)
        assert len(calls) == 1
        assert gradients.x is gradients.x
        assert len(calls) == 2

    def test_dropout_follows_the_rng_and_nothing_else(self):
        model, x = TorchModel(seeded(Recurrent, dropout=0.5)), normal(2, 4, I)
        before = torch.get_rng_state()
        runs = [model.forward_with_cache(x, rng=np.random.default_rng(s))[0] for s in (1, 1, 2)]
        assert torch.equal(torch.get_rng_state(), before)
        np.testing.assert_array_equal(runs[0], runs[1])
        assert not np.array_equal(runs[0], runs[2])
        np.testing.assert_array_equal(model.forward_with_cache(x)[0], model.forward(x))

    def test_number_of_threads_stays_and_changes_no_bit(self):
        model, x = TorchModel(seeded(Recurrent, hidden_size=64)), normal(64, 20, I)
        before, found = torch.get_num_threads(), []
        try:
            for threads in (1, 2):
                torch.set_num_threads(threads)
                outputs, cache = model.forward_with_cache(x)
                found.append(model.backward(outputs, cache).params | {"outputs": outputs})
                assert torch.get_num_threads() == threads
        finally:
            torch.set_num_threads(before)
        assert_same_arrays(*found)


class TestTraining:
    def test_stopped_and_resumed_ends_with_the_same_bits(self, tmp_path):
        class Stop(Exception):
            pass

        def stop(record):
            if record.step == 20:
                raise Stop

        def make():
            return TorchModel(seeded(Recurrent, PAIRS.input_size, PAIRS.output_size, dropout=0.2))

        settings = TrainingSettings(num_steps=40, evaluate_every=10)
        whole, resumed = make(), make()
        train(whole, PAIRS, settings, seed=1)
        with pytest.raises(Stop):
            train(make(), PAIRS, settings, seed=1, folder=tmp_path, on_validation=stop)
        train(resumed, PAIRS, settings, seed=1, folder=tmp_path)
        assert_same_arrays(resumed.params, whole.params)
        assert evaluate(resumed, PAIRS, PAIRS.test(0)) == evaluate(whole, PAIRS, PAIRS.test(0))

    @pytest.mark.parametrize("option", ["truncate", "recompute"])
    def test_windows_and_recomputation_are_refused(self, option):
        model = TorchModel(seeded(Recurrent, PAIRS.input_size, PAIRS.output_size))
        settings = TrainingSettings(num_steps=2, **{option: 1})
        message = "recompute is set; Recurrent" if option == "recompute" else "has no state"
        with pytest.raises(InputError, match=message):
            train(model, PAIRS, settings, seed=0)


class TestRefusals:
    @pytest.mark.parametrize(
        ("module", "message"),
        [
            (3, r"TorchModel got a int; give an nn\.Module"),
            (nn.ReLU(), "ReLU has no parameter that requires a gradient"),
            (nn.Linear(2, 2).half(), r"Linear's parameters are float16; call \.float\(\)"),
            (nn.Linear(2, 2).bfloat16(), "parameters are bfloat16"),
            (nn.Linear(2, 2, device="meta"), "weight is on meta; call .cpu"),
            (
                nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2).double()),
                "parameters are float32, float64; call",
            ),
        ],
        ids=str,
    )
    def test_modules(self, module, message):
        with pytest.raises(InputError, match=message):
            TorchModel(module)

    def test_lazy_modules(self):
        with warnings.catch_warnings():  # older versions warn of them
            warnings.simplefilter("ignore")
            module = nn.LazyLinear(3)
        with pytest.raises(InputError, match="LazyLinear's weight has no shape yet"):
            TorchModel(module)

    @pytest.mark.parametrize(
        ("forward", "message"),
        [
            (lambda m, x: (linear(m, x), None), "Linear returned a tuple; return a tensor"),
            (lambda m, x: linear(m, x).float(), "returned float32; its parameters are float64"),
            (lambda m, x: linear(m, x)[:, :-1], r"returned shape \(2, 3, 2\); return a tensor"),
            (lambda m, x: linear(m, x).sum(), r"returned shape \(\); return a tensor"),
            (lambda m, x: linear(m, x)[:1, 0], r"returned shape \(1, 2\)"),
        ],
    )
    def test_what_a_module_returns(self, forward, message):
        model = TorchModel(module_of(forward))
        with pytest.raises(InputError, match=message):
            model.forward(normal(2, 4, I), False)
        with pytest.raises(InputError, match=message):
            model.forward_with_cache(normal(2, 4, I), False)

    @pytest.mark.parametrize(
        ("x", "options", "message"),
        [
            (np.zeros((2, I)), {}, r"x has shape \(2, 3\); give \(batch, time, features\)"),
            (np.zeros((2, 0, I)), {}, "at least one step"),
            (np.zeros((2, 4, I)), {"lengths": [4]}, "lengths has shape"),
            (np.zeros((2, 4, I)), {"lengths": [0, 4]}, "lengths holds 0; a torch module has no"),
        ],
    )
    def test_inputs(self, x, options, message):
        model = TorchModel(seeded(Recurrent))
        with pytest.raises(InputError, match=message):
            model.forward(x, **options)
        with pytest.raises(InputError, match=message):
            model.forward_with_cache(x, **options)

    def test_states_and_gradients(self):
        model = TorchModel(seeded(Recurrent))
        with pytest.raises(InputError, match="initial_state is set; Recurrent is a torch module"):
            model.forward_with_cache(normal(2, 4, I), initial_state=(1,))
        _, cache = model.forward_with_cache(normal(2, 4, I))
        with pytest.raises(InputError, match=r"d_outputs has shape \(2, 2\); expected \(2, 4, 2\)"):
            model.backward(np.zeros((2, 2)), cache)

    def test_buffers_that_change_in_training(self):
        class Normed(nn.Module):
            def __init__(self):
                super().__init__()
                self.map, self.norm = nn.Linear(I, O), nn.BatchNorm1d(O)
                self.register_buffer("constant", torch.ones(3))
                self.register_buffer("seen", torch.zeros(1), persistent=False)

            def forward(self, x):
                self.seen += 1
                return self.norm(self.map(x).mT).mT

        model = TorchModel(Normed())
        model.forward(normal(2, 4, I))
        with pytest.raises(InputError, match=r"Normed's buffer norm\.running_mean changes in tra"):
            model.forward_with_cache(normal(2, 4, I), rng=0)
        free = Normed()
        free.norm = nn.Identity()
        TorchModel(free).forward_with_cache(normal(2, 4, I), rng=0)


class TestOperations:
    @pytest.mark.parametrize(("kind", "gates"), [("RNN", 1), ("GRU", 3), ("LSTM", 4)])
    def test_recurrent_layers(self, kind, gates):
        model = TorchModel(seeded(Recurrent, kind=kind, dtype=torch.float32))
        flops = 2 * (gates * H * (I + H) + O * H)
        assert model.count_flops(normal(1, 7, I)) == 7 * flops
        assert model.count_flops(normal(3, 7, I)) == 21 * flops

    def test_attention(self):
        model = TorchModel(seeded(Pooled, dtype=torch.float32))
        # Queries, keys, values and their readout; scores and reads; the readout of the mean.
        flops = 2 * (7 * 4 * I * I + 2 * 7 * 7 * I + O * I)
        assert model.count_flops(normal(1, 7, I)) == flops

    @pytest.mark.parametrize(
        "uncounted",
        [
            lambda m, x: linear(m, x) + (x @ m.weight[0])[..., None],
            lambda m, x: linear(m, x) + torch.cdist(x, x).mean(),
        ],
    )
    def test_unknown_ones_make_the_number_unknown(self, uncounted):
        assert TorchModel(module_of(uncounted)).count_flops(normal(1, 7, I)) is None


class TestConformance(ModelConformance):
    input_size = I
    rows_without_steps = False

    def make_model(self, seed):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return TorchModel(Recurrent(dropout=0.3).double())


class Width(nn.Module):
    def __init__(self, input_size, output_size, hidden_size=4):
        super().__init__()
        self.cell = nn.GRU(input_size, hidden_size, batch_first=True)
        self.readout = nn.Linear(hidden_size, output_size)

    def forward(self, x):
        return self.readout(self.cell(x)[0])


class OwnSeed(Width):
    def __init__(self, input_size, output_size):
        torch.manual_seed(3)
        super().__init__(input_size, output_size)


class TimeFirst(Width):
    def __init__(self, input_size, output_size):
        super().__init__(input_size, output_size)
        self.cell.batch_first = False


class AlwaysDropping(Width):
    def forward(self, x):
        return nn.functional.dropout(super().forward(x), 0.5)


class NumPyNoise(Width):
    def forward(self, x):
        noise = np.random.standard_normal() if self.training else 0.0  # noqa: NPY002
        return super().forward(x) + noise


class Detached(Width):
    def forward(self, x):
        return super().forward(x).detach()


class StraightThrough(Width):
    """Its gradients are meant not to be derivatives."""

    def forward(self, x):
        y = super().forward(x)
        return y + (torch.round(y) - y).detach() + 0.1 * y.detach()


class Batched(Width):
    def forward(self, x):
        y = super().forward(x)
        return y - y.mean(0)


class Returning(Width):
    def forward(self, x):
        return self.cell(x)


class Misfit(Width):
    def forward(self, x):
        return self.readout(x)


class Counting(Width):
    calls = 0

    def forward(self, x):
        self.calls += self.training
        return super().forward(x) * (1 + self.calls)


class Normalised(Width):
    def __init__(self, input_size, output_size):
        super().__init__(input_size, output_size)
        self.norm = nn.BatchNorm1d(output_size)

    def forward(self, x):
        return self.norm(super().forward(x).mT).mT


@pytest.mark.parametrize(
    ("cls", "message"),
    [
        (OwnSeed, "parameters are the same under every seed"),
        (TimeFirst, r"depends on other rows; is the first axis taken for time \(batch_fi"),
        (AlwaysDropping, "forward gives other outputs when called again"),
        (NumPyNoise, "forward_with_cache gives other outputs for the same rng"),
        (Detached, "backward gives zero for every parameter"),
        (Batched, "a row's output depends on other rows"),
        (Returning, "Returning returned a tuple; return a tensor"),
        (Misfit, r"forward raised RuntimeError: .* \(test_torch_model\.py, line \d+\)$"),
        (Counting, "forward_with_cache gives other outputs for the same rng"),
        (Normalised, r"buffer norm\.running_mean changes in training"),
    ],
)
def test_a_bad_module_is_refused_as_a_challenger(cls, message):
    with pytest.raises(InputError, match=f"^mine: .*({message})"):
        check(cls)


@pytest.mark.parametrize("cls", [Width, StraightThrough])
def test_a_good_module_is_none_the_worse_for_the_check(cls):
    before = torch.get_rng_state()
    check(cls)
    assert torch.equal(torch.get_rng_state(), before)


def check(cls):
    sizes = PAIRS.input_size, PAIRS.output_size
    check_challenger(lambda seed: make_challenger(cls, *sizes, {}, seed), PAIRS, "mine")
