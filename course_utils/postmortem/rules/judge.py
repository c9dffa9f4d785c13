"""Weigh what the rules have found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from course_utils import causes
from course_utils.postmortem.evidence import Where
from course_utils.postmortem.rules import arrays, lists, loops, pipelines, refused, training
from course_utils.postmortem.rules.case import Case, Finding
from course_utils.units import mib

ENOUGH = 0.5  # of the memory: a finding that explains less is no cause
AS_LARGE = 0.85  # of the largest finding: another one of this size is shown beside it
# A rule that has seen more of the same list: it was filled while the model worked, not while data were loaded.
LESS = {"results_kept": {"list_of_images", "list_then_array"}}
ALL = 1.05  # of the memory: two findings that explain more than this explain some of it twice
RULES = (*lists.RULES, *arrays.RULES, *pipelines.RULES, *training.RULES, *loops.RULES, *refused.RULES)


@dataclass(frozen=True)
class Judgement:
    """The likely cause in words, what to do, the lab that teaches it, and the line to blame."""

    cause: str = ""
    remedy: str = ""
    cause_lab: str = ""
    blame: Where | None = None


def judge(case: Case) -> Judgement:
    """Return the cause that the evidence shows; where it shows none, a sentence that says so and names who grew."""
    found = sorted(filter(None, (_applied(rule, case) for rule in RULES)), key=lambda finding: -finding.mib)
    total = max(case.peak_mib, case.allocation_mib)
    causes_found = {finding.cause for finding in found if finding.mib >= ENOUGH * total}
    found = [finding for finding in found if finding.cause not in _less_than(causes_found)]
    if not found:
        return _unknown(case)
    best = found[0]
    other = next((one for one in found[1:] if _stands_beside(one, best, total)), None)
    if best.mib + (other.mib if other else 0.0) < ENOUGH * total:
        return _unknown(case)
    explanation = causes.explanation(best.cause)
    sentences = [best.sentence, explanation.why]
    if other:
        sentences.append(f"As large as that: {other.sentence}")
    return Judgement(" ".join(sentences), explanation.fix, explanation.lab, best.blame or case.where)


def _applied(rule: Callable[[Case], Finding | None], case: Case) -> Finding | None:
    """Return what a rule finds. Part of a case is the run's own word, and a lie must not cost the post-mortem."""
    try:
        return rule(case)
    except (ArithmeticError, AttributeError, LookupError, StopIteration, TypeError, ValueError):
        return None


def _less_than(found: set[str]) -> set[str]:
    """Causes that say less about the same memory than those that are found."""
    return set().union(*(LESS[cause] for cause in found if cause in LESS))


def _stands_beside(one: Finding, best: Finding, total: float) -> bool:
    """Whether a finding is as large as the best, and explains other memory: both together are not more than all."""
    return one.cause != best.cause and one.mib >= AS_LARGE * best.mib and one.mib + best.mib <= ALL * total


def _unknown(case: Case) -> Judgement:
    """Say that the cause is not known, and who grew: a wrong cause would send the learner the wrong way."""
    largest = next((one for one in case.growth if one.where), None)
    blame = largest.where if largest and largest.mib >= ENOUGH * case.peak_mib else case.where
    if not largest or not largest.where:
        return Judgement(blame=blame)
    came = f"The largest part, {mib(largest.mib)}, came at line {largest.where.line} ({largest.phase})."
    return Judgement(f"Unknown: nothing that was alive explains half of the memory. {came}", blame=blame)
