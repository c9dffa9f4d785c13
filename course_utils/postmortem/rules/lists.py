"""Lists: of pictures, of windows, of numbers, of sequences, and the arrays that are made of them."""

from __future__ import annotations

from course_utils.postmortem import phases
from course_utils.postmortem.evidence import Where
from course_utils.postmortem.rules.case import LEAST, Case, Finding, Unfinished, say
from course_utils.postmortem.rules.said import NUMBERS, TEXTS, Entry

JOINS = {
    "array", "asarray", "stack", "vstack", "hstack", "dstack", "column_stack", "concatenate", "concat", "pack",
    "constant", "convert_to_tensor", "convert_to_eager_tensor", "fromiter", "ascontiguousarray",
}  # fmt: skip
PADS = {"pad_sequences", "pad_sequence", "to_tensor"}
MANY = 8  # members of a list that is a data set
MOSTLY_ZERO = 0.9
OVERLAP = 3.0


def lists_of(case: Case) -> list[Entry]:
    return [one for one in case.data if one.kind == "list" and (one.count or 0) >= MANY]


def padded(case: Case) -> tuple[Entry, Entry | None, float] | None:
    """Return an array of padded sequences, the list that it was made of if that is alive, and the share of padding."""
    for array in case.arrays:
        if len(array.shape) < 2 or array.mib < LEAST * case.peak_mib:
            continue
        running = case.functions if array.library else set()
        made = case.program.statement(case.program.definition(array.name, array.scope)).calls.keys()
        pads = PADS & (running | made | {array.scope})
        for one in lists_of(case):
            if one.count == array.shape[0] and one.shape and "int" in array.dtype:
                used = one.mib * 2**20 / one.count / one.bytes_each / array.shape[1]
                if used < 0.5 and (pads or "arrays, the largest" in one.what):
                    return array, one, 1 - used
        if pads and array.zeros >= 0.5:
            return array, None, array.zeros
    return None


def joined(case: Case) -> Finding | None:
    """A list of arrays, and one array of all of them: both are alive while it is being made, and often after it."""
    made = case.unfinished
    for one in lists_of(case):
        if not one.numbers or one.mib < LEAST * case.peak_mib or one.shared:
            continue
        for array in case.arrays:
            if array.shape[1:] == one.shape and one.count <= array.shape[0] <= 1.25 * one.count:
                words = say("twice", one=one, array=array)
                return Finding("list_then_array", one.mib + array.mib, words, case.made_at([array]))
        if joins(made, one):
            return Finding("list_then_array", one.mib + made.mib, say("joining", one=one, made=made), made.where)
    return None


def joins(made: Unfinished | None, one: Entry) -> bool:
    """Whether the line that died was making an array of a list."""
    return bool(made and JOINS & (made.functions | made.line.calls.keys()) and one.name in made.line.names)


def kept_in_a_list(case: Case) -> Finding | None:
    """A list, or a dictionary, that holds the whole data set."""
    for one in lists_of(case):
        if one.library or one.shared or case.came(phases.LOADING).mib < 0.6 * one.mib:
            continue
        filler = case.program.filler(one.name)
        grown = case.since_the_ledger if (one.grows or filler) and adds_to(case, one, filler) else 0.0
        size = one.mib + grown
        if size < LEAST * case.peak_mib:
            continue
        numbers, texts = one.dtype in NUMBERS, one.dtype in TEXTS
        words = say("kept", one=one, grown=grown if grown > 0.1 * size else 0.0, numbers=numbers, texts=texts)
        cause = "python_objects" if numbers or texts else "list_of_images" if one.shape else ""
        if overlap := _overlap(case, one):
            cause, words = "overlapping_windows", overlap
        if cause:
            return Finding(cause, size, words, filler or case.made_at([one]))
    return None


def collected(case: Case) -> Finding | None:
    """A list that is made in one line has no name until it is complete: only its growth is known."""
    lines = [frame.where for frame in case.stack if frame.where]
    where = next((line for line in lines if case.program.statement(line).collects), None)
    if where is None or case.program.loop(where):
        return None
    grown = case.came(phases.LOADING, told=lambda one: any(frame.where == where for frame in one.stack)).mib
    if grown - sum(one.mib for one in lists_of(case) if one.scope == lines[0].function) < 0.5 * case.peak_mib:
        return None
    joins = lines[0] == where and case.program.statement(where).calls.keys() & JOINS
    words = say("collecting", line=where.line, grown=grown, joins=joins)
    return Finding("list_then_array" if joins else "list_of_images", grown, words, where)


def adds_to(case: Case, one: Entry, filler: Where | None) -> bool:
    """Whether the run was adding to a list when it died: it was in the loop that fills it."""
    if joins(case.unfinished, one):
        return False
    lines = [frame.where for frame in case.stack if frame.where]
    if filler is None:
        return any(one.name in case.program.statement(line).names for line in lines)
    around = case.program.loop(filler)
    return any(line == filler or (around and around.holds(line)) for line in lines)


def windows(case: Case) -> Finding | None:
    """Windows over a series: as views they cost nothing, as an array each value is there once for each window."""
    made = case.unfinished
    for one in lists_of(case):
        if one.shared and joins(made, one):
            series = one.count <= one.shape[0]
            words = say("shared", one=one, made=made, series=series)
            cause = "overlapping_windows" if series else "enlarged_data"
            return Finding(cause, made.mib + one.mib, words, made.where)
    for array in case.arrays:
        if words := _overlap(case, array):
            return Finding("overlapping_windows", array.mib, words, case.made_at([array]))
    return None


def _overlap(case: Case, found: Entry) -> str:
    """The sentence about windows where a longer series of the same columns is alive."""
    count, shape = (found.count, found.shape) if found.kind == "list" else (found.shape[0], found.shape[1:])
    if not shape or found.zeros >= MOSTLY_ZERO:
        return ""
    for series in case.arrays:
        rows, length = series.shape[0], shape[0]
        if (
            series is not found
            and series.dtype == found.dtype
            and series.shape[1:] == shape[1:]
            and rows - length + 1 >= count > (rows - length) / 2
            and count * length > OVERLAP * rows
            and found.mib > OVERLAP * series.mib
        ):
            return say("windows", one=found, series=series, count=count, length=length)
    return ""


RULES = (joined, windows, kept_in_a_list, collected)
