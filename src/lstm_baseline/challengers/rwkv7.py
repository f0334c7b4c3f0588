"""RWKV-7: a matrix memory whose rows fade one by one and are corrected at a chosen rate, in heads.

    x_∗ = x + μ_∗ ⊙ (x′ − x)                         x′ is the step before; ∗ = r, w, k, v, a, g
    r, k, v = W_r x_r, W_k x_k, W_v x_v
    w = exp(−σ(b_w + B_w tanh(A_w x_w)) / √e)        how much each row keeps, 0.55 to 1
    a = σ(b_a + B_a A_a x_a)                         the rate of the correction
    κ = N(k ⊙ ξ)        k̃ = k ⊙ (1 + (a − 1) ⊙ α)    N scales to length 1
    S = S′ (diag(w) − κ (a ⊙ κ)ᵀ) + v k̃ᵀ
    y = W_o (g ⊙ (N_h(S r) + (r·(ρ ⊙ k̃)) v))         N_h normalises each head, g = B_g σ(A_g x_g)

The equation of S is written for columns; S′ κ is what is held under κ. A second mixer sees each
step and the one before:

    y = W_v max(0, W_k x_k)²

Only the mix of values with those of the first layer is left out; with one layer there is none.

Source: Peng et al. 2025 (arXiv 2503.14456), section 4.
"""

from typing import Any, final

import torch
from torch import Tensor, nn
from torch.nn import functional

from lstm_baseline.challengers.blocks import HeadBlocks

_LEAST_RANK = 4


def shifted(x: Tensor) -> Tensor:
    """Return the step before of every step, (B, T, D); zeros before the first."""
    return functional.pad(x, (0, 0, 1, -1))


def generalized_delta_rule(
    r: Tensor, w: Tensor, key: Tensor, v: Tensor, removed: Tensor, rate: Tensor
) -> Tensor:
    """Return S r for S = S′ (diag(w) − κ (a ⊙ κ)ᵀ) + v k̃ᵀ; all (B, T, heads, d)."""
    S = r.new_zeros(*r.shape[:1], *r.shape[2:], r.shape[-1])  # (B, heads, value, key)
    outputs = []
    for t in range(r.shape[1]):
        held = S @ removed[:, t, ..., None]
        change = v[:, t, ..., None] * key[:, t, :, None]
        S = w[:, t, :, None] * S - held * (rate * removed)[:, t, :, None] + change
        outputs.append((S @ r[:, t, ..., None])[..., 0])
    return torch.stack(outputs, dim=1)


def _shares(number: int, features: int) -> nn.Parameter:
    """Return μ, from 1 for the first feature to 0 for the last."""
    return nn.Parameter((1 - torch.arange(features) / features).repeat(number, 1))


def _low_rank(features: int, rank: int, between: nn.Module) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(features, rank, bias=False), between, nn.Linear(rank, features, bias=False)
    )


class TimeMixer(nn.Module):
    """The memory, in heads of so many features."""

    def __init__(self, head_size: int, num_heads: int) -> None:
        super().__init__()
        features = head_size * num_heads
        rank = max(_LEAST_RANK, features // 8)
        self.head_size, self.num_heads = head_size, num_heads
        self.shares = _shares(6, features)
        self.r, self.k, self.v, self.outputs = (
            nn.Linear(features, features, bias=False) for _ in range(4)
        )
        self.decay = _low_rank(features, rank, nn.Tanh())
        self.rate = _low_rank(features, rank, nn.Identity())
        self.gate = _low_rank(features, rank, nn.Sigmoid())
        # A row's memory lasts for six steps at one end, for hundreds at the other.
        self.decay_bias = nn.Parameter(torch.linspace(-6.0, -1.0, features))
        self.rate_bias = nn.Parameter(torch.zeros(features))
        self.removed = nn.Parameter(torch.ones(features))
        self.added = nn.Parameter(torch.ones(features))
        self.bonus = nn.Parameter(torch.zeros(features))
        self.norm = nn.GroupNorm(num_heads, features, eps=64e-5)
        self.state_size = features * (head_size + 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return y (B, T, D)."""
        heads = (*x.shape[:2], self.num_heads, self.head_size)
        before = shifted(x) - x
        x_r, x_w, x_k, x_v, x_a, x_g = (x + share * before for share in self.shares)
        r, k, v = self.r(x_r), self.k(x_k), self.v(x_v)
        w = (-((self.decay_bias + self.decay(x_w)).sigmoid()) * torch.e**-0.5).exp()
        a = (self.rate_bias + self.rate(x_a)).sigmoid()
        removed = functional.normalize((k * self.removed).reshape(heads), dim=-1)
        k = k * (1 + (a - 1) * self.added)
        share = (r * k * self.bonus).reshape(heads).sum(dim=-1, keepdim=True)
        r, w, k, v, a = (each.reshape(heads) for each in (r, w, k, v, a))
        found = generalized_delta_rule(r, w, k, v, removed, a)
        normed = self.norm(found.reshape(-1, x.shape[-1])).reshape(heads)
        seen = (normed + share * v).reshape(x.shape)
        mixed: Tensor = self.outputs(seen * self.gate(x_g))
        return mixed


class ChannelMixer(nn.Module):
    """What follows the memory, for each step and the one before."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.shares = _shares(1, features)
        self.keys = nn.Linear(features, 4 * features, bias=False)
        self.values = nn.Linear(4 * features, features, bias=False)
        self.state_size = features

    def forward(self, x: Tensor) -> Tensor:
        """Return y (B, T, D)."""
        mixed = x + self.shares[0] * (shifted(x) - x)
        values: Tensor = self.values(self.keys(mixed).relu().square())
        return values


@final
class RWKV7(HeadBlocks):
    """Blocks of RWKV-7: the two mixers, one after the other."""

    mixer = TimeMixer

    def layer(self, head_size: int, num_heads: int, **options: Any) -> list[nn.Module]:
        """Return the memory, and what follows it."""
        memory = super().layer(head_size, num_heads, **options)
        return [*memory, ChannelMixer(head_size * num_heads)]
