"""The echo state network: a recurrent network that is drawn once and whose readout alone learns.

    h = (1 − a) h′ + a tanh(W x + U h′ + b)         drawn, and never trained
    y = V h + c                                     trained

W and b are uniform in ±s. U has k entries a row, normal, scaled to a spectral radius of ρ. Where a
state should change slowly, a < 1.

It is no block among others: nothing before the readout could learn. The readout is trained as all
contestants are, where a ridge regression would be the custom. Few of its numbers are parameters, so
equal parameters may take more units than a race looks for; a race may match its state or its
operations, and shows how many numbers are held fixed.

Source: Jaeger 2001; Lukoševičius 2012, for k, a and the scales.
"""

import math
from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional

from lstm_baseline.engine.errors import InputError
from lstm_baseline.engine.inputs import as_size

_SETTLING, _MEASURED = 100, 300
"""Products with a vector before and while its growth is measured."""


@final
class EchoState(nn.Module):
    """A reservoir of N = ``hidden_size`` units and a readout.

    Parameters
    ----------
    input_size, output_size : int
        I, or V where the inputs are tokens, and O.
    hidden_size : int
        N.
    spectral_radius : float
        ρ.
    leak : float
        a, in (0, 1].
    input_scale : float
        s.
    num_connections : int
        k.
    """

    takes_tokens = True
    causal = True

    inputs: Tensor
    recurrent: Tensor
    neighbours: Tensor
    bias: Tensor

    def __init__(
        self,
        input_size: int,
        output_size: int,
        hidden_size: int,
        spectral_radius: float = 0.9,
        leak: float = 1.0,
        input_scale: float = 1.0,
        num_connections: int = 10,
    ) -> None:
        super().__init__()
        if not 0 < leak <= 1:
            raise InputError(f"leak is {leak!r}; give a number above 0 and at most 1")
        if not spectral_radius > 0:
            raise InputError(f"spectral_radius is {spectral_radius!r}; give a positive number")
        as_size("num_connections", num_connections)
        self.leak = leak
        shape = (hidden_size, num_connections)
        self.register_buffer("inputs", _uniform(hidden_size, input_size) * input_scale)
        self.register_buffer("bias", _uniform(hidden_size) * input_scale)
        self.register_buffer("neighbours", torch.randint(hidden_size, shape))
        recurrent = torch.randn(shape)
        recurrent *= spectral_radius / _spectral_radius(self.neighbours, recurrent)
        self.register_buffer("recurrent", recurrent)
        self.readout = nn.Linear(hidden_size, output_size)
        self.state_size = hidden_size

    def forward(self, x: Tensor) -> Tensor:
        """Return the outputs (B, T, O) for numbers (B, T, I) or tokens (B, T)."""
        outputs: Tensor = self.readout(self.states(x))
        return outputs

    def states(self, x: Tensor) -> Tensor:
        """Return h (B, T, N), which no gradient reaches."""
        with torch.no_grad():
            if x.is_floating_point():
                driven = functional.linear(x, self.inputs, self.bias)
            else:
                driven = functional.embedding(x, self.inputs.T) + self.bias
            h = torch.zeros_like(driven[:, 0].T)
            states = []
            for u in driven.permute(1, 2, 0):
                fed_back = _product(self.neighbours, self.recurrent, h)
                h = (1 - self.leak) * h + self.leak * (u + fed_back).tanh()
                states.append(h)
            return torch.stack(states).permute(2, 0, 1)


def _product(neighbours: Tensor, recurrent: Tensor, h: Tensor) -> Tensor:
    """Return U h (N, B) for h (N, B): a weighted sum of k rows of h for each unit."""
    return functional.embedding_bag(neighbours, h, mode="sum", per_sample_weights=recurrent)


def _spectral_radius(neighbours: Tensor, recurrent: Tensor) -> float:
    """Return the rate at which powers of U make a vector grow.

    It tends to the spectral radius, and takes products of U with a vector alone.
    """
    v = torch.ones(len(recurrent), 1, dtype=torch.float64)
    grown = 0.0
    for step in range(_SETTLING + _MEASURED):
        v = _product(neighbours, recurrent.double(), v)
        norm = v.norm()
        v = v / norm
        if step >= _SETTLING:
            grown += float(norm.log())
    return math.exp(grown / _MEASURED)


def _uniform(*shape: int) -> Tensor:
    """Return numbers that are uniform in ±1."""
    return 2 * torch.rand(*shape) - 1
