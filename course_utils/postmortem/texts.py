"""What the text of an exception says about how a run ended."""

from __future__ import annotations

import re

from course_utils import causes

UNKNOWN_NAME = re.compile(r"name '(\w+)' is not defined")


def explain(status: str, text: str, source: str) -> dict[str, str]:
    """Return ``cause`` and ``cause_lab`` of a run that ended with this text at this line, where they say anything."""
    if status == "raised" and (name := UNKNOWN_NAME.match(text)):
        cause = (
            "A sandboxed or graded cell starts empty: it does not see the imports and variables of other cells. "
            f"Import or define `{name[1]}` in the cell itself."
        )
        return {"cause": cause}
    if status == "raised" and "syntax" in text and source[:1] in ("!", "%", "?"):
        return {"cause": "A sandboxed cell holds plain Python: take out lines that start with ! or %."}
    if status == "raised" and "'await' outside function" in text:
        return {"cause": "A sandboxed cell holds plain Python: write `asyncio.run(...)` instead of `await ...`."}
    explanation = causes.explain(text) if text else None
    if explanation is None or explanation.kind == "unknown":
        return {}
    return {"cause": explanation.why, "remedy": explanation.fix, "cause_lab": explanation.lab}
