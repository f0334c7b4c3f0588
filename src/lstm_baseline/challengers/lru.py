"""The LRU: a linear recurrence with a complex diagonal.

    λ = exp(−exp(ν) + i exp(θ))                      so that |λ| < 1
    s = λ ⊙ s′ + exp(γ) ⊙ B x                        N complex states
    y = Re(C s) + D x

exp(γ) starts at √(1 − |λ|²), which keeps the states' size. In a block the output goes through a
gated linear unit, as published: (W₁ GELU(y)) ⊙ σ(W₂ GELU(y)).

Source: Orvieto et al. 2023 (arXiv 2303.06349), equations 5 to 8 and appendix A.
"""

import math
from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional

from lstm_baseline.challengers.blocks import FeatureBlocks


class LRUMixer(nn.Module):
    """The equations, for D features and N states; |λ| starts from smallest to largest."""

    def __init__(
        self,
        features: int,
        num_states: int | None = None,
        smallest: float = 0.9,
        largest: float = 0.999,
    ) -> None:
        super().__init__()
        num_states = num_states or features
        square = torch.empty(num_states).uniform_(smallest**2, largest**2)
        self.nu = nn.Parameter((-0.5 * square.log()).log())
        self.theta = nn.Parameter(torch.empty(num_states).uniform_(0, 2 * math.pi).log())
        self.gamma = nn.Parameter((1 - square).sqrt().log())
        # The last axis is the real and the imaginary part.
        self.B = nn.Parameter(torch.randn(num_states, features, 2) / math.sqrt(2 * features))
        self.C = nn.Parameter(torch.randn(features, num_states, 2) / math.sqrt(num_states))
        self.D = nn.Parameter(torch.randn(features) / math.sqrt(features))
        self.outputs = nn.Linear(features, 2 * features)
        self.state_size = 2 * num_states

    def forward(self, x: Tensor) -> Tensor:
        """Return the gated outputs (B, T, D)."""
        mixed: Tensor = functional.glu(self.outputs(functional.gelu(self.filtered(x))), dim=-1)
        return mixed

    def filtered(self, x: Tensor) -> Tensor:
        """Return y (B, T, D)."""
        size, angle = (-self.nu.exp()).exp(), self.theta.exp()
        # A complex number is two real ones here: PyTorch differentiates these on every backend.
        real, imaginary = size * angle.cos(), size * angle.sin()
        u = torch.einsum("btd,ndc->cbtn", x, self.B) * self.gamma.exp()
        s, r = torch.zeros_like(u[0, :, 0]), torch.zeros_like(u[0, :, 0])
        states = []
        for t in range(x.shape[1]):
            s, r = (
                real * s - imaginary * r + u[0, :, t],
                real * r + imaginary * s + u[1, :, t],
            )
            states.append(torch.stack([s, -r]))
        found = torch.einsum("tcbn,dnc->btd", torch.stack(states), self.C)
        return found + self.D * x


@final
class LRU(FeatureBlocks):
    """Blocks of LRUs; options ``num_states``, D without it, ``smallest`` and ``largest``."""

    mixer = LRUMixer
