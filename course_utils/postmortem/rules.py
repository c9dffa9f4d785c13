"""From what is known of how a run ended to its likely cause."""

from __future__ import annotations

import re
from collections.abc import Sequence

from course_utils import causes, units
from course_utils.postmortem.evidence import Where

COPYING = re.compile(
    r"\b(?:np|numpy)\.(?:array|asarray|stack|vstack|concatenate)\(\s*(\w+)|\btf\.(?:constant|convert_to_tensor)\(\s*(\w+)"
)


def copied(source: str, live: Sequence[dict]) -> str:
    """Return the allocation of a line that copies a live object, such as ``np.array(images)``; "" if it does not."""
    for name in (name for match in COPYING.finditer(source) for name in match.groups() if name):
        for item in live:
            if item["name"] == name:
                return f"one array of everything in `{name}` ({item['what']}): about {units.mib(item['mib'])} more"
    return ""


UNKNOWN_NAME = re.compile(r"name '(\w+)' is not defined")


def explain(status: str, text: str, where: Where | None, live: Sequence[dict], peak_mib: float = 0) -> dict[str, str]:
    """Return ``allocation``, ``cause`` and ``cause_lab`` of an unfinished run, each "" where it is not known."""
    finding = {"allocation": "", "cause": "", "cause_lab": ""}
    if status not in ("out_of_memory", "out_of_gpu_memory", "raised", "died"):
        return finding
    source = where.source if where else ""
    finding["allocation"] = causes.allocation(text) or (copied(source, live) if status == "out_of_memory" else "")
    explanation = causes.explain(text) if text else None
    if status.startswith("out_of") and (explanation is None or explanation.kind in ("unknown", "host_ram")):
        weighty = [item["what"] for item in live if item["mib"] >= 0.25 * peak_mib]
        explanation = causes.from_code(source, weighty) or explanation
    if explanation is not None and explanation.kind != "unknown":
        finding["cause"], finding["cause_lab"] = explanation.why, explanation.lab
    if status == "raised" and (name := UNKNOWN_NAME.match(text)):
        finding["cause"] = (
            "A sandboxed or graded cell starts empty: it does not see the imports and variables of other cells. "
            f"Import or define `{name[1]}` in the cell itself."
        )
    elif status == "raised" and "syntax" in text and source[:1] in ("!", "%", "?"):
        finding["cause"] = "A sandboxed cell holds plain Python: take out lines that start with ! or %."
    elif status == "raised" and "'await' outside function" in text:
        finding["cause"] = "A sandboxed cell holds plain Python: write `asyncio.run(...)` instead of `await ...`."
    return finding
