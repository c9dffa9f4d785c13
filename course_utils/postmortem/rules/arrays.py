"""Arrays: their types, what is in them, and the copies that are made of them."""

from __future__ import annotations

import re

from course_utils.postmortem.rules.case import Case, Finding
from course_utils.postmortem.rules.data import (
    LEAST,
    OWN,
    Holding,
    Unfinished,
    holdings,
    made_at,
    together,
    unfinished,
)
from course_utils.postmortem.rules.line import definition, loop, statement
from course_utils.postmortem.rules.lists import MOSTLY_ZERO, collected, joined, padded, windows
from course_utils.units import mib, percent

ENCODERS = {
    "to_categorical", "one_hot", "get_dummies", "toarray", "todense", "eye", "identity", "multi_hot",
}  # fmt: skip
ENCODES = re.compile(r"scipy/sparse/|sklearn/preprocessing/_encoders|pandas/core/reshape/encoding")
FEEDS = re.compile(r"tensorflow/python/data/|preprocessing/image")  # which `pipelines` explains
MORE_THAN_FLOAT32 = 4.2  # float32 needs 4 bytes for one of uint8, float64 needs 8
MORE_THAN_FLOAT64 = 8.4
MUCH_MORE = 3.0
LABELS = {"to_categorical", "one_hot"}
CONVERTS = {"astype", "asarray", "array", "float32", "float64", "float", "cast", "convert_to_tensor", "constant"}
FLOATING = "float64"
WORTH_NAMING = 0.05  # of the memory


def arrays_of(case: Case) -> list[Holding]:
    return [one for one in holdings(case) if one.kind in ("array", "tensor") and one.shape]


def is_sparse(case: Case, one: Holding) -> bool:
    """Whether nearly all of an array is zeros; one that is being filled is told by the part that was written to."""
    if one.kind != "array" or one.zeros < MOSTLY_ZERO or not one.full_mib:
        return False
    written = min(1.0, max(one.mib / one.full_mib, 0.01))
    return len(one.shape) > 1 and (1 - one.zeros) / written <= 1 - MOSTLY_ZERO


def mostly_zeros(case: Case) -> Finding | None:
    """Columns for words, customers or classes, where an integer would say the same: one-hot, or a bag of words."""
    padding = padded(case)
    found = [
        one for one in arrays_of(case) if is_sparse(case, one) and one.name != (padding[0].name if padding else "")
    ]
    made = unfinished(case)
    encoded = made if made and encodes(made) else None
    if not found and not encoded:
        return None
    size = together(found) + (encoded.mib if encoded else 0)
    words = []
    for one in found[:2]:
        kind = "each row has a single 1" if one.one_hot else f"{percent(one.zeros)} of it is zeros"
        words.append(f"{one.text}, and {kind}")
    if encoded:
        function = next(iter(sorted((encoded.line.calls | encoded.functions) & ENCODERS)), "")
        by = f" with `{function}`" if function else ""
        words.append(
            f"line {encoded.where.line} makes a column for each value{by}, and nearly all of these are zeros: "
            f"{mib(encoded.mib)} were there when it died"
        )
    blame = encoded.where if encoded and encoded.mib > together(found) else made_at(case, found)
    labels = _is_label_like(case, found, encoded)
    return Finding("one_hot_labels" if labels else "mostly_zeros", size, f"{_sentence(words)}.", blame)


def _is_label_like(case: Case, found: list[Holding], encoded: Unfinished | None) -> bool:
    """Whether it was made by a function for labels."""
    lines = [statement(case, definition(case, one.name, one.scope)).calls for one in found]
    called = {one.scope for one in found if one.library}.union(*lines)
    if encoded:
        called |= encoded.functions | encoded.line.calls
    return bool(called & LABELS)


def encodes(made: Unfinished) -> bool:
    """Whether what was being made is a matrix with a column for each value."""
    if made.functions & ENCODERS or any(ENCODES.search(file) for file in made.files):
        return True
    return bool(made.line.calls & ENCODERS)


def padding(case: Case) -> Finding | None:
    """Sequences of unequal length in one array: the longest makes every row as long as itself."""
    found = padded(case)
    if found is None:
        return None
    array, sequences = found
    share = f"{percent(array.zeros)} of it is padding" if array.zeros >= 0.5 else "most of it is padding"
    words = f"{array.text}. One sequence of {array.shape[1]:,} makes every row so long"
    if sequences:
        each = sequences.mib * 2**20 / sequences.count / sequences.bytes_each
        share = percent(1 - each / array.shape[1])
        words += f", where those in `{sequences.name}` have {each:,.0f} on average: {share} of it is padding"
    else:
        words += f", and {share}"
    return Finding("padding", array.mib, f"{words}.", made_at(case, [array]))


def float64(case: Case) -> Finding | None:
    """Eight bytes for each number, where float32 takes four and a pixel one."""
    wide = [one for one in holdings(case) if one.dtype == FLOATING and not is_sparse(case, one)]
    wide = [one for one in wide if not one.shared and one.mib >= WORTH_NAMING * case.peak_mib]
    words = [f"{one.text}; as float32 it has half of that" for one in wide[:2]]
    made, size, blame = unfinished(case), together(wide), None
    if made and not encodes(made):
        if becomes := becomes_float64(case, made):
            size += made.mib + becomes.mib
            blame = made.where
            words.insert(
                0,
                f"Line {made.where.line} computes with {becomes.brief}. It had made {mib(made.mib)} when it died, "
                f"{made.mib / becomes.mib:.1f} times as much: the new numbers are float64, 8 bytes for each one",
            )
        elif wide and any(one.name in made.line.names for one in wide):
            size += made.mib
            words.append(f"line {made.where.line} was making {mib(made.mib)} more from it")
    if not words:
        return None
    return Finding("float64_data", size, f"{_sentence(words)}.", blame or _blame(case, wide, made))


def becomes_float64(case: Case, made: Unfinished) -> Holding | None:
    """Return the array of bytes of which float64 was being made: it grows by more than float32 would, or is divided."""
    small = [one for one in operands(case, made) if one.bytes_each == 1]
    if len(small) != 1 or not small[0].mib or not made.line.calls <= CONVERTS:
        return None
    ratio = made.mib / small[0].mib
    steps = max(1, made.line.operations + len(made.line.calls))
    measured = steps == 1 and MORE_THAN_FLOAT32 <= ratio <= MORE_THAN_FLOAT64
    divided = made.line.divides and not made.line.calls and 1 <= ratio <= MORE_THAN_FLOAT64 * steps
    return small[0] if measured or divided else None


def _blame(case: Case, found: list[Holding], made: Unfinished | None):
    if made and made.mib > together(found):
        return made.where
    return made_at(case, found) or (made.where if made else None)


def operands(case: Case, made: Unfinished) -> list[Holding]:
    """The arrays that the line which died computes with."""
    kinds = ("array", "tensor", "dataframe")
    found = [one for one in holdings(case) if one.kind in kinds and not one.library and one.name in made.line.names]
    near = {one.name for one in found if one.scope == made.where.function}
    return [one for one in found if one.scope == made.where.function or one.name not in near]


def copies(case: Case) -> Finding | None:
    """A copy beside its original: a conversion, a join, a split, a shuffled or scaled array."""
    made = unfinished(case)
    if made and not encodes(made) and not joined(case) and not feeds(made) and not becomes_float64(case, made):
        given = operands(case, made)
        size = together(given)
        factor = made.mib / size if size else 0.0
        steps = max(1, made.line.operations + len(made.line.calls & CONVERTS))
        changes = made.line.operations or made.line.calls & CONVERTS  # a conversion of bytes makes 4 or 8 of each
        most = MORE_THAN_FLOAT64 if changes and given and given[0].bytes_each == 1 else MUCH_MORE * steps
        if given and factor > most:
            words = (
                f"Line {made.where.line} had made {mib(made.mib)} out of {given[0].brief}, {factor:.0f} times as much"
            )
            return Finding("enlarged_data", made.mib + size, f"{words}.", made.where)
        if given:
            names = " and ".join(one.brief for one in given[:2])
            words = (
                f"Line {made.where.line} was making new arrays from {names}: {mib(made.mib)} when it died, and the old "
                f"{'ones stay' if len(given) > 1 else 'one stays'} until the new one is complete"
            )
            return Finding("copy_of_array", made.mib + size, f"{words}.", made.where)
    return _finished_copies(case)


def feeds(made: Unfinished) -> bool:
    """Whether a pipeline or a generator was running, which other rules explain."""
    return any(FEEDS.search(file) for file in made.files)


def _finished_copies(case: Case) -> Finding | None:
    """Arrays that are together as long as another one of the same rows, or the same shape in another type."""
    found = [one for one in arrays_of(case) if one.mib >= WORTH_NAMING * case.peak_mib]
    for whole in found:
        same = [one for one in found if one is not whole and one.shape[1:] == whole.shape[1:]]
        parts = [one for one in same if one.shape[0] < whole.shape[0]]
        converted = [one for one in same if one.shape == whole.shape and one.dtype != whole.dtype]
        if len(parts) > 1 and sum(one.shape[0] for one in parts) == whole.shape[0]:
            names = _sentence([f"{one.called} ({one.shape[0]:,} rows)" for one in parts])
            words = f"{whole.text}, and {names} are together the same rows once more"
            return Finding("copy_of_array", whole.mib + together(parts), f"{words}.", made_at(case, [*parts, whole]))
        if converted:
            names = _sentence([one.text for one in converted])
            words = f"{whole.text}; {names}. Both have the same shape, so one is the other in another type"
            return Finding(
                "copy_of_array", whole.mib + together(converted), f"{words}.", made_at(case, [whole, *converted])
            )
    return None


def whole_data(case: Case) -> Finding | None:
    """Where nothing more special is wrong: the data are in memory as a whole."""
    own = case.grown(*OWN)
    special = [rule(case) for rule in (mostly_zeros, padding, float64, copies, joined, windows, collected)]
    if own < 0.5 * case.peak_mib or any(one and one.mib >= 0.5 * case.peak_mib for one in special):
        return None
    found = [one for one in holdings(case) if one.kind in ("array", "tensor", "dataframe")]
    found = [one for one in found if one.mib >= WORTH_NAMING * case.peak_mib]
    made = unfinished(case)
    if made and feeds(made) and (loop(case, made.where) or "__next__" not in made.functions):
        return None  # a pipeline or a generator fills its buffers
    words = [one.text for one in found[:3]]
    size = together(found)
    if made and _makes_an_array(made):
        size += made.mib
        what = "took out of a pipeline and kept" if feeds(made) else "had made"
        words.append(f"line {made.where.line} {what} {mib(made.mib)} that had no name yet")
    if not words or min(size, own) < LEAST * case.peak_mib:
        return None
    return Finding("whole_data", min(size, own), f"{_sentence(words)}.", _blame(case, found, made))


def _makes_an_array(made: Unfinished) -> bool:
    """Whether the line was making data: a library for data was running, or what came was to get a name."""
    numpy = any(file.startswith(("numpy/", "tensorflow/python/")) for file in made.files)
    return numpy or made.line.keeps


def _sentence(words: list[str]) -> str:
    text = "; ".join(words)
    return text[:1].upper() + text[1:]


RULES = (mostly_zeros, padding, float64, copies, whole_data)
