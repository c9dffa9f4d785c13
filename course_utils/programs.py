"""A program or a notebook of one's own in a sandbox: read it, run it, say how it ended as a shell does."""

from __future__ import annotations

import importlib.util
import os
import re
import signal
import sys
from dataclasses import replace
from pathlib import Path

from course_utils import cards, sandbox, units
from course_utils.cards.document import Code, Head
from course_utils.cards.runs import outcome_card
from course_utils.files import write_whole
from course_utils.grading.record import versions
from course_utils.grading.submission import parse
from course_utils.memory import MeterUnavailable, choose, machine
from course_utils.postmortem import Limits, Outcome
from course_utils.recordings import Cell, Ending, Header, Recorder
from course_utils.sandbox.isolation import SANDBOX_ENVIRONMENT
from course_utils.sandbox.launch import ZygoteLost
from course_utils.terminal import Terminal

NO_TIME_LIMIT = 1e9
LARGEST_FILE = 64 * 2**20
PROCESSES_MIB = 700.0
"""What TensorFlow takes in the sandbox's two processes before the code begins, and a little air."""
KEPT = ("PATH", "LANG")
"""What a run has from here and not from the sandbox. TensorFlow's threads stay those of Colab."""
TAIL = 6000  # letters of the output that a report shows
COLOUR = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
BODY_RUNS = re.compile(r"\A(\s*)(%%(?:time|timeit|capture|prun|memit|sandbox|graded|check)\b)")
"""Magics around a cell that is code: it runs as if they were not there."""
CONTINUED = re.compile(r"^[ \t]*[!%](?:.*\\\n)+.*", re.MULTILINE)


class CannotRun(ValueError):
    """The file is nothing that can be run; the message is a sentence."""


def load(path: Path) -> list[tuple[str, str]]:
    """Return the (name, source) pairs of a program, which is one, or of a notebook's code cells. Raises CannotRun."""
    if path.is_dir():
        raise CannotRun(f"{path} is a folder: give a program (.py) or a notebook (.ipynb).")
    try:
        if not path.is_file() or path.stat().st_size > LARGEST_FILE:
            raise CannotRun(f"{path} {'is too large' if path.is_file() else 'is not there'}.")
        data = path.read_bytes()
    except OSError as error:
        raise CannotRun(f"{path} cannot be read: {error.strerror}.") from None
    if not data.strip():
        raise CannotRun(f"{path} is empty.")
    if path.suffix.lower() != ".ipynb":
        cells = [(path.name, data)]
    else:
        cells = [(f"cell {number}", source) for number, source in enumerate(_code_cells(path, data), 1)]
    if not cells:
        raise CannotRun(f"{path} has no cell of code.")
    return [(name, _python(path, name, source)) for name, source in cells]


def _code_cells(path: Path, data: bytes) -> list[str]:
    import nbformat

    try:
        notebook = nbformat.reads(data.decode("utf-8-sig"), as_version=4)
        return [str(cell.source) for cell in notebook.cells if cell.cell_type == "code"]
    except Exception:  # whatever nbformat meets in a file that is none
        raise CannotRun(f"{path} is not a notebook, or a broken one: open it in Jupyter and save it again.") from None


def _python(path: Path, name: str, source: str | bytes) -> str:
    """The source as Python, with its lines where they were. Raises CannotRun with the line that is no Python."""
    is_cell = isinstance(source, str)
    try:
        text = BODY_RUNS.sub(r"\1# \2", source) if is_cell else importlib.util.decode_source(source)
        try:
            parse(text)
        except SyntaxError:
            if not is_cell:
                raise
            from IPython.core.inputtransformer2 import TransformerManager

            text = CONTINUED.sub(lambda line: line[0].replace("\\\n", " ") + "\n" * line[0].count("\\\n"), text)
            above = text[: len(text) - len(text.lstrip())].count("\n")  # it leaves empty lines out
            text = "\n" * above + TransformerManager().transform_cell(text)
            parse(text)
        return text
    except SyntaxError as error:
        wrong = f"line {error.lineno or 1} is not Python ({error.msg}): {(error.text or '').strip()[:100]}"
    except (ValueError, RecursionError, MemoryError, OverflowError) as error:
        wrong = f"it cannot be read as Python ({error})."
    except ImportError:
        wrong = "it has lines for IPython, which is not installed: pip install ipython"
    raise CannotRun(f"{path}{', ' + name if name != path.name else ''}: {wrong}") from None


def run(
    path: Path,
    budget: str = "",
    gpu_budget: str = "",
    time_limit: float | None = None,
    report: Path | None = None,
    recording: Path | None = None,
) -> int:
    """Run a file in a sandbox, in its own folder and with this process's environment, and show how it goes and ends.

    ``budget`` and ``gpu_budget`` are amounts of memory; "" for what is left here, and for no GPU. Returns the exit code
    by which a shell knows how a program ended. Raises CannotRun.
    """
    try:
        cells = load(path)
        if report:
            report.open("ab").close()  # before a run of hours, not after it
        limits = _limits(budget, gpu_budget, time_limit)
        recorder = None
        if recording:
            here = {"cpus": os.cpu_count(), "left_mib": machine.left().mib}
            header = Header(kind="run", file=path.name, limits=limits, machine=here, versions=versions())
            recorder = Recorder(recording, header)
            for name, source in cells:
                recorder.write(Cell(name=name, source=source))
        screen = Terminal(limits.budget_mib, recorder)
        try:
            outcome = sandbox.run(
                cells,
                budget_mib=limits.budget_mib,
                time_limit=limits.time_limit,
                gpu_budget_mib=limits.gpu_budget_mib,
                directory=path.absolute().parent,
                before=[("<begin>", _beginning(path.absolute()))],
                listener=screen.listener,
            )
        except KeyboardInterrupt:
            print("\nStopped. Nothing of the run goes on.", file=sys.stderr)
            return 128 + signal.SIGINT
        finally:
            screen.close()
        if outcome.status == "died" and outcome.exit_code == 0:
            left = f"It left by itself after {units.seconds(outcome.seconds)}."
            outcome = replace(outcome, status="finished", message=left)
        if recorder:
            recorder.write(Ending(outcome=outcome))
        print(cards.text(outcome_card(outcome)), file=sys.stderr)
        if report:
            write_whole(report, page(path.name, outcome))
        return exit_code(outcome)
    except OSError as error:
        raise CannotRun(f"{error.filename or path}: {error.strerror}.") from None
    except (ValueError, MeterUnavailable, ZygoteLost) as error:
        raise CannotRun(str(error)) from None


def _limits(budget: str, gpu_budget: str, time_limit: float | None) -> Limits:
    """What a run is held to. Says what is left where that is the budget."""
    if time_limit is not None and not 0 < time_limit < NO_TIME_LIMIT:
        raise CannotRun(f"--time-limit takes seconds above 0, not {time_limit}.")
    left = machine.left()
    budget_mib = units.parse_mib(budget) if budget else left.mib - PROCESSES_MIB
    if budget_mib < 1:
        raise CannotRun(f"This {left.of} has only {units.mib(left.mib)} left, too little for TensorFlow alone.")
    if not budget:
        print(
            f"Budget: {units.mib(budget_mib)}, which this {left.of} has left. --budget sets another.", file=sys.stderr
        )
    return Limits(
        budget_mib=budget_mib,
        cap_mib=budget_mib,
        time_limit=time_limit or NO_TIME_LIMIT,
        isolation="process",
        method=choose(),
        gpu_budget_mib=units.parse_mib(gpu_budget) if gpu_budget else None,
    )


def _beginning(path: Path) -> str:
    """What runs before the code."""
    kept = {name: value for name, value in os.environ.items() if name in KEPT or name not in SANDBOX_ENVIRONMENT}
    return f"from course_utils.sandbox import own; own.begin({str(path)!r}, {kept!r}); del own"


def exit_code(outcome: Outcome) -> int:
    """The exit code by which a shell knows how a program ended."""
    known = {"finished": 0, "raised": 1, "timed_out": 124, "out_of_memory": 137, "out_of_gpu_memory": 137}
    if outcome.status in known:
        return known[outcome.status]
    return 128 + outcome.signal if outcome.signal else (outcome.exit_code or 1) & 0xFF


def page(title: str, outcome: Outcome) -> str:
    """The report of a run: one HTML page, which needs nothing else."""
    card = outcome_card(outcome)
    for name, text in (("Output", outcome.stdout), ("Errors and messages", outcome.stderr)):
        lines = COLOUR.sub("", text[-4 * TAIL :]).split("\n")
        # Of a progress bar, its last state, as a terminal shows it.
        if shown := "\n".join(line.rstrip("\r\b").rpartition("\r")[2] for line in lines).strip()[-TAIL:]:
            card = replace(card, blocks=[*card.blocks, Head("", name), Code(shown)])
    return cards.page(title, card)
