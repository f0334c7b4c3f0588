"""Losses, each with its gradient, over any array API library.

A loss is a mean over rows, or over the steps within each row's length. Its gradient has the shape
of the outputs and is zero at all other steps.
"""

import math
from collections.abc import Callable

import numpy as np
from array_api_compat import array_namespace, device, size
from jaxtyping import Float, Int

from lstm_baseline.engine.activations import log_likelihood_of_labels, log_softmax, sigmoid
from lstm_baseline.engine.core import training_core
from lstm_baseline.engine.errors import InputError
from lstm_baseline.engine.shapes import Array


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
    fused = None if lengths is not None else _fused_cross_entropy(logits, targets)
    if fused is not None:
        return fused
    xp = array_namespace(logits)
    live, num_terms = _live_steps(logits, lengths)
    logits = _blank(logits, live)
    p = _probabilities(targets, logits, live)
    log_p = log_softmax(logits)
    loss = -_sum(p * xp.where(p == 0, 0.0, log_p)) / num_terms  # 0 ln 0 = 0
    return loss, _blank((xp.exp(log_p) - p) / num_terms, live)


def _fused_cross_entropy(logits: Array, targets: Array) -> tuple[float, Array] | None:
    """Let the compiled core do it in one pass, where it can; None where it cannot."""
    core = training_core()
    if core is None or not isinstance(logits, np.ndarray) or not isinstance(targets, np.ndarray):
        return None
    if logits.size == 0 or targets.dtype.kind not in "iu" or targets.shape != logits.shape[:-1]:
        return None
    classes = np.ascontiguousarray(targets, dtype=np.int64).reshape(-1)
    result = core.cross_entropy(logits.reshape(-1, logits.shape[-1]), classes)
    if result is None:
        return None
    total, d_logits = result
    return total / classes.size, d_logits.reshape(logits.shape)


def mean_squared_error(
    outputs: Float[Array, "*rows O"],
    targets: Float[Array, "*rows O"],
    lengths: Int[Array, " B"] | None = None,
) -> tuple[float, Float[Array, "*rows O"]]:
    """Mean squared error L = mean (y − target)², over rows or valid steps and their O components.

    Arguments and returns are those of ``cross_entropy``, with values in place of classes; the
    gradient is 2 (y − target) / number of terms.
    """
    _check_shapes("outputs", outputs, targets)
    xp = array_namespace(outputs)
    live, num_terms = _live_steps(outputs, lengths)
    num_terms *= outputs.shape[-1]
    error = _blank(outputs - xp.astype(targets, outputs.dtype), live)
    return _sum(error * error) / num_terms, 2.0 * error / num_terms


def binary_cross_entropy(
    logits: Float[Array, "*rows O"],
    targets: Array,
    lengths: Int[Array, " B"] | None = None,
) -> tuple[float, Float[Array, "*rows O"]]:
    """Binary cross-entropy of several labels, each with a logit of its own, in nats.

    L = −mean Σ_o [y_o ln σ(z_o) + (1 − y_o) ln σ(−z_o)]: the sum over the O labels, as Chung et al.
    2014 report it for all notes of a frame of music, and the mean over rows or valid steps.
    PyTorch's ``BCEWithLogitsLoss`` takes the mean over labels too, which is L / O.

    Parameters
    ----------
    logits
        (B, O) or (B, T, O).
    targets
        Labels 0 or 1 in the shape of the logits, of any dtype, or probabilities of a 1.
    lengths
        (B,) valid steps of each row; only with (B, T, O).

    Returns
    -------
    loss
        Mean over rows, or over valid steps.
    d_logits
        (σ(z) − y) / number of rows or valid steps.

    Raises
    ------
    InputError
        If shapes do not fit or a target is below 0 or above 1.
    """
    _check_shapes("logits", logits, targets)
    xp = array_namespace(logits)
    live, num_terms = _live_steps(logits, lengths)
    logits = _blank(logits, live)
    y = _blank(xp.astype(targets, logits.dtype), live)
    if size(y) and not bool(xp.all((y >= 0) & (y <= 1))):
        raise InputError(
            f"targets runs from {float(xp.min(y)):g} to {float(xp.max(y)):g}; give each label as 0 "
            "or 1, or as a probability between them"
        )
    loss = -_sum(_blank(log_likelihood_of_labels(logits, y), live)) / num_terms
    return loss, _blank((sigmoid(logits) - y) / num_terms, live)


LOSSES: dict[str, Callable[..., tuple[float, Array]]] = {
    "cross_entropy": cross_entropy,
    "mean_squared_error": mean_squared_error,
    "binary_cross_entropy": binary_cross_entropy,
}


def _live_steps(outputs: Array, lengths: Array | None) -> tuple[Array | None, int]:
    """Return which steps count, (B, T) or None for all, and how many rows or steps do."""
    xp = array_namespace(outputs)
    if lengths is None:
        live, num_terms = None, math.prod(outputs.shape[:-1])
    else:
        if outputs.ndim != 3 or tuple(lengths.shape) != (outputs.shape[0],):
            raise InputError(
                f"lengths has shape {tuple(lengths.shape)} for outputs {tuple(outputs.shape)}; "
                "give one length a row of (batch, time, ·)"
            )
        num_steps = outputs.shape[1]
        if size(lengths) and not 0 <= int(xp.min(lengths)) <= int(xp.max(lengths)) <= num_steps:
            raise InputError(
                f"lengths runs from {int(xp.min(lengths))} to {int(xp.max(lengths))}; "
                f"outputs has {num_steps} steps, so give 0 to {num_steps}"
            )
        live = xp.arange(num_steps, device=device(outputs))[None, :] < lengths[:, None]
        num_terms = int(xp.sum(lengths))
    if num_terms == 0:
        raise InputError("nothing counts: a loss needs at least one row and one step")
    return live, num_terms


def _blank(a: Array, live: Array | None) -> Array:
    """Return a (B, T, ·) with zeros where nothing counts, whatever stands there."""
    if live is None:
        return a
    return array_namespace(a).where(live[:, :, None], a, 0.0)


def _sum(terms: Array) -> float:
    """Return the sum of all terms, added up in float64."""
    xp = array_namespace(terms)
    return float(xp.sum(terms, dtype=xp.float64))


def _probabilities(targets: Array, logits: Array, live: Array | None) -> Array:
    """Return targets as probabilities in the logits' shape and dtype, zeros where none counts."""
    xp = array_namespace(logits)
    if targets.ndim == logits.ndim - 1:
        _check_shapes("logits without classes", logits[..., 0], targets)
        targets = _one_hot(targets if live is None else xp.where(live, targets, 0), logits)
    _check_shapes("logits", logits, targets)
    return _blank(xp.astype(targets, logits.dtype), live)


def _one_hot(indices: Array, logits: Array) -> Array:
    """Return class indices as one-hot rows."""
    xp = array_namespace(logits)
    num_classes = logits.shape[-1]
    if not xp.isdtype(indices.dtype, "integral"):
        raise InputError(f"targets has dtype {indices.dtype}; give whole numbers for class indices")
    if int(xp.min(indices)) < 0 or int(xp.max(indices)) >= num_classes:
        raise InputError(
            f"targets runs from {int(xp.min(indices))} to {int(xp.max(indices))}; "
            f"{num_classes} classes are numbered 0 to {num_classes - 1}"
        )
    indices = xp.astype(indices, xp.int64)  # 8 bits do not hold the numbers of 300 classes
    return indices[..., None] == xp.arange(num_classes, dtype=indices.dtype, device=device(indices))


def _check_shapes(name: str, outputs: Array, targets: Array) -> None:
    if tuple(outputs.shape) != tuple(targets.shape):
        raise InputError(
            f"targets has shape {tuple(targets.shape)}; {name} has {tuple(outputs.shape)}"
        )
