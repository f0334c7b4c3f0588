"""DeltaNet and Gated DeltaNet: a matrix memory whose values are overwritten, in heads.

    q, k = N(SiLU(W_q x)), N(SiLU(W_k x))      v = SiLU(W_v x)       N scales to length 1
    β = σ(w_β·x + b_β)                         2 σ(…) with ``negative``
    α = exp(−a softplus(w_α·x + b_α))          1 without ``gated``; a > 0 is learned
    S = α S′ (I − β k kᵀ) + β v kᵀ
    y = S q / √d

I − β k kᵀ has the eigenvalue 1 − β along k. With β up to 2 it may be negative, and what is stored
under k may change its sign: without that no number of layers tells odd from even (Grazzi et al.).

Source: Yang et al. 2024 (arXiv 2406.06484), DeltaNet; Yang, Kautz and Hatamizadeh 2024 (arXiv
2412.06464), equation 10, the gate; Grazzi et al. 2024 (arXiv 2411.12537), the range of β.
"""

from functools import partial
from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional

from lstm_baseline.challengers.blocks import HeadBlocks


def delta_rule(q: Tensor, k: Tensor, v: Tensor, beta: Tensor, log_alpha: Tensor | None) -> Tensor:
    """Return S q, (B, T, heads, d), for q, k, v of that shape, and β, log α (B, T, heads)."""
    S = q.new_zeros(*q.shape[:1], *q.shape[2:], q.shape[-1])  # (B, heads, value, key)
    outputs = []
    for t in range(q.shape[1]):
        if log_alpha is not None:
            S = log_alpha[:, t, :, None, None].exp() * S
        held = (S @ k[:, t, ..., None])[..., 0]
        change = beta[:, t, :, None] * (v[:, t] - held)
        S = S + change[..., None] * k[:, t, :, None]
        outputs.append((S @ q[:, t, ..., None])[..., 0])
    return torch.stack(outputs, dim=1)


class DeltaMixer(nn.Module):
    """The equations, in heads of so many features."""

    def __init__(
        self, head_size: int, num_heads: int, *, gated: bool = False, negative: bool = False
    ) -> None:
        super().__init__()
        features = head_size * num_heads
        self.head_size, self.num_heads = head_size, num_heads
        self.largest_beta = 2.0 if negative else 1.0
        self.inputs = nn.Linear(features, 3 * features, bias=False)
        self.beta = nn.Linear(features, num_heads)
        self.alpha = nn.Linear(features, num_heads) if gated else None
        if self.alpha is not None:
            self.log_a = nn.Parameter(torch.linspace(0.0, 2.0, num_heads))
            with torch.no_grad():
                # softplus(−4) is 0.018: at first a memory lasts for tens of steps.
                self.alpha.bias.fill_(-4.0)
        self.norm = nn.GroupNorm(num_heads, features)
        self.outputs = nn.Linear(features, features, bias=False)
        self.state_size = num_heads * head_size**2

    def forward(self, x: Tensor) -> Tensor:
        """Return the memory's answers (B, T, D), normalised head by head and mixed."""
        heads = (*x.shape[:2], self.num_heads, self.head_size)
        q, k, v = (p.reshape(heads) for p in functional.silu(self.inputs(x)).chunk(3, dim=-1))
        q, k = (functional.normalize(each, dim=-1) for each in (q, k))
        beta = self.largest_beta * self.beta(x).sigmoid()
        log_alpha = None
        if self.alpha is not None:
            log_alpha = -self.log_a.exp() * functional.softplus(self.alpha(x))
        found = delta_rule(q * self.head_size**-0.5, k, v, beta, log_alpha)
        normed = self.norm(found.reshape(-1, x.shape[-1])).reshape(x.shape)
        mixed: Tensor = self.outputs(normed)
        return mixed


@final
class DeltaNet(HeadBlocks):
    """Blocks of DeltaNets; option ``negative``."""

    mixer = DeltaMixer


@final
class GatedDeltaNet(HeadBlocks):
    """Blocks of Gated DeltaNets; option ``negative``."""

    mixer = partial(DeltaMixer, gated=True)
