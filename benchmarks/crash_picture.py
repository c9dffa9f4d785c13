"""Run the crash of lab 01 and its last fix, and draw both memory curves in one picture.

    python -m benchmarks.crash_picture

writes book/images/crash-and-fix-light.svg and -dark.svg, which the front page and README.md show.

Both cells come from the source of the lab, load the same scans, and run under the same budget.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import jupytext

from course_utils import labs, sandbox, units
from course_utils.cards import curve, render
from course_utils.cards.document import Figure, Series
from tools import ROOT

IMAGES = ROOT / "book" / "images"
BUDGET_MIB = 256
HEADER = 56
WIDTH, HEIGHT = 420, 230
THEMES = {
    "light": "--oom-ink: #1c2128; --oom-muted: #57606a; --oom-rule: #d8dee4; --oom-bad: #b42318; "
    "--oom-c0: #b42318; --oom-c1: #0b62c4",
    "dark": "--oom-ink: #e6edf3; --oom-muted: #9ba5b0; --oom-rule: #3d444d; --oom-bad: #ff7b72; "
    "--oom-c0: #ff7b72; --oom-c1: #79b8ff",
}


def cell(name: str, lab: labs.LabSpec) -> str:
    """Return the code of the sandboxed cell with ``--into name``, without its magic."""
    notebook = jupytext.read(ROOT / "solutions" / f"{lab.name}.py")
    source = next(cell.source for cell in notebook.cells if f"--into {name}\n" in cell.source)
    return source.partition("\n")[2]


def legend(row: int, label: str, what: str) -> str:
    """One line above the curves: the stroke of a curve and the end of its run."""
    down = 16 + 22 * row
    return (
        f'<line class="oom-s{row} oom-trace" x1="6" x2="36" y1="{down}" y2="{down}"/>'
        f'<text x="44" y="{down + 5}" font-size="14" font-weight="600">{label}:'
        f'<tspan font-weight="400"> {what}</tspan></text>'
    )


def main() -> None:
    """Run, draw, print what was measured."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=IMAGES, help="the folder to write to")
    arguments = parser.parse_args()

    lab = labs.get("01")
    crash = sandbox.run(cell("crash", lab), budget_mib=BUDGET_MIB)
    fix = sandbox.run(cell("streaming", lab), budget_mib=BUDGET_MIB)
    for name, outcome in (("crash", crash), ("fix", fix)):
        peak = f"peak {units.mib(outcome.peak_mib)} in {units.seconds(outcome.seconds)}"
        print(f"{name}: {outcome.status}, {peak}, by {outcome.method}")
    if (crash.status, fix.status) != ("out_of_memory", "finished"):
        raise SystemExit("The crash should run out of memory and the fix should finish, so no picture was drawn.")

    lines = [
        legend(0, "All images at once", f"killed after {units.seconds(crash.seconds)}, in line {crash.where.line}"),
        legend(1, "A few at a time", f"trained, with a peak of {units.mib(fix.peak_mib)}"),
    ]
    runs = [Series("crash", crash.trace, "killed"), Series("fix", fix.trace)]
    alt = " ".join(curve.describe(run, BUDGET_MIB) for run in runs)
    drawing = render.picture(Figure(runs, alt, BUDGET_MIB, width=WIDTH, height=HEIGHT), standalone=True)
    for theme, colours in THEMES.items():
        path = arguments.out / f"crash-and-fix-{theme}.svg"
        path.write_text(
            f'<svg class="oom-curve" xmlns="http://www.w3.org/2000/svg" style="{colours}" '
            f'viewBox="0 0 {WIDTH} {HEIGHT + HEADER}" width="{WIDTH}" height="{HEIGHT + HEADER}">'
            f'{"".join(lines)}<svg y="{HEADER}" width="{WIDTH}" height="{HEIGHT}">{drawing}</svg></svg>\n',
            encoding="utf-8",
        )
        print(f"drew {path}")


if __name__ == "__main__":
    main()
