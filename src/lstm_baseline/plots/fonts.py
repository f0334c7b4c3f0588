"""The font of figures, and a copy of it that PDF files embed quickly."""

import atexit
import functools
import shutil
import tempfile
from pathlib import Path

from matplotlib.font_manager import FontProperties, findfont, fontManager

FAMILY = "DejaVu Sans"

_COPY = "Figures without layout tables"
_LAYOUT_TABLES = ("GDEF", "GPOS", "GSUB", "MATH", "kern")
_FAMILY_ENTRIES = (1, 16)
"""Numbers of the family's entries in a font's table of names."""


def family_of_pdfs() -> str:
    """Return a family with all glyphs of ``FAMILY``, and without the tables that lay out scripts.

    A PDF embeds the glyphs that it uses. To pick them, matplotlib reads all tables of the font,
    which takes longer than to draw the figure, and no text of a figure needs these.
    """
    _add_copies()
    return _COPY


@functools.cache
def _add_copies() -> None:
    """Add the family to matplotlib's, from a folder that is gone when the process ends."""
    from fontTools.ttLib import TTFont  # takes long to import, and only PDFs need it

    folder = Path(tempfile.mkdtemp(prefix="lstm-baseline-fonts-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    for face in (
        FontProperties(family=FAMILY),
        FontProperties(family=FAMILY, weight="bold"),
        FontProperties(family=FAMILY, style="italic"),
    ):
        source = Path(findfont(face))
        copy = folder / source.name
        # With the date that it has, so that the same figure gives the same bytes.
        with TTFont(source, lazy=True, recalcTimestamp=False) as font:
            for table in _LAYOUT_TABLES:
                if table in font:
                    del font[table]
            for entry in font["name"].names:
                if entry.nameID in _FAMILY_ENTRIES:
                    entry.string = _COPY
            font.save(copy)
        fontManager.addfont(copy)
