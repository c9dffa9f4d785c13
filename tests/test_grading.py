"""From answers to records, with real training in a real sandbox: one class, graded once, and what a learner sees."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from conftest import cannot_be_tested
from pydantic import ValidationError
from test_grading_submission import TRAIN, code, notebook

from course_utils import labs, postmortem, sandbox, scans
from course_utils.grading import kept, many, record, score, seed, submission
from course_utils.grading.grade import grade_answer, isolation_level
from course_utils.grading.seed import CannotGrade, seed_from
from course_utils.grading.tasks import pipeline, predicting, search
from course_utils.grading.tasks.pipeline import Pipeline
from course_utils.grading.tasks.train import Train
from course_utils.sandbox import inside
from tools import ROOT

LAB = labs.get(1)
COUNT = LAB.hidden_count

# Answers that need no training, and what becomes of them: verdict, and words of the message.
ANSWERS = {
    "constant": (f"{TRAIN}def predict(model, paths): return [3] * len(paths)", "inaccurate", "Train longer"),
    "greedy": (
        f"import numpy as np\ndef train(folder): return np.ones({LAB.budget_mib:.0f} * 144179)\n"
        "def predict(model, paths): return [3] * len(paths)",
        "over_budget",
        "Hold less",
    ),
    "naive": ("import numpy as np\ndef train(folder):\n    return np.ones((4000, 1000, 1000))", "out_of_memory", ""),
    "late": (
        f"{TRAIN}import numpy as np\ndef predict(model, paths): return np.ones((4000, 1000, 1000))",
        "out_of_memory",
        "While it labelled the hidden images: ",
    ),
    "error": ("def train(folder):\n    return 1 / 0", "raised", "ZeroDivisionError"),
    "renamed": ("def fit(folder): return 1", "raised", "does not define train(folder)"),
    "value": ("train = 7", "raised", "not a function"),
    "none": ("def train(folder): pass; print(folder)", "raised", "train returned None"),
    "number": (TRAIN, "raised", "instead of a model"),
    "few": (f"{TRAIN}def predict(model, paths): return [1, 2]", "raised", f"expected {COUNT} labels"),
    "shape": (
        f"{TRAIN}import numpy as np\ndef predict(model, paths): return np.ones((len(paths), 7))",
        "raised",
        f"({COUNT}, 7)",
    ),
    "nan": (
        f"{TRAIN}import numpy as np\ndef predict(model, paths): return np.full((len(paths), 10), np.nan)",
        "raised",
        "NaN",
    ),
    "exit": ("import sys\ndef train(folder): sys.exit(0)", "died", ""),
    "forged": (
        "from course_utils.sandbox.inside import exchange\n"
        "def train(folder):\n"
        "    exchange({'predictions': [0] * 500}); exchange({'accuracy': 1.0}); exchange({'state': 'trained'})\n"
        f"    exchange({{'predictions': [0] * {COUNT}}}); raise SystemExit",
        "died",
        "",
    ),
    # Names that the learner has taken must not break what runs afterwards.
    "shadow": (
        f"{TRAIN}predict = lambda model, paths: [0] * {COUNT}\nlen = list = exec = globals = dict = None",
        "inaccurate",
        "",
    ),
    "text": ("I could not do it", "rejected", "is not Python"),
    "pasted": (f"from course_utils import scans\n{TRAIN}", "rejected", "read the scans from the folder"),
    "deep": ("def train(folder): return train(folder)", "raised", "recursion depth exceeded. Likely cause: "),
    "words": (f"{TRAIN}def predict(model, paths): return ['3'] * len(paths)", "raised", "of texts; expected"),
}


@pytest.fixture(scope="module")
def graded(tmp_path_factory) -> dict[str, record.Record]:
    """The class, graded by the command: records by student."""
    folder, out = tmp_path_factory.mktemp("class"), tmp_path_factory.mktemp("results")
    for student, (source, _, _) in ANSWERS.items():
        notebook(folder / student / "01.ipynb", code(f"%%graded 01\n{source}"))
    for student, source in (("solution", "solutions"), ("starter", "labs")):
        (folder / student).mkdir()
        shutil.copy(ROOT / source / f"{LAB.name}.ipynb", folder / student)
    done = command("grade", folder, "--out", out, "--jobs", "2", "--isolation", "process")
    assert done.returncode == 0, done.stderr
    assert "solution" in done.stdout and "passed" in done.stdout
    found = json.loads((out / "results.json").read_text())
    assert len(found) == len(ANSWERS) + 2
    return {one["student"]: one for one in found}


def command(*arguments: object) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-m", "course_utils", *map(str, arguments)]
    return subprocess.run(words, capture_output=True, text=True, timeout=600, cwd=ROOT)


def test_the_solution_passes_and_the_starter_is_not_attempted(graded):
    solution = graded["solution"]
    assert (solution["verdict"], solution["score"]) == ("passed", 100.0)
    assert 0 < solution["peak_mib"] <= LAB.budget_mib and solution["accuracy"] >= LAB.floor
    assert max(mib for _, mib in solution["trace"]) == pytest.approx(solution["peak_mib"], rel=0.05)
    assert (graded["starter"]["verdict"], graded["starter"]["score"]) == ("not_attempted", 0)


@pytest.mark.parametrize("student", ANSWERS)
def test_each_answer_gets_the_verdict_it_deserves(graded, student):
    _, verdict, words = ANSWERS[student]
    one = graded[student]
    assert one["verdict"] == verdict, one["message"]
    assert words in one["message"]
    if verdict not in ("inaccurate", "over_budget"):
        assert one["score"] == 0 and one["accuracy"] is None


def test_records_name_the_line(graded):
    assert graded["naive"]["where"]["source"].strip() == "return np.ones((4000, 1000, 1000))"
    assert graded["error"]["where"] | {"cell": ""} == {"cell": "", "line": 3, "source": "return 1 / 0"}


def test_without_accuracy_memory_earns_nothing(graded):
    greedy = graded["greedy"]
    # Right on one class of ten, as guesses are: nothing for accuracy, and so nothing for memory either.
    assert greedy["score"] == graded["constant"]["score"] == 0 and greedy["peak_mib"] > LAB.budget_mib


def test_every_record_is_valid(graded):
    for one in graded.values():
        jsonschema.validate(one, record.schema())
        assert record.Record.model_validate(one).model_dump(mode="json") == one
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(graded["solution"] | {"verdict": "fine"}, record.schema())
    with pytest.raises(jsonschema.ValidationError):
        lacking = {name: value for name, value in graded["solution"].items() if name != "trace"}
        jsonschema.validate(lacking, record.schema())
    with pytest.raises(ValidationError):
        record.Record(verdict="passed", message="It fits.", accuracy=87.3)
    with pytest.raises(ValidationError, match="frozen"):
        record.Record(verdict="passed", message="It fits.").verdict = "raised"


def test_an_endless_loop_runs_out_of_time():
    cells = [("graded cell", "def train(folder):\n    while True:\n        pass")]
    one = grade_answer(submission.check(LAB, cells), LAB.model_copy(update={"time_limit": 1}))
    assert one.verdict == "timed_out" and one.where.line in (2, 3)
    assert "used up its time limit of 1.0 s of CPU time" in one.message
    assert 1 <= one.cpu_seconds <= 2 and one.cpu_seconds <= one.seconds + 0.1


def test_what_all_processes_of_an_answer_compute_counts_and_sleep_ends_by_the_clock():
    work = """
import os, time
def train(folder):
    for _ in range(2):
        if not os.fork():
            if not os.fork():  # an orphan
                while True: pass
            os._exit(0)
    time.sleep(600)
"""
    asked = LAB.model_copy(update={"time_limit": 1})
    one = grade_answer(submission.check(LAB, [("graded cell", work)]), asked)
    assert one.verdict == "timed_out" and "CPU time, all its processes together" in one.message
    one = grade_answer(
        submission.check(LAB, [("graded cell", "import time\ntrain = lambda folder: time.sleep(600)")]), asked
    )
    assert one.verdict == "timed_out" and "it waited for something most of the time" in one.message
    assert one.cpu_seconds < 1 <= one.seconds


def graded_at_once(source: str, lab: labs.LabSpec = LAB) -> record.Record:
    return grade_answer(submission.check(lab, [("graded cell", source)]), lab)


def test_a_run_that_was_killed_from_outside_is_run_again_and_one_that_kills_itself_gets_its_verdict(tmp_path):
    ended = f"import os, pathlib\nfirst = pathlib.Path({str(tmp_path / 'first')!r})\n"
    kill = "os.kill(os.getpid(), 9)"
    one = graded_at_once(f"{ended}if not first.exists(): first.touch(); {kill}\n{ANSWERS['constant'][0]}")
    assert one.verdict == "inaccurate" and "run again, alone" in one.repeated
    assert graded_at_once(f"import os\n{kill}\n{TRAIN}").verdict == "died"


def test_nothing_follows_from_a_run_that_got_no_processor_or_no_memory_from_the_machine():
    limits = postmortem.Limits(
        budget_mib=100, cap_mib=200, time_limit=40, cpu_limit=10, isolation="process", method="procfs"
    )

    def interruption(**found: object) -> str:
        measured = postmortem.Measurement(limits, 5, 300, seconds=40, trace=[(0, 1)], **found)
        return postmortem.conclude(measured, postmortem.Testimony()).interruption

    assert interruption(killed_for="time", waited_seconds=30) == "machine_busy"
    assert interruption(killed_for="time", waited_seconds=1) == ""
    assert interruption(killed_for="cpu", waited_seconds=30) == ""
    assert interruption(exit_code=-9, machine_kills=1) == "machine_memory"
    assert interruption(exit_code=-9) == interruption(exit_code=None) == "killed"
    assert interruption(exit_code=-11, machine_kills=1) == interruption(killed_for="memory", exit_code=-9) == ""


def test_a_peak_close_to_the_budget_is_the_median_of_three():
    constant = f"import numpy as np\nheld = np.ones(64 * 131072)\n{ANSWERS['constant'][0]}"
    once = graded_at_once(constant)
    assert once.peaks_mib == (once.peak_mib,) and not once.repeated
    close = graded_at_once(constant, LAB.model_copy(update={"budget_mib": once.peak_mib}))
    assert len(close.peaks_mib) == 3 and close.peak_mib == sorted(close.peaks_mib)[1] and "median" in close.repeated


def test_the_strongest_isolation_grades_too_and_shows_no_labels():
    spying = """
import os
def train(folder):
    seen = [os.path.join(here, name) for here, _, names in os.walk("/") for name in names if "proc" not in here]
    assert not [path for path in seen if "hidden-" in path], "hidden images are in sight"
    return 1
def predict(model, paths):
    assert sorted(paths) == list(paths) and not {os.path.dirname(path) for path in paths} & set("0123456789")
    return [0] * len(paths)
"""
    if why := sandbox.unavailable("bwrap"):
        cannot_be_tested(why)
    one = grade_answer(submission.check(LAB, [("graded cell", spying)]), LAB, isolation="bwrap")
    assert (one.verdict, one.isolation) == ("inaccurate", "bwrap"), one.message


def test_isolation_is_never_lowered(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")  # no bubblewrap there
    sandbox.unavailable.cache_clear()
    try:
        with pytest.raises(CannotGrade, match="bubblewrap is not installed"):
            isolation_level("bwrap")
        assert isolation_level("auto") != "bwrap"
    finally:
        sandbox.unavailable.cache_clear()
    with pytest.raises(CannotGrade, match="'castle'"):
        isolation_level("castle")


def test_hidden_images_carry_no_label_and_a_link_leads_nowhere(tmp_path):
    hidden = scans.load("hidden", count=20, size=16, seed=5)
    first, second = Train(LAB, hidden, tmp_path / "a"), Train(LAB, hidden, tmp_path / "b")
    for examiner in (first, second):
        examiner.directory.mkdir()
        names = examiner.answer({"state": "trained"})["images"]
        assert names == [f"graded_images/{number:05d}.jpg" for number in range(20)]
        for name, label in zip(names, examiner.labels, strict=True):
            same = {path.read_bytes() for path in (hidden / str(label)).iterdir()}
            assert (examiner.directory / name).read_bytes() in same
    assert first.labels != second.labels  # 1 in 10**12 that two orders agree
    first.answer({"predictions": first.labels})
    assert first.accuracy == 1.0
    first.answer({"predictions": [0] * 20})
    assert first.accuracy == 1.0  # the first answer counts
    for wrong in (None, [0.5] * 20, [True] * 20, [0] * 19, [10] * 20):
        second.problem = ""
        second.answer({"predictions": wrong})
        assert second.accuracy is None and "20 labels" in second.problem

    trap = Train(LAB, hidden, tmp_path / "c")
    trap.directory.mkdir()
    (tmp_path / "elsewhere").mkdir()
    (trap.directory / "graded_images").symlink_to(tmp_path / "elsewhere")
    trap.answer({"state": "trained"})
    assert trap.problem.endswith("leave the folder graded_images to the grader.") and not trap.labels
    assert not list((tmp_path / "elsewhere").iterdir())


def test_a_pipeline_is_timed_by_the_grader_lap_by_lap(tmp_path):
    def timed(laps: tuple[str, ...], seconds: list[float]) -> float | None:
        examiner = Pipeline(labs.get(5), tmp_path, tmp_path)
        for lap, now in zip(laps, seconds, strict=True):
            examiner.answer({"lap": lap, "processor_seconds": now})
        return examiner.speed()

    laps = len(pipeline.LAPS)
    loops_of_six_datasets_of_two = [lap // 2 * 8 + lap % 2 * 6 for lap in range(laps)]
    assert timed(pipeline.LAPS, loops_of_six_datasets_of_two) == pytest.approx(3)
    assert timed(pipeline.LAPS[:-1], list(range(laps - 1))) is None
    assert timed(pipeline.LAPS * 2, list(range(2 * laps))) is None  # a run that sends laps of its own


def test_what_is_no_pipeline_is_named():
    batch = (np.zeros((4, 8, 8, 3)), np.zeros(4))
    pipeline.run_through([batch, batch], 8)
    pipeline.run_through(itertools.repeat(batch), 8)  # repeat() is no reason to wait for ever
    for dataset, words in (
        ([batch], "gave 4 images, and the folder has 8"),
        (None, "returned None"),
        ([batch[0]], "expected a batch"),
        ([(batch[0], 3)], "expected a batch"),
        ([(batch[0], batch[1][:3])], "4 images with 3 labels"),
    ):
        with pytest.raises(predicting.Problem, match=words):
            pipeline.run_through(dataset, 8)


def test_a_search_returns_a_model_and_an_accuracy_for_each_configuration(monkeypatch):
    count = len(search.CONFIGURATIONS)
    asked = []

    def graded(found) -> dict:
        """Let a search return ``found``; what the run says to the grader in the end."""
        said = []
        monkeypatch.setattr(inside, "exchange", lambda message: said.append(message) or {"images": ["a.jpg"]})
        answer = {"search": lambda _, all_: asked.append(all_) or found, "predict": lambda _, paths: [3] * len(paths)}
        predicting.run(search.inside, answer, "folder", search.CONFIGURATIONS)
        return said[-1]

    for accuracies in ([0.5] * count, tuple(range(2)) * (count // 2), np.linspace(0, 1, count)):
        assert graded(("model", accuracies)) == {"predictions": [3]}
    assert asked[0] == search.CONFIGURATIONS and asked[0][0] is not search.CONFIGURATIONS[0]
    for found in ("model", None, (None, [0.5] * count), ("model", [0.5] * count, 1)):
        assert "expected a pair" in graded(found)["problem"]
    for accuracies in ([0.5] * (count - 1), [1.5] * count, [float("nan")] * count, None, 0.5, ["high"] * count):
        assert f"expected {count} validation accuracies" in graded(("model", accuracies))["problem"]


COMPRESS = LAB.model_copy(
    update={
        "function": "compress",
        "budget_mib": 32,
        "compress_mib": 256,
        "saved_kib": 100,
        "hidden_count": 20,
        "image_size": 16,
    }
)
FILL = "import numpy as np\nfill = lambda mib: np.ones(mib * 131072)\n"
ZEROS = "def predict(file, paths): return [0] * len(paths)\n"


@pytest.mark.parametrize(
    ("source", "verdict", "words"),
    [
        # What compress needs is not graded, and what predict needs is.
        (
            f"{FILL}def compress(folder, file): file.write_bytes(b'7' * len(fill(128)))\n{ZEROS}",
            "over_budget",
            "16,384 of 100 KiB",
        ),
        (f"{FILL}def compress(folder, file): fill(128); file.write_bytes(b'7')\n{ZEROS}", "inaccurate", "0 of 100 KiB"),
        (f"{FILL}def compress(folder, file): fill(999)\n{ZEROS}", "out_of_memory", "While compress ran: It needed"),
        (
            f"{FILL}def compress(folder, file): file.write_bytes(b'7')\n"
            "def predict(file, paths): return fill(128)[: len(paths)]",
            "out_of_memory",
            "more than 64 MiB",
        ),
        # Only the file reaches the second run, and only the second run gets images.
        (
            "from pathlib import Path\ndef compress(folder, file): file.write_bytes(b'7'); Path('more').touch()\n"
            "def predict(file, paths):\n"
            "    assert file.read_bytes() == b'7' and not Path('more').exists() and len(paths) == 20\n"
            "    return [0] * len(paths)",
            "inaccurate",
            "",
        ),
        (
            "from course_utils.sandbox.inside import exchange\ndef compress(folder, file):\n"
            "    assert exchange({'state': 'trained'}) == {}\n"
            "    exchange({'predictions': [0] * 20}); exchange({'saved_kib': 0})",
            "raised",
            "left no file",
        ),
        (f"def compress(folder, file): pass; print(file)\n{ZEROS}", "raised", "left no file"),
        (f"def compress(folder, file): file.symlink_to('/etc/passwd')\n{ZEROS}", "raised", "left no file"),
        ("def compress(folder, file): file.write_bytes(b'7')", "raised", "Keras cannot load the file"),
        ("def train(folder): return 1", "raised", "does not define compress(folder, file)"),
        ("def compress(folder, file): raise NotImplementedError", "not_attempted", "write compress"),
    ],
)
def test_a_compressed_model_is_graded_on_what_serving_it_needs(source, verdict, words):
    one = grade_answer(submission.check(COMPRESS, [("graded cell", source)]), COMPRESS)
    assert one.verdict == verdict, one.message
    assert words in one.message
    if verdict in ("over_budget", "inaccurate"):
        assert one.peak_mib < 32 and one.score <= 0.1


def test_predictions_are_taken_in_any_honest_form():
    scores = np.eye(10)[[3, 1]]
    for answer in ([3, 1], (3.0, 1.0), np.array([[3], [1]]), scores, scores.tolist(), np.uint8([3, 1])):
        assert predicting.labels(answer, 2) == [3, 1]
    for answer in (None, "31", {"a": 1}, [[1], [1, 2]], [3.5, 1], [3, 10], [-1, 0], [np.nan, 1], 5, iter([1, 2])):
        with pytest.raises(predicting.Problem, match="expected"):
            predicting.labels(answer, 2)


def test_score():
    def points(peak: float, accuracy: float) -> float:
        return score.score(peak, 100, 200, accuracy, 0.8)

    assert points(100, 0.8) == 100 and points(1, 1) == 100
    assert points(150, 0.8) == 75 and points(200, 0.8) == 50
    # Memory counts as far as the answer is accurate: no memory for a wrong answer is no achievement.
    assert points(100, 0.45) == 50 and points(150, 0.45) == 37.5
    assert points(1, 0.1) == points(1, 0.0) == 0
    assert score.score(150, 100, 200, 0.8, 0.8, memory_points=20) == 90
    assert points(100.01, 0.8) < 100 and score.verdict(100.01, 100, 0.8, 0.8) == "over_budget"
    assert score.verdict(100, 100, 0.8, 0.8) == "passed" and score.verdict(100, 100, 0.79, 0.8) == "inaccurate"


def test_the_peak_survives_thinning():
    trace = [(index / 100, 1.0) for index in range(5000)]
    trace[1234] = (12.34, 99.0)
    thin = record.thinned(trace)
    assert len(thin) <= record.TRACE_POINTS and (12.34, 99.0) in thin


def test_a_failure_of_the_grader_is_not_the_beginning_of_a_message(tmp_path):
    name = "The grader failed on this submission"
    source = f"{TRAIN}Error = type({name!r}, (Exception,), {{}})\ndef predict(model, paths): raise Error"
    notebook(tmp_path / "class" / "eve.ipynb", code(f"%%graded 01\n{source}"))
    done = command("grade", tmp_path / "class", "--out", tmp_path / "out", "--isolation", "process")
    assert done.returncode == 0, done.stderr
    (one,) = json.loads((tmp_path / "out" / "results.json").read_text())
    assert one["verdict"] == "raised" and name in one["message"]


def test_a_failure_of_the_grader_costs_nobody_else_a_grade(tmp_path, monkeypatch):
    for student in ("ada", "eve"):
        notebook(tmp_path / "class" / f"{student}.ipynb", code(f"%%graded 01\n# {student}\n{TRAIN}"))

    def grade_answer(answer, lab, **rest):
        if "eve" in answer.cells[0][1]:
            raise RuntimeError("The disk\nis full")
        return record.Record(verdict="passed", message="It fits.", lab="01")

    monkeypatch.setattr(many, "grade_answer", grade_answer)
    said = []
    graded = many.grade_paths([tmp_path / "class"], tmp_path / "out", isolation="process", say=said.append)
    assert [one.student for one in graded.records] == ["ada"]
    (failure,) = graded.failures
    assert str(failure).endswith("eve.ipynb, lab 01 (RuntimeError: The disk is full).")
    assert len(said) == 1 and "public" in said[0]
    assert len(remembered(tmp_path / "out")) == 1


def test_a_seed_file_that_others_can_read_is_refused(tmp_path):
    file = tmp_path / "my secret.txt"
    file.write_text("secret\n")
    for mode in (0o644, 0o640, 0o604, 0o620):
        file.chmod(mode)
        with pytest.raises(CannotGrade, match=f"run `chmod 600 '{file}'`"):
            seed.read_seed(file)
    file.chmod(0o600)
    assert seed.read_seed(file) == seed_from("secret")


def test_without_a_secret_one_is_made_for_the_owner_alone_and_kept(tmp_path):
    first, made = seed.kept_seed(tmp_path / "out")
    assert made and seed.kept_seed(tmp_path / "out") == (first, False)
    assert seed.kept_seed(tmp_path / "other")[0] != first != seed.PUBLIC_SEED
    file = tmp_path / "out" / seed.FILE_NAME
    assert file.stat().st_mode & 0o777 == 0o600
    file.chmod(0o644)
    with pytest.raises(CannotGrade, match="chmod 600"):
        seed.kept_seed(tmp_path / "out")


def test_an_answer_finds_no_seed_in_what_it_can_reach():
    """Neither in a command line, nor an environment, nor the names in the folder that holds its scans."""
    spying = """
import glob, os, sys
def train(folder):
    seen = [repr(sys.argv), repr(dict(os.environ)), os.getcwd(), *glob.glob(f"{folder.parent}/*", include_hidden=True)]
    for path in glob.glob("/proc/[0-9]*/cmdline") + glob.glob("/proc/[0-9]*/environ"):
        try:
            seen.append(open(path, "rb").read().decode("utf-8", "replace"))
        except OSError:
            pass
    assert any("train-" in text for text in seen) and not [text for text in seen if str(SEED) in text]
    return 1
def predict(model, paths): return [0] * len(paths)
"""
    secret = seed_from("a secret of this test")
    hidden = f"int('{str(secret)[::-1]}'[::-1])"
    one = grade_answer(submission.check(LAB, [("graded cell", f"SEED = {hidden}\n{spying}")]), LAB, seed=secret)
    assert one.verdict == "inaccurate", one.message


def test_secret_seeds_differ():
    assert seed_from("a\n") == seed_from("a") != seed_from("b")
    assert scans.load("hidden", count=20, size=16, seed=seed_from("a")).is_dir()


@pytest.mark.trains
def test_a_killed_run_resumes_and_loses_nothing(tmp_path):
    slow = (
        "import time\ndef train(folder): time.sleep(0.7); return 1\ndef predict(model, paths): return [0] * len(paths)"
    )
    for number in range(4):
        notebook(tmp_path / "class" / f"{number}.ipynb", code(f"%%graded 01\nNUMBER = {number}\n{slow}"))
    out = tmp_path / "out"
    words = ["grade", tmp_path / "class", "--out", out, "--isolation", "process"]
    running = subprocess.Popen(
        [sys.executable, "-m", "course_utils", *map(str, words)], stderr=subprocess.DEVNULL, cwd=ROOT
    )
    before: dict[str, str] = {}
    deadline = time.monotonic() + 120
    while not before and time.monotonic() < deadline:
        time.sleep(0.1)
        before = remembered(out)
    os.kill(running.pid, signal.SIGKILL)
    running.wait()
    before = remembered(out)
    assert 1 <= len(before) < 4
    assert command(*words).returncode == 0
    after = remembered(out)
    assert len(after) == 4 and before.items() <= after.items()
    changed = tmp_path / "class" / "0.ipynb"
    changed.write_text(changed.read_text().replace("0.7", "0.1"))
    assert command(*words).returncode == 0
    assert len(remembered(out)) == 5


def test_identical_answers_are_run_once_and_graded_alike(tmp_path):
    tasks = []
    for student in ("ada", "bob"):
        cell = code("%%graded 01\ndef train(folder): return 1 / 0", outputs=[student])
        path = notebook(tmp_path / f"{student}.ipynb", cell)
        one = submission.read(path)
        tasks += [(one, answer) for answer in one.answers]
    grades = kept.Grades(tmp_path / "grades.sqlite")
    (_, first), (_, second) = many.grade_many(tasks, grades, isolation="process", seed=0, jobs=2)
    assert [first.student, second.student] == ["ada", "bob"]
    assert first.verdict == "raised"
    assert first.sha256 != second.sha256  # of files that differ in their outputs alone
    same = {"student": "", "submission": "", "sha256": ""}
    assert first.model_copy(update=same) == second.model_copy(update=same)


def test_a_lab_that_asks_for_something_else_is_graded_again(tmp_path, monkeypatch):
    (answer,) = submission.read(notebook(tmp_path / "01.ipynb", code(f"%%graded 01\n{TRAIN}"))).answers
    grades = kept.Grades(tmp_path / "grades.sqlite")
    asked = {"isolation": "process", "seed": 0}
    grades.put(many.key(answer, **asked), record.Record(verdict="passed", message="It fits."))
    assert grades.get(many.key(answer, **asked))
    monkeypatch.setattr(labs, "get", lambda number: LAB.model_copy(update={"budget_mib": LAB.budget_mib - 1}))
    assert grades.get(many.key(answer, **asked)) is None


def remembered(out: Path) -> dict[str, str]:
    if not (out / "grades.sqlite").exists():
        return {}
    connection = sqlite3.connect(out / "grades.sqlite", timeout=30)
    try:
        return dict(connection.execute("SELECT key, record FROM grades"))
    except sqlite3.OperationalError:  # the table is not there yet
        return {}
    finally:
        connection.close()
