"""Optimizers and gradient clipping, over any array API library.

An optimizer updates live parameters in place and keeps its memory in ``state``, a flat dict of
arrays, so that a checkpoint can hold it.
"""

import math
from abc import ABC, abstractmethod
from typing import Literal, Protocol, final

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


class _Moments(Optimizer):
    """What Adam and AdamW share: running means of g and of g², and the step that they make."""

    def __init__(self, params: Params, beta_1: float, beta_2: float, epsilon: float) -> None:
        super().__init__(params)
        self.beta_1, self.beta_2, self.epsilon = beta_1, beta_2, epsilon
        for name, p in params.items():
            xp = array_namespace(p)
            self.state |= {f"m.{name}": xp.zeros_like(p), f"v.{name}": xp.zeros_like(p)}
            # The number of steps taken, kept in ``state`` so that a checkpoint holds it.
            self.state.setdefault("t", xp.zeros((1,), dtype=p.dtype, device=device(p)))

    @abstractmethod
    def _kept(self, name: str, p: Array, learning_rate: float) -> float:
        """Return what a parameter is multiplied by before the step."""

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
        kept = [self._kept(name, p, learning_rate) for name, p in self.params.items()]
        core = training_core()
        if core is not None and core.adam_update(
            *map(list, zip(*arrays, strict=True)), kept, self.beta_1, self.beta_2, rate, epsilon
        ):
            return  # the core has done the same operations in the same order, in one pass
        for (g, m, v, p), share in zip(arrays, kept, strict=True):
            m *= self.beta_1
            m += (1 - self.beta_1) * g
            v *= self.beta_2
            v += (1 - self.beta_2) * (g * g)
            if share != 1:
                p *= share
            p -= rate * m / (array_namespace(v).sqrt(v) + epsilon)


@final
class Adam(_Moments):
    """Adam: p ← p − η m̂ / (√v̂ + ε) with running means m of g and v of g², bias-corrected.

    m ← β₁ m + (1 − β₁) g, v ← β₂ v + (1 − β₂) g², m̂ = m / (1 − β₁ᵗ), v̂ = v / (1 − β₂ᵗ).

    Source: Kingma and Ba 2015 (arXiv 1412.6980), algorithm 1.
    """

    def __init__(
        self, params: Params, beta_1: float = 0.9, beta_2: float = 0.999, epsilon: float = 1e-8
    ) -> None:
        super().__init__(params, beta_1, beta_2, epsilon)

    def _kept(self, name: str, p: Array, learning_rate: float) -> float:
        return 1.0


@final
class AdamW(_Moments):
    """Adam with decoupled weight decay: p ← p − η (m̂ / (√v̂ + ε) + λ p).

    m̂ and v̂ are Adam's, of the gradient of the loss alone. λ is ``weight_decay`` for the parameters
    that ``is_decayed`` names, and 0 for all others. It is multiplied by the whole learning rate η,
    as in PyTorch; the paper's λ, which the schedule alone scales, is this one times the peak of η.

    Source: Loshchilov and Hutter 2019 (arXiv 1711.05101), algorithm 2.
    """

    def __init__(
        self,
        params: Params,
        weight_decay: float = 0.01,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
    ) -> None:
        super().__init__(params, beta_1, beta_2, epsilon)
        self.weight_decay = weight_decay

    def _kept(self, name: str, p: Array, learning_rate: float) -> float:
        return 1 - learning_rate * self.weight_decay if is_decayed(name, p) else 1.0


def is_decayed(name: str, p: Array) -> bool:
    """Return whether weight decay applies to a parameter: to matrices that are no embedding.

    Biases, gains of layer norms and peepholes have one axis. An embedding's table is a parameter
    named ``E`` or ``embedding``, or one of a module of that name (``encoder.embedding.weight``):
    decay would also shrink the rows of symbols that a batch does not have.
    """
    return p.ndim >= 2 and not {"E", "embedding"} & set(name.split("."))


@final
class RMSProp(Optimizer):
    """RMSProp: v ← α v + (1 − α) g², p ← p − η g / (√v + ε).

    Source: Tieleman and Hinton 2012, lecture 6.5, with the constants and the place of ε that
    PyTorch has; without momentum, as in their rule. Chung et al. 2014 name none either.
    """

    def __init__(self, params: Params, alpha: float = 0.99, epsilon: float = 1e-8) -> None:
        super().__init__(params)
        self.alpha, self.epsilon = alpha, epsilon
        self.state = {f"v.{name}": array_namespace(p).zeros_like(p) for name, p in params.items()}

    def update(self, gradients: Params, learning_rate: float) -> None:
        """Take one step."""
        arrays = [(gradients[name], self.state[f"v.{name}"], p) for name, p in self.params.items()]
        core = training_core()
        if core is not None and core.rmsprop_update(
            *map(list, zip(*arrays, strict=True)), self.alpha, learning_rate, self.epsilon
        ):
            return  # the core has done the same operations in the same order, in one pass
        for g, v, p in arrays:
            v *= self.alpha
            v += (1 - self.alpha) * (g * g)
            p -= learning_rate * g / (array_namespace(v).sqrt(v) + self.epsilon)


OptimizerName = Literal["adam", "adamw", "rmsprop", "sgd"]

DECAYING: OptimizerName = "adamw"
"""The optimizer that takes a weight decay."""


class MakeOptimizer(Protocol):
    """A function that makes an optimizer from what settings say of it."""

    def __call__(self, params: Params, *, momentum: float, weight_decay: float) -> Optimizer:
        """Return the optimizer; it leaves out what it has no use for."""


OPTIMIZERS: dict[OptimizerName, MakeOptimizer] = {
    "adam": lambda params, *, momentum, weight_decay: Adam(params),
    "adamw": lambda params, *, momentum, weight_decay: AdamW(params, weight_decay),
    "rmsprop": lambda params, *, momentum, weight_decay: RMSProp(params),
    "sgd": lambda params, *, momentum, weight_decay: SGD(params, momentum),
}
"""Optimizers by the names that settings take."""
