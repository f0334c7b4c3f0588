"""Words of messages, the same everywhere."""

import difflib
from collections.abc import Collection


def counted(count: int, noun: str) -> str:
    """Return a number with its noun."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def did_you_mean(given: str, names: Collection[str]) -> str:
    """Return " (did you mean …?)" with the name that is likely meant, or nothing."""
    likely = difflib.get_close_matches(given, list(names), n=1)
    # "steps" is far from "num_steps" by letters, and yet what somebody means by it.
    likely += [name for name in names if given in name.split("_")]
    return f" (did you mean {likely[0]!r}?)" if likely else ""
