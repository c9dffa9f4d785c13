"""What the text of an exception says about how a run ended."""

from __future__ import annotations

import re
from collections.abc import Sequence

from course_utils import causes

UNKNOWN_NAME = re.compile(r"name '(\w+)' is not defined")


def is_gpu_memory(kinds: Sequence[str], text: str) -> bool:
    """Whether an exception says that a GPU, and not the host, ran out of memory."""
    if "Dst tensor is not initialized" in text:
        return True
    if not {"ResourceExhaustedError", "InternalError", "XlaRuntimeError"} & set(kinds):
        return False
    return bool(re.search(r"device:GPU|GPU_\d|CUDA_ERROR_OUT_OF_MEMORY|cuda_malloc", text)) and bool(
        re.search(r"OOM|out of memory|OUT_OF_MEMORY|exhausted", text, re.IGNORECASE)
    )


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
