"""Markdown whose text may be anything: as CommonMark, GitHub and Pandoc read it.

Whatever a user named stands in a line of its surroundings and stays text: it opens no link, no
table cell, no formula and no HTML.
"""

import json
import re
from collections.abc import Iterable, Sequence

from lstm_baseline.plots import formats

_SPECIAL = re.compile(r"[\\`*_{}\[\]<>#!|~&$@^]|:(?=//)|(?<=www)\.", re.IGNORECASE)


def escape_markdown(text: str) -> str:
    """Return a text as one line that Markdown shows as it is."""
    return _SPECIAL.sub(lambda found: f"\\{found[0]}", formats.printable(text))


def value(given: object) -> str:
    """Return a value of a plan with all its digits; text is escaped."""
    if given is None:
        return "none"
    if isinstance(given, bool):
        return "true" if given else "false"
    if isinstance(given, str):
        return escape_markdown(given)
    if isinstance(given, int | float):
        return json.dumps(given)
    return escape_markdown(json.dumps(given, ensure_ascii=False))


def pairs(given: dict[str, object]) -> str:
    """Return names with their values, in a line."""
    return ", ".join(f"{escape_markdown(name)} = {value(each)}" for name, each in given.items())


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table; its cells are Markdown already."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def code_block(text: str) -> str:
    """Return a text as a block of code, with a fence that no line of it closes."""
    shown = formats.printable_lines(text)
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", shown)), default=0))
    return f"{fence}\n{shown}\n{fence}"
