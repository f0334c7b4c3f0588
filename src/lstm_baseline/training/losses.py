"""Losses, each with its gradient, over any array API library.

A loss is a mean over what counts: rows, or the steps within each row's length. Its gradient has
the shape of the outputs and is zero where nothing counts.
"""

from typing import Any

from array_api_compat import array_namespace, size
from jaxtyping import Float, Int

from lstm_baseline.activations import log_softmax
from lstm_baseline.errors import InputError
from lstm_baseline.shapes import Array


def cross_entropy(
    logits: Float[Array, "*rows K"],
    targets: Array,
    lengths: Int[Array, " B"] | None = None,
) -> tuple[float, Float[Array, "*rows K"]]:
    """Cross-entropy from logits, L = −mean Σ_k p_k ln softmax(z)_k, in nats.

    Parameters
    ----------
    logits
        (B, K) or (B, T, K).
    targets
        Class indices (B,) or (B, T), or probabilities (one-hot included) in the shape of the
        logits, whose rows sum to 1.
    lengths
        (B,) valid steps of each row; only with (B, T, K).

    Returns
    -------
    loss
        Mean over rows, or over valid steps.
    d_logits
        (softmax(z) − p) / number of terms.

    Raises
    ------
    InputError
        If shapes do not fit or an index is not a class.
    """
    xp = array_namespace(logits)
    if targets.ndim == logits.ndim - 1:
        targets = _one_hot(targets, logits)
    _check_shapes("logits", logits, targets)
    log_p = log_softmax(logits)
    weights = _weights(logits, lengths)
    loss = -xp.sum(xp.sum(targets * log_p, axis=-1, keepdims=True) * weights)
    return float(loss), (xp.exp(log_p) - targets) * weights


def mean_squared_error(
    outputs: Float[Array, "*rows O"],
    targets: Float[Array, "*rows O"],
    lengths: Int[Array, " B"] | None = None,
) -> tuple[float, Float[Array, "*rows O"]]:
    """Mean squared error L = mean (y − target)², over rows or valid steps and their O components.

    Arguments and returns are those of ``cross_entropy``, with values for classes; the gradient is
    2 (y − target) / number of terms.
    """
    xp = array_namespace(outputs)
    _check_shapes("outputs", outputs, targets)
    error = outputs - targets
    weights = _weights(outputs, lengths) / outputs.shape[-1]
    return float(xp.sum(error * error * weights)), 2.0 * error * weights


LOSSES = {"cross_entropy": cross_entropy, "mean_squared_error": mean_squared_error}


def _weights(outputs: Array, lengths: Array | None) -> Any:
    """Return what each term of the mean counts: 1 / number of terms, or 0 in the padding."""
    xp = array_namespace(outputs)
    num_rows = size(outputs[..., 0])
    if lengths is None:
        if num_rows == 0:
            raise InputError("a loss needs at least one row and one step; got none")
        return 1.0 / num_rows
    if outputs.ndim != 3 or lengths.shape != (outputs.shape[0],):
        raise InputError(
            f"lengths has shape {tuple(lengths.shape)} for outputs {tuple(outputs.shape)}; "
            "give one length a row of (batch, time, ·)"
        )
    live = xp.astype(xp.arange(outputs.shape[1])[None, :] < lengths[:, None], outputs.dtype)
    total = float(xp.sum(live))
    if total == 0:
        raise InputError("every length is 0; a loss needs at least one step")
    return live[:, :, None] / total


def _one_hot(indices: Array, logits: Array) -> Array:
    """Return class indices as one-hot rows in the logits' dtype."""
    xp = array_namespace(logits)
    num_classes = logits.shape[-1]
    if not xp.isdtype(indices.dtype, "integral"):
        raise InputError(f"targets has dtype {indices.dtype}; give whole numbers for class indices")
    if size(indices) and (int(xp.min(indices)) < 0 or int(xp.max(indices)) >= num_classes):
        raise InputError(
            f"targets runs from {int(xp.min(indices))} to {int(xp.max(indices))}; "
            f"{num_classes} classes are numbered 0 to {num_classes - 1}"
        )
    classes = xp.arange(num_classes, dtype=indices.dtype)
    return xp.astype(indices[..., None] == classes, logits.dtype)


def _check_shapes(name: str, outputs: Array, targets: Array) -> None:
    if tuple(outputs.shape) != tuple(targets.shape):
        raise InputError(
            f"targets has shape {tuple(targets.shape)}; {name} has {tuple(outputs.shape)}"
        )
