"""Remove the answers from a graded cell, and the markers around them."""

from __future__ import annotations

import re

BEGIN, END = "# BEGIN SOLUTION", "# END SOLUTION"
_STARTER = re.compile(r"^\s*# STARTER: (?P<text>.*)$")
_DEFAULT = "Write your answer here."


def solution(text: str) -> str:
    """Return a graded cell as the solution shows it: the answer in, the markers out.

    Raises:
        ValueError: the markers do not pair up.
    """
    return "\n".join(line for line, inside, marker in _marked(text) if not marker)


def starter(text: str) -> str:
    """Return a graded cell as the learner gets it.

    Each answer gives way to ``raise NotImplementedError("...")`` with the text of the ``# STARTER:`` line
    above it. An answer that is not indented, such as an import or a function of its own, goes without a
    trace, since nothing may raise there.

    Raises:
        ValueError: the markers do not pair up.
    """
    kept, say = [], _DEFAULT
    for line, inside, marker in _marked(text):
        if match := _STARTER.match(line):
            say = match["text"].strip()
        if marker and line.strip() == BEGIN and line.startswith(" "):
            indentation = line[: len(line) - len(line.lstrip())]
            kept.append(f'{indentation}raise NotImplementedError("{say}")')
            say = _DEFAULT
        if not marker and not inside:
            kept.append(line)
    # What an unindented answer leaves behind: never more than two blank lines in a row, none at the end.
    return re.sub(r"\n{4,}", "\n\n\n", "\n".join(kept)).rstrip()


def _marked(text: str) -> list[tuple[str, bool, bool]]:
    """Return each line with whether it is inside an answer and whether it is a marker."""
    rows, inside = [], False
    for line in text.split("\n"):
        stripped = line.strip()
        if stripped in (BEGIN, END):
            if inside == (stripped == BEGIN):
                raise ValueError(f"`{stripped}` without its partner")
            inside = not inside
        rows.append((line, inside, stripped in (BEGIN, END) or bool(_STARTER.match(line))))
    if inside:
        raise ValueError(f"`{BEGIN}` without its partner")
    return rows
