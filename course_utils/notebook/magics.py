"""`%%sandbox`, `%%graded` and `%course`. Registering them imports no TensorFlow and warms the sandbox."""

from __future__ import annotations

import keyword
import sys
import traceback
from argparse import ArgumentTypeError
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from IPython.core.error import UsageError
from IPython.core.magic import Magics, cell_magic, line_cell_magic, magics_class
from IPython.core.magic_arguments import argument, magic_arguments, parse_argstring

from course_utils import causes, doctor, fit, labs, sandbox, units
from course_utils.cards import device
from course_utils.cards.graded import progress_card, verdict_card
from course_utils.cards.runs import RESULTS, cause_card, notice_card, outcome_card

# Here and not where they are used: an interrupt during an import would leave NumPy half loaded, for good.
from course_utils.grading.grade import CannotGrade, grade_answer
from course_utils.grading.record import Record
from course_utils.grading.submission import check, graded_cells
from course_utils.labs import LabSpec
from course_utils.memory import MeterUnavailable
from course_utils.notebook import session
from course_utils.notebook.live import Live
from course_utils.notebook.named import CELLS
from course_utils.notebook.progress import Progress, short
from course_utils.notebook.show import predict, show
from course_utils.postmortem.summary import THIS_CELL
from course_utils.sandbox.launch import ZygoteLost
from course_utils.watch import notebook as watch


class Interrupted(KeyboardInterrupt):
    """Ends the cell, so that queued cells do not run, and shows one line where a traceback would stand."""

    def _render_traceback_(self) -> list[str]:
        return ["Interrupted. Cells that were queued after this one did not run."]


def amount_of_memory(text: str) -> float:
    """An amount in MiB, such as 512 or 0.5GiB."""
    try:
        return units.parse_mib(text)
    except ValueError as error:
        raise ArgumentTypeError(str(error)) from None


def seconds(text: str) -> float:
    """A time above 0; argparse turns the ValueError into a sentence."""
    if not 0 < (number := float(text)) < float("inf"):
        raise ValueError(text)
    return number


def variable_name(text: str) -> str:
    """A name that Python code can use."""
    if not text.isidentifier() or keyword.iskeyword(text):
        raise ArgumentTypeError(f"{text!r} is not a name for a variable, such as naive")
    return text


def parse(magic: Callable, line: str, example: str) -> Any:
    """The arguments of a magic; raises UsageError with one sentence that ends in an example."""
    try:
        return parse_argstring(magic, line)
    except (UsageError, ValueError) as error:  # ValueError: an open quotation mark
        reason = str(error)
    reason = reason.removeprefix("argument ").rstrip(".")
    raise UsageError(f"{reason[:1].upper()}{reason[1:]}. Write it like this: {example}")


def find_lab(text: str) -> LabSpec:
    """The lab with this number; raises UsageError with the sentence that names the labs there are."""
    try:
        return labs.get(text.strip())
    except labs.UnknownLab as error:
        raise UsageError(str(error)) from None


@contextmanager
def watched(live: Live) -> Iterator[None]:
    """Within, an interrupt or a sandbox that cannot start puts a sentence in the place of the status line."""
    try:
        yield
    except KeyboardInterrupt:
        sentence = "The run was stopped. Notebook and sandbox are ready for the next."
        live.finish(notice_card("■", "Interrupted", [sentence]))
        raise Interrupted from None
    except (sandbox.IsolationUnavailable, MeterUnavailable, CannotGrade, ZygoteLost, OSError) as error:
        live.finish(notice_card("✕", "The sandbox cannot run here", [str(error)], "bad"))
        raise UsageError(str(error)) from None


@magics_class
class CourseMagics(Magics):
    """The learner's interface."""

    def __init__(self, shell: Any) -> None:
        super().__init__(shell)
        self.session = session.Session()
        self.graded: dict[str, tuple[list[str], Record]] = {}

    @magic_arguments()
    @argument("--budget", type=amount_of_memory, required=True, help="above the baseline, in MiB; killed beyond it")
    @argument("--predict", type=amount_of_memory, help="the peak that you expect, in MiB")
    @argument("--time-limit", type=seconds, default=60.0, help="seconds")
    @argument("--gpu-budget", type=amount_of_memory, help="of device memory, in MiB, if there is a GPU")
    @argument("--into", type=variable_name, help="a variable that gets the outcome; also the cell's name")
    @argument("--name", type=variable_name, help="a name by which later cells can run after this one")
    @argument("--after", nargs="+", default=[], help="names of earlier cells, such as pictures,model, that run first")
    @argument("--label", default="", help="a name for the card")
    @cell_magic("sandbox")
    def sandbox_cell(self, line: str, cell: str) -> None:
        """Run the cell in a sandbox: it may run out of memory without taking this notebook with it."""
        arguments = parse(self.sandbox_cell, line, "%%sandbox --budget 256 --predict 200")
        source = "\n" * self._lines_before(cell) + cell
        name = arguments.name or arguments.into or ""
        before = CELLS.add(name, source, " ".join(arguments.after))
        live = Live(self.shell, arguments.budget, note=device.WAITS if arguments.gpu_budget else "")
        with watched(live):
            outcome = sandbox.run(
                [(THIS_CELL, source)],
                budget_mib=arguments.budget,
                time_limit=arguments.time_limit,
                gpu_budget_mib=arguments.gpu_budget,
                before=before,
                listener=live.listener(),
            )
        live.output_left(outcome)
        if arguments.into:
            self.shell.user_ns[arguments.into] = outcome
        label = arguments.label.strip("\"'")
        earlier = [place.removeprefix("cell ") for place, _ in before]
        helper = "" if arguments.into else name
        live.finish(
            outcome_card(outcome, predicted_mib=arguments.predict, label=label, name=helper, ran_before=earlier)
        )

    @cell_magic("graded")
    def graded_cell(self, line: str, cell: str) -> None:
        """Grade the cell as the instructor does, and show the verdict."""
        lab = find_lab(line)
        blank = "\n" * (self._lines_before(cell) - 1)
        sources = self.session.add(lab, f"{blank}%%graded {lab.number}\n{cell}", self._cell_identity())
        self._grade(lab, sources)

    @line_cell_magic("course")
    def course(self, line: str, cell: str = "") -> None:
        """What a notebook of one's own and a lab ask for: hint, progress, submit, fit, watch, doctor, explain."""
        match line.split():
            case ["progress"]:
                progress = Progress()
                show(progress_card(progress.labs, labs.specs(), short(progress.path), progress.warning))
            case ["hint", number]:
                self._hint(find_lab(number))
            case ["submit", number]:
                self._submit(find_lab(number))
            case ["fit", *_]:
                self._fit(line.strip().removeprefix("fit"))
            case ["watch"]:
                print(watch.start(self.shell))
            case ["watch", "off"]:
                print(watch.stop())
            case ["doctor"]:
                print("\n".join(doctor.sentences(doctor.examine())))
            case ["explain", *_]:
                self._explain(cell or line.partition("explain")[2])
            case _:
                forms = "hint 01, progress, submit 01, fit FUNCTION --batch-size 32, watch, watch off, doctor, explain"
                raise UsageError(f"Write %course and one of: {forms}.")

    def _explain(self, text: str) -> None:
        """Say what an error text means; without one, the last exception of this notebook."""
        last = getattr(sys, "last_value", None)
        if not text.strip() and last is not None:
            text = "".join(traceback.format_exception(last))
        if not text.strip():
            raise UsageError("No cell has failed yet. Paste an error text below a line that says %%course explain.")
        show(cause_card(causes.explain(text)))

    @magic_arguments()
    @argument("build_model", help="a function of this notebook, or FILE.py:FUNCTION")
    @argument("--batch-size", type=int, required=True)
    @argument("--memory", dest="memory_mib", type=amount_of_memory, help="what there is, in MiB or like 12.7GiB")
    @argument("--device", default="cpu", help="cpu or gpu")
    @argument("--static", action="store_true", help="run no step")
    @argument("--input-shape", help="of one sample, such as 224,224,3")
    @argument("--example", help="a batch, or a function of the batch size: a variable of this notebook")
    @argument("--samples", type=int, help="of the data set, to count it too")
    @argument("--feed", help="how they come: arrays or dataset")
    def _fit(self, line: str) -> None:
        """Show the expected peak of a training run."""
        asked = vars(parse(self._fit, line, "%course fit build_model --batch-size 32 --memory 12.7GiB"))
        names = self.shell.user_ns
        asked["build_model"] = names.get(asked["build_model"], asked["build_model"])
        asked["example"] = names.get(asked["example"], asked["example"])
        try:
            predict(**asked)
        except fit.CannotPredict as error:
            raise UsageError(str(error)) from None

    def _hint(self, lab: LabSpec) -> None:
        progress = Progress()
        number, hint = progress.next_hint(lab)
        last = " This is the last one." if number == len(lab.hints) else ""
        notes = [progress.warning] if progress.warning else []
        head = f"Hint {number} of {len(lab.hints)} for lab {lab.number}"
        show(notice_card("→", head, [f"{hint}{last}", *notes], "plain"))

    def _submit(self, lab: LabSpec) -> None:
        sources = self.session.sources(lab)
        if not sources:
            raise UsageError(f"No %%graded {lab.number} cell has run in this session; run yours, then submit again.")
        already = self.graded.get(lab.number)
        record = already[1] if already and already[0] == sources else self._grade(lab, sources)
        try:
            path = session.write_submission(lab, sources)
        except OSError as error:
            raise UsageError(
                f"The file to hand in cannot be written here ({error.strerror}); "
                "go to a folder that can be written, with %cd, and submit again."
            ) from None
        result = RESULTS[record.verdict]
        sentences = [f"Your answer to lab {lab.number} is in the file {short(path)}. Hand in that file."]
        if record.verdict != "passed":
            sentences.append(f"Its verdict is: {result.word.lower()}. You can improve it and submit again.")
        if session.offer_download(path):
            sentences.append("Your browser downloads it now.")
        head = f"Ready to hand in, {record.score:g} of 100"
        show(notice_card(result.symbol, head, sentences, result.tone))

    def _grade(self, lab: LabSpec, sources: list[str]) -> Record:
        """Grade the cells of a lab, show the verdict, remember it; returns the record."""
        cells = graded_cells((0, source) for source in sources)[0][lab.number]
        live = Live(self.shell, lab.budget_mib, f"Grading lab {lab.number}")
        listener = sandbox.Listener(output=live.output, sample=live.sample)
        with watched(live):
            record = grade_answer(check(lab, cells), lab, listener=listener)
        self.graded[lab.number] = (list(sources), record)
        progress = Progress()
        progress.save(lab, record)
        live.finish(verdict_card(record, lab, progress.hints_shown(lab)))
        if progress.warning:
            print(progress.warning)
        return record

    def _request(self) -> dict[str, Any]:
        """The message by which the notebook asked to run this cell, {} in a terminal."""
        request = getattr(self.shell, "parent_header", None)
        return request if isinstance(request, dict) else {}

    def _cell_identity(self) -> str:
        metadata = self._request().get("metadata") or {}
        # Jupyter's own front ends say cellId; Colab says colab.cell_id.
        return str(metadata.get("cellId") or (metadata.get("colab") or {}).get("cell_id") or "")

    def _lines_before(self, cell: str) -> int:
        """How many lines stand above `cell` on the screen, so that a post-mortem counts lines as the learner does."""
        whole = str(self._request().get("content", {}).get("code", ""))
        position = whole.find("\n" + cell.rstrip("\n"))  # a short cell may also stand within its magic line
        return whole.count("\n", 0, position + 1) if position >= 0 else 1


def register(shell: Any) -> None:
    """Register the magics with an IPython shell and warm the sandbox in the background."""
    magics = CourseMagics(shell)
    before = shell.magics_manager.registry.get("CourseMagics")
    if before is not None:  # %reload_ext: the graded cells stay
        magics.session, magics.graded = before.session, before.graded
    shell.register_magics(magics)
    watch.show_deaths()
    sandbox.start()
