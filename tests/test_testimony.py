"""What a run says about itself, with every lie that it may hold: the owner bounds it, and always reaches an outcome."""

from __future__ import annotations

import json
import math
import os
import socket
import time
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as any_of

from course_utils.postmortem import Frame, Limits, Measurement, Outcome, Sighting, Testimony, Where, conclude
from course_utils.sandbox import Listener, framing, slots
from course_utils.sandbox.mailbox import Mailbox
from course_utils.sandbox.order import Order

CELLS = [("cell", "first = 1\nsecond = 2"), ("other", "third = 3")]
LIMITS = Limits(budget_mib=100, cap_mib=200, time_limit=60, isolation="process", method="procfs")
STATUSES = {"finished", "out_of_memory", "out_of_gpu_memory", "timed_out", "raised", "died"}
MIB = 1024 * 1024

scalars = any_of.none() | any_of.booleans() | any_of.integers() | any_of.floats() | any_of.text(max_size=20)
anything = any_of.recursive(
    scalars | any_of.sampled_from(["cell", "<module>", 10**400, "x" * 5000, "\ud800"]),
    lambda inner: any_of.lists(inner, max_size=4) | any_of.dictionaries(any_of.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
frames = any_of.lists(any_of.tuples(any_of.sampled_from(["cell", "other", 3]), any_of.integers(-2, 5), anything))
FIELDS: dict[str, Any] = {
    "type": any_of.sampled_from(["end", "end", "report", "figure", "exchange"]) | anything,
    "status": any_of.sampled_from(["finished", "died", "raised"]) | anything,
    "kinds": any_of.lists(any_of.sampled_from(["MemoryError", "InternalError", "ValueError"])) | anything,
    "text": any_of.sampled_from(["Graph execution error:", "Dst tensor is not initialized", "name 'x' is not defined"])
    | anything,
    "frames": frames | anything,
    "reasons": anything,
    "exit_code": anything,
    "gpu_peak_mib": anything,
    "gpu_in_use_mib": anything,
    "values": any_of.dictionaries(any_of.text(max_size=5), anything) | anything,
    "png": any_of.sampled_from(["iVBORw0KGgo=", "%%%", "é"]) | anything,
    "question": anything,
}
messages = any_of.fixed_dictionaries({}, optional=FIELDS).map(framing.pack)
bodies = any_of.binary(max_size=40).map(lambda body: framing.HEADER.pack(len(body)) + body)
lengths = any_of.integers(0, 2**32 - 1).map(framing.HEADER.pack)
truncated = messages.map(lambda packed: packed[: len(packed) // 2])
streams = any_of.lists(messages | bodies | lengths | truncated | any_of.binary(max_size=20), max_size=6).map(b"".join)
dumps = any_of.binary(max_size=200) | any_of.lists(
    any_of.builds(
        '{}\n  File "{}", line {} in {}\n'.format,
        any_of.sampled_from(["", "Current thread 0x1:", "Stack (most recent call first):"]),
        any_of.sampled_from(["cell", "other", '", line 1 in x', ""]),
        any_of.integers(0, 4) | any_of.sampled_from(["9" * 5000, ""]),
        any_of.text(max_size=5),
    )
).map(lambda parts: "".join(parts).encode("utf-8", "replace"))
states = any_of.binary(max_size=100) | any_of.fixed_dictionaries(
    {},
    optional={
        "where": anything,
    },
).map(lambda state: json.dumps(state).encode())
told = any_of.fixed_dictionaries(
    {},
    optional={
        "kind": any_of.sampled_from(["array", "list", "weights", "pipeline"]) | anything,
        "mib": any_of.integers(0, 500) | anything,
        **dict.fromkeys(["name", "what", "scope", "library", "count", "shape", "zeros", "largest", "grows"], anything),
    },
)
records = (
    any_of.fixed_dictionaries({}, optional={"entries": any_of.lists(told) | anything, "facts": anything}) | anything
)
ledgers = any_of.builds(
    slots.pack,
    any_of.integers(0, 2**64 - 1),
    records.filter(lambda record: len(json.dumps(record)) <= slots.LARGEST),
)


def written(state: bytes, ledger: tuple[int, bytes]) -> bytes:
    """A state file with this stack and this ledger."""
    start, packed = ledger
    return state.ljust(start) + packed


measurements = any_of.builds(
    Measurement,
    limits=any_of.just(LIMITS),
    interval_ms=any_of.just(5.0),
    baseline_mib=any_of.just(100.0),
    killed_for=any_of.sampled_from(["", "", "memory", "gpu", "time", "tasks", "message", "kernel"]),
    exit_code=any_of.none() | any_of.integers(-100, 255),
    killed_by_kernel=any_of.booleans(),
    too_many_tasks=any_of.booleans(),
)


def heard(data: bytes, dump: bytes = b"", state: bytes = b"", **measured: Any) -> Outcome:
    """The outcome of a run that put ``data`` on its channel and left ``dump`` and ``state``."""
    mailbox = Mailbox(CELLS, Listener())
    mailbox.take(data)
    return conclude(Measurement(LIMITS, 5.0, 100.0, **measured), mailbox.close(dump, state))


@settings(max_examples=400, deadline=None)
@given(
    data=streams,
    output=any_of.binary(),
    dump=dumps,
    state=states | any_of.builds(written, states, ledgers),
    measured=measurements,
    cut=any_of.integers(1, 50),
)
@example(b"", b"", b'  File "cell", line ' + b"9" * 5000 + b" in f\n", b"[" * 60_000, Measurement(LIMITS, 5.0, 1.0), 1)
def test_whatever_a_run_says_there_is_an_outcome(
    data: bytes, output: bytes, dump: bytes, state: bytes, measured: Measurement, cut: int
) -> None:
    asked: list[dict] = []
    mailbox = Mailbox(CELLS, Listener())
    for start in range(0, len(data), cut):
        asked += mailbox.take(data[start : start + cut])
    mailbox.take_output("stdout", output)
    outcome = conclude(measured, mailbox.close(dump, state))
    assert outcome.status in STATUSES
    assert outcome.status != "finished" or not (measured.killed_by_kernel or measured.killed_for)
    assert all(isinstance(question, dict) for question in asked)
    assert outcome.where is None or outcome.where.source in ("first = 1", "second = 2", "third = 3")
    assert outcome.gpu_peak_mib is None or math.isfinite(outcome.gpu_peak_mib)
    assert all(math.isfinite(item["mib"]) for item in outcome.ledger)
    shown = [outcome.post_mortem(), outcome.message, outcome.stdout, str(outcome.values), *map(str, outcome.ledger)]
    "\n".join(shown).encode()  # every text can be shown and written to a file
    assert sum(map(len, shown)) < 500_000


def test_a_ledger_that_is_nonsense_is_left_out_and_the_rest_is_bounded() -> None:
    long = [{"kind": "array", "name": "n" * 300, "what": 3, "mib": mib, "shape": list(range(60))} for mib in range(30)]
    wrong = [{"kind": "array", "mib": mib} for mib in (-1, "3", None, math.nan, 1e300)]
    wrong += [{"kind": "magic", "mib": 3}, 7, {"kind": ["list"], "mib": 1}, {"kind": {}, "mib": 1}]
    facts = {"training": {"step": 10**400, "x": "y" * 900}, "deep": [[[[[[[[1]]]]]]]], "processes": 2}

    def left(entries: list[Any]) -> Any:
        mailbox = Mailbox(CELLS, Listener())
        return mailbox.close(b"", written(b"{}", slots.pack(3, {"entries": entries, "facts": facts})))

    assert left(wrong).ledger == []
    said = left(long)
    assert len(said.ledger) == 14 and said.ledger[0]["mib"] == 13 and said.ledger[0]["what"] == ""
    assert len(said.ledger[0]["name"]) <= 200 and len(said.ledger[0]["shape"]) <= 20
    assert said.facts["processes"] == 2 and said.facts["training"]["step"] is None
    assert len(said.facts["training"]["x"]) <= 200 and len(str(said.facts["deep"])) < 30


def test_the_stack_of_another_thread_is_no_answer() -> None:
    picture = json.dumps({"stack": [["cell", 1, "<module>"]]}).encode()
    other = b'Stack (most recent call first):\n  File "threading.py", line 5 in _bootstrap\n'
    own = b'Stack (most recent call first):\n  File "cell", line 2 in <module>\n'
    mailbox = Mailbox(CELLS, Listener())
    assert [frame.where.line for frame in mailbox.stack(other, picture)] == [1]
    assert [frame.where.line for frame in mailbox.stack(own, picture)] == [2]


def test_a_message_in_pieces_is_one_message() -> None:
    reader = framing.Reader()
    packed = framing.pack({"type": "a"}) + framing.pack({"type": "b"})
    assert [message for byte in packed for message in reader.feed(bytes([byte]))] == [{"type": "a"}, {"type": "b"}]


def test_both_sides_agree_on_messages() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(framing.pack({"go": True}))
        assert framing.receive(theirs) == {"go": True}
        ours.close()
        with pytest.raises(EOFError):
            framing.receive(theirs)


def test_a_message_larger_than_any_may_be_ends_the_conversation_at_once() -> None:
    mailbox = Mailbox(CELLS, Listener())
    mailbox.take(framing.HEADER.pack(framing.LARGEST + 1))
    assert mailbox.reader.broken
    assert mailbox.take(framing.pack({"type": "exchange"})) == []
    outcome = heard(b"", killed_for="message", exit_code=-9)
    assert outcome.status == "died" and "channel" in outcome.message


def test_what_the_owner_saw_stands_whatever_the_run_says() -> None:
    lie = framing.pack({"type": "end", "status": "finished"})
    assert heard(lie, exit_code=0).status == "finished"
    assert heard(lie, exit_code=0, killed_for="memory").status == "out_of_memory"
    assert heard(lie, exit_code=0, killed_by_kernel=True).status == "out_of_memory"
    assert heard(lie, exit_code=0, killed_for="time").status == "timed_out"
    assert heard(lie, exit_code=0, too_many_tasks=True).status == "died"
    assert heard(lie, exit_code=0, killed_for="gpu").status == "out_of_gpu_memory"


FLOODS = {
    "many messages": framing.pack({}) * 100_000,
    "one long text": framing.pack({"type": "end", "status": "raised", "text": "a" * 3 * MIB}),
    "lines of a wrapped error": framing.pack({"type": "end", "text": "in user code:\n" + "_Error" * 300_000}),
    "a long number": framing.pack({"type": "report"})[:4] + b"[" + b"1" * MIB,
    "many values": framing.pack({"type": "report", "values": {str(number): number for number in range(200_000)}}),
    "many digits": b"".join([framing.HEADER.pack(3 * MIB), b"0.", b"1" * (3 * MIB - 2)]),
    "nested": framing.HEADER.pack(3 * MIB) + b"[" * (3 * MIB),
}


@pytest.mark.parametrize("data", FLOODS.values(), ids=FLOODS)
def test_no_flood_of_messages_takes_long(data: bytes) -> None:
    began = time.process_time()
    mailbox = Mailbox(CELLS, Listener())
    for start in range(0, len(data), 1 << 16):
        mailbox.take(data[start : start + (1 << 16)])
    conclude(Measurement(LIMITS, 5.0, 100.0, exit_code=-9), mailbox.close(b"", b""))
    assert time.process_time() - began < 5


@pytest.mark.parametrize(
    "line",
    [b'  File "', b'  File "cell", line 1', b'", line 1 in ', b"Thread \n", b'  File "x", line 1 in y\n'],
)
def test_no_dump_takes_long(line: bytes) -> None:
    began = time.process_time()
    heard(b"", dump=(line * MIB)[:MIB])
    assert time.process_time() - began < 5


def test_a_number_that_is_larger_than_any_float_is_kept_as_a_text() -> None:
    outcome = heard(framing.pack({"type": "report", "values": {"large": 10**400, "small": 3}}))
    assert outcome.values == {"large": str(10**400), "small": 3}


@pytest.mark.parametrize("limit", ["budget_mib", "cap_mib", "time_limit", "gpu_budget_mib"])
@pytest.mark.parametrize("amount", [0, -1, math.nan])
def test_a_limit_that_is_none_is_refused(limit: str, amount: float) -> None:
    limits = {"budget_mib": 1, "cap_mib": 1, "time_limit": 1, "isolation": "process", "method": "procfs"}
    with pytest.raises(ValueError, match="above 0"):
        Order(cells=(("cell", ""),), directory=os.curdir, **{**limits, limit: amount})


PROGRAMS = {
    "a long formula": f"x = {'+'.join(['1'] * 5000)}",
    "a long chain": f"x = y{'.append(1)' * 3000}",
    "brackets": f"results{'[' * 20_000}",
    "a long line": "results" + "[0]" * 30_000 + ".append(1)",
    "no Python": "%%bash\nls",
}


@pytest.mark.parametrize("source", PROGRAMS.values(), ids=PROGRAMS)
def test_no_program_costs_its_post_mortem(source: str) -> None:
    began = time.process_time()
    held = [{"kind": "list", "name": "results", "what": "list of 9 x float32 array (9, 9)", "mib": 80.0, "count": 9}]
    stack = (Frame("cell", "<module>", Where("cell", 2, "results.append(9)")),)
    measured = Measurement(
        LIMITS, 5.0, 1.0, peak_mib=100.0, killed_for="memory", cells=[("cell", f"{source}\nresults.append(9)")],
        sightings=[Sighting(1.0, 100.0, stack)],
    )  # fmt: skip
    outcome = conclude(measured, Testimony(last_line=stack[0].where, ledger=[*held, {**held[0], "shape": [9, 9]}]))
    assert outcome.status == "out_of_memory" and outcome.cause
    assert time.process_time() - began < 5
