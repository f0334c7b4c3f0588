"""Layers and directions against PyTorch in float64."""

import numpy as np
import pytest

from lstm_baseline import LSTM
from tests.support.models import assert_same_arrays, normal, random_state, scatter

torch = pytest.importorskip("torch", reason="compares with PyTorch, which is not installed")

B, T, I, H = 4, 6, 3, 5
ORDER = (1, 0, 2, 3)  # torch has i, f, c, o


def reorder(array):
    parts = np.split(array, 4)
    return np.concatenate([parts[k] for k in ORDER])


@pytest.mark.parametrize("projection_size", [None, 2])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("num_layers", [1, 2, 3])
@pytest.mark.parametrize("lengths", [None, [6, 1, 3, 5]], ids=["whole", "ragged"])
def test_outputs_states_and_gradients(num_layers, bidirectional, projection_size, lengths):
    model = LSTM(
        I,
        H,
        num_layers=num_layers,
        bidirectional=bidirectional,
        projection_size=projection_size,
        dtype=np.float64,
        rng=0,
    )
    scatter(model)
    peer = torch.nn.LSTM(
        I,
        H,
        num_layers,
        batch_first=True,
        bidirectional=bidirectional,
        proj_size=projection_size or 0,
        dtype=torch.float64,
    )

    def in_torch(arrays):
        """Return our arrays by torch's names and in its order; torch has two biases."""
        found = {}
        for suffix in model.suffixes:
            own = suffix or "_l0"
            found[f"weight_ih{own}"] = reorder(arrays[f"W{suffix}"])
            found[f"weight_hh{own}"] = reorder(arrays[f"U{suffix}"])
            found[f"bias_ih{own}"] = reorder(arrays[f"b{suffix}"])
            if projection_size:
                found[f"weight_hr{own}"] = arrays[f"W_proj{suffix}"]
        return found

    biases = {f"bias_hh{s or '_l0'}": np.zeros(4 * H) for s in model.suffixes}
    peer.load_state_dict(
        {n: torch.from_numpy(a.copy()) for n, a in (in_torch(model.params) | biases).items()}
    )
    x, d_y = normal(B, T, I), normal(B, T, model.width, seed=1)
    start, d_last = random_state(model, B), random_state(model, B, seed=2)

    def by_layer(part):
        return torch.from_numpy(part.reshape(-1, B, part.shape[-1]).copy())

    x_peer = torch.from_numpy(x.copy()).requires_grad_()
    own_lengths = None
    given = x_peer
    if lengths is not None:
        own_lengths = np.array(lengths)
        given = torch.nn.utils.rnn.pack_padded_sequence(
            x_peer, torch.tensor(lengths), batch_first=True, enforce_sorted=False
        )
    y_peer, (h_peer, c_peer) = peer(given, (by_layer(start.h), by_layer(start.c)))
    if lengths is not None:
        y_peer, _ = torch.nn.utils.rnn.pad_packed_sequence(y_peer, batch_first=True, total_length=T)
    torch.autograd.backward(
        [y_peer, h_peer, c_peer],
        [torch.from_numpy(d_y), by_layer(d_last.h), by_layer(d_last.c)],
    )
    y, cache = model.forward_with_cache(x, initial_state=start, lengths=own_lengths)
    gradients = model.backward(d_y, cache, d_state=d_last)
    state = cache.cell.state
    assert_same_arrays(
        {"y": y, "h": state.h, "c": state.c, "x": gradients.x, **in_torch(gradients.params)},
        {
            "y": y_peer.detach().numpy(),
            "h": h_peer.detach().numpy().reshape(state.h.shape),
            "c": c_peer.detach().numpy().reshape(state.c.shape),
            "x": x_peer.grad.numpy(),
            **{
                name: value.grad.numpy()
                for name, value in peer.named_parameters()
                if not name.startswith("bias_hh")
            },
        },
        1e-13,
    )
