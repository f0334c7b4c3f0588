"""Pieces that several cells share, each above its derivative.

All of them work on the last axis. Any number of axes may come before it, written * in the shapes.
"""

import math
from typing import NamedTuple

import numpy as np
from array_api_compat import array_namespace, device, is_numpy_array, is_torch_array
from jaxtyping import Float

from lstm_baseline.engine.shapes import Array, Params

_LAYER_NORM_EPSILON = 1e-5


def affine(
    x: Array, W: Float[Array, "O I"], b: Float[Array, " O"] | None = None
) -> Float[Array, "*rows O"]:
    """Return y = W x + b for every row; W x without a bias.

    x is (*, I), or tokens (*): whole numbers k that stand for one-hot rows, so that W x is column k
    of W. No one-hot row is made.
    """
    if is_tokens(x):
        xp = array_namespace(W)
        y = xp.take(W.T, _reshape(x, (math.prod(x.shape),)), axis=0)
        return _reshape(y if b is None else y + b, (*x.shape, W.shape[0]))
    y = _as_rows(x) @ W.T
    return _reshape(y if b is None else y + b, (*x.shape[:-1], W.shape[0]))


def affine_backward(
    d_y: Float[Array, "*rows O"],
    x: Array,
    params: Params,
    d_params: Params,
    W: str,
    b: str | None = None,
) -> Array:
    """Return d_x = Wᵀ d_y; add d_W = Σ d_y xᵀ and d_b = Σ d_y to ``d_params``.

    Tokens have no gradient, so of them it returns None.
    """
    d_rows = _as_rows(d_y)
    if b is not None:
        d_params[b] += array_namespace(d_y).sum(d_rows, axis=0)
    if is_tokens(x):
        d_params[W] += sum_by_token(d_rows, x, d_params[W].shape[1]).T
        return None
    d_params[W] += d_rows.T @ _as_rows(x)
    return _reshape(d_rows @ params[W], x.shape)


def is_tokens(x: Array) -> bool:
    """Return True for whole numbers, which stand for one-hot rows."""
    return bool(array_namespace(x).isdtype(x.dtype, "integral"))


def sum_by_token(rows: Float[Array, "N O"], tokens: Array, num_tokens: int) -> Array:
    """Return for each token the sum of the rows of its places, (V, O), in the order of places."""
    xp = array_namespace(rows)
    index = _reshape(tokens, (math.prod(tokens.shape),))
    sums = xp.zeros((num_tokens, rows.shape[1]), dtype=rows.dtype, device=device(rows))
    if is_numpy_array(rows):
        np.add.at(sums, index, rows)
        return sums
    if is_torch_array(rows):
        return sums.index_add(0, index, rows)
    # The standard has no scatter: one token after the other.
    for token in {int(k) for k in index}:
        chosen = xp.astype(index == token, rows.dtype)
        sums[token, :] = chosen @ rows
    return sums


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
