"""An allocation that was refused, where the error names it."""

from __future__ import annotations

from course_utils import causes
from course_utils.postmortem.rules.case import Case, Finding


def refused(case: Case) -> Finding | None:
    """An allocation whose error tells shape and type explains itself, and what it asked for."""
    explanation = causes.explain(case.text) if case.text else None
    if explanation is None or explanation.kind != "host_ram" or not case.allocation_mib:
        return None
    return Finding(explanation.cause, case.allocation_mib, f"It asked for {causes.allocation(case.text)}.", case.where)


RULES = (refused,)
