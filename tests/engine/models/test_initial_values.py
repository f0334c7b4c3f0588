"""How an LSTM's parameters start, by name."""

import numpy as np
import pytest

from lstm_baseline import LSTM
from lstm_baseline.engine.errors import InputError
from tests.support.models import assert_same_arrays

I, H = 40, 50


def start(initialization, **options):
    model = LSTM(I, H, initialization=initialization, **options, dtype=np.float64, rng=0)
    return model.params


def bias(params, gate, gates="fico"):
    first = gates.index(gate) * H
    return params["b"][first : first + H]


@pytest.mark.parametrize("name", ["baseline", ("chrono", 50)], ids=str)
def test_baseline_matrices_gate_by_gate(name):
    params = start(name)
    limit = np.sqrt(6 / (I + H))
    assert limit * 0.99 < np.abs(params["W"]).max() <= limit
    for U in np.split(params["U"], 4):
        np.testing.assert_allclose(U @ U.T, np.eye(H), atol=1e-12)


def test_keras_takes_all_gates_as_one_matrix():
    params = start("keras")
    limit = np.sqrt(6 / (I + 4 * H))
    assert limit * 0.99 < np.abs(params["W"]).max() <= limit
    np.testing.assert_allclose(params["U"].T @ params["U"], np.eye(H), atol=1e-12)


def test_flax_has_lecun_s_deviation():
    params = start("flax")
    deviation = np.sqrt(1 / I)
    assert params["W"].std() == pytest.approx(deviation, rel=0.02)
    assert np.abs(params["W"]).max() <= 2 * deviation / 0.8796
    for U in np.split(params["U"], 4):
        np.testing.assert_allclose(U @ U.T, np.eye(H), atol=1e-12)
    assert not params["b"].any()


def test_torch_draws_everything_alike():
    torch = pytest.importorskip("torch", reason="compares with PyTorch, which is not installed")
    torch.manual_seed(0)
    peer = torch.nn.LSTM(I, H, proj_size=30)
    b = (peer.bias_ih_l0 + peer.bias_hh_l0).detach().numpy()
    params = start("torch", projection_size=30, peepholes=True)
    for own, its in (
        (params["W"], peer.weight_ih_l0.detach().numpy()),
        (params["U"], peer.weight_hh_l0.detach().numpy()),
        (params["W_proj"], peer.weight_hr_l0.detach().numpy()),
        (params["b"], b),
    ):
        assert own.std() == pytest.approx(its.std(), rel=0.1)
        assert np.abs(own).max() == pytest.approx(np.abs(its).max(), rel=0.1)
    assert 0.05 < params["p_i"].std() < 0.1


@pytest.mark.parametrize(
    ("name", "forget"), [("baseline", 1), ("keras", 1), ("flax", 0), ("zeros", 0)]
)
def test_forget_biases(name, forget):
    params = start(name)
    np.testing.assert_array_equal(bias(params, "f"), forget)
    for gate in "ico":
        assert not bias(params, gate).any()


@pytest.mark.parametrize("name", ["baseline", "torch", "keras", "flax", "zeros"])
def test_a_forget_bias_of_one_s_own(name):
    params, others = start(name, forget_bias=2.5), start(name)
    np.testing.assert_array_equal(bias(params, "f"), 2.5)
    for gate in "ico":
        np.testing.assert_array_equal(bias(params, gate), bias(others, gate))
    coupled = start(name, forget_bias=2.5, coupled_gates=True)
    np.testing.assert_array_equal(bias(coupled, "i", "ico"), -2.5)


def test_chrono_spreads_memory_over_all_times():
    params = start(("chrono", 1000))
    times = np.exp(bias(params, "f"))
    assert times.min() >= 1
    assert times.max() <= 999
    assert times.mean() == pytest.approx(500, rel=0.2)
    np.testing.assert_array_equal(bias(params, "i"), -bias(params, "f"))
    coupled = start(("chrono", 1000), coupled_gates=True)
    assert bias(coupled, "i", "ico").max() <= 0


def test_zeros_are_zeros_but_for_gains():
    for name, value in start("zeros", layer_norm=True, peepholes=True, projection_size=7).items():
        assert (value == (name.startswith("gain"))).all()


def test_the_seed_decides():
    for name in ("baseline", "torch", "keras", "flax", ("chrono", 9)):
        assert_same_arrays(start(name), start(name))


def test_without_biases_there_is_none_to_open():
    assert "b" not in start("torch", bias=False)
    assert "b" not in start("baseline", bias=False)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"initialization": "xavier"}, "initialization is 'xavier'"),
        ({"initialization": "chrono"}, "chrono with a time of at least 3 steps"),
        ({"initialization": ("chrono", 2)}, "chrono with a time of at least 3 steps"),
        ({"initialization": ("chrono", 9), "forget_bias": 1}, "leave one out"),
        ({"forget_bias": np.nan}, "forget_bias is nan"),
        ({"forget_bias": 1, "bias": False}, "forget_bias sets biases, and with bias=False"),
        ({"initialization": ("chrono", 9), "bias": False}, "sets biases, and with bias=False"),
        ({"initialization": None}, "initialization is None"),
        ({"initialization": 5}, "initialization is 5"),
    ],
    ids=str,
)
def test_what_cannot_be_is_refused(options, message):
    with pytest.raises(InputError, match=message):
        LSTM(I, H, **options)
