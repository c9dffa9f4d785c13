"""A quiz that works without a script: each option of a question opens and explains why it is right or wrong.

    **1. Which step doubles the memory?**

    - [ ] The division :: No: it makes eight times, not twice.
    - [x] The copy :: Yes: two whole arrays are alive at once.

A line that starts with two spaces continues the option above it.
"""

from __future__ import annotations

import html
import re
from dataclasses import dataclass, field

_QUESTION = re.compile(r"^\*\*\d+\. .+\*\*$")
_OPTION = re.compile(r"^- \[(?P<mark>[ x])\] (?P<rest>.+)$")


@dataclass
class Question:
    text: str
    options: list[tuple[bool, str, str]] = field(default_factory=list)
    """Whether it is right, the option, the explanation."""


def parse(text: str) -> list[Question | str]:
    """Return a quiz cell as its questions and, as strings, the lines between them.

    Raises:
        ValueError: an option has no ``::`` explanation or stands before the first question.
    """
    parts: list[Question | str] = []
    for line in _joined(text):
        if _QUESTION.match(line):
            parts.append(Question(line))
        elif match := _OPTION.match(line):
            option, separator, why = match["rest"].partition(" :: ")
            question = next((part for part in reversed(parts) if isinstance(part, Question)), None)
            if not separator or question is None:
                raise ValueError(f"the option {line!r} needs a question above it and ` :: why` after it")
            question.options.append((match["mark"] == "x", option.strip(), why.strip()))
        else:
            parts.append(line)
    return parts


def render(text: str) -> str:
    """Return a quiz cell as markdown in which each option folds open, also without scripts."""
    rendered = []
    for part in parse(text):
        if isinstance(part, str):
            rendered.append(part)
            continue
        rendered.append(part.text)
        for letter, (right, option, why) in zip("ABCDEFGH", part.options, strict=False):
            verdict = "**Right.**" if right else "**Not this one.**"
            rendered.append("\n" + fold(f"{letter}. {option}", f"{verdict} {why}"))
    return re.sub(r"\n{3,}", "\n\n", "\n".join(rendered)).strip()


def fold(summary: str, body: str) -> str:
    """Return markdown that shows ``summary``, one line, and opens to ``body``, in Jupyter, Colab and the book."""
    line = re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(summary, quote=False))
    line = re.sub(r"\*\*(.+?)\*\*", r"<b>\1</b>", line)
    return f"<details><summary>{line}</summary>\n\n{body}\n\n</details>"


def _joined(text: str) -> list[str]:
    """Join the lines that continue an option or a question."""
    lines: list[str] = []
    for line in text.split("\n"):
        before = lines[-1] if lines else ""
        open_question = before.startswith("**") and not before.endswith("**")
        if line.strip() and (open_question or (line.startswith("  ") and before.startswith("- ["))):
            lines[-1] += " " + line.strip()
        else:
            lines.append(line.rstrip())
    return lines
