"""Tokens as one-hot rows, for a challenger that takes numbers alone."""

from typing import Any

import numpy as np

from lstm_baseline.engine.models import SequenceModel
from lstm_baseline.engine.shapes import FloatArray, IntArray, NDArray
from lstm_baseline.tasks.encoding import one_hot
from lstm_baseline.training import Trainable


def takes_tokens(model: Trainable) -> bool:
    """Return whether a model takes tokens (B, T), or one-hot rows (B, T, V) in their place.

    The package's models do. A user's class, or torch module, says so by an attribute
    ``takes_tokens``; a module that has an embedding need not.
    """
    if isinstance(model, SequenceModel):
        return True
    module = getattr(model, "module", model)
    said = getattr(module, "takes_tokens", None)
    if said is not None:
        return bool(said)
    parts = module.modules() if hasattr(module, "modules") else ()
    return any(type(part).__name__ == "Embedding" for part in parts)


class OneHotInputs:
    """A model that gets one-hot rows (B, T, V) where it is given tokens (B, T)."""

    def __init__(self, model: Trainable, num_tokens: int) -> None:
        self.model, self.num_tokens = model, num_tokens
        self.params = model.params

    def __getattr__(self, name: str) -> Any:
        """Return what else the model has: its sizes, its module, its configuration."""
        if name == "model":  # while a copy is made
            raise AttributeError(name)
        return getattr(self.model, name)

    def forward(
        self,
        x: NDArray,
        return_sequences: bool = True,
        /,
        *,
        lengths: IntArray | None = None,
        **options: Any,
    ) -> FloatArray:
        """Run the model on one-hot rows."""
        return self.model.forward(self._rows(x), return_sequences, lengths=lengths, **options)

    def forward_with_cache(
        self,
        x: NDArray,
        return_sequences: bool = True,
        /,
        *,
        lengths: IntArray | None = None,
        rng: np.random.Generator | None = None,
        **options: Any,
    ) -> tuple[FloatArray, Any]:
        """Run the model on one-hot rows, and keep what ``backward`` needs."""
        return self.model.forward_with_cache(
            self._rows(x), return_sequences, lengths=lengths, rng=rng, **options
        )

    def backward(self, d_outputs: FloatArray, cache: Any, /) -> Any:
        """Return the model's own gradients."""
        return self.model.backward(d_outputs, cache)

    def _rows(self, x: NDArray) -> FloatArray:
        dtype = next(iter(self.params.values())).dtype
        return one_hot(x, self.num_tokens).astype(dtype, copy=False)
