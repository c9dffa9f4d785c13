"""What each lab shows, measured: ``python -m benchmarks.labs [01 02 ...] [--changed]``.

For each lab: how the crash cell dies and where, the solution over five seeds (of the answer and of the hidden images)
against budget, floor and time limit, the untouched starter, and the verdict of each typical wrong answer. Results go
to book/measured/NN.json, of which the book makes a page. ``--changed`` measures only the crashes whose cells changed
since, and the answers of labs whose graded cells, table or wrong answers did. Returns 1 where a lab has less room than
it must have.
"""

from __future__ import annotations

import argparse
import datetime
import hashlib
import json
import re
import shlex
import statistics
from pathlib import Path
from typing import Any

import nbformat

from course_utils import labs, sandbox
from course_utils.grading import submission
from course_utils.grading.record import versions
from course_utils.notebook.named import NamedCells
from tools import ROOT
from tools.graded import grade, rules
from tools.notebooks import generate

MEASURED = ROOT / "book" / "measured"
SEEDS = range(5)
LARGEST_SHARE_OF_BUDGET, LARGEST_SHARE_OF_TIME, FEWEST_DEVIATIONS = 0.7, 0.5, 3


def fingerprints(lab: labs.LabSpec) -> dict[str, str]:
    """Hashes of the parts of a lab that the figures of its crash and of its answers depend on; prose is in neither."""
    answers = [repr(rules(lab))]
    answers += [text for kind in ("labs", "solutions") for _, text in answer(ROOT / kind / f"{lab.name}.ipynb")]
    # The two comment lines above a wrong answer are prose too.
    answers += [path.read_text("utf-8").split("\n", 2)[2] for path in wrong_answers(lab)]
    parts = {"crash": sandboxed_cells(lab), "answers": answers}
    return {name: hashlib.sha256("\0".join(texts).encode()).hexdigest()[:16] for name, texts in parts.items()}


def wrong_answers(lab: labs.LabSpec) -> list[Path]:
    """The typical wrong answers that the tests keep."""
    return sorted((ROOT / "tests" / "wrong_answers" / lab.number).glob("*.py"))


def answer(path: Path) -> submission.Cells:
    """The graded cells of a notebook."""
    (found,) = submission.read(path).answers
    return found.cells


def sandboxed_cells(lab: labs.LabSpec) -> list[str]:
    """The sandboxed cells of a lab down to the one that crashes, with their magics."""
    notebook = nbformat.read(ROOT / "labs" / f"{lab.name}.ipynb", as_version=4)
    cells = [cell for cell in notebook.cells if cell.source.startswith("%%sandbox")]
    first = next(index for index, cell in enumerate(cells) if "crash" in cell.metadata.get("tags", []))
    return [cell.source for cell in cells[: first + 1]]


def crash(lab: labs.LabSpec) -> dict[str, Any]:
    """Run the crash cell of a lab as its notebook does, after the cells above it, whose files it may need."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--budget", type=float)
    parser.add_argument("--time-limit", type=float, default=60.0)
    parser.add_argument("--name", "--into", default="")
    parser.add_argument("--after", nargs="+", default=[])
    named = NamedCells()
    for cell in sandboxed_cells(lab):
        magic, _, source = cell.partition("\n")
        options, _ = parser.parse_known_args(shlex.split(magic)[1:])
        before = named.add(options.name, source, " ".join(options.after))
        outcome = sandbox.run(
            [("crash", source)], budget_mib=options.budget, time_limit=options.time_limit, before=before
        )
    where = outcome.where.source if outcome.where else ""
    return {"status": outcome.status, "where": where, "budget_mib": options.budget}


def measure(lab: labs.LabSpec) -> dict[str, Any]:
    """Measure the answers to one lab; some minutes."""
    cells = answer(ROOT / "solutions" / f"{lab.name}.ipynb")
    records = []
    for seed in SEEDS:
        seeded = [(name, re.sub(r"set_random_seed\(\d+\)", f"set_random_seed({seed})", text)) for name, text in cells]
        record = grade(seeded, lab, seed=seed)
        records.append(record)
        print(
            f"lab {lab.number} seed {seed}: {record.verdict:<12} {record.peak_mib or 0:6.0f} MiB  "
            f"accuracy {record.accuracy or 0:.3f}  {record.seconds or 0:5.1f} s",
            flush=True,
        )
    accuracies = [record.accuracy or 0.0 for record in records]
    starter = grade(answer(ROOT / "labs" / f"{lab.name}.ipynb"), lab)
    wrong = []
    for path in wrong_answers(lab):
        record = grade([(path.name, path.read_text("utf-8"))], lab)
        wrong.append({"name": path.stem, "verdict": record.verdict, "score": record.score})
        print(f"lab {lab.number} {path.stem}: {record.verdict}", flush=True)
    return {
        "measured_on": datetime.date.today().isoformat(),
        "versions": versions(),
        "method": records[0].method,
        "verdicts": [record.verdict for record in records],
        "peak_mib": max(record.peak_mib or 0.0 for record in records),
        "budget_mib": lab.budget_mib,
        "accuracy_mean": round(statistics.mean(accuracies), 4),
        "accuracy_deviation": round(statistics.stdev(accuracies), 4),
        "floor": lab.floor,
        "seconds": max(record.seconds or 0.0 for record in records),
        "time_limit": lab.time_limit,
        "starter": starter.verdict,
        "wrong_answers": wrong,
    }


def shortcomings(found: dict[str, Any]) -> list[str]:
    """What a lab lacks of the room that it must have."""
    deviation = max(found["accuracy_deviation"], 1e-9)
    missing = {
        "its solution does not pass with every seed": set(found["verdicts"]) != {"passed"},
        "its peak is above 70% of the budget": found["peak_mib"] > LARGEST_SHARE_OF_BUDGET * found["budget_mib"],
        "its time is above half the limit": found["seconds"] > LARGEST_SHARE_OF_TIME * found["time_limit"],
        "its accuracy is less than three standard deviations above the floor": (
            found["accuracy_mean"] - found["floor"] < FEWEST_DEVIATIONS * deviation
        ),
        "its crash cell does not run out of memory": not found["crash"]["status"].startswith("out_of"),
        "its starter is attempted": found["starter"] != "not_attempted",
        "a wrong answer passes": any(one["verdict"] == "passed" for one in found["wrong_answers"]),
    }
    return [sentence for sentence, is_so in missing.items() if is_so]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("numbers", nargs="*", help="labs; all by default")
    parser.add_argument("--changed", action="store_true", help="only labs that changed since they were measured")
    options = parser.parse_args()
    MEASURED.mkdir(exist_ok=True)
    narrow = False
    for lab in [labs.get(number) for number in options.numbers] or labs.specs():
        path = MEASURED / f"{lab.number}.json"
        found = json.loads(path.read_text("utf-8")) if path.exists() else {}
        now, before = fingerprints(lab), found.get("fingerprints", {}) if options.changed else {}
        if now != before:
            of_crash = {} if now["crash"] == before.get("crash") else {"crash": crash(lab)}
            of_answers = {} if now["answers"] == before.get("answers") else measure(lab)
            found |= {"lab": lab.number, "fingerprints": now, **of_crash, **of_answers}
            path.write_text(json.dumps(found, indent=1) + "\n", "utf-8")
        room = (found["accuracy_mean"] - found["floor"]) / max(found["accuracy_deviation"], 1e-9)
        print(
            f"lab {lab.number}: crash {found['crash']['status']} at `{found['crash']['where']}`; "
            f"peak {found['peak_mib'] / found['budget_mib']:.0%} of the budget, accuracy {found['accuracy_mean']:.3f} "
            f"(deviation {found['accuracy_deviation']:.3f}), {room:.1f} deviations above the floor, "
            f"time {found['seconds'] / found['time_limit']:.0%} of the limit"
        )
        for sentence in shortcomings(found):
            narrow = True
            print(f"  lab {lab.number}: {sentence}.")
    generate(ROOT)  # the solution pages show the measured verdicts
    return int(narrow)


if __name__ == "__main__":
    raise SystemExit(main())
