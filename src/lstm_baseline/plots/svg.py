"""Figures as SVG: small, light or dark as the page is, or in the light colours on white."""

import io
import re

from matplotlib.figure import Figure

from lstm_baseline.plots.drawing import INKS, styled


@styled
def to_svg(figure: Figure) -> bytes:
    """Return a figure as SVG whose text, axes and reference lines suit light and dark pages."""
    content = io.StringIO()
    figure.savefig(content, format="svg", metadata={"Date": None, "Creator": None})
    svg = _smaller(content.getvalue())
    for ink in INKS:
        svg = svg.replace(ink.light, f"var(--{ink.name})")
    light = "".join(f"--{ink.name}:{ink.light};" for ink in INKS)
    dark = "".join(f"--{ink.name}:{ink.dark};" for ink in INKS)
    style = f"<style>:root{{{light}}}@media (prefers-color-scheme:dark){{:root{{{dark}}}}}</style>"
    start = svg.index(">", svg.index("<svg")) + 1
    return (svg[:start] + style + svg[start:]).encode()


def to_paper(svg: bytes) -> bytes:
    """Return what ``to_svg`` returned in its light colours on white: no reader knows variables."""
    text = re.sub(r"<style>:root.*?</style>", "", svg.decode(), count=1)
    for ink in INKS:
        text = text.replace(f"var(--{ink.name})", ink.light)
    start = text.index(">", text.index("<svg")) + 1
    white = '<rect width="100%" height="100%" fill="#ffffff"/>'
    return (text[:start] + white + text[start:]).encode()


def _smaller(svg: str) -> str:
    """Return the same picture in fewer characters."""
    svg = re.sub(r"<!--.*?-->|<metadata>.*?</metadata>|<!DOCTYPE.*?>", "", svg, flags=re.DOTALL)
    # A hundredth of a point is finer than any screen; scales have to keep their digits.
    svg = re.sub(r"(?<!scale\()(\b\d+\.\d\d)\d+", r"\1", svg)
    svg = re.sub(r"\s*\n\s*", " ", svg)
    for long, short in (("> <", "><"), ("xlink:href", "href"), ("DejaVuSans-", "g"), ("; ", ";")):
        svg = svg.replace(long, short)
    return svg
