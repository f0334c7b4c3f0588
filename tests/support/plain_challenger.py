"""A challenger as a user might write it: a ReLU network in NumPy with the contract and no more.

h[t] = relu(W x[t] + U h[t−1] + b),  y = W_out dropout(h) + b_out
"""

import sys
from types import SimpleNamespace

import numpy as np


class ReLUNetwork:
    """A network that uses nothing of the package; short methods are easy to override in tests."""

    dtype = np.float32
    dropout = 0.3

    def __init__(self, input_size, output_size, hidden_size=8, rng=None):
        def normal(*shape):
            return (rng.standard_normal(shape) / np.sqrt(shape[-1])).astype(self.dtype)

        self.params = {
            "W": normal(hidden_size, input_size),
            "U": normal(hidden_size, hidden_size),
            "b": np.zeros(hidden_size, self.dtype),
            "W_out": normal(output_size, hidden_size),
            "b_out": np.zeros(output_size, self.dtype),
        }

    def forward(self, x, return_sequences=True, *, lengths=None):
        return self.forward_with_cache(x, return_sequences, lengths=lengths)[0]

    def forward_with_cache(self, x, return_sequences=True, *, lengths=None, rng=None):
        p, x = self.params, np.asarray(x, self.dtype)
        num_rows, num_steps, _ = x.shape
        if lengths is None:
            lengths = np.full(num_rows, num_steps)
        live = (np.arange(num_steps) < lengths[:, None])[..., None]
        x = np.where(live, x, 0)
        h = np.zeros((num_rows, num_steps + 1, len(p["U"])), self.dtype)
        for t in range(num_steps):
            h[:, t + 1] = np.maximum(x[:, t] @ p["W"].T + h[:, t] @ p["U"].T + p["b"], 0)
        mask = np.ones_like(h[:, 1:])
        if rng is not None:
            mask *= (rng.random(mask.shape) >= self.dropout) / self.dtype(1 - self.dropout)
        seen = np.where(live, h[:, 1:], 0) * mask
        ends = np.arange(num_rows), lengths - 1
        if not return_sequences:
            seen = seen[ends]
        return seen @ p["W_out"].T + p["b_out"], (x, h, mask, seen, live, ends)

    def backward(self, d_outputs, cache):
        x, h, mask, seen, live, ends = cache
        p = self.params
        d = {name: np.zeros_like(value) for name, value in p.items()}
        d["W_out"] += np.tensordot(d_outputs, seen, [range(d_outputs.ndim - 1)] * 2)
        d["b_out"] += d_outputs.sum(axis=tuple(range(d_outputs.ndim - 1)))
        d_seen = d_outputs @ p["W_out"]
        if d_seen.ndim == 2:
            d_last, d_seen = d_seen, np.zeros_like(h[:, 1:])
            d_seen[ends] = d_last
        d_y = np.where(live, d_seen * mask, 0)
        d_h = np.zeros_like(h[:, 0])
        for t in range(x.shape[1] - 1, -1, -1):
            d_u = (d_h + d_y[:, t]) * (h[:, t + 1] > 0)
            d["W"] += d_u.T @ x[:, t]
            d["U"] += d_u.T @ h[:, t]
            d["b"] += d_u.sum(axis=0)
            d_h = d_u @ p["U"]
        return SimpleNamespace(params=d)


class GrowsInWorkers(ReLUNetwork):
    """Three times the hidden size where it is trained, and none of that where it is counted."""

    def __init__(self, input_size, output_size, hidden_size=8, rng=None):
        trained_here = "worker_process" in sys.argv[0]
        super().__init__(input_size, output_size, hidden_size * (3 if trained_here else 1), rng)
