"""Checks that all frameworks share: what their weights must be, and what ours may hold."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from lstm_baseline.engine.errors import InputError
from lstm_baseline.engine.models import LSTM
from lstm_baseline.engine.models.dropout import DropoutRates
from lstm_baseline.engine.shapes import NDArray

if TYPE_CHECKING:
    import torch


def as_weights(name: str, value: "torch.Tensor | npt.ArrayLike") -> NDArray:
    """Return a tensor or array as an array of finite numbers, float32 or float64."""
    if hasattr(value, "detach"):
        value = value.detach().cpu()
        if str(value.dtype) not in ("torch.float32", "torch.float64"):
            raise InputError(f"{name} has dtype {value.dtype}; convert it to float32 or float64")
        value = value.numpy()
    try:
        array: NDArray = np.asarray(value)
    except (RuntimeError, TypeError, ValueError) as error:
        raise InputError(f"{name} is no array but a {type(value).__name__}") from error
    if array.dtype not in (np.dtype(np.float32), np.dtype(np.float64)):
        raise InputError(f"{name} has dtype {array.dtype}; convert it to float32 or float64")
    if not np.isfinite(array).all():
        raise InputError(f"{name} holds numbers that are not finite")
    return array


def one_dtype(arrays: Iterable[NDArray]) -> str:
    """Return the name of the dtype that all arrays have."""
    dtypes = {array.dtype.name for array in arrays}
    if len(dtypes) > 1:
        raise InputError(f"weights have the dtypes {', '.join(sorted(dtypes))}; give one")
    return dtypes.pop()


def check_shape(name: str, array: NDArray, expected: tuple[int, ...]) -> None:
    """Refuse an array of another shape."""
    if array.shape != expected:
        raise InputError(f"{name} has shape {array.shape}; expected {expected}")


def first_few(names: Sequence[str], at_most: int = 8) -> str:
    """Return names as a list in words; of many, the first ones and how many more there are."""
    more = len(names) - at_most
    return ", ".join(names[:at_most]) + (f" and {more} more" if more > 0 else "")


TRAINING_ONLY = tuple(name for name in DropoutRates._fields if name != "zoneout")
"""Options of a model that its weights and outputs do not depend on."""


def check_is_lstm(model: object, function: str) -> None:
    """Refuse what is no LSTM."""
    if not isinstance(model, LSTM):
        raise InputError(f"{function} got a {type(model).__name__}; give an LSTM")


def refuse_others(model: LSTM, other: str, has: Sequence[str]) -> None:
    """Refuse a model with any option but those that the other ``has``.

    Options are the pieces of ``LSTMVariant``, the merge of directions and the rates of dropout.
    """
    for name in model.options.changed():
        ours = name in ("num_layers", "bidirectional") or (
            name == "merge" and not model.bidirectional
        )
        if not ours and name not in has:
            raise InputError(f"the model has {name}, which {other} has not")
