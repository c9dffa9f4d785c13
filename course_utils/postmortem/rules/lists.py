"""Lists: of pictures, of windows, of numbers, of sequences, and the arrays that are made of them."""

from __future__ import annotations

from course_utils.postmortem import phases
from course_utils.postmortem.evidence import Where
from course_utils.postmortem.rules.case import Case, Finding
from course_utils.postmortem.rules.data import (
    LEAST,
    NUMBERS,
    TEXTS,
    Holding,
    Unfinished,
    holdings,
    made_at,
    own_lines,
    since_the_ledger,
    unfinished,
)
from course_utils.postmortem.rules.line import definition, loop, statement
from course_utils.units import mib

JOINS = {
    "array", "asarray", "stack", "vstack", "hstack", "dstack", "column_stack", "concatenate", "concat", "pack",
    "constant", "convert_to_tensor", "convert_to_eager_tensor", "fromiter", "ascontiguousarray",
}  # fmt: skip
PADS = {"pad_sequences", "pad_sequence", "to_tensor"}
MANY = 8  # members of a list that is a data set
MOSTLY_ZERO = 0.9
OVERLAP = 3.0


def lists_of(case: Case) -> list[Holding]:
    return [one for one in holdings(case) if one.kind == "list" and one.count >= MANY]


def padded(case: Case) -> tuple[Holding, Holding | None] | None:
    """Return an array of padded sequences, and the list that it was made of if that is alive."""
    for array in holdings(case):
        if array.kind not in ("array", "tensor") or len(array.shape) < 2 or array.mib < LEAST * case.peak_mib:
            continue
        running = {frame.function for frame in case.stack} if array.library else set()
        made = statement(case, definition(case, array.name, array.scope)).calls
        pads = bool(PADS & (running | made | {array.scope}))
        for sequences in lists_of(case):
            if sequences.count != array.shape[0] or not sequences.shape or "int" not in array.dtype:
                continue
            each = sequences.mib * 2**20 / sequences.count / sequences.bytes_each
            if each < 0.5 * array.shape[1] and ("arrays, the largest" in sequences.what or pads):
                return array, sequences
        if pads and array.zeros >= 0.5:
            return array, None
    return None


def joined(case: Case) -> Finding | None:
    """A list of arrays, and one array of all of them: both are alive while it is being made, and often after it."""
    made = unfinished(case)
    for one in lists_of(case):
        if one.dtype in NUMBERS | TEXTS or not one.shape or one.mib < LEAST * case.peak_mib or one.shared:
            continue
        for array in holdings(case):
            if array.kind in ("array", "tensor") and array.shape[1:] == one.shape and _as_many(array, one):
                words = f"{_list(one)}, and {array.text}: the same numbers twice"
                return Finding("list_then_array", one.mib + array.mib, f"{words}.", made_at(case, [array]))
        if made and joins(made) and one.name in made.line.names:
            words = (
                f"{_list(one)}. Line {made.where.line} was making one array of them, which needs as much again: "
                f"{mib(made.mib)} of it was there"
            )
            if one.dtype == "float64":
                words += ". Both are float64: as float32 they need half of that, and pixels as uint8 an eighth"
            return Finding("list_then_array", one.mib + made.mib, f"{words}.", made.where)
    return None


def joins(made: Unfinished) -> bool:
    return bool(JOINS & (made.functions | made.line.calls))


def _as_many(array: Holding, one: Holding) -> bool:
    return one.count <= array.shape[0] <= 1.25 * one.count


def kept_in_a_list(case: Case) -> Finding | None:
    """A list, or a dictionary, that holds the whole data set."""
    for one in lists_of(case):
        if one.library or one.shared or case.grown(phases.LOADING) < 0.6 * one.mib:
            continue
        filler = case.filler(one.name)
        grown = since_the_ledger(case) if (one.grows or filler) and adds_to(case, one, filler) else 0.0
        size = one.mib + grown
        more = f", and {mib(grown)} came after it was last weighed" if grown > 0.1 * size else ""
        if size < LEAST * case.peak_mib:
            continue
        blame = filler or made_at(case, [one])
        if one.dtype in NUMBERS | TEXTS:
            each = "number as an object of 24 to 32 bytes" if one.dtype in NUMBERS else "text with 50 bytes around it"
            words = f"{_list(one)}{more}. Python keeps each {each}, and 8 more point to it"
            return Finding("python_objects", size, f"{words}.", blame)
        if not one.shape:
            continue
        if windows := _overlap(case, one):
            return Finding("overlapping_windows", size, windows, blame)
        return Finding("list_of_images", size, f"{_list(one)}{more}.", blame)
    return None


def collected(case: Case) -> Finding | None:
    """A list that is made in one line has no name until it is complete: only its growth is known."""
    lines = own_lines(case.stack)
    where = next((line for line in lines if statement(case, line).collects), None)
    if where is None or loop(case, where):
        return None
    grown = case.grown_where(
        lambda phase, stack: phase == phases.LOADING and any(line == where for line in own_lines(stack))
    )
    named = sum(one.mib for one in lists_of(case) if one.scope == lines[0].function)
    if grown - named < 0.5 * case.peak_mib:
        return None
    words = f"Line {where.line} was making a list, {mib(grown)} when it died, and a list keeps everything that is in it"
    if lines[0] == where and statement(case, where).calls & JOINS:
        words = f"Line {where.line} makes a list and then one array of it: {mib(grown)} when it died"
        return Finding("list_then_array", grown, f"{words}.", where)
    return Finding("list_of_images", grown, f"{words}.", where)


def adds_to(case: Case, one: Holding, filler: Where | None) -> bool:
    """Whether the run was adding to a list when it died: it was in the loop that fills it."""
    made = unfinished(case)
    if made and joins(made) and one.name in made.line.names:
        return False
    lines = own_lines(case.stack)
    if filler is None:
        return any(one.name in statement(case, line).names for line in lines)
    around = loop(case, filler)
    return any(
        (line.cell, line.line) == (filler.cell, filler.line) or (around and loop(case, line) == around)
        for line in lines
    )


def windows(case: Case) -> Finding | None:
    """Windows over a series: as views they cost nothing, as an array each value is there once for each window."""
    made = unfinished(case)
    for one in lists_of(case):
        if made and one.shared and joins(made) and one.name in made.line.names:
            series = one.count <= one.shape[0]
            words = (
                f"`{one.name}` has {one.count:,} {'windows' if series else 'parts'} of one array, {mib(one.mib)}, "
                f"that they share. Line {made.where.line} was making an array in which each has its own copy: "
                f"{mib(made.mib)} when it died"
            )
            cause = "overlapping_windows" if series else "enlarged_data"
            return Finding(cause, made.mib + one.mib, f"{words}.", made.where)
    for array in holdings(case):
        if array.kind in ("array", "tensor") and (words := _overlap(case, array)):
            return Finding("overlapping_windows", array.mib, words, made_at(case, [array]))
    return None


def _overlap(case: Case, found: Holding) -> str:
    """The sentence about windows where a longer series of the same columns is alive."""
    if not found.shape or found.zeros >= MOSTLY_ZERO:
        return ""
    count, shape = (found.count, found.shape) if found.kind == "list" else (found.shape[0], found.shape[1:])
    if not shape:
        return ""
    for series in holdings(case):
        same = series.dtype == found.dtype and len(series.shape) == len(shape)
        if series is found or series.kind not in ("array", "tensor") or not same:
            continue
        rows, length = series.shape[0], shape[0]
        if (
            series.shape[1:] == shape[1:]
            and rows - length + 1 >= count > (rows - length) / 2
            and count * length > OVERLAP * rows
            and found.mib > OVERLAP * series.mib
        ):
            return (
                f"`{found.name}` has {count:,} windows of {length:,} from `{series.name}`, which has {rows:,} rows and "
                f"{mib(series.mib)}: each row is there {count * length / rows:,.0f} times, {mib(found.full_mib)}."
            )
    return ""


def _list(one: Holding) -> str:
    return f"{one.called} is a {one.what}, {mib(one.mib)}"


RULES = (joined, windows, kept_in_a_list, collected)
