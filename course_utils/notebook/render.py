"""What every card is made of: escaping, numbers, bars, tables, and the bundle that a notebook displays."""

from __future__ import annotations

import contextlib
import html
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

DARK = (
    "--oom-surface: #161b22; --oom-ink: #e6edf3; --oom-muted: #a3adb8; --oom-rule: #363d46; --oom-soft: #21262d;"
    " --oom-good: #5fd878; --oom-warn: #e8b949; --oom-bad: #ff9086; --oom-link: #79b8ff; --oom-c0: #6cb6ff;"
    " --oom-c1: #ffa657; --oom-c2: #56d3a0; --oom-c3: #d2a8ff; --oom-c4: #ff9bb3; --oom-c5: #d3d65c;"
)


@dataclass(frozen=True)
class Card:
    """One thing to show: `html` for a notebook, `text` for a terminal, `svg` the bare curve ("" if none)."""

    html: str
    text: str
    svg: str = ""
    tone: str = ""

    def bundle(self) -> dict[str, Any]:
        """The representations by MIME type; the HTML carries its own style and needs no script."""
        head = f'<div class="oom-card oom-{self.tone or "plain"} tex2jax_ignore mathjax_ignore">'
        content = {"text/html": f"{head}<style>{style()}</style>{self.html}</div>", "text/plain": self.text}
        if self.svg:
            content["image/svg+xml"] = self.svg
        return content

    def show(self) -> None:
        """Display the card in the running notebook, or print its text in a terminal."""
        from IPython.display import display

        display(self.bundle(), raw=True)


@cache
def stylesheet(name: str) -> str:
    """A style sheet of this package on one line a rule, without its indentation."""
    text = files("course_utils.notebook").joinpath(name).read_text(encoding="utf-8")
    return " ".join(re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL).split())


@cache
def style() -> str:
    """The style of a whole card; the dark colours apply by the system's wish and by a page's own switch."""
    return stylesheet("card.css").replace("DARK", DARK) + stylesheet("curve.css")


def clean(text: object) -> str:
    """`text` without the control characters that a terminal or an XML reader would act on."""
    kept = (c for c in str(text) if c in "\n\t" or unicodedata.category(c) not in ("Cc", "Cs"))
    return "".join(kept)


def escape(text: object) -> str:
    """`text` made harmless in HTML and SVG, attributes included."""
    return html.escape(clean(text))


def prose(text: object) -> str:
    """`text` as HTML, with what stands between backticks set as code."""
    return re.sub(r"`([^`\n]+)`", r"<code>\1</code>", escape(text))


def mib(amount: float | None) -> str:
    """An amount of memory as a person reads it, in MiB."""
    if amount is None:
        return "not known"
    return f"{amount:,.0f} MiB" if abs(amount) >= 9.95 else f"{amount:.1f} MiB"


def duration(seconds: float | None) -> str:
    """A duration in milliseconds, seconds, or minutes and seconds, whichever a person would say."""
    if seconds is None:
        return "not known"
    if seconds >= 120:
        return f"{int(seconds // 60)} min {int(seconds % 60)} s"
    if seconds < 0.095:
        return f"{1000 * seconds:.0f} ms"
    return f"{seconds:.0f} s" if seconds >= 9.95 else f"{seconds:.1f} s"


def value(number: object) -> str:
    """A reported value: whole numbers as they are, others to three significant digits."""
    if isinstance(number, float):
        return f"{number:,.0f}" if abs(number) >= 1000 else f"{number:.3g}"
    return clean(number)


def shown(values: Mapping[str, object]) -> dict[str, object]:
    """The reported values that are for the reader: a name that begins with an underscore is for later cells only."""
    return {name: number for name, number in values.items() if not name.startswith("_")}


def title(name: str) -> str:
    """The name of a reported value as a heading: "answers_s" gives "Answers (s)", "growth_mib" "Growth (MiB)"."""
    for suffix, unit in (("_mib", "MiB"), ("_s", "s")):
        if name.endswith(suffix):
            return f"{title(name.removesuffix(suffix))} ({unit})"
    words = name.replace("_", " ")
    return words[:1].upper() + words[1:]


def place(path: Path) -> str:
    """A path as short as it is clear: below the working directory, else below the home folder, else whole."""
    for folder, prefix in ((Path.cwd, ""), (Path.home, "~/")):
        with contextlib.suppress(OSError, RuntimeError):  # deleted, or not known
            if path.is_relative_to(base := folder()):
                return prefix + path.relative_to(base).as_posix()
    return str(path)


def bar(amount: float, whole: float, mark: float | None = None, describe: str = "", tone: str = "") -> str:
    """An HTML bar filled to `amount` of `whole`, with a tick at `mark`; `describe` is its alternative text."""
    if whole <= 0:
        return ""
    share = max(0.0, min(100.0, 100 * amount / whole))
    tick = f'<u style="left:{max(0.0, min(99.0, 100 * mark / whole)):.1f}%"></u>' if mark is not None else ""
    return (
        f'<span class="oom-bar oom-{tone or "same"}" role="img" aria-label="{escape(describe)}">'
        f'<i style="width:{share:.1f}%"></i>{tick}</span>'
    )


def text_bar(amount: float, whole: float, width: int = 24) -> str:
    """The same bar in characters."""
    filled = round(width * max(0.0, min(1.0, amount / whole))) if whole > 0 else 0
    return "[" + "#" * filled + "." * (width - filled) + "]"


def text_table(header: Sequence[str], rows: Sequence[Sequence[str]], indent: str = "") -> str:
    """Columns aligned with spaces, a rule under the header."""
    every = [[clean(cell).replace("\n", " ") for cell in row] for row in [header, *rows]]
    widths = [max(len(row[column]) for row in every) for column in range(len(header))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in every]
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(indent + line.rstrip() for line in lines)


def html_table(header: Sequence[str], rows: Sequence[Sequence[str]], numbers: Sequence[int] = ()) -> str:
    """A table of cells that are HTML already; columns in `numbers` are set flush right.

    On a phone the cells of a row of three or more stand below each other.
    """
    right = [' class="oom-number"' if column in numbers else "" for column in range(len(header))]
    head = "".join(f'<th scope="col"{r}>{escape(name)}</th>' for name, r in zip(header, right, strict=True))
    lines = []
    for row in rows:
        cells = enumerate(zip(row, header, right, strict=True))
        lines.append(
            "".join(
                f"<td{r}{f' data-name={chr(34)}{escape(name)}{chr(34)}' if column else ''}>{cell}</td>"
                for column, (cell, name, r) in cells
            )
        )
    body = "".join(f"<tr>{line}</tr>" for line in lines)
    stack = ' class="oom-stack"' if len(header) > 2 else ""
    return f"<table{stack}><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
