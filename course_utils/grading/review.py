"""Accurate answers that are unlike the others of their class: worth a look, and no accusation."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterable, Sequence

from course_utils.grading.record import Record
from course_utils.units import mib, number, percent, seconds

# The course's own answers are far from these: at least 0.7 s and 17 MiB, at most 97.8%, and 56% of their size.
LITTLE_CPU_SECONDS = 0.5
LITTLE_MIB = 2.0
PERFECT = 0.995
DENSE, DENSE_BYTES = 0.65, 500  # compressed, and the least text to tell by
SHARE = 0.1  # of the median of the class: so little is unlike it
CLASS = 5  # accurate answers, from which on there is a median to speak of


def of_class(records: Iterable[Record]) -> list[Record]:
    """The records, each with what makes it worth a look in its field ``review``."""
    records = list(records)
    by_lab: dict[str, list[Record]] = defaultdict(list)
    for record in filter(_accurate, records):
        by_lab[record.lab].append(record)
    return [
        record.model_copy(update={"review": " ".join(_unlike(record, by_lab[record.lab]))})
        if _accurate(record)
        else record
        for record in records
    ]


def _accurate(record: Record) -> bool:
    return record.accuracy is not None and record.accuracy >= (record.floor or 0)


def _unlike(record: Record, accurate: Sequence[Record]) -> list[str]:
    """Sentences on one accurate answer among all of its lab."""
    said = []
    median = _median([one.cpu_seconds for one in accurate])
    if record.cpu_seconds is not None and record.cpu_seconds < max(LITTLE_CPU_SECONDS, SHARE * median):
        said.append(f"It computed for only {seconds(record.cpu_seconds)}.")
    median = _median([one.peak_mib for one in accurate])
    if record.peak_mib is not None and record.peak_mib < max(LITTLE_MIB, SHARE * median):
        said.append(f"It needed only {mib(record.peak_mib)}.")
    if record.accuracy is not None and record.accuracy >= PERFECT:
        said.append(f"Its accuracy is {percent(record.accuracy)}.")
    size, compressed = record.answer_bytes or 0, record.compressed_bytes or 0
    median = _median([one.compressed_bytes for one in accurate])
    if size >= DENSE_BYTES and compressed > DENSE * size:
        said.append(f"Compressed, its text has still {percent(compressed / size, 0)} of its size, as data have.")
    elif median and compressed > 2 * median:
        said.append(f"Its text has {number(compressed)} bytes when compressed, more than twice the median.")
    same = {_run(one) for one in accurate if record.labels_sha256 and one.labels_sha256 == record.labels_sha256}
    if len(same) > 1 and record.accuracy != 1:
        said.append(f"Another text than {len(same) - 1} other, but the same label for every hidden image.")
    return said


def _median(values: Iterable[float | None]) -> float:
    known = [value for value in values if value is not None]
    return statistics.median(known) if len(known) >= CLASS else 0.0


def _run(record: Record) -> tuple[object, ...]:
    """What tells one run from another: identical answers have the record of one run."""
    return record.graded_at, record.seconds, record.cpu_seconds, record.peak_mib, record.answer_bytes
