"""Outputs, gradients, losses and optimizers against PyTorch in float64.

`pytest -s` shows the largest difference of each model.
"""

import math

import numpy as np
import pytest

from lstm_baseline import GRU, LSTM, RNN, MinGRU, RelationalRNN
from lstm_baseline.training.losses import (
    binary_cross_entropy,
    cross_entropy,
    mean_squared_error,
)
from lstm_baseline.training.optimizers import SGD, Adam, AdamW, RMSProp, clip_by_global_norm
from tests.support.models import assert_same_arrays, normal, random_state, scatter

torch = pytest.importorskip("torch", reason="compares with PyTorch, which is not installed")
from tests.support.relational_torch import TorchRelationalMemory  # noqa: E402

torch.set_num_threads(1)  # more only get in the way of arrays as small as these

TOLERANCE = 1e-10
RAGGED = np.array([1, 6, 4, 2])
B, T = 4, 6

# Where torch keeps the rows of our gates: LSTM i, f, g, o; GRU r, z, n.
TORCH_ORDER = {LSTM: (1, 0, 2, 3), GRU: (0, 1, 2), RNN: (0,)}


@pytest.fixture(scope="module")
def report():
    """Compare dicts of arrays; print the largest difference of each model at the end."""
    largest = {}

    def compare(name, given, expected):
        for key, value in expected.items():
            difference = np.abs(given[key] - value).max()
            largest[name] = max(largest.get(name, 0.0), difference)
        assert_same_arrays(given, expected, TOLERANCE)

    yield compare
    for name, difference in largest.items():
        print(f"\nlargest difference of {name} from torch: {difference:.1e}", end="")


def ours(model, x, start, lengths, d_outputs, d_state):
    """Return outputs, final state and all gradients by name."""
    outputs, *final = model.forward(x, return_state=True, initial_state=start, lengths=lengths)
    _, cache = model.forward_with_cache(x, initial_state=start, lengths=lengths)
    gradients = model.backward(d_outputs, cache, d_state)
    results = {"outputs": outputs, "x": gradients.x} | gradients.params
    for k, part in enumerate(final):
        results |= {f"final {k}": part, f"initial {k}": gradients.initial_state[k]}
    return results


def reorder(array, model_class):
    """Change our order of gates into torch's, or back: both orders swap no more than two gates."""
    order = TORCH_ORDER[model_class]
    parts = np.split(array, len(order))
    return np.concatenate([parts[k] for k in order])


def leaf(array):
    return torch.tensor(array, requires_grad=True)


def torch_gated(model, x, start, lengths, d_outputs, d_state):
    """Run torch.nn.LSTM, GRU or RNN with our weights; return what `ours` does."""
    model_class, p, H = type(model), model.params, model.hidden_size
    make = {LSTM: torch.nn.LSTM, GRU: torch.nn.GRU, RNN: torch.nn.RNN}[model_class]
    peer = make(model.input_size, H, batch_first=True, dtype=torch.float64)
    b_hh = np.zeros_like(p["b"])
    if model_class is GRU:
        b_hh[2 * H :] = p["b_u"]
    weights = (p["W"], p["U"], p["b"])
    with torch.no_grad():
        for name, value in zip(
            ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0"), weights, strict=True
        ):
            getattr(peer, name).copy_(torch.tensor(reorder(value, model_class)))
        peer.bias_hh_l0.copy_(torch.tensor(b_hh))

    x, start = leaf(x), [leaf(part) for part in start]
    state = [part.unsqueeze(0) for part in start]
    given = x
    if lengths is not None:
        given = torch.nn.utils.rnn.pack_padded_sequence(
            x, torch.tensor(lengths), batch_first=True, enforce_sorted=False
        )
    outputs, final = peer(given, tuple(state) if model_class is LSTM else state[0])
    if lengths is not None:
        outputs, _ = torch.nn.utils.rnn.pad_packed_sequence(outputs, batch_first=True)
    final = [part[0] for part in (final if model_class is LSTM else [final])]
    torch.autograd.backward([outputs, *final], [torch.tensor(d) for d in (d_outputs, *d_state)])
    results = {
        "outputs": outputs.detach().numpy(),
        "x": x.grad.numpy(),
        "W": reorder(peer.weight_ih_l0.grad.numpy(), model_class),
        "U": reorder(peer.weight_hh_l0.grad.numpy(), model_class),
        "b": reorder(peer.bias_ih_l0.grad.numpy(), model_class),
    }
    if model_class is GRU:
        results["b_u"] = peer.bias_hh_l0.grad.numpy()[2 * H :]
    for k, part in enumerate(final):
        results |= {f"final {k}": part.detach().numpy(), f"initial {k}": start[k].grad.numpy()}
    return results


@pytest.mark.parametrize("lengths", [None, RAGGED], ids=["whole", "ragged"])
@pytest.mark.parametrize("sizes", [(3, 5), (1, 1), (7, 13)], ids=str)
@pytest.mark.parametrize("model_class", [LSTM, GRU, RNN])
def test_gated_models(report, model_class, sizes, lengths):
    model = scatter(model_class(*sizes, dtype=np.float64, rng=0))
    x, start = normal(B, T, sizes[0]), random_state(model, B)
    d_outputs, d_state = normal(B, T, sizes[1], seed=5), random_state(model, B, seed=6)
    arguments = (model, x, start, lengths, d_outputs, d_state)
    report(model_class.__name__, ours(*arguments), torch_gated(*arguments))


RELATIONAL = {
    "defaults": {},
    "memory gates": {"num_slots": 3, "num_heads": 2, "head_size": 3, "gate": "memory"},
    "short keys, two blocks": {
        "num_slots": 3,
        "num_heads": 2,
        "head_size": 4,
        "key_size": 3,
        "num_blocks": 2,
    },
    "long keys, three blocks, three layers": {
        "num_slots": 2,
        "num_heads": 3,
        "head_size": 2,
        "key_size": 5,
        "num_blocks": 3,
        "mlp_layers": 3,
        "gate": "memory",
    },
    "more slots than features, one layer, biases": {
        "num_slots": 7,
        "num_heads": 1,
        "head_size": 3,
        "mlp_layers": 1,
        "forget_bias": -0.4,
        "input_bias": 0.8,
    },
}


def torch_relational(model, x, start, lengths, d_outputs, d_state):
    c = model.config
    peer = TorchRelationalMemory(
        model.params,
        slots=c["num_slots"],
        heads=c["num_heads"],
        value=c["head_size"],
        key=c["key_size"],
        blocks=c["num_blocks"],
        layers=c["mlp_layers"],
        biases=(c["forget_bias"], c["input_bias"]),
    )
    lengths = np.full(len(x), x.shape[1]) if lengths is None else lengths
    x, memory = leaf(x), leaf(start[0])
    outputs, final = peer(x, memory, torch.tensor(lengths))
    torch.autograd.backward([outputs, final], [torch.tensor(d_outputs), torch.tensor(d_state[0])])
    return {
        "outputs": outputs.detach().numpy(),
        "final 0": final.detach().numpy(),
        "x": x.grad.numpy(),
        "initial 0": memory.grad.numpy(),
    } | {name: weight.grad.numpy() for name, weight in peer.weights.items()}


@pytest.mark.parametrize("lengths", [None, np.array([0, 6, 4, 2])], ids=["whole", "ragged"])
@pytest.mark.parametrize("scattered", [True, False], ids=["anywhere", "as it starts"])
@pytest.mark.parametrize("name", RELATIONAL)
def test_relational_model(report, name, scattered, lengths):
    model = RelationalRNN(5, **RELATIONAL[name], dtype=np.float64, rng=0)
    if scattered:
        scatter(model)
    start = random_state(model, B) if scattered else model.initial_state(B)
    x = normal(B, T, 5)
    d_outputs, d_state = normal(B, T, model.width, seed=5), random_state(model, B, seed=6)
    arguments = (model, x, start, lengths, d_outputs, d_state)
    report("RelationalRNN", ours(*arguments), torch_relational(*arguments))


class TestLosses:
    @pytest.mark.parametrize("shape", [(5, 3), (4, 6, 3)], ids=str)
    @pytest.mark.parametrize("as_probabilities", [True, False])
    def test_cross_entropy(self, shape, as_probabilities):
        rng = np.random.default_rng(0)
        logits, K = normal(*shape), shape[-1]
        if as_probabilities:
            targets = rng.dirichlet(np.ones(K), size=shape[:-1])
            flat_targets = torch.tensor(targets.reshape(-1, K))
        else:
            targets = rng.integers(K, size=shape[:-1])
            flat_targets = torch.tensor(targets.ravel())
        peer = leaf(logits)
        expected = torch.nn.functional.cross_entropy(peer.reshape(-1, K), flat_targets)
        expected.backward()
        value, gradient = cross_entropy(logits, targets)
        assert value == pytest.approx(expected.item(), abs=1e-14)
        np.testing.assert_allclose(gradient, peer.grad.numpy(), rtol=0, atol=1e-15)

    def test_ragged_cross_entropy(self):
        logits, targets = normal(B, T, 3), np.random.default_rng(0).integers(3, size=(B, T))
        padding = np.arange(T) >= RAGGED[:, None]
        peer = leaf(logits)
        expected = torch.nn.functional.cross_entropy(
            peer.reshape(-1, 3),
            torch.tensor(np.where(padding, -1, targets).ravel()),
            ignore_index=-1,
        )
        expected.backward()
        value, gradient = cross_entropy(logits, targets, RAGGED)
        assert value == pytest.approx(expected.item(), abs=1e-14)
        np.testing.assert_allclose(gradient, peer.grad.numpy(), rtol=0, atol=1e-15)

    @pytest.mark.parametrize("shape", [(5, 3), (4, 6, 3)], ids=str)
    def test_mean_squared_error(self, shape):
        outputs, targets = normal(*shape), normal(*shape, seed=1)
        peer = leaf(outputs)
        expected = torch.nn.functional.mse_loss(peer, torch.tensor(targets))
        expected.backward()
        value, gradient = mean_squared_error(outputs, targets)
        assert value == pytest.approx(expected.item(), abs=1e-14)
        np.testing.assert_allclose(gradient, peer.grad.numpy(), rtol=0, atol=1e-15)

    @pytest.mark.parametrize("soft", [False, True])
    @pytest.mark.parametrize("scale", [1.0, 100.0])
    @pytest.mark.parametrize("shape", [(5, 3), (4, 6, 3)], ids=str)
    def test_binary_cross_entropy(self, shape, scale, soft):
        rng = np.random.default_rng(0)
        logits = scale * normal(*shape)
        targets = rng.random(shape) if soft else rng.integers(2, size=shape)
        peer = leaf(logits)
        criterion = torch.nn.BCEWithLogitsLoss(reduction="sum")
        rows = math.prod(shape[:-1])
        expected = criterion(peer, torch.tensor(targets, dtype=torch.float64)) / rows
        expected.backward()
        value, gradient = binary_cross_entropy(logits, targets)
        assert value == pytest.approx(expected.item(), rel=1e-14)
        np.testing.assert_allclose(gradient, peer.grad.numpy(), rtol=0, atol=1e-15)

    def test_ragged_binary_cross_entropy(self):
        logits = normal(B, T, 3)
        targets = np.random.default_rng(0).integers(2, size=(B, T, 3))
        valid = np.arange(T) < RAGGED[:, None]
        peer = leaf(logits)
        weight = torch.tensor(np.repeat(valid[..., None], 3, -1), dtype=torch.float64)
        criterion = torch.nn.BCEWithLogitsLoss(weight, reduction="sum")
        expected = criterion(peer, torch.tensor(targets, dtype=torch.float64)) / valid.sum()
        expected.backward()
        value, gradient = binary_cross_entropy(logits, targets, RAGGED)
        assert value == pytest.approx(expected.item(), rel=1e-14)
        np.testing.assert_allclose(gradient, peer.grad.numpy(), rtol=0, atol=1e-15)


def decayed_alone(kind, peers, weight_decay, **options):
    """Return an optimizer of PyTorch's that decays matrices alone, as a group of their own."""
    groups = [
        {"params": [p for p in peers if p.ndim >= 2], "weight_decay": weight_decay},
        {"params": [p for p in peers if p.ndim < 2], "weight_decay": 0.0},
    ]
    return kind(groups, **options)


PAIRS = {
    "SGD": (SGD, lambda p: torch.optim.SGD(p, lr=0.1)),
    "SGD with momentum": (
        lambda p: SGD(p, momentum=0.9),
        lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9),
    ),
    "Adam": (Adam, lambda p: torch.optim.Adam(p, lr=0.1)),
    "Adam, other constants": (
        lambda p: Adam(p, beta_1=0.7, beta_2=0.9, epsilon=1e-4),
        lambda p: torch.optim.Adam(p, lr=0.1, betas=(0.7, 0.9), eps=1e-4),
    ),
    "AdamW": (lambda p: AdamW(p, 0.2), lambda p: decayed_alone(torch.optim.AdamW, p, 0.2, lr=0.1)),
    "AdamW, other constants": (
        lambda p: AdamW(p, 0.03, beta_1=0.7, beta_2=0.9, epsilon=1e-4),
        lambda p: decayed_alone(torch.optim.AdamW, p, 0.03, lr=0.1, betas=(0.7, 0.9), eps=1e-4),
    ),
    "RMSProp": (RMSProp, lambda p: torch.optim.RMSprop(p, lr=0.1)),
    "RMSProp, other constants": (
        lambda p: RMSProp(p, alpha=0.7, epsilon=1e-4),
        lambda p: torch.optim.RMSprop(p, lr=0.1, alpha=0.7, eps=1e-4),
    ),
}


@pytest.mark.parametrize("name", PAIRS)
def test_optimizers_over_twenty_steps(name):
    make, make_peer = PAIRS[name]
    params = {"W": normal(3, 4), "b": normal(3, seed=1)}
    peers = {key: leaf(value) for key, value in params.items()}
    optimizer, peer = make(params), make_peer(list(peers.values()))
    for step in range(20):
        gradients = {"W": normal(3, 4, seed=2 * step), "b": normal(3, seed=2 * step + 1)}
        optimizer.update(gradients, 0.1)
        for key, value in gradients.items():
            peers[key].grad = torch.tensor(value)
        peer.step()
    expected = {key: value.detach().numpy() for key, value in peers.items()}
    assert_same_arrays(params, expected, TOLERANCE)


@pytest.mark.parametrize("max_norm", [0.5, 100.0])
def test_clipping(max_norm):
    gradients = {"W": normal(3, 4), "b": normal(3, seed=1)}
    peers = {key: torch.zeros(value.shape, dtype=torch.float64) for key, value in gradients.items()}
    for key, value in gradients.items():
        peers[key].grad = torch.tensor(value)
    expected_norm = torch.nn.utils.clip_grad_norm_(list(peers.values()), max_norm).item()
    clipped, norm = clip_by_global_norm(gradients, max_norm)
    assert norm == pytest.approx(expected_norm, rel=1e-14)
    # torch divides by the norm plus 1e-6, where it clips at all.
    factor = (norm + 1e-6) / norm if norm > max_norm else 1.0
    expected = {key: value.grad.numpy() * factor for key, value in peers.items()}
    assert_same_arrays(clipped, expected, 1e-14)


def test_min_gru_against_autograd(report):
    model = scatter(MinGRU(3, 5, dtype=np.float64, rng=0))
    x, start = normal(B, T, 3), random_state(model, B)
    d_outputs, d_state = normal(B, T, 5, seed=1), random_state(model, B, seed=2)
    leaves = {name: leaf(value) for name, value in {**model.params, "x": x, "h": start.h}.items()}
    h, outputs = leaves["h"], []
    for x_t in leaves["x"].unbind(1):
        z, candidate = (x_t @ leaves["W"].T + leaves["b"]).chunk(2, dim=-1)
        h = torch.lerp(h, candidate, torch.sigmoid(z))
        outputs.append(h)
    y = torch.stack(outputs, 1)
    ((y * torch.tensor(d_outputs)).sum() + (h * torch.tensor(d_state.h)).sum()).backward()
    expected = {name: value.grad.numpy() for name, value in leaves.items() if name != "h"}
    expected |= {"outputs": y.detach().numpy(), "final 0": h.detach().numpy()}
    expected["initial 0"] = leaves["h"].grad.numpy()
    report("minGRU", ours(model, x, start, None, d_outputs, d_state), expected)
