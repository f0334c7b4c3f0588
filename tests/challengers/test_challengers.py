"""The challengers as contestants: they are found by name, checked, and made at any width."""

import tomllib

import numpy as np
import pytest

from lstm_baseline import InputError, challengers
from lstm_baseline.contestants.challenger import check_challenger, flops_per_step
from lstm_baseline.contestants.contestant import Contestant
from lstm_baseline.contestants.match import match_widths
from lstm_baseline.engine.models import MODELS
from lstm_baseline.race.compare import compare
from lstm_baseline.race.race import made_with
from lstm_baseline.race.race_file import RaceFile
from lstm_baseline.tasks import make_task
from lstm_baseline.training import TrainingSettings, train


def test_names_are_nobody_else_s():
    assert not {*challengers.NAMES} & {*MODELS}


def test_without_pytorch_the_extra_is_named(monkeypatch):
    monkeypatch.setattr(challengers, "find_spec", lambda name: None)
    for name in challengers.NAMES:
        with pytest.raises(InputError, match=rf"{name} is a network of PyTorch.*\[torch\]"):
            challengers.challenger_class(name)


def test_a_name_that_is_none_is_refused_with_the_likely_one():
    with pytest.raises(InputError, match=r"no model is named 'deltanett'; .*mean 'deltanet'"):
        Contestant.model_validate("deltanett").build(make_task("parity"), 4, 0)


@pytest.fixture
def torch():
    return pytest.importorskip("torch")


@pytest.mark.usefixtures("torch")
@pytest.mark.parametrize("name", challengers.NAMES)
class TestEach:
    def build(self, name, task, width=4, **arguments):
        return Contestant(name="it", model=name, arguments=arguments).build(task, width, 0)

    @pytest.mark.parametrize(
        ("task", "arguments"),
        [
            ("parity", {"lengths": [3, 8]}),
            ("word-problem", {"lengths": 5}),
            ("adding", {"length": 9}),
        ],
    )
    def test_it_passes_the_checks_of_challengers(self, name, task, arguments):
        made = make_task(task, **arguments)
        contestant = Contestant.model_validate(name)
        check_challenger(lambda seed: contestant.build(made, 4, seed), made, name)

    @pytest.mark.parametrize("width", [1, 2, 3, 7])
    def test_it_runs_at_any_width(self, name, width):
        task = make_task("adding", length=9)
        contestant = Contestant.model_validate(name)
        model = contestant.build(task, width, 0)
        assert np.isfinite(model.forward(task.train_batch(0, 3, 0).x, True)).all()
        assert contestant.size(task, width, "flops") > 0
        grows_with_steps = name == "transformer"
        assert (model.state_size is None) == grows_with_steps
        if not grows_with_steps:
            assert contestant.size(task, width, "state") == model.state_size

    def test_rows_of_all_lengths_run_together_as_alone(self, name):
        task = make_task("word-problem", lengths=[2, 9])
        model = self.build(name, task, **({} if name == "echo-state" else {"num_layers": 2}))
        batch = task.train_batch(0, 20, 0)
        together = model.forward(batch.x, True, lengths=batch.lengths)
        last = model.forward(batch.x, False, lengths=batch.lengths)
        for row, length in enumerate(batch.lengths):
            alone = model.forward(batch.x[row : row + 1, :length], True)[0]
            np.testing.assert_allclose(together[row, :length], alone, atol=1e-5)
            np.testing.assert_allclose(last[row], alone[-1], atol=1e-5)
            assert not together[row, length:].any()

    def test_it_learns(self, name):
        """One or two symbols at a time, of which the first alone needs no state."""
        task = make_task("cycle-navigation", lengths=[1, 2], every_step=True)
        model = self.build(name, task, 8)
        settings = TrainingSettings(num_steps=60, learning_rate=1e-2, evaluate_every=60)
        result = train(model, task, settings, seed=0)
        assert result.history[-1].metric > max(0.6, result.history[0].metric + 0.05)

    def test_it_says_what_it_carries(self, name):
        model = self.build(name, make_task("parity"), 4)
        features = {"hidden_size": 4, "head_size": 16}
        by_name = {
            "slstm": 4 * features["head_size"],
            "mlstm": 4 * (16 + 4 + 1),
            "linear-attention": 4 * (16 + 4),
            "deltanet": 4 * 16,
            "gated-deltanet": 4 * 16,
            "mamba": 8 * (16 + 3),
            "lru": 8,
            "rwkv7": 16 * (4 + 1) + 16,
            "transformer": None,
        }
        assert model.state_size == by_name.get(name, features["hidden_size"])
        for lengths in (20, [3, 40]):
            assert flops_per_step(model, make_task("parity", lengths=lengths)) != 0

    def test_long_rows_and_large_values_stay_finite(self, name):
        task = make_task("adding", length=400)
        model = self.build(name, task)
        x = task.train_batch(0, 3, 0).x
        assert np.isfinite(model.forward(x, True)).all()
        assert np.isfinite(model.forward(1e4 * x, True)).all()

    def test_a_width_is_found_beside_the_lstm(self, name):
        task = make_task("cycle-navigation", lengths=[3, 40])
        made = {each: Contestant.model_validate(each) for each in ("lstm", name)}
        counts = {each: lambda width, one=one: one.size(task, width) for each, one in made.items()}
        widths = match_widths(counts, 30_000)
        sizes = [counts[each](width) for each, width in widths.items()]
        assert max(sizes) <= 1.04 * min(sizes)


@pytest.mark.usefixtures("torch")
def test_with_negative_eigenvalues_a_delta_net_can_tell_odd_from_even():
    """One key, β = 2: each step turns the sign of what is stored."""
    import torch

    from lstm_baseline.challengers.delta_net import delta_rule

    ones = torch.tensor([[1, 0, 1, 1, 0, 1, 0, 0, 1.0]])
    k = torch.ones(1, 9, 1, 1)
    v = torch.zeros(1, 9, 1, 1)
    first = torch.ones(1, 1, 1, 1)
    found = delta_rule(
        torch.cat([first, k], 1),
        torch.cat([first, k], 1),
        torch.cat([first, v], 1),
        torch.cat([torch.ones(1, 1), 2 * ones], 1)[..., None],
        None,
    )
    signs = found[0, 1:, 0, 0]
    np.testing.assert_array_equal(signs < 0, ones[0].cumsum(0) % 2 == 1)


@pytest.mark.usefixtures("torch")
@pytest.mark.parametrize("width", [1, 2, 16, 64, 300])
def test_a_reservoir_has_the_spectral_radius_that_it_is_given(width):
    import torch

    from lstm_baseline.challengers.echo_state import EchoState

    model = EchoState(3, 2, width, spectral_radius=0.8, num_connections=5)
    connections = torch.zeros(width, width)
    rows = torch.arange(width)[:, None].expand(-1, 5)
    connections.index_put_((rows, model.neighbours), model.recurrent, accumulate=True)
    assert torch.linalg.eigvals(connections).abs().max().item() == pytest.approx(0.8, rel=0.02)


@pytest.mark.usefixtures("torch")
@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"leak": 0}, "leak is 0; give a number above 0 and at most 1"),
        ({"leak": 1.5}, "leak is 1.5; give"),
        ({"spectral_radius": 0}, "spectral_radius is 0; give a positive number"),
        ({"num_connections": 0}, "num_connections is 0"),
    ],
)
def test_a_reservoir_that_holds_nothing_is_refused(arguments, told):
    contestant = Contestant(name="it", model="echo-state", arguments=arguments)
    with pytest.raises(InputError, match=told):
        contestant.build(make_task("adding"), 8, 0)


@pytest.mark.usefixtures("torch")
def test_a_transformer_has_no_state_to_be_matched():
    transformer = Contestant.model_validate("transformer")
    with pytest.raises(InputError, match=r"its numbers of state are not known, or grow"):
        transformer.size(make_task("adding"), 8, "state")


@pytest.mark.usefixtures("torch")
def test_a_reservoir_is_counted_beside_what_it_trains():
    task = make_task("adding", length=9)
    contestant = Contestant.model_validate("echo-state")
    model = contestant.build(task, 30, 0)
    assert model.num_params == 30 + 1
    assert model.num_fixed == 30 * (task.input_size + 1 + 2 * 10)
    assert model.state_size == 30
    # Inputs, ten connections and the readout, each a product and a sum.
    assert flops_per_step(model, task) == 2 * 30 * (task.input_size + 10 + 1)


@pytest.mark.usefixtures("torch")
@pytest.mark.parametrize("setting", ["truncate", "recompute"])
def test_settings_that_a_challenger_lacks_are_refused_before_the_start(tmp_path, setting):
    training = {"num_steps": 2, "evaluate_every": 1, setting: 3 if setting == "truncate" else True}
    with pytest.raises(InputError, match=f"{setting} is among .* which lru does not offer"):
        compare(
            tasks=["parity"],
            contestants=["lstm", "lru"],
            parameters=3000,
            seeds=1,
            training=training,
            out=tmp_path / "race",
            quiet=True,
        )


@pytest.mark.usefixtures("torch")
def test_the_version_of_pytorch_is_kept_with_the_race():
    import torch

    text = (
        'contestants = ["lstm", "lru"]\nparameters = 3000\nseeds = 1\n[[tasks]]\ntask = "parity"\n'
    )
    plan = RaceFile.model_validate(tomllib.loads(text)).plan()
    assert plan.hash
    assert made_with(plan)["PyTorch"] == torch.__version__


@pytest.mark.usefixtures("torch")
def test_an_option_that_no_mixer_has_is_refused():
    contestant = Contestant(name="it", model="deltanet", arguments={"negativ": True})
    with pytest.raises(InputError, match="unexpected keyword argument 'negativ'"):
        contestant.build(make_task("parity"), 4, 0)
