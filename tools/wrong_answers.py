"""Write the section of a solution page that shows typical wrong answers, each with its verdict."""

from __future__ import annotations

import json
import re
from pathlib import Path

from course_utils.cards.runs import RESULTS
from tools.quiz import fold
from tools.source import SourceError

_FORM = re.compile(r"# expected: (?P<verdict>\w+)\n# (?P<tries>[^\n]+)\n+(?P<code>[^#\n].*)", re.DOTALL)
_OPENING = (
    "## Typical wrong answers\n\n"
    "The grader ran each of these just as it runs your answer. Open one to read its code: which line earns it that "
    "verdict?"
)


def section(root: Path, number: str) -> str:
    """Return the section for a lab, as markdown; "" if the lab has no wrong answers.

    The verdict is the measured one (book/measured/NN.json), or the one that the tests expect if none was measured.

    Raises:
        SourceError: a wrong answer does not start with its two comment lines.
    """
    measured = root / "book" / "measured" / f"{number}.json"
    found = json.loads(measured.read_text(encoding="utf-8"))["wrong_answers"] if measured.is_file() else []
    graded = {one["name"]: one for one in found}
    parts = [_OPENING]
    for path in sorted((root / "tests" / "wrong_answers" / number).glob("*.py")):
        match = _FORM.fullmatch(path.read_text(encoding="utf-8"))
        if not match:
            raise SourceError(
                f"{path.relative_to(root)} must start with two comment lines: `# expected: ` with the verdict, and a "
                "sentence that says what the answer tries."
            )
        result = graded.get(path.stem, {"verdict": match["verdict"]})
        verdict = RESULTS[result["verdict"]].word
        score = f", {result['score']:g} of 100" if "score" in result else ""
        parts.append(fold(f"**{verdict}{score}.** {match['tries']}", f"```python\n{match['code'].rstrip()}\n```"))
    return "\n\n".join(parts) if parts[1:] else ""
