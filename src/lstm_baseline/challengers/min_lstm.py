"""The minLSTM: gates that do not see the state, normalised to sum to one.

    f = σ(W_f x + b_f)        i = σ(W_i x + b_i)        h̃ = W_h x + b_h
    f′ = f / (f + i)          i′ = i / (f + i)
    h = f′ ⊙ h′ + i′ ⊙ h̃

h′ is the state of the step before. Source: Feng et al. 2024 (arXiv 2410.01201), section 3.2.
"""

from typing import final

import torch
from torch import Tensor, nn

from lstm_baseline.challengers.blocks import FeatureBlocks


class MinLSTMMixer(nn.Module):
    """The three equations, in D features."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.gates = nn.Linear(features, 3 * features)
        self.state_size = features

    def forward(self, x: Tensor) -> Tensor:
        """Return h (B, T, D)."""
        f, i, candidate = self.gates(x).chunk(3, dim=-1)
        f, i = f.sigmoid(), i.sigmoid()
        kept, new = f / (f + i), i / (f + i) * candidate
        h = torch.zeros_like(x[:, 0])
        states = []
        for t in range(x.shape[1]):
            h = kept[:, t] * h + new[:, t]
            states.append(h)
        return torch.stack(states, dim=1)


@final
class MinLSTM(FeatureBlocks):
    """Blocks of minLSTMs."""

    mixer = MinLSTMMixer
