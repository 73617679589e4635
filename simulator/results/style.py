"""One look for all figures, and figures as bytes.

The style is ``accsim.mplstyle``, applied on matplotlib's defaults so that neither a
user's matplotlibrc nor an earlier figure changes a picture.  Colours stand for the same
thing in every figure.  Figures are drawn without pyplot: no window, no global state.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STYLE_FILE = Path(__file__).with_name("accsim.mplstyle")

BLUE, ORANGE, GREEN, VERMILLION = "#0072B2", "#E69F00", "#009E73", "#D55E00"
SKY, PURPLE, YELLOW, BLACK = "#56B4E9", "#CC79A7", "#F0E442", "#000000"
GREY, LIGHT = "#999999", "#D9D9D9"

PALETTE = (BLUE, ORANGE, GREEN, VERMILLION, SKY, PURPLE, YELLOW, BLACK)
"""Okabe and Ito, "Color Universal Design" (2008)."""

_SPARE = ("#882255", "#44AA99", "#999933", "#332288", "#DDCC77")
"""From Paul Tol's muted scheme (2021), for figures with more series than the palette."""

_KNOWN: Mapping[str, str] = {
    "dram": BLUE,
    "bank": SKY,
    "matrix": VERMILLION,
    "vector": GREEN,
    "special": PURPLE,
    "l2": ORANGE,
    "static": LIGHT,
    "idle": LIGHT,
    "awake": YELLOW,
    "other": GREY,
}
"""Components and energy parts that most devices have keep their colour everywhere."""


def colours(names: Iterable[str]) -> dict[str, str]:
    """A colour per name: fixed for the usual components, the palette's rest for others."""
    chosen = list(dict.fromkeys(names))
    taken = {_KNOWN[name] for name in chosen if name in _KNOWN}
    free = [colour for colour in (*PALETTE, *_SPARE) if colour not in taken]
    others = [name for name in chosen if name not in _KNOWN]
    extra = {name: free[place % len(free)] for place, name in enumerate(others)}
    return {name: _KNOWN.get(name) or extra[name] for name in chosen}


@contextmanager
def applied() -> Iterator[None]:
    """The style, and nothing else, within a ``with`` block."""
    import matplotlib

    with matplotlib.rc_context():
        matplotlib.rc_file(STYLE_FILE, use_default_template=True)
        yield


def svg(draw: Callable[[], Figure]) -> str:
    """A figure as a standalone SVG file, the same bytes each time."""
    return _save(draw, "svg", {"Date": None, "Creator": None}).decode("utf-8")


def png(draw: Callable[[], Figure]) -> bytes:
    """A figure as PNG, the same bytes each time for one version of matplotlib."""
    return _save(draw, "png", {"Software": None})


def pdf(draw: Callable[[], Figure]) -> bytes:
    """A figure as PDF with its fonts embedded, the same bytes each time."""
    return _save(draw, "pdf", {"CreationDate": None, "Creator": None, "Producer": None})


def _save(draw: Callable[[], Figure], form: str, metadata: Mapping[str, None]) -> bytes:
    # The style governs saving as well as drawing: fonts and ids are decided there.
    with applied():
        content = io.BytesIO()
        draw().savefig(content, format=form, metadata=dict(metadata))
    return content.getvalue()


_PROLOGUE = re.compile(r"^.*?(?=<svg)", re.DOTALL)
_METADATA = re.compile(r"\s*<metadata>.*?</metadata>", re.DOTALL)
_NAMESPACES = re.compile(r'\s+xmlns(:\w+)?="[^"]*"')
_SIZE = re.compile(r'(<svg\b[^>]*?)\s+(?:width|height)="[^"]*"')
_IDS = re.compile(r'(\bid="|\bhref="#|url\(#)')


def inline_svg(draw: Callable[[], Figure], name: str) -> str:
    """A figure to stand within an HTML page, as wide as its column.

    What only a file needs goes (prologue, metadata, namespaces), and ids get ``name``
    as prefix, so that several figures on a page do not share them.
    """
    text = _METADATA.sub("", _PROLOGUE.sub("", svg(draw), count=1))
    text = _NAMESPACES.sub("", text)
    for _ in ("width", "height"):
        text = _SIZE.sub(r"\1", text, count=1)
    return _IDS.sub(rf"\g<1>{name}-", text).strip()
