"""The mLSTM: a matrix memory of keys and values with exponential gates, in heads.

    q = W_q x      k = W_k x / √d      v = W_v x      o = σ(W_o x + b_o)
    ĩ = w_i·x + b_i      f̃ = w_f·x + b_f                         numbers, one for each head
    m = max(log σ(f̃) + m′, ĩ)      i = exp(ĩ − m)      f = exp(log σ(f̃) + m′ − m)
    C = f C′ + i v kᵀ      n = f n′ + i k
    h = o ⊙ C q / max(|nᵀ q|, exp(−m))

Gates and queries do not see the state. Source: Beck et al. 2024 (arXiv 2405.04517), equations 19
to 27, with their stabiliser m.
"""

from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional

from lstm_baseline.challengers.blocks import HeadBlocks


def matrix_memory(q: Tensor, k: Tensor, v: Tensor, i: Tensor, f: Tensor) -> Tensor:
    """Return C q / max(|nᵀ q|, exp(−m)), (B, T, heads, d), for ĩ and f̃ (B, T, heads)."""
    C = q.new_zeros(*q.shape[:1], *q.shape[2:], q.shape[-1])
    n, m = torch.zeros_like(q[:, 0]), torch.zeros_like(i[:, 0])
    log_f = functional.logsigmoid(f)
    outputs = []
    for t in range(q.shape[1]):
        kept = log_f[:, t] + m
        m = torch.maximum(kept, i[:, t])
        forget, new = ((gate - m).exp()[..., None] for gate in (kept, i[:, t]))
        C = forget[..., None] * C + (new * v[:, t])[..., None] * k[:, t, :, None]
        n = forget * n + new * k[:, t]
        size = torch.maximum((n * q[:, t]).sum(-1).abs(), (-m).exp())
        outputs.append((C @ q[:, t, ..., None])[..., 0] / size[..., None])
    return torch.stack(outputs, dim=1)


class MLSTMMixer(nn.Module):
    """The equations, in heads of so many features."""

    def __init__(self, head_size: int, num_heads: int) -> None:
        super().__init__()
        features = head_size * num_heads
        self.head_size, self.num_heads = head_size, num_heads
        self.inputs = nn.Linear(features, 3 * features, bias=False)
        self.output_gate = nn.Linear(features, features)
        self.gates = nn.Linear(features, 2 * num_heads)
        with torch.no_grad():
            self.gates.bias[:num_heads] = -3.0
            self.gates.bias[num_heads:] = torch.linspace(3.0, 6.0, num_heads)
        self.norm = nn.GroupNorm(num_heads, features)
        self.state_size = num_heads * (head_size**2 + head_size + 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return o ⊙ the memory's answers (B, T, D), normalised head by head."""
        heads = (*x.shape[:2], self.num_heads, self.head_size)
        q, k, v = (part.reshape(heads) for part in self.inputs(x).chunk(3, dim=-1))
        i, f = self.gates(x).chunk(2, dim=-1)
        found = matrix_memory(q, k * self.head_size**-0.5, v, i, f)
        normed = self.norm(found.reshape(-1, x.shape[-1])).reshape(x.shape)
        gated: Tensor = self.output_gate(x).sigmoid() * normed
        return gated


@final
class MLSTM(HeadBlocks):
    """Blocks of mLSTMs."""

    mixer = MLSTMMixer
