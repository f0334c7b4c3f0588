"""Linear attention: a matrix memory to which is only ever added, in heads.

    φ(x) = elu(x) + 1
    S = S′ + v φ(k)ᵀ      n = n′ + φ(k)
    y = S φ(q) / n·φ(q)

Source: Katharopoulos et al. 2020 (arXiv 2006.16236), equations 18 to 20.
"""

from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional

from lstm_baseline.challengers.blocks import HeadBlocks


def additive_memory(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Return S q / n·q, (B, T, heads, d), for q and k that are positive."""
    S = q.new_zeros(*q.shape[:1], *q.shape[2:], q.shape[-1])
    n = torch.zeros_like(q[:, 0])
    outputs = []
    for t in range(q.shape[1]):
        S = S + v[:, t, ..., None] * k[:, t, :, None]
        n = n + k[:, t]
        found = (S @ q[:, t, ..., None])[..., 0]
        outputs.append(found / (n * q[:, t]).sum(-1, keepdim=True))
    return torch.stack(outputs, dim=1)


class LinearAttentionMixer(nn.Module):
    """The equations, in heads of so many features."""

    def __init__(self, head_size: int, num_heads: int) -> None:
        super().__init__()
        features = head_size * num_heads
        self.head_size, self.num_heads = head_size, num_heads
        self.inputs = nn.Linear(features, 3 * features, bias=False)
        self.outputs = nn.Linear(features, features, bias=False)
        self.state_size = num_heads * head_size * (head_size + 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return the memory's answers (B, T, D), mixed."""
        heads = (*x.shape[:2], self.num_heads, self.head_size)
        q, k, v = (part.reshape(heads) for part in self.inputs(x).chunk(3, dim=-1))
        found = additive_memory(functional.elu(q) + 1, functional.elu(k) + 1, v)
        mixed: Tensor = self.outputs(found.flatten(2))
        return mixed


@final
class LinearAttention(HeadBlocks):
    """Blocks of linear attention."""

    mixer = LinearAttentionMixer
