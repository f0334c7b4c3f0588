"""Checks of a task's constructor arguments."""

import operator
from collections.abc import Sequence

from lstm_baseline.errors import InputError


def whole_number(name: str, value: int, at_least: int, why: str = "") -> int:
    """Return value as an int, or refuse it.

    Raises
    ------
    InputError
        Value is not a whole number, or below `at_least`; `why` says where that bound comes from.
    """
    reason = f" ({why})" if why else ""
    try:
        number = operator.index(value)
    except TypeError:
        number = None
    if number is None or isinstance(value, bool) or number < at_least:
        raise InputError(
            f"{name} is {value!r}; expected a whole number of at least {at_least}{reason}"
        )
    return number


def one_of(name: str, value: str, choices: Sequence[str]) -> str:
    """Return value if it is among the choices.

    Raises
    ------
    InputError
        It is not.
    """
    if value not in choices:
        raise InputError(f"{name} is {value!r}; expected one of: {', '.join(choices)}")
    return value
