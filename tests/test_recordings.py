"""Recordings: what is written is read again; what is cut off, foreign or hostile is read up to where it makes sense."""

from __future__ import annotations

import json
import os
import resource
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from course_utils import cards, recordings
from course_utils.cards.runs import outcome_card
from course_utils.postmortem import Device, Frame, Limits, Outcome, Sighting, Where
from course_utils.postmortem.growth import Growth
from course_utils.postmortem.phases import Phase
from tools import ROOT

LIMITS = Limits(budget_mib=100, cap_mib=100, time_limit=60, isolation="process", method="procfs")
LINE = Where("grow.py", 2, "kept = [bytearray(2**20) for _ in range(200)]")
STACK = (Frame("numpy/_core/numeric.py", "ones"), Frame("grow.py", "<module>", LINE))
OUTCOME = Outcome(
    **vars(LIMITS),
    status="out_of_memory",
    message="It needed more than 100 MiB above its baseline and was killed after 3.9 s.",
    peak_mib=101.5,
    baseline_mib=301.0,
    seconds=3.9,
    interval_ms=5.0,
    where=LINE,
    blame=LINE,
    growth=[Growth(98.0, LINE, "loading", "ones")],
    phases=[Phase("loading", 0.0, 3.9, 98.0)],
    ledger=[{"kind": "list", "name": "kept", "scope": "", "what": "list of 98", "library": False, "mib": 98.0}],
    stdout="½ and \x1b[1mcolours\x1b[0m\n",
    trace=[(0.0, 0.0), (2.0, 50.0), (3.9, 101.5)],
    values={"loss": 0.5},
    device=Device(unread="there is no GPU"),
)


def write(path: Path) -> list[bytes]:
    """Record a run that grows for four seconds; return the lines."""
    recorder = recordings.Recorder(path, recordings.Header(kind="run", file="grow.py", limits=LIMITS))
    recorder.write(recordings.Cell(name="grow.py", source=f"\n{LINE.source}\n"))
    for tenth in range(40):
        recorder.sample(tenth / 10, 2.5 * tenth)
        recorder.sighting(Sighting(tenth / 10, 2.5 * tenth, STACK))
    recorder.write(recordings.Ledger(seconds=3.9, entries=OUTCOME.ledger))
    recorder.write(recordings.Ending(outcome=OUTCOME))
    recorder.file.close()
    return path.read_bytes().splitlines(keepends=True)


def show(outcome: Outcome) -> str:
    """The card as text; the HTML has to be possible too."""
    document = outcome_card(outcome)
    assert "oom-card" in cards.html(document)
    return cards.text(document)


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    write(tmp_path / "a.jsonl")
    recorded = recordings.read(tmp_path / "a.jsonl")
    assert recorded.outcome() == OUTCOME
    assert recorded.header.kind == "run" and recorded.header.limits == LIMITS
    assert list(recorded.cells) == ["grow.py"] and recorded.sightings[-1].stack == STACK
    assert "grow.py, line 2" in show(recorded.outcome())


def test_the_recorded_death_of_the_book_is_still_read() -> None:
    recorded = recordings.read(ROOT / "book" / "measured" / "train.jsonl")
    assert recorded.cells["train.py"] == (ROOT / "book" / "measured" / "train.py").read_text()
    outcome = recorded.outcome()
    assert (outcome.status, outcome.blame.source) == ("out_of_memory", "pictures = pictures / 255")


def test_a_recording_that_was_cut_off_still_says_who_grew(tmp_path: Path) -> None:
    lines = write(tmp_path / "a.jsonl")
    (tmp_path / "a.jsonl").write_bytes(b"".join(lines[:-1]) + lines[-1][:40])
    recorded = recordings.read(tmp_path / "a.jsonl")
    assert recorded.ending is None
    cut = recorded.outcome()
    assert cut.status == "died" and "stops after 3.9 s, at 98 MiB" in cut.message and cut.where == LINE
    assert cut.growth[0].where == LINE and cut.growth[0].mib == pytest.approx(97.5, abs=0.1)
    killed = recorded.outcome(killed_by_kernel=True)
    assert killed.status == "out_of_memory" and killed.blame == LINE and "making a list, 98 MiB" in killed.cause
    show(cut), show(killed)


def test_a_stack_may_be_known_a_little_late(tmp_path: Path) -> None:
    lines = write(tmp_path / "a.jsonl")
    lines[6], lines[9] = lines[9], lines[6]
    (tmp_path / "a.jsonl").write_bytes(b"".join(lines))
    recorded = recordings.read(tmp_path / "a.jsonl")
    assert recorded.outcome() == OUTCOME
    assert [sighting.seconds for sighting in recorded.sightings] == [tenth / 10 for tenth in range(40)]


def test_a_day_makes_a_small_file(tmp_path: Path) -> None:
    recorder = recordings.Recorder(tmp_path / "a.jsonl", recordings.Header(kind="watch", file="", limits=LIMITS))
    for second in range(0, 86_400 * 2):
        recorder.sample(second / 2, 1.0 + second % 7)
        recorder.sighting(Sighting(second / 2, 1.0 + second % 7, STACK))
    recorder.file.close()
    assert (tmp_path / "a.jsonl").stat().st_size < 4 * 2**20
    recorded = recordings.read(tmp_path / "a.jsonl")
    assert recorded.samples[-1].seconds > 86_300 and len(recorded.samples) <= recordings.MOST_LINES


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"hello\n",
        b"\0" * 2**24,
        b"[" * 2**22,
        b'{"type": "header", "version": 2}\n',
        b'{"a":' * 10**5,
        b"1" * 10**5,
    ],
    ids=["empty", "text", "nul bytes", "deep", "a later version", "deep objects", "a long number"],
)
def test_what_is_no_recording_is_said_in_a_sentence(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.jsonl").write_bytes(content)
    with pytest.raises(recordings.NotARecording, match="is not a recording of course-utils"):
        recordings.read(tmp_path / "a.jsonl")


def test_a_pipe_or_a_folder_is_no_recording(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path):
        with pytest.raises(recordings.NotARecording, match="is not a file"):
            recordings.read(path)


def test_a_hostile_file_is_read_to_where_it_makes_sense_and_takes_little_memory(tmp_path: Path) -> None:
    lines = write(tmp_path / "a.jsonl")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for hostile, times in ((b"9", 2**26), (b"[", 2**24), (b'{"type": "sample", "seconds": 1e999, "mib": 1}', 1)):
        with (tmp_path / "b.jsonl").open("wb") as file:
            file.writelines(lines[:10])
            for _ in range(0, times, 2**20):
                file.write(hostile * min(times, 2**20))
            file.writelines([b"\n", lines[-1]])
        recorded = recordings.read(tmp_path / "b.jsonl")
        assert len(recorded.samples) == 4 and recorded.ending is None
    with (tmp_path / "b.jsonl").open("wb") as file:
        file.write(lines[0])
        for number in range(200):
            file.write(b'{"type": "cell", "name": "%d", "source": "' % number + b"x" * 2**20 + b'"}\n')
    assert len(recordings.read(tmp_path / "b.jsonl").cells) < 64
    with (tmp_path / "b.jsonl").open("wb") as file:
        file.write(lines[0])
        for number in range(40_000):
            file.write(b'{"type": "sample", "seconds": %d, "mib": 1}\n' % number)
    samples = recordings.read(tmp_path / "b.jsonl").samples
    assert samples[-1].seconds == 39_999 and len(samples) <= recordings.MOST_LINES
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert grown < 200, f"{grown:.0f} MiB"


ANY = some.recursive(
    some.none() | some.booleans() | some.integers() | some.floats() | some.text(max_size=20),
    lambda inner: some.lists(inner, max_size=4) | some.dictionaries(some.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)


@settings(max_examples=200, deadline=None)
@given(data=some.data())
def test_no_file_makes_a_reader_or_a_card_fail(tmp_path_factory: pytest.TempPathFactory, data: some.DataObject) -> None:
    """Lines of a real recording, some of whose fields hold something else, and bytes at any place."""
    path = tmp_path_factory.getbasetemp() / "hostile.jsonl"
    lines = [json.loads(line) for line in write(path)]
    for _ in range(data.draw(some.integers(1, 4))):
        at: object = data.draw(some.sampled_from([lines[0], lines[-1], lines[-1], lines[-2], *lines[1:8]]))
        while isinstance(at, dict | list) and at:
            keys = list(at) if isinstance(at, dict) else range(len(at))
            key = data.draw(some.sampled_from(keys))
            inner = at[key]
            if not isinstance(inner, dict | list) or not inner or data.draw(some.booleans()):
                at[key] = data.draw(
                    ANY | some.floats(-1e14, 1e14) | some.sampled_from(["finished", "first step", {}, []])
                )
                break
            at = inner
    content = "\n".join(map(json.dumps, lines)).encode()
    if data.draw(some.booleans()):
        place = data.draw(some.integers(0, len(content)))
        content = (
            content[:place] + data.draw(some.binary(max_size=8)) + content[place + data.draw(some.integers(0, 9)) :]
        )
    path.write_bytes(content)
    try:
        recorded = recordings.read(path)
    except recordings.NotARecording:
        return
    show(recorded.outcome())
    show(recorded.outcome(killed_by_kernel=True))
