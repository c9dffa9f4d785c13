"""The same answer gets the same grade, whatever else the machine does; and what is unlike the class is shown."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from course_utils import labs
from course_utils.grading import policy, review
from course_utils.grading.grade import grade_answer
from course_utils.grading.record import Record
from course_utils.grading.seed import CannotGrade
from course_utils.grading.submission import check
from course_utils.sandbox import processors

LAB = labs.get(1).model_copy(
    update={"budget_mib": 100, "train_count": 20, "hidden_count": 20, "image_size": 16, "time_limit": 60}
)
NEIGHBOUR = "import time\nwhile True:\n    held = b'x' * (300 << 20)\n    time.sleep(0.05)\n    held = None\n"


def submissions() -> list[str]:
    """Thirty cheap answers: some hold memory, up to 96 or from 104 MiB on, and some need too much of it, or fail."""
    holding = [5 * step for step in range(1, 17)] + [88, 91, 109, 112, 120, 130, 140, 150]
    answers = [
        f"import numpy as np\nheld = np.ones({held} * 131072)\ndef train(folder): return 1\n"
        f"def predict(model, paths): return [{held % 10}] * len(paths)"
        for held in holding
    ]
    fails = ["np.ones(400 * 131072)", "[np.ones(131072) for _ in range(400)]", "1 / 0", "None", "exit(3)", "[][0]"]
    return answers + [f"import numpy as np\ndef train(folder):\n    return {fail}" for fail in fails]


@contextmanager
def neighbour() -> Iterator[None]:
    process = subprocess.Popen([sys.executable, "-c", NEIGHBOUR])
    try:
        yield
    finally:
        process.kill()
        process.wait()


def graded(order: int, jobs: int) -> list[Record]:
    answers = [check(LAB, [("graded cell", source)]) for source in submissions()]
    turns = list(range(len(answers)))
    random.Random(order).shuffle(turns)
    with ThreadPoolExecutor(jobs) as pool:
        done = dict(zip(turns, pool.map(lambda turn: grade_answer(answers[turn], LAB), turns), strict=True))
    return [done[turn] for turn in sorted(done)]


def test_order_jobs_and_a_busy_neighbour_change_no_verdict_and_no_peak():
    alone, together = graded(1, 1), graded(2, 2)
    with neighbour():
        disturbed = graded(3, 2)
    assert {one.verdict for one in alone} == {"inaccurate", "over_budget", "out_of_memory", "raised", "died"}
    for first, *others in zip(alone, together, disturbed, strict=True):
        for other in others:
            assert other.verdict == first.verdict, (first.message, other.message)
            if first.accuracy is not None:
                assert other.peak_mib == pytest.approx(first.peak_mib, rel=0.01, abs=3)


def passed(lab: str, student: int, **fields: object) -> Record:
    usual = {"peak_mib": 100 + student, "accuracy": 0.9 + student / 1000, "cpu_seconds": 10, "seconds": student}
    usual |= {"answer_bytes": 1500, "compressed_bytes": 650, "labels_sha256": f"{student:064d}", "floor": 0.8}
    return Record(verdict="passed", message="It fits.", score=100, lab=lab, **usual | fields)


@pytest.mark.parametrize(
    ("unlike", "words"),
    [
        ({"cpu_seconds": 0.4}, "computed for only 0.4 s"),
        ({"peak_mib": 1.5}, "needed only 1.5 MiB"),
        ({"accuracy": 1.0}, "accuracy is 100.0%"),
        ({"compressed_bytes": 1300}, "still 87% of its size"),
        ({"answer_bytes": 4000, "compressed_bytes": 1400}, "more than twice the median"),
        ({"labels_sha256": "0" * 63 + "1"}, "the same label for every hidden image"),
    ],
)
def test_an_answer_unlike_its_class_is_shown_for_review_with_the_reason(unlike, words):
    records = review.of_class([*(passed("01", student) for student in range(6)), passed("01", 9, **unlike)])
    assert words in records[-1].review
    assert [one.review for one in records[2:6]] == [""] * 4  # and nobody else, but who gave the same labels
    inaccurate = passed("01", 9, **unlike | {"accuracy": 0.1})
    assert review.of_class([*records[:-1], inaccurate])[-1].review == ""


def test_a_policy_is_a_file_whose_values_count_and_are_said(tmp_path):
    file = tmp_path / "policy.toml"
    file.write_text('memory_points = 20\nattempts = 2\nlate_points = 30\n[floors]\n"01" = 0.9\n')
    found = policy.read(file)
    assert (found.lab("01").memory_points, found.lab("01").floor) == (20, 0.9)
    assert found.lab("02").floor == labs.get(2).floor
    assert str(found) == (
        "Policy: 20 points for memory, 80 for accuracy, lab 01 asks for 90.0%; "
        "2 attempts count; a late answer loses 30 points."
    )
    one = passed("01", 1)
    assert found.applied(one) == one.model_copy(update={"policy": str(found)})
    late = found.applied(one.model_copy(update={"late": True}))
    assert (late.verdict, late.score) == ("passed", 70) and "late" in late.message
    third = found.applied(one.model_copy(update={"attempt": 3}))
    assert (third.verdict, third.score) == ("rejected", 0) and "attempt 3" in third.message
    assert policy.read(None).lab("01") == labs.get(1)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("memory_point = 20", "memory_point: extra inputs are not permitted. The keys of a policy are memory_points"),
        ("memory_points = 120", "memory_points: input should be less than or equal to 100"),
        ('[floors]\n"77" = 0.5', "There is no lab '77'"),
        ('[floors]\n"1" = 0.5', "two digits"),
        ("memory_points", "is no policy"),
    ],
)
def test_a_policy_that_is_wrong_is_named(tmp_path, text, words):
    file = tmp_path / "policy.toml"
    file.write_text(text)
    with pytest.raises(CannotGrade) as error:
        policy.read(file)
    assert words in str(error.value) and str(file) in str(error.value)


def test_more_jobs_than_fit_are_fewer_with_the_arithmetic_in_a_sentence():
    count = len(os.sched_getaffinity(0))
    assert processors.room(1, 1) == (1, "") and processors.room(count, 1) == (count, "")
    assert processors.room(0, 1) == (max(1, count // 2), "")
    jobs, sentence = processors.room(count + 1, 1)
    assert jobs == count and f"Of {count + 1} jobs only {count} run at once" in sentence
    jobs, sentence = processors.room(2, 2**40)
    assert jobs == 1 and "short even for one" in sentence


def test_a_run_that_asks_to_be_alone_waits_and_makes_others_wait():
    steps: list[str] = []

    def one(name: str, alone: bool, begun: threading.Event, go_on: threading.Event) -> None:
        with processors.assigned(alone=alone):
            steps.append(f"{name} begins")
            begun.set()
            go_on.wait(60)
            steps.append(f"{name} ends")

    def begin(name: str, alone: bool) -> tuple[threading.Thread, threading.Event, threading.Event]:
        begun, go_on = threading.Event(), threading.Event()
        thread = threading.Thread(target=one, args=(name, alone, begun, go_on))
        thread.start()
        return thread, begun, go_on

    first, begun, first_go_on = begin("first", alone=False)
    assert begun.wait(60)
    alone, alone_begun, alone_go_on = begin("alone", alone=True)
    assert not alone_begun.wait(0.2)
    last, last_begun, last_go_on = begin("last", alone=False)
    assert not last_begun.wait(0.2)
    for go_on in (first_go_on, alone_go_on, last_go_on):
        go_on.set()
    for thread in (first, alone, last):
        thread.join(60)
    assert steps == [f"{name} {what}" for name in ("first", "alone", "last") for what in ("begins", "ends")]
