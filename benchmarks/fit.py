"""Compare predicted with measured peaks of training: ``python benchmarks/fit.py [--only NAME ...] [--methods ...]``.

The truth is the largest peak of three fresh sandboxed runs of ten steps each, fed with random batches one by one.
Every figure goes into ``--rows``, a JSON file, as soon as it is there, and what is in it is not measured again. The
whole takes hours on two processors; ``--only`` takes a few models, ``--report`` only prints.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
from collections.abc import Iterator
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import keras
import psutil
import tensorflow as tf
from fit_models import FITTED_ON, OTHERS, compiled
from rich.console import Console
from rich.table import Table

from course_utils import fit, sandbox
from course_utils.files import write_whole

FOLDER = Path(__file__).resolve().parent
ROWS = FOLDER.parent / "book" / "measured" / "fit.json"
RUNS, STEPS = 3, 10
METHODS = ("probe", "traced", "layers")
SMALL = 16  # the largest batch that the probe tries for batches up to 64
PLANS = (("adam", "float32", 1), ("momentum", "float32", 4), ("adam", "mixed_bfloat16", 2))
TRUTH = """
import sys
sys.path.insert(0, {folder!r})
from fit_models import compiled
from course_utils.fit.batches import Batches
model = compiled({name!r}, {optimizer!r}, {policy!r})
batches = Batches(model{shape})
model.fit((batches({batch_size}) for _ in range({steps})), verbose=0)
"""
STATIC = """
from course_utils.fit import static
from course_utils.sandbox.inside import report
found = static.estimate(model, {batch_size}, batches=batches, traced={traced})
report(predicted=found.predicted_mib, low=found.low_mib, high=found.high_mib)
"""
console = Console(width=140)


def cases(only: list[str]) -> Iterator[dict[str, Any]]:
    """Yield every case, the same kind of training for all models before the next kind."""
    for optimizer, policy, times in PLANS:
        for name in [*FITTED_ON, *OTHERS]:
            if not only or name in only:
                yield {"model": name, "optimizer": optimizer, "policy": policy, "batch_size": times * SMALL}


def source(case: dict[str, Any]) -> str:
    """Return the code that trains the model of a case, its last line the training."""
    shape = ", (64, 64, 3)" if case["model"] == "subclassed" else ""
    values = {key: case[key] for key in ("optimizer", "policy", "batch_size")}
    return TRUTH.format(folder=str(FOLDER), name=case["model"], shape=shape, steps=STEPS, **values)


def measure(row: dict[str, Any]) -> None:
    """Add the truth to a row: the peaks of the runs, or why there are none."""
    peaks = []
    for _ in range(RUNS):
        budget = psutil.virtual_memory().available / 2**20 * 0.8
        outcome = sandbox.run(source(row), budget_mib=budget, time_limit=1800)
        if outcome.status != "finished":
            row["failed"] = f"{outcome.status}: {outcome.message}"[:300]
            return
        peaks.append(round(outcome.peak_mib, 1))
    row["peaks_mib"] = peaks


def predict(row: dict[str, Any], method: str) -> list[float]:
    """Return what a method predicts for a row: predicted, low and high."""
    if method == "probe":
        shape = (64, 64, 3) if row["model"] == "subclassed" else None
        build = partial(compiled, row["model"], row["optimizer"], row["policy"])
        found = fit.predict(build, row["batch_size"], input_shape=shape, time_limit=1800)
        figures = [found.predicted_mib, found.low_mib, found.high_mib]
    else:
        static = STATIC.format(batch_size=row["batch_size"], traced=method == "traced")
        code = source(row).strip().rpartition("\n")[0] + static
        outcome = sandbox.run(code, budget_mib=16_000, time_limit=600)
        if outcome.status != "finished":
            raise fit.CannotPredict(outcome.message)
        figures = [outcome.values[name] for name in ("predicted", "low", "high")]
    return [round(figure, 1) for figure in figures]


def report(rows: list[dict[str, Any]]) -> None:
    """Print each case, and the errors of each method: apart for the models that a constant was fitted on."""
    table = Table("model", "optimizer", "policy", "batch", "measured MiB", *METHODS, title="Predicted peaks in MiB")
    for row in rows:
        cells = [f"{row[method][0]:,.0f} ({_error(row, method):+.0%})" if method in row else "" for method in METHODS]
        truth = f"{max(row['peaks_mib']):,.0f}"
        table.add_row(row["model"], row["optimizer"], row["policy"], str(row["batch_size"]), truth, *cells)
    console.print(table)
    summary = Table("method", "models", "cases", "median", "90 % within", "worst", "inside [low, high]", "below high")
    for method in METHODS:
        for kind, names in (("not fitted on", OTHERS), ("fitted on", FITTED_ON)):
            found = [row for row in rows if row["model"] in names and method in row]
            if not found:
                continue
            errors = sorted(abs(_error(row, method)) for row in found)
            inside = sum(row[method][1] <= max(row["peaks_mib"]) <= row[method][2] for row in found)
            below = sum(max(row["peaks_mib"]) <= row[method][2] for row in found)
            nearly = errors[min(len(errors) - 1, round(0.9 * len(errors)))]
            figures = [f"{error:.1%}" for error in (statistics.median(errors), nearly, errors[-1])]
            summary.add_row(method, kind, str(len(found)), *figures, f"{inside} of {len(found)}", f"{below}")
    console.print(summary)


def _error(row: dict[str, Any], method: str) -> float:
    return row[method][0] / max(row["peaks_mib"]) - 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=Path, default=ROWS, help="the JSON file to go on with")
    parser.add_argument("--only", nargs="*", default=[], choices=[*FITTED_ON, *OTHERS], metavar="NAME")
    parser.add_argument("--methods", nargs="*", default=METHODS, choices=METHODS)
    parser.add_argument("--again", action="store_true", help="predict again what is predicted already")
    parser.add_argument("--known", action="store_true", help="predict only what is measured already")
    parser.add_argument("--report", action="store_true", help="only print what is there")
    options = parser.parse_args()
    whole = json.loads(options.rows.read_text()) if options.rows.exists() else {"rows": []}
    rows, identity = whole["rows"], ("model", "optimizer", "policy", "batch_size")
    for case in cases(options.only) if not (options.known or options.report) else ():
        if not any(all(row[key] == case[key] for key in identity) for row in rows):
            measure(case)
            rows.append(case)
            save(options.rows, whole)
    for row in rows if not options.report else ():
        for method in options.methods:
            wanted = "peaks_mib" in row and (options.again or method not in row)
            if wanted and (not options.only or row["model"] in options.only):
                try:
                    row[method] = predict(row, method)
                except fit.CannotPredict as error:
                    console.print(f"{row['model']}, {method}: {error}")
                save(options.rows, whole)
    report([row for row in rows if "peaks_mib" in row])


def save(path: Path, whole: dict[str, Any]) -> None:
    """Write down all rows, and what they were measured on."""
    whole |= {
        "measured_on": str(date.today()),
        "processors": os.cpu_count(),
        "versions": {"tensorflow": tf.__version__, "keras": keras.__version__},
        "fitted_on": [*FITTED_ON],
    }
    write_whole(path, json.dumps(whole, indent=1) + "\n")


if __name__ == "__main__":
    main()
