"""What Keras does with a model: tensors of arrays, steps, evaluation, prediction."""

from __future__ import annotations

from course_utils.postmortem import phases
from course_utils.postmortem.rules.case import Case, Finding
from course_utils.units import mib


def arrays_to_tensors(case: Case) -> Finding | None:
    """`fit` makes a tensor of each array that it is given, and both are alive."""
    tensors = case.grown(phases.CONVERTING)
    where = case.grower(phases.CONVERTING)
    if not where or tensors < 0.2 * case.peak_mib:
        return None
    given = [entry for entry in case.entries("array") if entry["name"] in where.source]
    arrays = sum(entry["mib"] for entry in given)
    names = ", ".join(f"`{entry['name']}` ({mib(entry['mib'])})" for entry in given) or "the arrays"
    sentence = f"Keras was making a tensor of each array that it was given: {names}, and {mib(tensors)} of tensors."
    return Finding("arrays_to_tensors", arrays + tensors, sentence, where)


RULES = (arrays_to_tensors,)
