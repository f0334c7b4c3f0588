"""Activation functions, each beside its derivative.

Derivatives are written in terms of the function's value, which backward has at hand. All functions
take and return arrays of any array API library and keep the dtype. They work element by element
unless an axis is named.
"""

from array_api_compat import array_namespace

from lstm_baseline.engine.shapes import Array

# exp(−87) and exp(−708) are about the smallest powers that float32 and float64 hold in full.
_LARGEST_EXPONENT = {4: 87.0, 8: 708.0}


def sigmoid(z: Array) -> Array:
    """Logistic function σ(z) = 1 / (1 + exp(−z)), without overflow for any z.

    One formula serves both signs. Where σ(z) would be smaller than the dtype's normal numbers, it
    is 0: a small number in its place, times a large one, would be seen. NaN stays NaN.
    """
    xp = array_namespace(z)
    limit = _largest_exponent(z)
    s = 1.0 / (1.0 + xp.exp(-xp.maximum(z, -limit)))
    return s * xp.astype(z >= -limit, z.dtype)


def exp_of_negative(z: Array) -> Array:
    """Return e^z for z ≤ 0, and 0 where it would be smaller than the dtype's normal numbers."""
    xp = array_namespace(z)
    limit = _largest_exponent(z)
    return xp.exp(xp.maximum(z, -limit)) * xp.astype(z >= -limit, z.dtype)


def _largest_exponent(z: Array) -> float:
    return _LARGEST_EXPONENT[array_namespace(z).finfo(z.dtype).bits // 8]


def d_sigmoid(s: Array) -> Array:
    """Derivative of the sigmoid from its value s: σ′ = s (1 − s)."""
    return s * (1.0 - s)


def tanh(z: Array) -> Array:
    """Hyperbolic tangent."""
    return array_namespace(z).tanh(z)


def d_tanh(t: Array) -> Array:
    """Derivative of tanh from its value t: tanh′ = 1 − t²."""
    return 1.0 - t * t


def relu(z: Array) -> Array:
    """Rectifier max(z, 0)."""
    return array_namespace(z).maximum(z, 0.0)


def d_relu(r: Array) -> Array:
    """Derivative of the rectifier from its value r: 1 where r > 0, else 0."""
    xp = array_namespace(r)
    return xp.astype(r > 0, r.dtype)


def softmax(z: Array) -> Array:
    """Softmax over the last axis, shifted by the row's maximum so that nothing overflows."""
    xp = array_namespace(z)
    e = xp.exp(z - xp.max(z, axis=-1, keepdims=True))
    return e / xp.sum(e, axis=-1, keepdims=True)


def softmax_backward(d_p: Array, p: Array) -> Array:
    """Gradient of z for p = softmax(z): d_z = p ⊙ (d_p − Σ d_p ⊙ p), the sum over the last axis."""
    xp = array_namespace(p)
    return p * (d_p - xp.vecdot(d_p, p)[..., None])


def log_softmax(z: Array) -> Array:
    """Logarithm of the softmax over the last axis; −inf marks an impossible class."""
    xp = array_namespace(z)
    shifted = z - xp.max(z, axis=-1, keepdims=True)
    return shifted - xp.log(xp.sum(xp.exp(shifted), axis=-1, keepdims=True))


def log_likelihood_of_labels(z: Array, y: Array) -> Array:
    """Log-likelihood of labels y in [0, 1] with logits z: y ln σ(z) + (1 − y) ln σ(−z).

    σ itself is not computed, so nothing overflows, and what is nearly certain is not rounded to
    certainty. An infinite z rules one label out: −inf where y says that label, otherwise 0.
    """
    xp = array_namespace(z)
    # −ln σ(z) = max(−z, 0) + ln(1 + exp(−|z|)), and y + (1 − y) = 1; 0 · ∞ is 0 here.
    ruled_out = y * xp.where(y == 0, 0.0, relu(-z)) + (1 - y) * xp.where(y == 1, 0.0, relu(z))
    return -(ruled_out + xp.log1p(xp.exp(-xp.abs(z))))
