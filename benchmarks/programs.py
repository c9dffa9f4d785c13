"""What the post-mortem says of programs that die: ``python -m benchmarks.programs [NAME ...]``.

Each program in tests/programs was written after a public report. Its first lines name the budget, the line at which it
dies, the line that put the memory there, and the true cause. Whether the cause that is said is the right one is for the
reader to judge; the lines are compared.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

from rich.console import Console
from rich.table import Table

from course_utils import sandbox
from course_utils.postmortem import Where
from tools import ROOT

PROGRAMS = ROOT / "tests" / "programs"
HEADER = re.compile(r"^# (budget_mib|dies|blame): ([\d-]+)$", re.MULTILINE)
CAUSE = re.compile(r"^# cause: (.*(?:\n#   .*)*)", re.MULTILINE)


def at(where: Where | None, lines: str) -> str:
    """Return the number of a line, marked where it is not among ``lines``, such as "28" or "28-30"."""
    first, _, last = lines.partition("-")
    right = where is not None and int(first) <= where.line <= int(last or first)
    return f"{where.line if where else 'none'}{'' if right else f', not {lines}'}"


def row(path: Path) -> list[str]:
    """Run one program; return its name, its lines, the true cause and the one that is said."""
    source = path.read_text("utf-8")
    header, cause = dict(HEADER.findall(source)), CAUSE.search(source)
    outcome = sandbox.run(source, budget_mib=float(header["budget_mib"]), time_limit=120)
    lines = [at(outcome.where, header["dies"]), at(outcome.blame, header["blame"])]
    truth = re.sub(r"\s*\n#\s+", " ", cause[1]) if cause else ""
    return [path.stem, outcome.status, *lines, truth, outcome.cause]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", help="the beginnings of the programs' names; all by default")
    names = tuple(parser.parse_args().names)
    table = Table("Program", "Outcome", "Dies at", "Blamed", "True cause", "Said", show_lines=True)
    for path in sorted(PROGRAMS.glob("*.py")):
        if not names or path.stem.startswith(names):
            table.add_row(*row(path))
    Console(width=200).print(table)


if __name__ == "__main__":
    main()
