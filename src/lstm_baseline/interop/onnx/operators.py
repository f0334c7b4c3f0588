"""The operators of ONNX that stand around an LSTM, in NumPy, and the LSTM by this package's engine.

Each is a function. An operator's inputs are positional arguments, None for one that is left out;
its attributes are keywords. What is an attribute in older versions of an operator and an input in
newer ones may come as either.
"""

import inspect
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np

from lstm_baseline.engine.backend import select_engine
from lstm_baseline.engine.errors import InputError
from lstm_baseline.engine.inputs import as_lengths
from lstm_baseline.engine.models.stack import reverse
from lstm_baseline.engine.shapes import FloatArray, IntArray, NDArray
from lstm_baseline.interop.onnx.lstm import read_directions

MOST_NUMBERS = 2**28
"""Limit of numbers that a graph computes: a file of a few bytes can ask for any number."""

DTYPES: dict[int, np.dtype[Any]] = {
    1: np.dtype(np.float32),
    6: np.dtype(np.int32),
    7: np.dtype(np.int64),
    9: np.dtype(np.bool_),
    11: np.dtype(np.float64),
}
"""Types by their numbers in ONNX."""


def check_room(shape: Iterable[int]) -> None:
    """Refuse an array before it is made if it would be too large."""
    size = math.prod(int(length) for length in shape)
    if size > MOST_NUMBERS:
        raise InputError(f"it asks for {size:,} numbers; at most {MOST_NUMBERS:,} are computed")


def attribute_names(operator: str) -> set[str]:
    """Return the attributes that are understood of an operator."""
    functions = [OPERATORS[operator], *([read_directions] if operator == "LSTM" else [])]
    return {
        parameter.name
        for function in functions
        for parameter in inspect.signature(function).parameters.values()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    }


def _lstm(
    X: FloatArray,
    W: FloatArray,
    R: FloatArray,
    B: FloatArray | None = None,
    sequence_lens: IntArray | None = None,
    initial_h: FloatArray | None = None,
    initial_c: FloatArray | None = None,
    P: FloatArray | None = None,
    *,
    layout: int = 0,
    **attributes: Any,
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return Y (T, D, B, H), Y_h and Y_c (D, B, H); the batch comes first with ``layout`` 1."""
    directions = read_directions(W, R, B, P, **attributes)
    if X.ndim != 3 or X.shape[2] != W.shape[2]:
        raise InputError(f"X has shape {X.shape}; W asks for three axes, the last {W.shape[2]}")
    x = X if layout else X.swapaxes(0, 1)
    num_rows, num_steps, _ = x.shape
    D, H = R.shape[0], R.shape[2]
    check_room((num_steps, num_rows, D, 4 * H))
    start = []
    for name, part in (("initial_h", initial_h), ("initial_c", initial_c)):
        given = np.zeros((D, num_rows, H), X.dtype) if part is None else part
        if part is not None and layout:
            given = part.swapaxes(0, 1)
        if given.shape != (D, num_rows, H):
            raise InputError(f"{name} has shape {given.shape}; expected {(D, num_rows, H)}")
        start.append(given)
    lengths = None if sequence_lens is None else as_lengths(sequence_lens, num_rows, num_steps)
    outputs, lasts = [], []
    for k, (variant, params, backwards) in enumerate(directions):
        cell = variant.cell(H)
        state = cell.state_type(start[0][k], start[1][k])
        source = reverse(x, lengths) if backwards else x
        y, last, _ = select_engine().unroll(cell, params, source, state, lengths, False)
        outputs.append(reverse(y, lengths) if backwards else y)
        lasts.append(last)
    h, c = (np.stack(parts, axis=1 if layout else 0) for parts in zip(*lasts, strict=True))
    y = np.stack(outputs, axis=2)  # (B, T, D, H)
    return y if layout else y.transpose(1, 2, 0, 3), h, c


def _add(a: NDArray, b: NDArray) -> NDArray:
    check_room(np.broadcast_shapes(a.shape, b.shape))
    return np.add(a, b)


def _mul(a: NDArray, b: NDArray) -> NDArray:
    check_room(np.broadcast_shapes(a.shape, b.shape))
    return np.multiply(a, b)


def _less(a: NDArray, b: NDArray) -> NDArray:
    check_room(np.broadcast_shapes(a.shape, b.shape))
    return np.less(a, b)


def _matmul(a: NDArray, b: NDArray) -> NDArray:
    check_room((*np.broadcast_shapes(a.shape[:-2], b.shape[:-2]), *a.shape[-2:-1], *b.shape[-1:]))
    product: NDArray = np.matmul(a, b)
    return product


def _gemm(
    a: NDArray,
    b: NDArray,
    c: NDArray | None = None,
    *,
    alpha: float = 1.0,
    beta: float = 1.0,
    transA: int = 0,
    transB: int = 0,
) -> NDArray:
    if a.ndim != 2 or b.ndim != 2:
        raise InputError(f"it multiplies shapes {a.shape} and {b.shape}; give matrices")
    product: NDArray = alpha * _matmul(a.T if transA else a, b.T if transB else b)
    return product if c is None else _add(product, beta * c)


def _cast(x: NDArray, *, to: int, saturate: int = 1) -> NDArray:
    # ``saturate`` is only about types of 8 bits.
    if to not in DTYPES:
        known = ", ".join(map(str, DTYPES))
        raise InputError(f"it converts to ONNX's type {to}; understood are {known}")
    return x.astype(DTYPES[to])


def _concat(*arrays: NDArray, axis: int) -> NDArray:
    check_room([sum(array.size for array in arrays)])
    return np.concatenate(arrays, axis)


def _constant(
    *,
    value: NDArray | None = None,
    value_int: int | None = None,
    value_ints: Sequence[int] | None = None,
    value_float: float | None = None,
    value_floats: Sequence[float] | None = None,
) -> NDArray:
    if value is not None:
        return value
    whole = value_int if value_int is not None else value_ints
    if whole is not None:
        return np.array(whole, np.int64)
    return np.array(value_float if value_float is not None else value_floats, np.float32)


def _constant_of_shape(shape: IntArray, *, value: NDArray | None = None) -> NDArray:
    check_room(shape)
    value = np.zeros(1, np.float32) if value is None else value
    return np.full(shape, value.reshape(()))


def _dropout(
    x: NDArray,
    ratio_in: NDArray | None = None,
    training_in: NDArray | None = None,
    *,
    ratio: float = 0.5,
    seed: int = 0,
) -> NDArray:
    if training_in is not None and training_in.any():
        raise InputError("it drops numbers at random; export the model for inference")
    return x


def _expand(x: NDArray, shape: IntArray) -> NDArray:
    wanted = np.broadcast_shapes(x.shape, tuple(int(length) for length in shape))
    check_room(wanted)
    return np.broadcast_to(x, wanted)


def _flatten(x: NDArray, *, axis: int = 1) -> NDArray:
    return x.reshape(math.prod(x.shape[:axis]), math.prod(x.shape[axis:]))


def _gather(x: NDArray, indices: IntArray, *, axis: int = 0) -> NDArray:
    check_room((indices.size, *np.delete(x.shape, axis)))
    return np.take(x, indices, axis)


def _identity(x: NDArray) -> NDArray:
    return x


def _range(start: NDArray, limit: NDArray, delta: NDArray) -> NDArray:
    first, last, step = start.item(), limit.item(), delta.item()
    check_room([max(0, math.ceil((last - first) / step))])
    return np.arange(first, last, step, dtype=start.dtype)


def _reduce(
    reduce: Callable[..., NDArray],
    x: NDArray,
    axes_in: IntArray | None = None,
    *,
    axes: Sequence[int] | None = None,
    keepdims: int = 1,
    noop_with_empty_axes: int = 0,
) -> NDArray:
    where = axes if axes_in is None else axes_in
    if where is None or len(where) == 0:
        if noop_with_empty_axes:
            return x
        where = range(x.ndim)
    over = tuple(int(axis) for axis in where)
    return np.asarray(reduce(x, axis=over, keepdims=bool(keepdims)), x.dtype)


_reduce_mean = partial(_reduce, np.mean)
_reduce_prod = partial(_reduce, np.prod)
_reduce_sum = partial(_reduce, np.sum)


def _reshape(x: NDArray, shape: IntArray, *, allowzero: int = 0) -> NDArray:
    wanted = [int(length) for length in shape]
    if not allowzero:
        wanted = [x.shape[k] if n == 0 else n for k, n in enumerate(wanted)]
    return x.reshape(wanted)


def _shape(x: NDArray, *, start: int = 0, end: int | None = None) -> NDArray:
    return np.array(x.shape[start:end], np.int64)


def _slice(
    x: NDArray,
    starts_in: IntArray | None = None,
    ends_in: IntArray | None = None,
    axes_in: IntArray | None = None,
    steps_in: IntArray | None = None,
    *,
    starts: Sequence[int] = (),
    ends: Sequence[int] = (),
    axes: Sequence[int] | None = None,
) -> NDArray:
    parts = [slice(None)] * x.ndim
    for axis, start, end, step in cuts(
        starts if starts_in is None else starts_in,
        ends if ends_in is None else ends_in,
        axes if axes_in is None else axes_in,
        steps_in,
    ):
        parts[axis] = slice(int(start), int(end), int(step))
    return x[tuple(parts)]


def cuts(
    starts: Sequence[int] | NDArray,
    ends: Sequence[int] | NDArray,
    axes: Sequence[int] | NDArray | None,
    steps: NDArray | None,
) -> Iterator[tuple[int, Any, Any, Any]]:
    """Yield axis, start, end and step of each cut of Slice; axes are 0, 1, … if not given."""
    where = range(len(starts)) if axes is None else axes
    return zip(where, starts, ends, [1] * len(starts) if steps is None else steps, strict=True)


def _split(
    x: NDArray,
    lengths_in: IntArray | None = None,
    *,
    axis: int = 0,
    split: Sequence[int] | None = None,
    num_outputs: int = 1,
) -> tuple[NDArray, ...]:
    lengths = split if lengths_in is None else lengths_in
    if lengths is None:
        return tuple(np.split(x, num_outputs, axis))
    if sum(lengths) != x.shape[axis] or min(lengths) < 0:
        raise InputError(f"{x.shape[axis]} is not to be split into {list(map(int, lengths))}")
    return tuple(np.split(x, np.cumsum(lengths)[:-1], axis))


def _squeeze(
    x: NDArray, axes_in: IntArray | None = None, *, axes: Sequence[int] | None = None
) -> NDArray:
    where = axes if axes_in is None else axes_in
    return np.squeeze(x, None if where is None else tuple(int(axis) for axis in where))


def _transpose(x: NDArray, *, perm: Sequence[int] | None = None) -> NDArray:
    return np.transpose(x, perm)


def _unsqueeze(x: NDArray, axes_in: IntArray | None = None, *, axes: Sequence[int] = ()) -> NDArray:
    return np.expand_dims(x, tuple(int(axis) for axis in (axes if axes_in is None else axes_in)))


def _where(condition: NDArray, a: NDArray, b: NDArray) -> NDArray:
    check_room(np.broadcast_shapes(condition.shape, a.shape, b.shape))
    return np.where(condition, a, b)


OPERATORS: dict[str, Callable[..., Any]] = {
    "Add": _add,
    "Cast": _cast,
    "Concat": _concat,
    "Constant": _constant,
    "ConstantOfShape": _constant_of_shape,
    "Dropout": _dropout,
    "Expand": _expand,
    "Flatten": _flatten,
    "Gather": _gather,
    "Gemm": _gemm,
    "Identity": _identity,
    "LSTM": _lstm,
    "Less": _less,
    "MatMul": _matmul,
    "Mul": _mul,
    "Range": _range,
    "ReduceMean": _reduce_mean,
    "ReduceProd": _reduce_prod,
    "ReduceSum": _reduce_sum,
    "Reshape": _reshape,
    "Shape": _shape,
    "Slice": _slice,
    "Split": _split,
    "Squeeze": _squeeze,
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
    "Where": _where,
}
