"""Reading of a user's .npz file: every array checked, nothing unpickled.

The file holds ``X`` (N, T, I), numbers, or (N, T), tokens, which are whole numbers from 0 on;
``y``; and, where rows differ in length, ``lengths`` (N,), the valid steps of each row, 1 … T. Steps
beyond a row's length are ignored, whatever they hold.
Where steps have targets of their own but not all of them count, ``mask`` (N, T) says which do; or
a label is −100, the ignored label of PyTorch.

It may also say how its rows are to be split: ``X_test`` and ``y_test``, ``X_val`` and ``y_val``,
with lengths and masks of the same endings; or ``split`` (N,), the words "train", "val" and "test";
or ``groups`` (N,), whose rows stay together. Other arrays are ignored.
"""

import io
from collections.abc import Mapping, Sequence
from contextlib import nullcontext, suppress
from os import PathLike
from typing import NamedTuple

import numpy as np

from lstm_baseline.engine.errors import FileError, InputError
from lstm_baseline.engine.shapes import IntArray, NDArray
from lstm_baseline.engine.wording import counted
from lstm_baseline.tasks.metrics import valid_steps
from lstm_baseline.tasks.splits import PARTS
from lstm_baseline.tasks.user_file import UserFile, read_user_file

_MIN_ROWS = 10
IGNORED_LABEL = -100
"""A label that says that a step has no target, as PyTorch's losses have it."""
_MOST_TOKENS = 2**20
"""Tokens that are told apart."""
_LARGEST = np.float64(np.finfo(np.float32).max)
_NPY = b"\x93NUMPY"
_OF_PART = {"X": "", "X_val": "_val", "X_test": "_test"}
"""Endings of the names of the parts of a file, in the order of their rows."""
KNOWN = (
    *(f"{name}{ending}" for ending in _OF_PART.values() for name in ("X", "y", "lengths", "mask")),
    *("split", "groups"),
)
"""Names of all arrays that a file may have."""
_KINDS = {
    **{"b": "booleans", "i": "whole numbers", "u": "whole numbers", "f": "floats"},
    **dict.fromkeys("US", "text"),
}
_WORDS = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "dev": "validation",
    "test": "test",
}


class Labelled(NamedTuple):
    """Sequences with targets, as a user's file has them."""

    x: NDArray
    """(N, T, I), or tokens (N, T), those of X, X_val and X_test below each other."""
    y: NDArray
    """Class indices (N,) or (N, T); or values, or labels 0 and 1, (N, O) or (N, T, O)."""
    lengths: IntArray | None
    """(N,) valid steps; None where all are T."""
    classes: NDArray | None
    """Labels (K,) of the class indices; None for values, and for several labels at once."""
    part_of_row: IntArray | None
    """(N,) index into ``splits.PARTS`` where the file says which rows are for what."""
    groups: NDArray | None
    """(N,) groups whose rows stay together, if the file has any."""
    mask: NDArray | None
    """(N, T) True at the steps whose target counts, none beyond a row's length; None for all."""
    remarks: tuple[str, ...]
    """How X and y were read, where that is not plain."""
    several_labels: bool = False
    """Whether y holds several labels 0 and 1 at once."""
    unread: tuple[str, ...] = ()
    """Names of the file's arrays that mean nothing here."""


class Sequences(NamedTuple):
    """What a file to predict from holds."""

    x: NDArray
    """(N, T, I), or tokens (N, T)."""
    lengths: IntArray | None
    """(N,) valid steps of each row, 0 … T; None where all are T."""
    y: NDArray | None
    """Targets as the file has them; None if it has none, or none that can be read."""
    mask: NDArray | None
    """(N, T) True at the steps whose target counts; None for all, and if it cannot be read."""
    sha256: str
    """Digest of the file."""


def read_labelled(file: UserFile, target: str) -> Labelled:
    """Return sequences and targets of an .npz file.

    Parameters
    ----------
    file
        The file.
    target
        "classification", "regression", "labels" for several labels 0 and 1 at once, or "auto",
        which reads floats as values unless they are one-hot; whole numbers and booleans as several
        labels where they are 0 and 1 along a last axis that is not that of the steps; and anything
        else as classes.

    Raises
    ------
    FileError
        The file is damaged, or holds other arrays than the module says.
    """
    needed = ("X", "y")
    optional = [name for name in KNOWN if name not in (*needed, "lengths")]
    arrays = _load(file, needed, optional, all_sound=True)
    with np.load(io.BytesIO(file.content), allow_pickle=False) as archive:
        unread = tuple(sorted({*archive} - {*KNOWN}))
    try:
        arrays, part_of_row = _joined(arrays)
        x, lengths = _checked_inputs(arrays)
        y = arrays["y"]
        if len(x) < _MIN_ROWS:
            raise InputError(f"X has {counted(len(x), 'row')}; expected at least {_MIN_ROWS}")
        if y.ndim == 0 or len(y) != len(x):
            raise InputError(
                f"y has shape {y.shape}; expected one entry for each of X's {len(x)} rows"
            )
        if "split" in arrays:
            part_of_row = _checked_split(arrays["split"], len(x), part_of_row)
        groups = _checked_groups(arrays.get("groups"), len(x), part_of_row)
        of_labels = target in ("classification", "labels") or (
            target == "auto" and y.dtype.kind == "i"
        )
        mask = _checked_mask(arrays.get("mask"), y, x, lengths, of_labels=of_labels)
        _refuse_rows_without_targets(mask)
        valid = valid_steps(x, lengths) if mask is None else mask
        remarks: tuple[str, ...] = ()
        classes: NDArray | None = None
        several = target == "labels" or (target == "auto" and _are_several_labels(y, x, valid))
        one_hot = None if target in ("regression", "labels") else _from_one_hot(y, x, valid)
        if one_hot is not None:
            classes, y, remarks = np.arange(y.shape[-1]), one_hot, ("y is one-hot",)
            several = False
        elif several:
            y = _checked_several_labels(y, x, valid)
        elif target == "regression" or (target == "auto" and y.dtype.kind == "f"):
            y = _checked_values(y, x, valid)
        else:
            classes, y = _checked_labels(y, x, valid)
    except InputError as error:
        raise FileError(f"{file.path}: {error}") from None
    return Labelled(x, y, lengths, classes, part_of_row, groups, mask, remarks, several, unread)


def read_sequences(path: str | PathLike[str]) -> Sequences:
    """Return X of an .npz or .npy file with lengths and y, if they are there.

    Raises
    ------
    FileError
        The file cannot be read, is damaged, or holds something else.
    """
    file = read_user_file(path)
    arrays = (
        _load_array(file)
        if file.content.startswith(_NPY)
        else _load(file, ("X",), ("y", "mask"), all_sound=False)
    )
    y, mask = arrays.get("y"), None
    try:
        x, lengths = _checked_inputs(arrays, shortest=0)
        if y is not None:
            mask = _checked_mask(arrays.get("mask"), y, x, lengths, of_labels=False)
    except InputError as error:
        raise FileError(f"{file.path}: {error}") from None
    return Sequences(x, lengths, y, mask, file.sha256)


def _joined(arrays: dict[str, NDArray]) -> tuple[dict[str, NDArray], IntArray | None]:
    """Put the rows of X, X_val and X_test below each other, and say which part each belongs to."""
    present = [ending for name, ending in _OF_PART.items() if name in arrays]
    for ending in ("_val", "_test"):
        for name in ("y", "lengths", "mask"):
            if f"{name}{ending}" in arrays and ending not in present:
                raise InputError(f"there is {name}{ending}, but no X{ending}; give both")
        if ending in present and f"y{ending}" not in arrays:
            raise InputError(f"there is X{ending}, but no y{ending}; give both")
    if present == [""]:
        return arrays, None
    if "_test" not in present:
        raise InputError("there is X_val, but no X_test; give X_test and y_test as well")
    for name in ("split", "groups"):
        if name in arrays:
            raise InputError(f"there are X_test and {name}; give one of them")
    x = arrays["X"]
    for ending in present[1:]:
        for name in ("X", "y"):
            part, own = arrays[f"{name}{ending}"], arrays[name]
            if part.ndim == 0 or part.shape[1:] != own.shape[1:]:
                raise InputError(
                    f"{name}{ending} has shape {part.shape}; expected (·, "
                    f"{', '.join(map(str, own.shape[1:]))}), as {name}"
                )
        if len(arrays[f"X{ending}"]) != len(arrays[f"y{ending}"]):
            raise InputError(
                f"X{ending} has {counted(len(arrays[f'X{ending}']), 'row')} and y{ending}"
                f" {len(arrays[f'y{ending}'])}"
            )
        kinds = [_KINDS.get(arrays[f"y{end}"].dtype.kind, "objects") for end in ("", ending)]
        if kinds[0] != kinds[1]:
            raise InputError(f"y holds {kinds[0]} and y{ending} {kinds[1]}; expected the same")
    sizes = [len(arrays[f"X{ending}"]) for ending in present]
    if 0 in sizes:
        raise InputError(f"X{present[sizes.index(0)]} has no rows")
    joined = {
        name: np.concatenate([arrays[f"{name}{ending}"] for ending in present])
        for name in ("X", "y")
    }
    if any(f"lengths{ending}" in arrays for ending in present):
        joined["lengths"] = np.concatenate(
            [
                arrays.get(f"lengths{ending}", np.full(size, x.shape[1]))
                for ending, size in zip(present, sizes, strict=True)
            ]
        )
    if any(f"mask{ending}" in arrays for ending in present):
        joined["mask"] = np.concatenate(
            [
                arrays.get(f"mask{ending}", np.ones((size, x.shape[1]), bool))
                for ending, size in zip(present, sizes, strict=True)
            ]
        )
    codes = {"": 0, "_val": 1, "_test": 2}
    return joined, np.repeat([codes[ending] for ending in present], sizes)


def _checked_split(split: NDArray, num_rows: int, other: IntArray | None) -> IntArray:
    """Return the part of each row, as an index into ``PARTS``."""
    if split.dtype.kind == "S":
        split = np.char.decode(split, "utf-8", "replace")
    if split.shape != (num_rows,) or split.dtype.kind != "U":
        raise InputError(
            f"split is {split.dtype} of shape {split.shape}; expected the words train, val and test"
            f" in the shape ({num_rows},)"
        )
    words, of_row = np.unique(split, return_inverse=True)
    for word in words.tolist():
        if word.lower() not in _WORDS:
            raise InputError(f"split holds {word!r}; expected train, val or test")
    codes = np.array([PARTS.index(_WORDS[word.lower()]) for word in words.tolist()])
    part_of_row: IntArray = codes[of_row]
    for part in ("train", "test"):
        if PARTS.index(part) not in codes:
            raise InputError(f"split has no row for {part}")
    return part_of_row


def _checked_groups(
    groups: NDArray | None, num_rows: int, part_of_row: IntArray | None
) -> NDArray | None:
    if groups is None:
        return None
    if groups.shape != (num_rows,) or groups.dtype.kind not in "biuUS":
        raise InputError(
            f"groups is {groups.dtype} of shape {groups.shape}; expected whole numbers or text of"
            f" shape ({num_rows},)"
        )
    if part_of_row is not None:
        _check_apart(groups, part_of_row)
    return groups


def _check_apart(groups: NDArray, part_of_row: IntArray) -> None:
    """Refuse groups of which the file's own split puts rows into two parts."""
    order = np.lexsort((part_of_row, groups))
    same = groups[order][1:] == groups[order][:-1]
    parted = same & (part_of_row[order][1:] != part_of_row[order][:-1])
    if parted.any():
        one, other = order[parted.argmax() : parted.argmax() + 2]
        raise InputError(
            f"rows {one} and {other} are of one group, but split puts them into"
            f" {PARTS[part_of_row[one]]} and {PARTS[part_of_row[other]]}; expected each group in"
            " one part"
        )


def _from_one_hot(y: NDArray, x: NDArray, valid: NDArray) -> IntArray | None:
    """Return the class indices of one-hot y (N, K) or (N, T, K); None if y is anything else.

    (N, K) with as many columns as steps may as well be a label or a value for each step.
    """
    per_step = y.ndim == 3 and y.shape[:2] == x.shape[:2]
    if y.dtype.kind not in "biuf" or not (per_step or y.ndim == 2) or y.shape[-1] < 2:
        return None
    if y.shape == x.shape[:2]:
        return None
    used = y[valid] if per_step else y
    if not (((used == 0) | (used == 1)).all() and (used.sum(axis=-1) == 1).all()):
        return None
    # The first of the largest, for padding may hold anything.
    indices = (y == 1).argmax(axis=-1)
    return np.where(valid, indices, 0) if per_step else indices


def _are_several_labels(y: NDArray, x: NDArray, valid: NDArray) -> bool:
    """Return whether y is 0 and 1 along an axis of its own, (N, O) with O ≠ T, or (N, T, O)."""
    per_step = y.ndim == 3 and y.shape[:2] == x.shape[:2]
    if y.dtype.kind not in "biu" or not (per_step or (y.ndim == 2 and y.shape != x.shape[:2])):
        return False
    used = y[valid] if per_step else y
    return y.shape[-1] > 1 and bool(((used == 0) | (used == 1)).all())


def _checked_several_labels(y: NDArray, x: NDArray, valid: NDArray) -> NDArray:
    """Return y (N, O) or (N, T, O), labels 0 and 1, as float32."""
    if y.dtype.kind not in "biuf":
        raise InputError(f"y is {y.dtype}; several labels at once are 0 and 1, or booleans")
    per_step = y.ndim == 3 and y.shape[:2] == x.shape[:2]
    if not (per_step or y.ndim == 2) or 0 in y.shape:
        raise InputError(
            f"y has shape {y.shape}; several labels at once expect ({len(x)}, O), or"
            f" ({len(x)}, {x.shape[1]}, O)"
        )
    wrong = (y != 0) & (y != 1)
    if per_step:
        wrong[~valid] = False
    if wrong.any():
        place = tuple(map(int, np.argwhere(wrong)[0]))
        raise InputError(
            f"y[{', '.join(map(str, place))}] is {y[place]}; several labels at once are 0 and 1"
        )
    return np.where(valid[..., None], y, 0).astype(np.float32) if per_step else y.astype(np.float32)


def _load_array(file: UserFile) -> dict[str, NDArray]:
    """Return the one array of an .npy file as X."""
    try:
        return {"X": np.load(io.BytesIO(file.content), allow_pickle=False)}
    except Exception as error:  # a damaged header, as in _member
        reason = "holds Python objects" if "Object arrays" in str(error) else "is damaged"
        raise FileError(f"{file.path} {reason}; save X with numpy.save as numbers") from None


def _load(
    file: UserFile, needed: Sequence[str], optional: Sequence[str], *, all_sound: bool
) -> dict[str, NDArray]:
    """Return the arrays that are needed and, if there, lengths and optional ones.

    Unless all have to be sound, an optional one that is damaged is left out.
    """
    how = f"write it with numpy.savez(path, {', '.join(f'{name}=...' for name in needed)})"
    if not file.content.startswith(b"PK"):
        raise FileError(f"{file.path} is not an .npz file; {how}")
    try:
        archive = np.load(io.BytesIO(file.content), allow_pickle=False)
    except Exception as error:
        raise FileError(f"{file.path} is damaged; {how} again") from error
    with archive:
        for name in needed:
            if name not in archive:
                found = ", ".join(sorted(archive)[:8]) or "none"
                raise FileError(f"{file.path} has no array {name} (found: {found}); {how}")
        names = [name for name in (*needed, "lengths") if name in archive]
        arrays = {name: _member(file, archive, name) for name in names}
        for name in optional:
            if name in archive:
                with nullcontext() if all_sound else suppress(FileError):
                    arrays[name] = _member(file, archive, name)
        return arrays


def _member(file: UserFile, archive: Mapping[str, object], name: str) -> NDArray:
    """Read one array of the archive."""
    try:
        array = archive[name]
    # NumPy parses a damaged header as Python: it may raise anything from TokenError to TypeError.
    except Exception as error:
        if "Object arrays" in str(error):
            raise FileError(
                f"{file.path}: {name} holds Python objects, which are never unpickled; convert it"
                " to numbers or text before saving"
            ) from None
        raise FileError(f"{file.path}: {name} is damaged; save the file again") from error
    if not isinstance(array, np.ndarray):
        raise FileError(f"{file.path}: {name} is not an array; save it with numpy.savez")
    return array


def _checked_inputs(
    arrays: dict[str, NDArray], shortest: int = 1
) -> tuple[NDArray, IntArray | None]:
    """Return X and lengths."""
    x = arrays["X"]
    if x.dtype.kind not in "biuf":
        raise InputError(f"X is {x.dtype}; expected real numbers")
    tokens = x.ndim == 2 and x.dtype.kind in "iu"
    if (x.ndim != 3 and not tokens) or 0 in x.shape:
        raise InputError(
            f"X has shape {x.shape}; expected (N, T, I): rows, steps, features; or whole numbers"
            " (N, T), tokens"
        )
    lengths = _checked_lengths(arrays, x, shortest)
    padding = ~valid_steps(x, lengths)
    if tokens:
        return _checked_tokens(x, padding), lengths
    _check_finite("X", x, padding)
    return x, lengths


def _checked_tokens(x: NDArray, padding: NDArray) -> IntArray:
    """Return tokens (N, T), those of the padding as 0."""
    outside = ((x < 0) | (x >= _MOST_TOKENS)) & ~padding
    if outside.any():
        place = tuple(map(int, np.argwhere(outside)[0]))
        raise InputError(
            f"X[{', '.join(map(str, place))}] is {x[place]}; tokens are whole numbers from 0 to"
            f" {_MOST_TOKENS - 1:,}: number those that there are from 0 on, and give lengths where"
            " rows end before"
        )
    return np.where(padding, 0, x).astype(np.int64)


def _checked_lengths(arrays: dict[str, NDArray], x: NDArray, shortest: int) -> IntArray | None:
    if "lengths" not in arrays:
        return None
    lengths, steps = arrays["lengths"], x.shape[1]
    if lengths.shape != (len(x),) or lengths.dtype.kind not in "iu":
        raise InputError(
            f"lengths is {lengths.dtype} of shape {lengths.shape}; expected whole numbers of shape"
            f" ({len(x)},), one for each row of X"
        )
    outside = (lengths < shortest) | (lengths > steps)
    if outside.any():
        row = outside.argmax()
        what_to_do = ": leave out rows without steps" if shortest else ""
        raise InputError(
            f"lengths[{row}] is {lengths[row]}; expected {shortest} to {steps}, the steps of X"
            f"{what_to_do}"
        )
    return lengths.astype(np.int64)


def _checked_mask(
    mask: NDArray | None, y: NDArray, x: NDArray, lengths: IntArray | None, *, of_labels: bool
) -> NDArray | None:
    """Return the steps whose target counts, (N, T), by the mask and by y; None for all."""
    per_step = y.ndim in (2, 3) and y.shape[:2] == x.shape[:2]
    counts = None
    if mask is not None:
        if not per_step:
            raise InputError(
                f"mask says which steps count, but y has shape {y.shape}; expected a target for"
                f" each step, {x.shape[:2]}"
            )
        if mask.shape != x.shape[:2] or not np.isin(mask, (0, 1)).all():
            raise InputError(
                f"mask is {mask.dtype} of shape {mask.shape}; expected booleans, or 0 and 1, of"
                f" shape {x.shape[:2]}"
            )
        counts = mask == 1
    if of_labels and y.dtype.kind in "if":
        ignored = y == IGNORED_LABEL
        if ignored.any() and not per_step:
            raise InputError(
                f"y[{ignored.argmax()}] is {IGNORED_LABEL}, the label of a step that does not"
                " count, but labels are those of rows; leave out the row"
            )
        if ignored.any():
            labelled = ~(ignored[..., 0] if y.ndim == 3 else ignored)
            counts = labelled if counts is None else counts & labelled
    return None if counts is None else counts & valid_steps(x, lengths)


def _refuse_rows_without_targets(mask: NDArray | None) -> None:
    if mask is not None and not mask.any(axis=1).all():
        row = mask.any(axis=1).argmin()
        raise InputError(f"no target of row {row} counts; leave out the row")


def _checked_values(y: NDArray, x: NDArray, valid: NDArray) -> NDArray:
    """Return y (N,), (N, T), (N, O) or (N, T, O) as (N, O) or (N, T, O)."""
    if y.dtype.kind not in "biuf":
        raise InputError(f"y is {y.dtype}; a regression expects real numbers")
    if y.ndim > 3 or 0 in y.shape or (y.ndim == 3 and y.shape[:2] != x.shape[:2]):
        raise InputError(
            f"y has shape {y.shape}; a regression expects ({len(x)},), ({len(x)}, O) or"
            f" ({len(x)}, {x.shape[1]}, O)"
        )
    per_step = y.shape[:2] == x.shape[:2]
    _check_finite("y", y, ~valid if per_step else None)
    return y[..., None] if y.ndim == 1 or (per_step and y.ndim == 2) else y


def _checked_labels(y: NDArray, x: NDArray, valid: NDArray) -> tuple[NDArray, IntArray]:
    """Return the classes (K,), and the labels y (N,) or (N, T) as indices into these."""
    if y.dtype.kind not in "biufUS":
        raise InputError(f"y is {y.dtype}; class labels are whole numbers, booleans or text")
    if y.shape in ((len(x), 1), (*x.shape[:2], 1)) and y.shape != x.shape[:2]:
        y = y[..., 0]
    if y.shape not in (x.shape[:1], x.shape[:2]):
        raise InputError(
            f"y has shape {y.shape}; a classification expects {x.shape[:1]}, a label for each row,"
            f" or {x.shape[:2]}, a label for each step"
        )
    if y.dtype.kind == "S":
        try:
            y = np.char.decode(y, "utf-8")
        except UnicodeDecodeError as error:
            raise InputError(f"y holds bytes that are not UTF-8 text ({error.reason})") from None
    labelled = valid if y.ndim == 2 else np.ones(len(y), bool)
    labels = y[labelled]
    if y.dtype.kind == "f":
        _check_finite("y", y, ~valid if y.ndim == 2 else None)
        fractions = labels[labels != np.round(labels)]
        if len(fractions):
            raise InputError(
                f"y holds {fractions[0]}; class labels are whole numbers:"
                ' pass target="regression" to predict values'
            )
    classes, indices = np.unique(labels, return_inverse=True)
    if len(classes) < 2:
        raise InputError(f"y holds one class only ({classes[0]}); expected at least 2")
    coded = np.zeros(y.shape, np.int64)
    coded[labelled] = indices
    return classes, coded


def _check_finite(name: str, values: NDArray, padding: NDArray | None) -> None:
    """Refuse what float32 cannot hold, except where padding (N, T) says that nobody looks."""
    bad = ~(np.abs(values) <= _LARGEST)
    if padding is not None:
        bad[padding] = False
    if bad.any():
        index = np.unravel_index(bad.argmax(), bad.shape)
        place = ", ".join(map(str, index))
        raise InputError(
            f"{name}[{place}] is {values[index]}; expected finite numbers within the range of"
            " float32: fill the gap or leave out the row"
        )
