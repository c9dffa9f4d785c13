"""Weigh what the rules have found."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jinja2 import TemplateError

from course_utils import causes
from course_utils.postmortem.rules import arrays, lists, loops, pipelines, training
from course_utils.postmortem.rules.case import Case, Finding, say

ENOUGH = 0.5  # of the memory: findings that explain less are no cause
AS_LARGE = 0.85  # of the largest finding: another one of this size is shown beside it
ALONE = 0.3  # of the memory: a finding of this size that would have needed more than there is comes first
# A rule that has seen more of the same list: it was filled while the model worked, not while data were loaded.
LESS = {"results_kept": {"list_of_images", "list_then_array"}}
LEAST = "whole_data"  # says less than any other
ALL = 1.05  # of the memory: two findings that explain more than this explain some of it twice


def judge(case: Case) -> dict[str, Any]:
    """Return ``cause``, ``remedy``, ``cause_lab`` and ``blame`` of an outcome, as far as the evidence shows them.

    Where it shows no cause, that is a sentence which says so and names who grew.
    """
    total = max(case.peak_mib, causes.allocation_mib(case.text))
    found = sorted(filter(None, (_applied(rule, case) for rule in RULES)), key=lambda one: -one.mib)
    large = {one.cause for one in found if one.mib >= ENOUGH * total}
    less = set().union(*(LESS.get(cause, ()) for cause in large), {LEAST} if large - {LEAST} else ())
    found = [one for one in found if one.cause not in less]
    # What would have been too much alone is to be changed, whatever else is.
    best = next((one for one in found if _alone(one, total)), found[0] if found else None)
    if best and found[0].mib + best.mib > ALL * total:
        best = found[0]
    beside = next((one for one in found if best and _stands_beside(one, best, total)), None)
    if best is None or best.mib + (beside.mib if beside else 0.0) < ENOUGH * total:
        return _unknown(case)
    explanation = causes.explanation(best.cause)
    sentences = [best.sentence, explanation.why]
    if beside:
        size = "As large as that" if beside.mib >= AS_LARGE * best.mib else "Beside that"
        sentences.append(f"{size}: {beside.sentence}")
    known = {"cause": " ".join(sentences), "remedy": explanation.fix, "cause_lab": explanation.lab}
    return known | {"blame": best.blame or case.where}


def refused(case: Case) -> Finding | None:
    """An allocation whose error tells shape and type explains itself, and what it asked for."""
    explanation = causes.explain(case.text) if case.text else None
    asked = causes.allocation_mib(case.text)
    if explanation is None or explanation.kind != "host_ram" or not asked:
        return None
    words = say("refused", allocation=causes.allocation(case.text))
    return Finding(explanation.cause, asked, words, case.where)


def _applied(rule: Callable[[Case], Finding | None], case: Case) -> Finding | None:
    """Return what a rule finds. Part of a case is the run's own word, and a lie must not cost the post-mortem."""
    try:
        return rule(case)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError, RecursionError, TemplateError):
        return None


def _alone(one: Finding, total: float) -> bool:
    return one.needs_mib >= total and one.mib >= ALONE * total


def _stands_beside(one: Finding, best: Finding, total: float) -> bool:
    """Whether a finding is as large as the best, and explains other memory: both together are not more than all."""
    large = one.mib >= AS_LARGE * best.mib or _alone(one, total)
    return one.cause not in (best.cause, LEAST) and large and one.mib + best.mib <= ALL * total


def _unknown(case: Case) -> dict[str, Any]:
    """Say that the cause is not known, and who grew: a wrong cause would send the learner the wrong way."""
    largest = next((one for one in case.growth if one.where), None)
    if largest is None:
        return {}
    blame = largest.where if largest.mib >= ENOUGH * case.peak_mib else case.where
    return {"cause": say("unknown", largest=largest), "blame": blame}


RULES = (*lists.RULES, *arrays.RULES, *pipelines.RULES, *training.RULES, *loops.RULES, refused)
