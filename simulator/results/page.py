"""The parts of a self-contained HTML page: frame, tables, figures, remarks.

Style sheet and script are this package's files, put into the page; nothing is fetched.
Whatever comes from a trace or a description is escaped.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape as escape_html
from pathlib import Path
from typing import TYPE_CHECKING

from simulator.results.document import Document
from simulator.results.style import inline_svg

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Column:
    """A table column: its heading, what a row shows, and the number it sorts by."""

    heading: str
    text: Callable[[Document], str]
    number: Callable[[Document], float | None] | None = None


def escape(text: str) -> str:
    """Text as HTML; a number and its per cent sign stay on one line."""
    return escape_html(text).replace(" %", "\N{NO-BREAK SPACE}%")


def page(title: str, sections: Sequence[str]) -> str:
    css, js = (Path(__file__).with_name(f"report.{kind}").read_text() for kind in ("css", "js"))
    body = "\n".join(section for section in sections if section)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>\n{css}</style>\n</head>\n"
        f"<body>\n<main>\n{body}\n</main>\n<script>\n{js}</script>\n</body>\n</html>\n"
    )


def section(title: str, *content: str) -> str:
    return f"<section>\n<h2>{escape(title)}</h2>\n" + "\n".join(content) + "\n</section>"


def paragraph(text: str, soft: bool = False) -> str:
    kind = ' class="soft"' if soft else ""
    return f"<p{kind}>{escape(text)}</p>"


def figure(draw: Callable[[], Figure], name: str, caption: str) -> str:
    """A drawing with its caption; ``name`` keeps its ids apart from other figures'."""
    drawing = inline_svg(draw, name).replace("<svg", f'<svg role="img" aria-label="{name}"', 1)
    return f"<figure>\n{drawing}\n<figcaption>{escape(caption)}</figcaption>\n</figure>"


def table(columns: Sequence[Column], rows: Sequence[Document]) -> str:
    """A table that sorts by its headings."""
    heads = "".join(
        f'<th scope="col"{_number_class(column)}>{escape(column.heading)}</th>'
        for column in columns
    )
    lines = "\n".join(
        "<tr>" + "".join(_cell(column, row) for column in columns) + "</tr>" for row in rows
    )
    return (
        f'<div class="scroll"><table class="sortable">\n<thead><tr>{heads}</tr></thead>\n'
        f"<tbody>\n{lines}\n</tbody>\n</table></div>"
    )


def _number_class(column: Column) -> str:
    return ' class="number"' if column.number else ""


def _cell(column: Column, row: Document) -> str:
    if column.number is None:
        return f'<td class="name">{escape(column.text(row))}</td>'
    number = column.number(row)
    # A missing value sorts below every number.
    value = -1 if number is None else number
    return f'<td class="number" data-value="{value!r}">{escape(column.text(row))}</td>'


def tiles(values: Sequence[tuple[str, str]]) -> str:
    """Key figures: each a number and, beneath it, what it is."""
    cells = "".join(
        f'<div class="tile"><b>{escape(number)}</b><span>{escape(meaning)}</span></div>\n'
        for number, meaning in values
    )
    return f'<div class="tiles">\n{cells}</div>'


def remarks(title: str, texts: Sequence[str], kind: str = "") -> str:
    """A boxed list, or nothing if there is nothing to say."""
    if not texts:
        return ""
    items = "".join(f"<li>{escape(text)}</li>" for text in texts)
    return f'<div class="remarks {kind}"><strong>{escape(title)}</strong><ul>{items}</ul></div>'


def folded(summary: str, content: str) -> str:
    return f"<details><summary>{escape(summary)}</summary>\n{content}\n</details>"


def bar(share: float) -> str:
    """A horizontal bar of a share from 0 to 1."""
    return f'<span class="bar"><i style="width:{100 * min(1.0, share):.1f}%"></i></span>'


def definitions(pairs: Sequence[tuple[str, str]]) -> str:
    """A two-column list; values are HTML already."""
    rows = "".join(
        f'<tr><th scope="row">{escape(name)}</th><td>{html}</td></tr>\n' for name, html in pairs
    )
    return f'<div class="scroll"><table>\n<tbody>\n{rows}</tbody>\n</table></div>'
