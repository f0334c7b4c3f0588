"""Samples and answers in words: what a person reads of them. Things are numbered from 1 on."""

from collections.abc import Iterable, Sequence

from lstm_baseline.engine.shapes import FloatArray, IntArray, NDArray

_MOST = 30


def in_a_row(parts: Iterable[object], separator: str = "; ") -> str:
    """Return parts of a sequence as one line, without the middle of a long one."""
    texts = list(map(str, parts))
    left_out = len(texts) - _MOST
    if left_out > 1:
        texts[_MOST // 2 : -_MOST // 2] = [f"… {left_out} more …"]
    return separator.join(texts)


def classes(row: NDArray) -> IntArray:
    """Return the classes of a row of targets (…), or the likeliest ones of its logits (…, O)."""
    chosen: IntArray = row if row.dtype.kind in "iu" else row.argmax(axis=-1)
    return chosen


def numbered(noun: str, one_hot: FloatArray) -> str:
    """Return a thing by its number, given one-hot."""
    return f"{noun} {one_hot.argmax() + 1}"


def decimals(values: Sequence[float] | FloatArray) -> list[str]:
    """Return numbers with three decimals each."""
    return [f"{value:z.3f}".replace("-", "−") for value in values]


def ordinal(n: int) -> str:
    """Return 1st, 2nd, 3rd, 4th and so on."""
    ending = "th" if n // 10 % 10 == 1 else {1: "st", 2: "nd", 3: "rd"}.get(n % 10, "th")
    return f"{n}{ending}"
