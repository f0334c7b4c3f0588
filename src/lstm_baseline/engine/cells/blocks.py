"""Pieces that several cells share, each above its derivative.

All of them work on the last axis. Any number of axes may come before it, written * in the shapes.
"""

import math
from typing import NamedTuple

from array_api_compat import array_namespace
from jaxtyping import Float

from lstm_baseline.engine.shapes import Array, Params

_LAYER_NORM_EPSILON = 1e-5


def affine(
    x: Float[Array, "*rows I"], W: Float[Array, "O I"], b: Float[Array, " O"] | None = None
) -> Float[Array, "*rows O"]:
    """Return y = W x + b for every row; W x without a bias."""
    y = _as_rows(x) @ W.T
    return _reshape(y if b is None else y + b, (*x.shape[:-1], W.shape[0]))


def affine_backward(
    d_y: Float[Array, "*rows O"],
    x: Float[Array, "*rows I"],
    params: Params,
    d_params: Params,
    W: str,
    b: str | None = None,
) -> Float[Array, "*rows I"]:
    """Return d_x = Wᵀ d_y; add d_W = Σ d_y xᵀ and d_b = Σ d_y to ``d_params``."""
    d_rows = _as_rows(d_y)
    d_params[W] += d_rows.T @ _as_rows(x)
    if b is not None:
        d_params[b] += array_namespace(x).sum(d_rows, axis=0)
    return _reshape(d_rows @ params[W], x.shape)


class LayerNormCache(NamedTuple):
    """Record of a layer norm for its derivative."""

    x_hat: Array
    """(*, F) rows with mean 0 and variance 1."""
    inverse_std: Array
    """(*, 1)."""


def layer_norm(
    x: Float[Array, "*rows F"], gain: Float[Array, " F"], bias: Float[Array, " F"] | None = None
) -> tuple[Float[Array, "*rows F"], LayerNormCache]:
    """Return y = gain ⊙ x̂ + bias with x̂ = (x − mean) / √(variance + 1e-5), row by row.

    Source: Ba, Kiros and Hinton 2016, equation 4.
    """
    xp = array_namespace(x)
    centred = x - xp.mean(x, axis=-1, keepdims=True)
    variance = xp.vecdot(centred, centred)[..., None] / x.shape[-1]
    inverse_std = 1.0 / xp.sqrt(variance + _LAYER_NORM_EPSILON)
    x_hat = centred * inverse_std
    y = gain * x_hat
    return y if bias is None else y + bias, LayerNormCache(x_hat, inverse_std)


def layer_norm_backward(
    d_y: Float[Array, "*rows F"],
    cache: LayerNormCache,
    params: Params,
    d_params: Params,
    gain: str,
    bias: str | None = None,
) -> Float[Array, "*rows F"]:
    """Return d_x = (d_x̂ − mean(d_x̂) − x̂ mean(d_x̂ ⊙ x̂)) / std with d_x̂ = gain ⊙ d_y.

    Add d_gain = Σ d_y ⊙ x̂ and d_bias = Σ d_y to ``d_params``.
    """
    x_hat, inverse_std = cache
    xp = array_namespace(d_y)
    d_params[gain] += xp.sum(_as_rows(d_y * x_hat), axis=0)
    if bias is not None:
        d_params[bias] += xp.sum(_as_rows(d_y), axis=0)
    d_x_hat = params[gain] * d_y
    return inverse_std * (
        d_x_hat
        - xp.mean(d_x_hat, axis=-1, keepdims=True)
        - x_hat * (xp.vecdot(d_x_hat, x_hat)[..., None] / x_hat.shape[-1])
    )


def _as_rows(x: Array) -> Array:
    """Return x as (rows, width)."""
    return _reshape(x, (math.prod(x.shape[:-1]), x.shape[-1]))


def _reshape(x: Array, shape: tuple[int, ...]) -> Array:
    # Mostly there is nothing to do, but array libraries are slow to find that out.
    return x if x.shape == shape else array_namespace(x).reshape(x, shape)
