"""A document as HTML, as text, and its curve as a picture of its own."""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Sequence
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from course_utils.cards import curve
from course_utils.cards import document as card

if TYPE_CHECKING:
    from jinja2 import Environment

BAR_LETTERS = 24


def bundle(document: card.Document) -> dict[str, Any]:
    """The representations by MIME type; the HTML carries its own style and needs no script."""
    content = {"text/html": html(document), "text/plain": text(document)}
    if picture := svg(document):
        content["image/svg+xml"] = picture
    return content


def html(document: card.Document) -> str:
    """The document as one element of a page, with the style that it needs."""
    return _templates().get_template("card.html.jinja").render(document=document)


def page(title: str, document: card.Document) -> str:
    """The document as a page of its own."""
    return _templates().get_template("page.html.jinja").render(title=title, document=document)


def svg(document: card.Document) -> str:
    """The first figure as an SVG document of its own, "" if none is drawn."""
    inner = [block.figure if isinstance(block, card.Columns) else block for block in document.blocks]
    figure = next((block for block in inner if isinstance(block, card.Figure) and block.drawn), None)
    return picture(figure, standalone=True) if figure else ""


def picture(figure: card.Figure, *, standalone: bool = False) -> str:
    """The figure as SVG: with colours that read on light and on dark, or in those of the card around it."""
    template = _templates().get_template("curve.svg.jinja")
    return template.render(figure=figure, plot=curve.Plot(figure), style=_stylesheet("curve.css") * standalone)


def text(document: card.Document) -> str:
    """The document for a terminal."""
    return clean("\n".join(line for block in document.blocks for line in _lines(block)))


def clean(value: object) -> str:
    """The text without the control characters that a terminal or an XML reader would act on."""
    kept = (c for c in str(value) if c in "\n\t" or unicodedata.category(c) not in ("Cc", "Cs"))
    return "".join(kept)


@functools.cache
def _templates() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup, escape

    def prose(value: object) -> Markup:
        return Markup(re.sub(r"`([^`\n]+)`", r"<code>\1</code>", str(escape(clean(value)))))

    environment = Environment(
        loader=PackageLoader("course_utils.cards", ""),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=lambda value: value if isinstance(value, Markup) else clean(value),
    )
    environment.filters |= {
        "legend": curve.legend,
        "kind": lambda block: type(block).__name__,
        "picture": lambda figure: Markup(picture(figure)),
        "prose": prose,
    }
    style = _stylesheet("card.css") + _stylesheet("curve.css")
    environment.globals |= {"style": Markup(style), "styles": curve.SERIES_STYLES}
    return environment


def _stylesheet(name: str) -> str:
    """A style sheet of this package in one line; the dark colours apply by the system's wish and by a page's switch."""
    sheet, dark = (files("course_utils.cards").joinpath(file).read_text("utf-8") for file in (name, "dark.css"))
    return " ".join(re.sub(r"/\*.*?\*/", "", sheet.replace("DARK", dark), flags=re.DOTALL).split())


def _lines(block: card.Block) -> list[str]:
    match block:
        case card.Head(symbol, word, more, label):
            return [f"{symbol} {word.upper()}{more}{f' ({label})' if label else ''}".strip()]
        case card.Paragraph(words, bar):
            return [f"{_bar(bar)} {words}" if bar else words]
        case card.Code(source, ""):
            return ["", source, ""]
        case card.Code(source, place):
            return [f"  {place}:  {source}"]
        case card.Figure():
            return curve.in_letters(block)
        case card.Columns(figure, facts):
            return [line for part in (figure, *facts) for line in _lines(part)]
        case card.Fact(name, words, bar, link):
            drawn = f"{_bar(bar)} " if bar else ""
            inline = words.replace("\n", "; ")
            return [f"{name}: {drawn}{inline}{f' See {link[0]}.' if link else ''}"]
        case card.Table(header, rows, _, caption):
            return ([f"{caption}:"] if caption else []) + _table(header, rows, "  " if caption else "")
        case card.Stack(parts):
            whole = sum(amount for _, amount in parts) or 1.0
            return ["[" + "".join(name[0] * round(2 * BAR_LETTERS * part / whole) for name, part in parts) + "]"]
        case card.Tiles(tiles):
            rows = [(tile.lab, tile.verdict, tile.peak, tile.accuracy, tile.effort) for tile in tiles]
            return _table(("lab", "verdict", "peak", "accuracy", "effort"), rows)


def _bar(bar: card.Bar) -> str:
    filled = round(BAR_LETTERS * bar.share)
    return "[" + "#" * filled + "." * (BAR_LETTERS - filled) + "]"


def _words(cell: str | card.Cell) -> str:
    """A cell of a table in one line, clean already, so that its width is known."""
    words = ": ".join(filter(None, (cell.text, cell.more))) if isinstance(cell, card.Cell) else cell
    return clean(words).replace("\n", " ")


def _table(header: Sequence[str], rows: Sequence[Sequence[str | card.Cell]], indent: str = "") -> list[str]:
    """Columns aligned with spaces, a rule under the header."""
    every = [[_words(cell) for cell in row] for row in [header, *rows]]
    widths = [max(map(len, column)) for column in zip(*every, strict=True)]
    every.insert(1, ["-" * width for width in widths])
    return [
        (indent + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))).rstrip()
        for row in every
    ]
