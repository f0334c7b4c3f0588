"""Mamba's selective state space (S6): a diagonal recurrence whose steps the inputs choose.

    u, z = W_in x                                    E channels each
    u = SiLU(convolution of the last 4 u, channel by channel)
    Δ = softplus(W_Δ (W_r u) + b_Δ)      B = W_B u      C = W_C u
    h = exp(Δ A) ⊙ h′ + Δ B u            N states a channel; A = −exp(log A) is learned
    y = C h + D ⊙ u
    out = W_out (y ⊙ SiLU(z))

Source: Gu and Dao 2023 (arXiv 2312.00752), algorithm 2 and section 3.4.
"""

import math
from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional

from lstm_baseline.challengers.blocks import FeatureBlocks

_KERNEL = 4
_LEAST_STEP, _LARGEST_STEP = 1e-3, 1e-1


def selective_scan(u: Tensor, step: Tensor, A: Tensor, B: Tensor, C: Tensor) -> Tensor:
    """Return C h (B, T, E) for u and Δ (B, T, E), A (E, N), B and C (B, T, N)."""
    h = u.new_zeros(len(u), *A.shape)
    outputs = []
    for t in range(u.shape[1]):
        kept = (step[:, t, :, None] * A).exp()
        h = kept * h + (step[:, t] * u[:, t])[..., None] * B[:, t, None]
        outputs.append((h @ C[:, t, :, None])[..., 0])
    return torch.stack(outputs, dim=1)


class MambaMixer(nn.Module):
    """The equations, for D features, E = ``expand`` · D channels and N states."""

    def __init__(self, features: int, num_states: int = 16, expand: int = 2) -> None:
        super().__init__()
        channels = expand * features
        self.num_states, self.rank = num_states, math.ceil(features / 16)
        self.inputs = nn.Linear(features, 2 * channels, bias=False)
        self.convolution = nn.Conv1d(
            channels, channels, _KERNEL, groups=channels, padding=_KERNEL - 1
        )
        self.selection = nn.Linear(channels, self.rank + 2 * num_states, bias=False)
        self.step = nn.Linear(self.rank, channels)
        self.log_A = nn.Parameter(torch.arange(1.0, num_states + 1).log().repeat(channels, 1))
        self.D = nn.Parameter(torch.ones(channels))
        self.outputs = nn.Linear(channels, features, bias=False)
        with torch.no_grad():
            # Steps are log-uniform at first; the bias is the inverse of softplus at them.
            low, high = math.log(_LEAST_STEP), math.log(_LARGEST_STEP)
            first = torch.empty(channels).uniform_(low, high).exp()
            self.step.bias.copy_(first + torch.log(-torch.expm1(-first)))
        self.state_size = channels * (num_states + _KERNEL - 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return the outputs (B, T, D)."""
        u, z = self.inputs(x).chunk(2, dim=-1)
        u = self.convolution(u.transpose(1, 2))[..., : x.shape[1]].transpose(1, 2)
        u = functional.silu(u)
        step, B, C = self.selection(u).split((self.rank, self.num_states, self.num_states), -1)
        step = functional.softplus(self.step(step))
        y = selective_scan(u, step, -self.log_A.exp(), B, C) + self.D * u
        mixed: Tensor = self.outputs(y * functional.silu(z))
        return mixed


@final
class Mamba(FeatureBlocks):
    """Blocks of Mamba's S6; options ``num_states`` and ``expand``."""

    mixer = MambaMixer
