"""Blocks of mixers: what most of today's recurrent architectures are compared in.

    x₀ = E x                                        one column of E for a token
    x_l = x_{l−1} + D(mixer_l(N_l(x_{l−1})))        N is a layer norm, D dropout
    y = W N(x_L) + b

A mixer maps (B, T, D) to (B, T, D) and is the only part that sees other steps than its own. A layer
has one, or several one after the other.
"""

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn
from torch.nn import functional


class Blocks(nn.Module):
    """Layers of one mixer between an embedding and a readout.

    Parameters
    ----------
    input_size, output_size : int
        I, or V where the inputs are tokens, and O.
    features : int
        D.
    make_layer : callable
        Function that returns the new mixers of a layer.
    num_layers : int
        How many layers.
    dropout : float
        Share of a mixer's outputs that training leaves out.
    """

    takes_tokens = True
    causal = True
    """No output depends on a later step, so that rows of all lengths run together."""

    def __init__(
        self,
        input_size: int,
        output_size: int,
        features: int,
        make_layer: Callable[[], list[nn.Module]],
        num_layers: int,
        dropout: float,
    ) -> None:
        super().__init__()
        self.embedding = nn.Linear(input_size, features, bias=False)
        self.mixers = nn.ModuleList(mixer for _ in range(num_layers) for mixer in make_layer())
        self.norms = nn.ModuleList(nn.LayerNorm(features) for _ in self.mixers)
        self.dropout = nn.Dropout(dropout)
        self.last_norm = nn.LayerNorm(features)
        self.readout = nn.Linear(features, output_size)
        # A state that grows with T has no size.
        sizes = [getattr(mixer, "state_size", None) for mixer in self.mixers]
        self.state_size = None if None in sizes else sum(size for size in sizes if size)

    def forward(self, x: Tensor) -> Tensor:
        """Return the outputs (B, T, O) for numbers (B, T, I) or tokens (B, T)."""
        if x.is_floating_point():
            x = self.embedding(x)
        else:
            x = functional.embedding(x, self.embedding.weight.T)
        for norm, mixer in zip(self.norms, self.mixers, strict=True):
            x = x + self.dropout(mixer(norm(x)))
        outputs: Tensor = self.readout(self.last_norm(x))
        return outputs


class FeatureBlocks(Blocks):
    """Blocks of D = ``hidden_size`` features; ``options`` are further arguments of the mixer."""

    mixer: Callable[..., nn.Module]

    def __init__(
        self,
        input_size: int,
        output_size: int,
        hidden_size: int,
        num_layers: int = 1,
        dropout: float = 0.0,
        **options: Any,
    ) -> None:
        def make_layer() -> list[nn.Module]:
            return [type(self).mixer(hidden_size, **options)]

        super().__init__(input_size, output_size, hidden_size, make_layer, num_layers, dropout)


class HeadBlocks(Blocks):
    """Blocks in heads, D = ``head_size`` · ``num_heads``; ``options`` are those of the mixers."""

    width_argument = "head_size"
    mixer: Callable[..., nn.Module]

    def __init__(
        self,
        input_size: int,
        output_size: int,
        head_size: int,
        num_heads: int = 4,
        num_layers: int = 1,
        dropout: float = 0.0,
        **options: Any,
    ) -> None:
        def make_layer() -> list[nn.Module]:
            return self.layer(head_size, num_heads, **options)

        features = head_size * num_heads
        super().__init__(input_size, output_size, features, make_layer, num_layers, dropout)

    def layer(self, head_size: int, num_heads: int, **options: Any) -> list[nn.Module]:
        """Return the mixers of a layer, one for most."""
        return [type(self).mixer(head_size, num_heads, **options)]
