"""Arrays: their types, what is in them, and the copies that are made of them."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Sequence

from course_utils.postmortem.evidence import Where
from course_utils.postmortem.rules.case import OWN, Case, Finding, Unfinished, say, together
from course_utils.postmortem.rules.lists import MOSTLY_ZERO, joined, padded
from course_utils.postmortem.rules.said import MIB, Entry

ENCODERS = {"to_categorical", "one_hot", "get_dummies", "toarray", "todense", "eye", "multi_hot"}
ENCODES = re.compile(r"scipy/sparse/|sklearn/preprocessing/_encoders|pandas/core/reshape/encoding")
FEEDS = re.compile(r"tensorflow/python/data/|preprocessing/image")  # which `pipelines` explains
MORE_THAN_FLOAT32 = 4.2  # float32 needs 4 bytes for one of uint8, float64 needs 8
MORE_THAN_FLOAT64 = 8.4
MUCH_MORE = 3.0
PAIRS = {
    "matmul", "dot", "inner", "outer", "einsum", "tensordot", "cdist", "pdist", "squareform", "cosine_similarity",
    "pairwise_distances", "euclidean_distances",
}  # fmt: skip
LABELS = {"to_categorical", "one_hot"}
CONVERTS = {"astype", "asarray", "array", "float32", "float64", "float", "cast", "convert_to_tensor", "constant"}
WORTH_NAMING = 0.05  # of the memory
WIDTH = re.compile(r"(str|bytes)\d+")


def is_sparse(one: Entry) -> bool:
    """Whether nearly all of an array is zeros; one that is being filled is told by the part that was written to."""
    if one.kind != "array" or one.zeros < MOSTLY_ZERO or len(one.shape) < 2:
        return False
    written = min(1.0, max(one.mib / one.whole_mib, 0.01))
    return (1 - one.zeros) / written <= 1 - MOSTLY_ZERO


def mostly_zeros(case: Case) -> Finding | None:
    """Columns for words, customers or classes, where an integer would say the same: one-hot, or a bag of words."""
    padding = padded(case)
    found = [one for one in case.arrays if is_sparse(one) and not (padding and one.name == padding[0].name)]
    encoded = encoding(case)
    if not found and not encoded:
        return None
    made_by = {one.made_by or one.scope for one in found if one.library}
    for one in found:
        made_by |= case.program.statement(case.program.definition(one.name, one.scope)).calls.keys()
    running = encoded.functions | encoded.line.calls.keys() if encoded else set()
    size = together(found)
    words = say("zeros", found=found[:2], encoded=encoded, function=min(running & ENCODERS, default=""))
    blame = encoded.where if encoded and encoded.mib > size else case.made_at(found)
    cause = "one_hot_labels" if (made_by | running) & LABELS else "mostly_zeros"
    return Finding(cause, size + (encoded.mib if encoded else 0.0), words, blame)


def encoding(case: Case) -> Unfinished | None:
    """Return what was being made where that is a matrix with a column for each value: far more than it is made of."""
    made = case.unfinished
    if made is None or MUCH_MORE * together(operands(case, made)) > made.mib:
        return None
    named = (made.functions | made.line.calls.keys()) & ENCODERS
    return made if named or any(ENCODES.search(file) for file in made.files) else None


def padding(case: Case) -> Finding | None:
    """Sequences of unequal length in one array: the longest makes every row as long as itself."""
    if (found := padded(case)) is None:
        return None
    array, sequences, share = found
    words = say("padding", array=array, sequences=sequences, share=share)
    return Finding("padding", array.mib, words, case.made_at([array]))


def float64(case: Case) -> Finding | None:
    """Eight bytes for each number, where float32 takes four and a pixel one."""
    wide = [one for one in case.data if one.dtype == "float64" and not is_sparse(one)]
    wide = [one for one in wide if not one.shared and one.mib >= WORTH_NAMING * case.peak_mib]
    made, size = case.unfinished, together(wide)
    becomes = becomes_float64(case, made) if made else None
    more = made and not becomes and not encoding(case) and any(one.name in made.line.names for one in wide)
    size += made.mib if becomes or more else 0.0
    if not wide and not becomes:
        return None
    words = say("float64", wide=wide[:2], made=made, becomes=becomes, more=more)
    blame = made.where if becomes else _blame(case, wide)
    return Finding("float64_data", size + (becomes.mib if becomes else 0.0), words, blame)


def becomes_float64(case: Case, made: Unfinished) -> Entry | None:
    """Return the array of bytes of which float64 was being made: it grows by more than float32 would, or is divided."""
    small = [one for one in operands(case, made) if one.bytes_each == 1 and one.mib]
    if len(small) != 1 or not made.line.calls.keys() <= CONVERTS:
        return None
    ratio = made.mib / small[0].mib
    steps = max(1, made.line.operations + len(made.line.calls))
    measured = steps == 1 and MORE_THAN_FLOAT32 <= ratio <= MORE_THAN_FLOAT64
    divided = small[0].name in made.line.divided and 1 <= ratio <= MORE_THAN_FLOAT64 * steps  # as NumPy divides
    return small[0] if measured or divided else None


def _blame(case: Case, found: Sequence[Entry]) -> Where | None:
    made = case.unfinished
    if made and made.mib > together(found):
        return made.where
    return case.made_at(found) or (made.where if made else None)


def operands(case: Case, made: Unfinished, *kinds: str) -> list[Entry]:
    """The arrays that the line which died computes with."""
    found = [
        one
        for one in (case.entries(*kinds) if kinds else case.data)
        if one.kind not in ("list", "object") and not one.library and one.name in made.line.names
    ]
    near = {one.name for one in found if one.scope == made.where.function}
    return [one for one in found if one.scope == made.where.function or one.name not in near]


def broadcast(case: Case) -> Finding | None:
    """A column and a row of numbers: every number of the one meets every number of the other."""
    made = case.unfinished
    given = operands(case, made, "operand", "array", "tensor") if made else []
    for one, other in itertools.permutations(given, 2):
        if len(one.shape) == 1 and len(other.shape) == 2 and other.shape[1] == 1 < other.shape[0]:
            size = math.prod((*one.shape, *other.shape)) * 8 / MIB
            if made.mib <= MUCH_MORE * size:
                words = say("broadcast", one=one, other=other, line=made.where.line, size=size)
                return Finding("broadcast", made.mib, words, made.where, size)
    return None


def width(case: Case) -> Finding | None:
    """An array of texts gives each of them as much room as the longest needs."""
    found = next((one for one in case.arrays if WIDTH.fullmatch(one.dtype)), None)
    if found is None:
        return None
    made = case.unfinished
    copied = made.mib if made and found.name in made.line.names else 0.0
    letters = found.bytes_each // (4 if found.dtype.startswith("str") else 1)
    line = made.where.line if copied else 0
    words = say("text_width", one=found, rows=math.prod(found.shape), letters=letters, line=line, copied=copied)
    made_at = case.program.definition(found.name, found.scope)
    return Finding("text_width", found.mib + copied, words, made_at or case.made_at([found]))


def copies(case: Case) -> Finding | None:
    """A copy beside its original: a conversion, a join, a split, a shuffled or scaled array."""
    made = case.unfinished
    special = made and (encoding(case) or joined(case) or feeds(made) or becomes_float64(case, made))
    given = operands(case, made) if made and not special else []
    if not given:
        return _finished_copies(case)
    size = together(given)
    # What a library has on the way is made of it too.
    total = made.mib + together([one for one in case.arrays if one.library and one.scope in made.functions])
    calls = made.line.calls.keys()
    steps = max(1, made.line.operations + len(calls & CONVERTS))
    converts = made.line.operations or calls & CONVERTS  # 4 or 8 bytes of each byte
    if total > size * (MORE_THAN_FLOAT64 if converts and given[0].bytes_each == 1 else MUCH_MORE * steps):
        rows = given[0].shape[0] if given[0].shape else 0
        most = rows**2 * given[0].bytes_each / MIB
        if made.mib <= most and (calls | made.functions) & PAIRS:
            words = say("pairs", one=given[0], line=made.where.line, rows=rows, most=most, made=total)
            return Finding("every_pair", total + size, words, made.where, most)
        words = say("enlarged", line=made.where.line, made=total, given=given, size=size)
        return Finding("enlarged_data", total + size, words, made.where)
    words = say("copying", line=made.where.line, made=total, given=given)
    return Finding("copy_of_array", total + size, words, made.where)


def feeds(made: Unfinished) -> bool:
    """Whether a pipeline or a generator was running, which other rules explain."""
    return any(FEEDS.search(file) for file in made.files)


def _finished_copies(case: Case) -> Finding | None:
    """Arrays that are together as long as another one of the same rows, or the same shape in another type."""
    found = [one for one in case.arrays if one.mib >= WORTH_NAMING * case.peak_mib]
    for whole in found:
        same = [one for one in found if one is not whole and one.shape[1:] == whole.shape[1:]]
        parts = [one for one in same if one.shape[0] < whole.shape[0]]
        converted = [one for one in same if one.shape == whole.shape and one.dtype != whole.dtype]
        if len(parts) > 1 and sum(one.shape[0] for one in parts) == whole.shape[0]:
            words, others = say("parts", whole=whole, parts=parts), parts
        elif converted:
            words, others = say("converted", whole=whole, others=converted), converted
        else:
            continue
        return Finding("copy_of_array", whole.mib + together(others), words, case.made_at([whole, *others]))
    return None


def whole_data(case: Case) -> Finding | None:
    """The data are in memory as a whole, which is told where nothing more special is wrong."""
    own = case.came(*OWN).mib
    if own < 0.5 * case.peak_mib:
        return None
    made = case.unfinished
    if made and feeds(made) and (case.program.loop(made.where) or "__next__" not in made.functions):
        return None  # a pipeline or a generator fills its buffers
    found = [one for one in case.data if one.kind not in ("list", "object")]
    found = [one for one in found if one.mib >= WORTH_NAMING * case.peak_mib]
    size = together(found)
    # A library for data was running, or what came was to get a name.
    if made and not (made.line.keeps or any(file.startswith(("numpy/", "tensorflow/python/")) for file in made.files)):
        made = None
    size += made.mib if made else 0.0
    if not found and not made:
        return None
    words = say("whole_data", found=found[:3], made=made, took=made and feeds(made))
    return Finding("whole_data", min(size, own), words, _blame(case, found))


RULES = (mostly_zeros, padding, float64, broadcast, width, copies, whole_data)
