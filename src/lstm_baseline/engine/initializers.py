"""Initial values of weights."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from lstm_baseline.engine.errors import InputError
from lstm_baseline.engine.inputs import RandomSource, as_dtype, as_generator, as_size
from lstm_baseline.engine.shapes import FloatArray, Params
from lstm_baseline.engine.threads import one_thread

NO_DRAWS = np.random.default_rng(0)
"""Given as the ``rng`` of a model whose parameters are about to be set, or only to be counted: none
are made, as orthogonal initialisation is expensive."""


def orthogonal_initializer(
    shape: Sequence[int],
    gain: float = 1.0,
    *,
    rng: RandomSource = None,
    dtype: npt.DTypeLike = np.float32,
) -> FloatArray:
    """Return a random (semi-)orthogonal matrix, times ``gain``.

    With the singular value decomposition N = P Σ Qᵀ of a normal matrix, P Qᵀ is distributed
    uniformly over the orthogonal matrices. Its rows are orthonormal if there are no more rows than
    columns; otherwise its columns are. Repeated products with it neither grow nor shrink a vector,
    so recurrent weights start orthogonal.

    Source: Saxe, McClelland and Ganguli 2014 (arXiv 1312.6120).
    """
    rows, columns = _matrix_shape("orthogonal_initializer", shape)
    normal = as_generator(rng).standard_normal((rows, columns))
    with one_thread():
        left, _, right = np.linalg.svd(normal, full_matrices=False)
        values: FloatArray = gain * (left @ right)
    return values.astype(as_dtype(dtype))


def xavier_initializer(
    shape: Sequence[int], *, rng: RandomSource = None, dtype: npt.DTypeLike = np.float32
) -> FloatArray:
    """Return a (fan_out, fan_in) matrix from U(−l, l), l = √(6 / (fan_in + fan_out)).

    Source: Glorot and Bengio 2010, equation 16.
    """
    fan_out, fan_in = _matrix_shape("xavier_initializer", shape)
    limit = np.sqrt(6.0 / (fan_in + fan_out))
    values: FloatArray = as_generator(rng).uniform(-limit, limit, (fan_out, fan_in))
    return values.astype(as_dtype(dtype))


def lecun_initializer(
    shape: Sequence[int], *, rng: RandomSource = None, dtype: npt.DTypeLike = np.float32
) -> FloatArray:
    """Return a (fan_out, fan_in) matrix of normal numbers with deviation √(1 / fan_in).

    Numbers beyond two deviations are drawn again. The relational memory core was published with
    these initial weights.

    Source: LeCun, Bottou, Orr and Müller 1998, section 4.6.
    """
    fan_out, fan_in = _matrix_shape("lecun_initializer", shape)
    rng = as_generator(rng)
    z = rng.standard_normal((fan_out, fan_in))
    while (outside := np.abs(z) > 2.0).any():
        z[outside] = rng.standard_normal(int(outside.sum()))
    values: FloatArray = z / np.sqrt(fan_in)
    return values.astype(as_dtype(dtype))


def gated_initializer(
    num_gates: int, input_size: int, hidden_size: int, rng: np.random.Generator
) -> Params:
    """Return W (nH, I) Xavier-uniform, U (nH, H) orthogonal and b (nH) zero, gate by gate."""
    W = [
        xavier_initializer((hidden_size, input_size), rng=rng, dtype=np.float64)
        for _ in range(num_gates)
    ]
    U = [
        orthogonal_initializer((hidden_size, hidden_size), rng=rng, dtype=np.float64)
        for _ in range(num_gates)
    ]
    return {"W": np.concatenate(W), "U": np.concatenate(U), "b": np.zeros(num_gates * hidden_size)}


def _matrix_shape(name: str, shape: Sequence[int]) -> tuple[int, int]:
    if len(shape) != 2:
        raise InputError(f"{name} got shape {tuple(shape)}; give two sizes")
    rows, columns = (as_size(f"a size of {name}", size) for size in shape)
    return rows, columns
