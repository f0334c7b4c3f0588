"""Two networks of PyTorch to race against the LSTM.

    lstm-baseline compare --challenger examples.challengers:CausalAttention

A challenger maps x (B, T, I) to one output a step (B, T, O), or one a row (B, O). The race gives it
``input_size`` and ``output_size``, and solves for the argument that ``width_argument`` names so
that all contestants have equally many parameters; ``hidden_size`` when it names none.
"""

import math
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional


class TorchGRU(nn.Module):
    """PyTorch's GRU and a readout."""

    def __init__(self, input_size: int, output_size: int, hidden_size: int) -> None:
        super().__init__()
        self.gru = nn.GRU(input_size, hidden_size, batch_first=True)
        self.readout = nn.Linear(hidden_size, output_size)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, T, O)."""
        states, _ = self.gru(x)
        return self.readout(states)


class CausalAttention(nn.Module):
    """Blocks of causal self-attention and an MLP, with layer norms before each.

    Width is the size of one head: with the number of heads fixed, any whole number will do.

    Source: Vaswani et al. 2017 (arXiv 1706.03762), sections 3.2 and 3.5; norms first, as in Xiong
    et al. 2020 (arXiv 2002.04745).
    """

    width_argument: ClassVar[str] = "head_size"

    def __init__(
        self,
        input_size: int,
        output_size: int,
        head_size: int,
        num_heads: int = 2,
        num_blocks: int = 2,
    ) -> None:
        super().__init__()
        width = num_heads * head_size
        self.embed = nn.Linear(input_size, width)
        self.blocks = nn.ModuleList(_Block(width, num_heads) for _ in range(num_blocks))
        self.norm = nn.LayerNorm(width)
        self.readout = nn.Linear(width, output_size)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, T, O)."""
        h = self.embed(x)
        h = h + positions(*h.shape[1:]).to(h)
        for block in self.blocks:
            h = block(h)
        return self.readout(self.norm(h))


class _Block(nn.Module):
    def __init__(self, width: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.norm_1, self.norm_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.merge = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(
            nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )

    def forward(self, h: Tensor) -> Tensor:
        # (B, T, 3·H·V) -> three of (B, H, T, V)
        q, k, v = (
            part.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)
            for part in self.qkv(self.norm_1(h)).chunk(3, dim=-1)
        )
        seen = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        h = h + self.merge(seen.transpose(1, 2).flatten(2))
        return h + self.mlp(self.norm_2(h))


def positions(num_steps: int, width: int) -> Tensor:
    """Return sines and cosines of the step at wavelengths from 2π to 10,000·2π, (T, width)."""
    step = torch.arange(num_steps)[:, None]
    rate = torch.exp(-math.log(10_000) * torch.arange(0, width, 2) / width)
    waves = torch.stack([torch.sin(step * rate), torch.cos(step * rate)], dim=-1)
    return waves.flatten(1)[:, :width]
