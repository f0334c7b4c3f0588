"""A causal Transformer: attention to all earlier steps, then a layer for each step alone.

    q, k, v = W x                                    in heads of d features
    a_ts ∝ exp(q_t·k_s / √d),  s ≤ t                 q and k turned by their position (rotary)
    x = x + W_o Σ_s a_ts v_s                         of N(x), as in every block
    x = x + W₂ GELU(W₁ N(x))                         4 D features inside

Norms stand before (``blocks.py``). Without ``rotary`` there are no positions at all, and only the
causal mask tells steps apart. The state grows with T, so ``state_size`` is None.

Source: Vaswani et al. 2017 (arXiv 1706.03762); rotary positions, Su et al. 2021 (arXiv 2104.09864).
"""

from typing import Any, final

import torch
from torch import Tensor, nn
from torch.nn import functional

from lstm_baseline.challengers.blocks import HeadBlocks

_BASE = 10_000.0


def turned(x: Tensor) -> Tensor:
    """Return x (B, T, heads, d) with features j and j + ⌊d/2⌋ turned by t · 10000^(−j/⌊d/2⌋).

    Where d is odd, the last feature stays: a race solves for d, and may find any.
    """
    half = x.shape[-1] // 2
    rates = _BASE ** (-torch.arange(half, dtype=x.dtype) / half)
    angles = (torch.arange(x.shape[1], dtype=x.dtype)[:, None] * rates)[:, None]
    one, other, last = x.split([half, half, x.shape[-1] % 2], dim=-1)
    cos, sin = angles.cos(), angles.sin()
    return torch.cat([one * cos - other * sin, one * sin + other * cos, last], dim=-1)


class AttentionMixer(nn.Module):
    """Attention, in heads of so many features."""

    def __init__(self, head_size: int, num_heads: int, *, rotary: bool = True) -> None:
        super().__init__()
        features = head_size * num_heads
        self.head_size, self.num_heads, self.rotary = head_size, num_heads, rotary
        self.inputs = nn.Linear(features, 3 * features, bias=False)
        self.outputs = nn.Linear(features, features, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return what is attended to, (B, T, D)."""
        heads = (*x.shape[:2], self.num_heads, self.head_size)
        q, k, v = (part.reshape(heads) for part in self.inputs(x).chunk(3, dim=-1))
        if self.rotary:
            q, k = turned(q), turned(k)
        q, k, v = (part.transpose(1, 2) for part in (q, k, v))
        found = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        attended: Tensor = self.outputs(found.transpose(1, 2).flatten(2))
        return attended


@final
class Transformer(HeadBlocks):
    """Blocks of attention and a layer for each step; option ``rotary``."""

    mixer = AttentionMixer

    def layer(self, head_size: int, num_heads: int, **options: Any) -> list[nn.Module]:
        """Return attention, and the layer for each step alone."""
        features = head_size * num_heads
        each = nn.Sequential(
            nn.Linear(features, 4 * features), nn.GELU(), nn.Linear(4 * features, features)
        )
        return [*super().layer(head_size, num_heads, **options), each]
