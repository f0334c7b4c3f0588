"""The sLSTM: an LSTM with an exponential input gate and a normaliser, in heads.

    z = tanh(z̃)      o = σ(õ)      each of z̃, ĩ, f̃, õ = W x + R h′ + b
    m = max(log σ(f̃) + m′, ĩ)                      stabiliser; m = ĩ at the first step
    i = exp(ĩ − m)      f = exp(log σ(f̃) + m′ − m)
    c = f ⊙ c′ + i ⊙ z      n = f ⊙ n′ + i
    h = o ⊙ c / n

R joins the features of a head alone: it is block-diagonal. Source: Beck et al. 2024 (arXiv
2405.04517), equations 8 to 17.
"""

from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional

from lstm_baseline.challengers.blocks import HeadBlocks


class SLSTMMixer(nn.Module):
    """The equations, in heads of so many features."""

    def __init__(self, head_size: int, num_heads: int) -> None:
        super().__init__()
        features = head_size * num_heads
        self.inputs = nn.Linear(features, 4 * features)
        # (gate, head, to, from); a gate's rows are those of z, i, f, o.
        bound = head_size**-0.5
        self.recurrent = nn.Parameter(
            torch.empty(4, num_heads, head_size, head_size).uniform_(-bound, bound)
        )
        with torch.no_grad():
            self.inputs.bias.zero_()
            # The published initialisation spreads forget gates; 3 keeps 95% of a cell at first.
            self.inputs.bias[2 * features : 3 * features] = 3.0
        self.norm = nn.GroupNorm(num_heads, features)
        self.state_size = 4 * features

    def forward(self, x: Tensor) -> Tensor:
        """Return h (B, T, D), normalised head by head."""
        rows, steps, features = x.shape
        inputs = self.inputs(x).reshape(rows, steps, 4, features)
        h = c = n = m = torch.zeros_like(x[:, 0])
        states = []
        for t in range(steps):
            h, c, n, m = self.step(inputs[:, t], (h, c, n, m), first=t == 0)
            states.append(h)
        stacked = torch.stack(states, dim=1)
        return self.norm(stacked.reshape(-1, features)).reshape(x.shape)

    def step(
        self, inputs: Tensor, state: tuple[Tensor, Tensor, Tensor, Tensor], *, first: bool
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Apply the equations to W x + b (B, 4, D) and (h, c, n, m), each (B, D)."""
        h, c, n, m = state
        heads = h.reshape(len(h), self.recurrent.shape[1], -1)
        recurrent = torch.einsum("ghij,bhj->bghi", self.recurrent, heads).flatten(2)
        z, i, f, o = (inputs + recurrent).unbind(dim=1)
        kept = functional.logsigmoid(f) + m
        m = i if first else torch.maximum(kept, i)
        i = (i - m).exp()
        f = torch.zeros_like(f) if first else (kept - m).exp()
        c = f * c + i * z.tanh()
        n = f * n + i
        return o.sigmoid() * c / n, c, n, m


@final
class SLSTM(HeadBlocks):
    """Blocks of sLSTMs."""

    mixer = SLSTMMixer
