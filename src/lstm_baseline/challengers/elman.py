"""The Elman network, and the IRNN: the LSTM's predecessor without gates.

    h = φ(W x + b + U h′)

φ is tanh, and U starts orthogonal. In the IRNN φ is max(0, ·), U starts as the identity and b as 0.

Source: Elman 1990; Le, Jaitly and Hinton 2015 (arXiv 1504.00941).
"""

from functools import partial
from typing import final

import torch
from torch import Tensor, nn

from lstm_baseline.challengers.blocks import FeatureBlocks


class ElmanMixer(nn.Module):
    """The equation, in D features."""

    def __init__(self, features: int, *, relu: bool = False) -> None:
        super().__init__()
        self.relu = relu
        self.inputs = nn.Linear(features, features)
        self.recurrent = nn.Parameter(torch.eye(features))
        if relu:
            nn.init.normal_(self.inputs.weight, std=0.001)
            nn.init.zeros_(self.inputs.bias)
        else:
            nn.init.orthogonal_(self.recurrent)
        self.state_size = features

    def forward(self, x: Tensor) -> Tensor:
        """Return h (B, T, D)."""
        u = self.inputs(x)
        h = torch.zeros_like(u[:, 0])
        states = []
        for t in range(x.shape[1]):
            h = u[:, t] + h @ self.recurrent.T
            h = h.relu() if self.relu else h.tanh()
            states.append(h)
        return torch.stack(states, dim=1)


@final
class Elman(FeatureBlocks):
    """Blocks of Elman networks."""

    mixer = ElmanMixer


@final
class IRNN(FeatureBlocks):
    """Blocks of IRNNs."""

    mixer = partial(ElmanMixer, relu=True)
