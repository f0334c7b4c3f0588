"""Each challenger against its public reference package: equal weights, equal outputs and gradients.

Without a package its test is skipped; CI installs them all.
"""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from lstm_baseline.challengers import (  # noqa: E402
    delta_net,
    echo_state,
    elman,
    lru,
    mamba,
    min_lstm,
    mlstm,
    rwkv7,
    slstm,
)

B, T, D, HEADS, SIZE = 3, 11, 12, 3, 4


@pytest.fixture(autouse=True)
def path(monkeypatch):
    """Some packages add folders to where Python looks for modules."""
    monkeypatch.setattr(sys, "path", [*sys.path])


@pytest.fixture(autouse=True)
def double():
    torch.manual_seed(0)
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


def assert_same(ours, theirs, inputs, tolerance=1e-10):
    """Compare outputs, and gradients of a random sum of them with respect to the inputs."""
    torch.testing.assert_close(ours, theirs, rtol=tolerance, atol=tolerance)
    weights = torch.randn_like(ours)
    found, expected = (
        torch.autograd.grad((weights * out).sum(), inputs, retain_graph=True)
        for out in (ours, theirs)
    )
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=10 * tolerance, atol=10 * tolerance)


def leaf(*shape):
    return torch.randn(*shape, requires_grad=True)


def test_min_lstm():
    """By steps, and without the positive g through which the reference passes candidates."""
    package = pytest.importorskip("minGRU_pytorch.minLSTM")
    ours = min_lstm.MinLSTMMixer(D)
    theirs = package.minLSTM(D)
    x = leaf(B, T, D)
    with torch.no_grad():
        ours.gates.bias.zero_()
        f, i, h = ours.gates.weight.chunk(3)
        theirs.to_hidden_and_f_i_gate.weight.copy_(torch.cat([h, f, i]))
    g = package.g
    package.g = lambda candidate: candidate
    try:
        found, state = [], None
        for t in range(T):
            out, state = theirs(x[:, t : t + 1], state, return_next_prev_hidden=True)
            found.append(out)
    finally:
        package.g = g
    assert_same(ours(x), torch.cat(found, dim=1), [x])


def test_slstm():
    package = pytest.importorskip("xlstm.blocks.slstm.src.vanilla.slstm")
    mixer = slstm.SLSTMMixer(SIZE, HEADS)
    x = leaf(B, T, D)
    ours = []
    state = [torch.zeros(B, D)] * 4
    inputs = mixer.inputs(x).reshape(B, T, 4, D)
    for t in range(T):
        state = mixer.step(inputs[:, t], tuple(state), first=t == 0)
        ours.append(state[0])
    theirs, states = [], torch.zeros(4, B, D)
    order = [1, 2, 0, 3]  # theirs are i, f, z, o
    blocks = [torch.block_diag(*gate) for gate in mixer.recurrent]
    for t in range(T):
        recurrent = torch.stack([states[0] @ block.T for block in blocks], dim=1)
        raw = [part[:, order].flatten(1) for part in (inputs[:, t], recurrent)]
        states, _ = package.slstm_forward_pointwise(*raw, torch.zeros(1, 4 * D), states, {})
        theirs.append(states[0])
    assert_same(torch.stack(ours, 1), torch.stack(theirs, 1), [x, mixer.recurrent])


@pytest.mark.parametrize("form", ["step", "parallel"])
def test_mlstm(form):
    package = pytest.importorskip("xlstm.blocks.mlstm.backends")
    q, k, v = (leaf(B, T, HEADS, SIZE) for _ in range(3))
    i, f = leaf(B, T, HEADS), leaf(B, T, HEADS)
    ours = mlstm.matrix_memory(q, k * SIZE**-0.5, v, i, f)
    heads = [each.transpose(1, 2) for each in (q, k, v)]
    gates = [each.transpose(1, 2)[..., None] for each in (i, f)]
    if form == "parallel":
        theirs = package.parallel_stabilized_simple(*heads, *gates, eps=0.0)
    else:
        C, n, m = (torch.zeros(B, HEADS, *shape) for shape in ((SIZE, SIZE), (SIZE, 1), (1, 1)))
        steps = []
        for t in range(T):
            now = [each[:, :, t : t + 1].clone() for each in (*heads, *gates)]
            h, (C, n, m) = package.recurrent_step_stabilized_simple(C, n, m, *now, eps=0.0)
            steps.append(h)
        theirs = torch.cat(steps, dim=2)
    # Their stabiliser starts at 0 by steps and at −∞ in parallel; the denominator's bound differs
    # by it only where the memory is next to empty.
    assert_same(ours, theirs.transpose(1, 2), [q, k, v, i, f])


def naive(path, name):
    """Return a function of a reference file, whose package needs a GPU's compiler to import."""
    pytest.importorskip("einops")
    spec = importlib.util.find_spec("fla")
    if spec is None:
        pytest.skip("fla-core is not installed")
    file = Path(spec.submodule_search_locations[0]) / path
    module = importlib.util.module_from_spec(importlib.util.spec_from_file_location(name, file))
    sys.modules.pop(name, None)
    module.__spec__.loader.exec_module(module)
    return getattr(module, name)


def test_delta_rule():
    """Theirs computes in float32 whatever it is given."""
    rule = naive("ops/delta_rule/naive.py", "delta_rule_recurrence")
    q, v = leaf(B, T, HEADS, SIZE), leaf(B, T, HEADS, SIZE)
    k, beta = leaf(B, T, HEADS, SIZE), leaf(B, T, HEADS)
    unit, share = torch.nn.functional.normalize(k, dim=-1), 2 * beta.sigmoid()
    ours = delta_net.delta_rule(q * SIZE**-0.5, unit, v, share, None)
    theirs, _ = rule(*(each.transpose(1, 2) for each in (q, unit, v)), share.transpose(1, 2))
    assert_same(ours, theirs.transpose(1, 2), [q, k, v, beta], tolerance=1e-5)


def test_gated_delta_rule():
    rule = naive("ops/gated_delta_rule/naive.py", "naive_recurrent_gated_delta_rule")
    q, v = leaf(B, T, HEADS, SIZE), leaf(B, T, HEADS, SIZE)
    k, beta, alpha = leaf(B, T, HEADS, SIZE), leaf(B, T, HEADS), leaf(B, T, HEADS)
    unit, log_alpha = torch.nn.functional.normalize(k, dim=-1), -alpha.exp()
    ours = delta_net.delta_rule(q * SIZE**-0.5, unit, v, beta.sigmoid(), log_alpha)
    theirs, _ = rule(q, unit, v, beta.sigmoid(), log_alpha)
    assert_same(ours, theirs.to(ours.dtype), [q, k, v, beta, alpha], tolerance=1e-5)


def test_mamba():
    package = pytest.importorskip("mambapy.mamba")
    config = package.MambaConfig(d_model=D, n_layers=1, d_state=5, pscan=False)
    theirs = package.MambaBlock(config).double()
    ours = mamba.MambaMixer(D, num_states=5, expand=2)
    pairs = {
        "inputs": "in_proj",
        "convolution": "conv1d",
        "selection": "x_proj",
        "step": "dt_proj",
        "outputs": "out_proj",
    }
    with torch.no_grad():
        for one, other in pairs.items():
            getattr(ours, one).load_state_dict(getattr(theirs, other).state_dict())
        ours.log_A.copy_(theirs.A_log)
        ours.D.copy_(theirs.D)
    x = leaf(B, T, D)
    assert_same(ours(x), theirs(x), [x])
    fresh = mamba.MambaMixer(D, num_states=5, expand=2)
    torch.testing.assert_close(fresh.log_A, theirs.A_log.detach())


def test_lru():
    package = pytest.importorskip("LRU_pytorch.LRU")
    ours = lru.LRUMixer(D, 7, 0.9, 0.999)
    theirs = package.LRU(D, D, 7)
    with torch.no_grad():
        theirs.nu_log.copy_(ours.nu)
        theirs.theta_log.copy_(ours.theta)
        theirs.gamma_log.copy_(ours.gamma)
        theirs.B = torch.nn.Parameter(torch.view_as_complex(ours.B.contiguous()))
        theirs.C = torch.nn.Parameter(torch.view_as_complex(ours.C.contiguous()))
        theirs.D.copy_(torch.diag(ours.D))
    theirs.state = theirs.state.to(torch.complex128)
    x = leaf(B, T, D)
    assert_same(ours.filtered(x), theirs(x), [x])


@pytest.fixture
def rwkv(monkeypatch):
    monkeypatch.setenv("RWKV_V7_ON", "1")
    monkeypatch.setenv("RWKV_JIT_ON", "0")
    monkeypatch.setenv("RWKV_CUDA_ON", "0")
    sys.modules.pop("rwkv.model", None)
    yield pytest.importorskip("rwkv.model")
    sys.modules.pop("rwkv.model", None)


def random_parameters(module):
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randn_like(parameter) / 2)
    return module


def test_rwkv7_memory(rwkv):
    """They round 1 / √e to six digits, and keep the state in float32."""
    ours = random_parameters(rwkv7.TimeMixer(SIZE, HEADS))
    x = leaf(B, T, D)
    low_rank = [each[k].weight.T for each in (ours.decay, ours.rate, ours.gate) for k in (0, 2)]
    w1, w2, a1, a2, g1, g2 = low_rank
    unused = torch.zeros(D), torch.zeros(D, 1), torch.zeros(1, D)
    theirs = []
    for row in x:
        state, before = torch.zeros(HEADS, SIZE, SIZE, dtype=torch.float32), torch.zeros(D)
        steps = []
        for now in row:
            y, before, state, _ = rwkv.RWKV_x070_TMix_one(
                *(0, HEADS, SIZE, now, before, None, state, *ours.shares),
                *(ours.decay_bias, w1, w2, ours.rate_bias, a1, a2, *unused, g1, g2),
                *(ours.removed, ours.added, ours.bonus),
                *(each.weight.T for each in (ours.r, ours.k, ours.v, ours.outputs)),
                *(ours.norm.weight, ours.norm.bias),
            )
            steps.append(y)
        theirs.append(torch.stack(steps))
    assert_same(ours(x), torch.stack(theirs), [x, *ours.parameters()], tolerance=1e-5)


def test_rwkv7_channels(rwkv):
    ours = random_parameters(rwkv7.ChannelMixer(D))
    x = leaf(B, T, D)
    theirs = [
        rwkv.RWKV_x070_CMix_seq(
            row, torch.zeros(D), ours.shares[0], ours.keys.weight.T, ours.values.weight.T
        )[0]
        for row in x
    ]
    assert_same(ours(x), torch.stack(theirs), [x, *ours.parameters()])


@pytest.mark.parametrize("relu", [False, True])
def test_elman(relu):
    ours = elman.ElmanMixer(D, relu=relu)
    theirs = torch.nn.RNN(D, D, nonlinearity="relu" if relu else "tanh", batch_first=True)
    with torch.no_grad():
        theirs.weight_ih_l0.copy_(ours.inputs.weight)
        theirs.weight_hh_l0.copy_(ours.recurrent)
        theirs.bias_ih_l0.copy_(ours.inputs.bias)
        theirs.bias_hh_l0.zero_()
    x = leaf(B, T, D)
    assert_same(ours(x), theirs(x)[0], [x])


def test_transformer():
    """Without positions, against PyTorch's own layers."""
    from lstm_baseline.challengers.transformer import Transformer

    ours = Transformer(5, 3, SIZE, HEADS, num_layers=2, rotary=False)
    layer = torch.nn.TransformerEncoderLayer(
        D, HEADS, 4 * D, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
    )
    theirs = torch.nn.TransformerEncoder(
        layer, 2, torch.nn.LayerNorm(D), enable_nested_tensor=False
    )
    with torch.no_grad():
        for norm in (*ours.norms, ours.last_norm):
            norm.weight.uniform_(0.5, 1.5)
        for k, block in enumerate(theirs.layers):
            attention, each = ours.mixers[2 * k], ours.mixers[2 * k + 1]
            block.self_attn.in_proj_weight.copy_(attention.inputs.weight)
            block.self_attn.in_proj_bias.zero_()
            block.self_attn.out_proj.weight.copy_(attention.outputs.weight)
            block.self_attn.out_proj.bias.zero_()
            block.linear1.load_state_dict(each[0].state_dict())
            block.linear2.load_state_dict(each[2].state_dict())
            block.norm1.load_state_dict(ours.norms[2 * k].state_dict())
            block.norm2.load_state_dict(ours.norms[2 * k + 1].state_dict())
        theirs.norm.load_state_dict(ours.last_norm.state_dict())
    x = leaf(B, T, 5)
    mask = torch.nn.Transformer.generate_square_subsequent_mask(T, dtype=x.dtype)
    expected = ours.readout(theirs(ours.embedding(x), mask=mask, is_causal=True))
    assert_same(ours(x), expected, [x])


def test_linear_attention():
    """Against its form without a state: attention with φ(q)·φ(k) as weights."""
    from lstm_baseline.challengers.linear_attention import additive_memory

    q, k, v = (leaf(B, T, HEADS, SIZE) for _ in range(3))
    weights = torch.einsum("bthd,bshd->bhts", q.exp(), k.exp()).tril()
    theirs = torch.einsum("bhts,bshd->bthd", weights / weights.sum(-1, keepdim=True), v)
    assert_same(additive_memory(q.exp(), k.exp(), v), theirs, [q, k, v])


def test_rotary_positions():
    """A product of turned features depends on the distance of their steps alone."""
    from lstm_baseline.challengers.transformer import turned

    q, k = (torch.randn(1, 1, 1, 8).expand(1, T, 1, 8) for _ in range(2))
    products = torch.einsum("bthd,bshd->bts", turned(q), turned(k))[0]
    for distance in range(T):
        line = products.diagonal(distance)
        torch.testing.assert_close(line, line[:1].expand_as(line))
    torch.testing.assert_close(turned(q).norm(dim=-1), q.norm(dim=-1))
    # PyTorch's own complex numbers turn in the same way.
    angle = torch.arange(T)[:, None] * 10_000.0 ** (-torch.arange(4) / 4)
    complex_q = torch.complex(*q[0, :, 0].split(4, dim=-1)) * torch.polar(torch.ones(()), angle)
    expected = torch.cat([complex_q.real, complex_q.imag], dim=-1)
    torch.testing.assert_close(turned(q)[0, :, 0], expected)


@pytest.mark.parametrize("leak", [1.0, 0.3])
def test_echo_state(leak):
    """Nothing in a reservoir has gradients, and the readout is PyTorch's own layer."""
    package = pytest.importorskip("reservoirpy")
    ours = echo_state.EchoState(D, SIZE, 40, leak=leak, num_connections=5)
    connections = torch.zeros(40, 40)
    rows = torch.arange(40)[:, None].expand(-1, 5)
    connections.index_put_((rows, ours.neighbours), ours.recurrent, accumulate=True)
    theirs = package.nodes.Reservoir(
        lr=leak,
        W=connections.numpy(),
        Win=ours.inputs.numpy(),
        bias=ours.bias.numpy(),
    )
    x = torch.randn(B, T, D)
    theirs.initialize(x[0].numpy())
    for row, states in zip(x.numpy(), ours.states(x).numpy(), strict=True):
        theirs.reset()
        np.testing.assert_allclose(states, theirs.run(row), rtol=1e-10, atol=1e-12)
