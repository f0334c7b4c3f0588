"""Checks of what a user hands over: refuse in one line, or convert to the dtype at work."""

import sys
from collections.abc import Mapping, Sequence
from typing import Any, TypeGuard

import numpy as np
import numpy.typing as npt

from lstm_baseline.engine.errors import InputError
from lstm_baseline.engine.shapes import FloatArray, FloatDType, IntArray, NDArray
from lstm_baseline.engine.wording import counted, did_you_mean

RandomSource = np.random.Generator | int | None
"""A generator, a seed for one, or None for fresh entropy."""

_LARGEST = 2**20


def as_size(
    name: str, value: object, at_least: int = 1, at_most: int = _LARGEST, *, why: str = ""
) -> int:
    """Return a whole number within bounds; ``why`` says where they come from."""
    whole = int(value) if isinstance(value, int | np.integer) else None
    if whole is None or isinstance(value, bool) or not at_least <= whole <= at_most:
        reason = f" ({why})" if why else ""
        raise InputError(
            f"{name} is {value!r}; give a whole number from {at_least} to {at_most}{reason}"
        )
    return whole


def one_of(name: str, value: str, choices: Sequence[str]) -> str:
    """Return a word that is among the choices."""
    if value not in choices:
        meant = did_you_mean(value, choices) if isinstance(value, str) else ""
        raise InputError(f"{name} is {value!r}; give one of: {', '.join(choices)}{meant}")
    return value


def as_generator(rng: RandomSource) -> np.random.Generator:
    """Return a generator from a generator, a seed, or None for fresh entropy."""
    try:
        return np.random.default_rng(rng)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"rng is {rng!r}; give a numpy.random.Generator, a seed of at least 0, or None"
        ) from error


def as_number(name: str, value: object) -> float:
    """Return a finite number."""
    if isinstance(value, np.integer | np.floating):
        value = value.item()
    real = value if isinstance(value, int | float) and not isinstance(value, bool) else np.nan
    if not abs(real) <= sys.float_info.max:
        raise InputError(f"{name} is {value!r}; give a finite number")
    return float(real)


def as_dtype(dtype: npt.DTypeLike) -> FloatDType:
    """Return float32 or float64."""
    try:
        # NumPy reads None as float64, in comparisons too.
        found: np.dtype[Any] | None = None if dtype is None else np.dtype(dtype)
    except (TypeError, ValueError):
        found = None
    if found is None or found not in (np.dtype(np.float32), np.dtype(np.float64)):
        raise InputError(f"dtype is {dtype!r}; give float32 or float64")
    return found


def as_real(name: str, value: object, dtype: FloatDType) -> FloatArray:
    """Return a real numeric array in the model's dtype."""
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise InputError(f"{name} is not an array: its rows differ in length") from error
    if array.dtype == dtype:
        return array if array.flags.aligned else array.copy()
    if array.dtype.kind not in "fiub":
        raise InputError(f"{name} has dtype {array.dtype}; give real numbers")
    with np.errstate(over="ignore"):  # a number too large for float32 becomes infinite
        return array.astype(dtype, copy=False)


def as_sequence(x: object, input_size: int, dtype: FloatDType, model: str) -> FloatArray:
    """Return x as (B, T, I)."""
    array = as_real("x", x, dtype)
    if array.ndim != 3:
        raise InputError(f"x has shape {array.shape}; give three axes (batch, time, features)")
    if array.shape[2] != input_size:
        raise InputError(
            f"x has {counted(array.shape[2], 'feature')}; this {model} takes {input_size} "
            "(input_size)"
        )
    return array


def is_tokens(x: object) -> TypeGuard[NDArray]:
    """Return True for an array of whole numbers with one axis less than numbers would have."""
    return isinstance(x, np.ndarray) and x.dtype.kind in "iu" and x.ndim in (1, 2)


def as_tokens(tokens: NDArray, num_tokens: int, lengths: IntArray | None, model: str) -> IntArray:
    """Return tokens (B, T) as 32-bit whole numbers, 0 in the padding."""
    if lengths is not None:
        tokens = np.where(np.arange(tokens.shape[1]) < lengths[:, None], tokens, 0)
    if tokens.size and (tokens.min() < 0 or tokens.max() >= num_tokens):
        raise InputError(
            f"x holds tokens from {tokens.min()} to {tokens.max()}; this {model} knows "
            f"{num_tokens}, 0 to {num_tokens - 1} (input_size)"
        )
    return np.ascontiguousarray(tokens, np.int32)


def as_lengths(lengths: object, num_rows: int, num_steps: int) -> IntArray:
    """Return lengths as (B,) whole numbers from 0 to T."""
    try:
        array = np.asarray(lengths)
    except ValueError as error:
        raise InputError("lengths is not an array: its rows differ in length") from error
    if array.dtype.kind not in "iu":
        raise InputError(f"lengths has dtype {array.dtype}; give whole numbers")
    if array.shape != (num_rows,):
        raise InputError(f"lengths has shape {array.shape}; give one number a row, ({num_rows},)")
    if array.size and (array.min() < 0 or array.max() > num_steps):
        raise InputError(
            f"lengths runs from {array.min()} to {array.max()}; x has {num_steps} steps, "
            f"so give 0 to {num_steps}"
        )
    return array.astype(np.int64)


def as_steps(at: object, num_rows: int, num_steps: int, lengths: IntArray | None) -> NDArray:
    """Return chosen steps as (B, T) booleans, none of them beyond its row's length."""
    array = np.asarray(at)
    if array.dtype.kind != "b" or array.shape != (num_rows, num_steps):
        raise InputError(
            f"at is {array.dtype} of shape {array.shape}; give booleans, one a step, "
            f"({num_rows}, {num_steps})"
        )
    if lengths is not None and (array & (np.arange(num_steps) >= lengths[:, None])).any():
        raise InputError("at is True beyond a row's length; choose steps within it")
    return array


def as_state_parts(
    name: str,
    state: object,
    names: Sequence[str],
    shapes: Sequence[tuple[int, ...]],
    dtype: FloatDType,
) -> list[FloatArray]:
    """Return the arrays of a state; a state of one array may come bare."""
    parts = list(state) if isinstance(state, tuple | list) else [state]
    if len(parts) != len(names):
        raise InputError(f"{name} has {len(parts)} arrays; give {len(names)}: {', '.join(names)}")
    arrays = []
    for part_name, part, shape in zip(names, parts, shapes, strict=True):
        array = as_real(f"{name} {part_name}", part, dtype)
        if array.shape != shape:
            raise InputError(f"{name} {part_name} has shape {array.shape}; expected {shape}")
        arrays.append(array)
    return arrays


def as_named_arrays(
    what: str, given: Mapping[str, object], expected: Mapping[str, FloatArray], dtype: FloatDType
) -> dict[str, FloatArray]:
    """Return arrays with just the names and shapes of ``expected``."""
    if not isinstance(given, Mapping):
        raise InputError(f"{what} is a {type(given).__name__}; give a dict of arrays by name")
    for word, names in (
        ("unknown", given.keys() - expected.keys()),
        ("missing", expected.keys() - given.keys()),
    ):
        if names:
            listed = ", ".join(sorted(map(str, names)))
            raise InputError(f"{what} has {word} {listed}; expected {', '.join(expected)}")
    arrays = {name: as_real(name, given[name], dtype) for name in expected}
    for name, value in arrays.items():
        if value.shape != expected[name].shape:
            raise InputError(f"{name} has shape {value.shape}; expected {expected[name].shape}")
    return arrays
