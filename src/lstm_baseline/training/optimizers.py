"""Optimizers and gradient clipping, over any array API library.

An optimizer updates live parameters in place and keeps its memory in ``state``, a flat dict of
arrays, so that a checkpoint can hold it.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Literal, final

from array_api_compat import array_namespace, device

from lstm_baseline.engine.core import training_core
from lstm_baseline.engine.shapes import Array, Params


def clip_by_global_norm(gradients: Params, max_norm: float | None) -> tuple[Params, float]:
    """Scale all gradients by min(1, max_norm / norm), norm = √(Σ of all squares).

    Returns the gradients and the norm before clipping. With None nothing is scaled. The norm is
    not finite if any entry is not.

    Source: Pascanu, Mikolov and Bengio 2013, algorithm 1.
    """
    norm = math.sqrt(_sum_of_squares(list(gradients.values())))
    if max_norm is None or not norm > max_norm:
        return gradients, norm
    return {name: g * (max_norm / norm) for name, g in gradients.items()}, norm


def _sum_of_squares(arrays: list[Array]) -> float:
    core = training_core()
    total: float | None = core.sum_of_squares(arrays) if core is not None else None
    return sum(map(_squares, arrays)) if total is None else total


def _squares(g: Array) -> float:
    xp = array_namespace(g)
    flat = xp.astype(xp.reshape(g, (-1,)), xp.float64)
    return float(xp.vecdot(flat, flat))


class Optimizer(ABC):
    """Changes parameters in place, given their gradients."""

    def __init__(self, params: Params) -> None:
        self.params = params
        self.state: Params = {}

    @abstractmethod
    def update(self, gradients: Params, learning_rate: float) -> None:
        """Take one step."""


@final
class SGD(Optimizer):
    """Stochastic gradient descent with momentum: m ← μ m + g, p ← p − η m.

    Source: Polyak 1964; the form without damping, as in PyTorch.
    """

    def __init__(self, params: Params, momentum: float = 0.0) -> None:
        super().__init__(params)
        self.momentum = momentum
        if momentum:
            self.state = {
                f"momentum.{name}": array_namespace(p).zeros_like(p) for name, p in params.items()
            }

    def update(self, gradients: Params, learning_rate: float) -> None:
        """Take one step."""
        for name, p in self.params.items():
            change = gradients[name]
            if self.momentum:
                m = self.state[f"momentum.{name}"]
                m *= self.momentum
                m += change
                change = m
            p -= learning_rate * change


@final
class Adam(Optimizer):
    """Adam: p ← p − η m̂ / (√v̂ + ε) with running means m of g and v of g², bias-corrected.

    m ← β₁ m + (1 − β₁) g, v ← β₂ v + (1 − β₂) g², m̂ = m / (1 − β₁ᵗ), v̂ = v / (1 − β₂ᵗ).

    Source: Kingma and Ba 2015 (arXiv 1412.6980), algorithm 1.
    """

    def __init__(
        self, params: Params, beta_1: float = 0.9, beta_2: float = 0.999, epsilon: float = 1e-8
    ) -> None:
        super().__init__(params)
        self.beta_1, self.beta_2, self.epsilon = beta_1, beta_2, epsilon
        for name, p in params.items():
            xp = array_namespace(p)
            self.state |= {f"m.{name}": xp.zeros_like(p), f"v.{name}": xp.zeros_like(p)}
            # The number of steps taken, kept in ``state`` so that a checkpoint holds it.
            self.state.setdefault("t", xp.zeros((1,), dtype=p.dtype, device=device(p)))

    def update(self, gradients: Params, learning_rate: float) -> None:
        """Take one step."""
        self.state["t"] += 1
        t = float(self.state["t"][0])
        # p ← p − η m̂ / (√v̂ + ε) with the corrections taken out of the root: one division less.
        root = math.sqrt(1 - self.beta_2**t)
        rate, epsilon = learning_rate * root / (1 - self.beta_1**t), self.epsilon * root
        arrays = [
            (gradients[name], self.state[f"m.{name}"], self.state[f"v.{name}"], p)
            for name, p in self.params.items()
        ]
        core = training_core()
        if core is not None and core.adam_update(
            *map(list, zip(*arrays, strict=True)), self.beta_1, self.beta_2, rate, epsilon
        ):
            return  # the core has done the same operations in the same order, in one pass
        for g, m, v, p in arrays:
            m *= self.beta_1
            m += (1 - self.beta_1) * g
            v *= self.beta_2
            v += (1 - self.beta_2) * (g * g)
            p -= rate * m / (array_namespace(v).sqrt(v) + epsilon)


OptimizerName = Literal["adam", "sgd"]

OPTIMIZERS: dict[OptimizerName, Callable[[Params, float], Optimizer]] = {
    "adam": lambda params, momentum: Adam(params),
    "sgd": SGD,
}
"""Optimizers by the names that settings take: (params, momentum) -> optimizer."""
