"""The command ``course-utils``: one verb a command, no logic of its own.

Each command imports what it needs when it runs, so that ``--help`` is there at once. Nothing here imports TensorFlow.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from course_utils.files import cache_folder
from course_utils.units import mib, percent, seconds

if TYPE_CHECKING:
    from rich.table import Table

    from course_utils.grading.record import Record

application = typer.Typer(
    name="course-utils",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
COULD_NOT = 2
WIDE = 120  # columns from which the messages fit into the table


@application.callback()
def begin() -> None:
    """Crash Keras models on purpose, see why they died, grade the fix."""
    try:
        os.getcwd()
    except FileNotFoundError:
        _stop("The folder that this command was started in has been deleted: change to one that exists.")
    try:
        cache_folder()
    except RuntimeError:
        _stop("This user has no home folder: set HOME or COURSE_UTILS_CACHE to a folder that you can write to.")


@application.command()
def run(
    file: Annotated[Path, typer.Argument(help="Your program (.py) or notebook (.ipynb).")],
    budget: Annotated[str, typer.Option("--budget", help="Memory, such as 12.7GiB. Default: what is left.")] = "",
    gpu_budget: Annotated[str, typer.Option("--gpu-budget", help="Memory of the GPU. Default: no GPU.")] = "",
    time_limit: Annotated[float | None, typer.Option("--time-limit", help="Seconds. Default: none.")] = None,
    report: Annotated[Path | None, typer.Option("--report", help="An HTML page to write.")] = None,
    recording: Annotated[Path | None, typer.Option("--recording", help="A file of the run as it goes on.")] = None,
) -> None:
    """Run your own program or notebook in a sandbox, and say why it died. The exit code is that of a shell."""
    from course_utils import programs

    for number in (signal.SIGTERM, signal.SIGHUP):  # so that nothing of the run is left
        signal.signal(number, lambda number, frame: sys.exit(128 + number))
    try:
        code = programs.run(file, budget, gpu_budget, time_limit, report, recording)
    except programs.CannotRun as error:
        _stop(str(error))
    raise typer.Exit(code)


@application.command()
def grade(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", help="Submissions, or folders of them.")],
    out: Annotated[Path, typer.Option("--out", help="Folder for results; an earlier run there is resumed.")],
    jobs: Annotated[str, typer.Option("--jobs", help="How many run at once; auto: as there is room.")] = "1",
    policy: Annotated[Path | None, typer.Option("--policy", help="TOML: points, floors, attempts, lateness.")] = None,
    isolation: Annotated[str, typer.Option("--isolation", help="auto, bwrap, user or process.")] = "auto",
    method: Annotated[str, typer.Option("--method", help="How to read memory: auto, cgroup or procfs.")] = "auto",
    seed_file: Annotated[Path | None, typer.Option("--seed-file", help="Secret text for the hidden images.")] = None,
    layout: Annotated[str, typer.Option("--layout", help="flat, folder, nbgrader, moodle, canvas or classroom.")] = "",
    roster: Annotated[Path | None, typer.Option("--roster", help="CSV of the class: who is missing, unknown.")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="List file, student, lab, attempt; grade nothing.")
    ] = False,
    regrade: Annotated[list[str] | None, typer.Option("--regrade", help="Grade a student or a verdict again.")] = None,
    compare: Annotated[Path | None, typer.Option("--compare", help="Earlier results: say what changed, why.")] = None,
    pseudonyms: Annotated[bool, typer.Option("--pseudonyms", help="Results without names, to be shared.")] = False,
) -> None:
    """Grade submissions: verdict, score, peak and accuracy of each into --out."""
    from rich.console import Console

    from course_utils import sandbox
    from course_utils.grading import policy as rules
    from course_utils.grading.many import grade_paths
    from course_utils.grading.plan import plan
    from course_utils.grading.progress import Progress
    from course_utils.reports import Writer
    from course_utils.reports.compare import changes, earlier

    with _one_sentence():
        if dry_run:
            planned = plan(paths, leave_out=out, layout=layout, roster=roster)
            print(*planned.rows, *planned.sentences, sep="\n")
            return
        asked = rules.read(policy)
        before = earlier(compare) if compare else []
        writer = Writer(out, pseudonyms)
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        signal.signal(signal.SIGHUP, signal.default_int_handler)
        with Progress() as progress:
            try:
                graded = grade_paths(
                    paths,
                    out,
                    jobs=rules.jobs(jobs),
                    policy=asked,
                    isolation=isolation,
                    method=method,
                    seed_file=seed_file,
                    layout=layout,
                    roster=roster,
                    regrade=regrade or (),
                    say=_warn,
                    progress=progress.advance,
                    write=writer.write,
                )
            except KeyboardInterrupt:
                _warn(f"Stopped. {progress.done} of {progress.total} are graded; the same command goes on.")
                sandbox.stop()
                os._exit(130)  # without waiting for runs in threads; they die with this process
    screen = Console()
    screen.print(_table(writer.shown(graded.records), screen.width))
    print(asked)
    print("Written: " + ", ".join(map(str, writer.paths)))
    if compare:
        print(*changes(before, graded.results), sep="\n")
    for failure in graded.failures:
        _warn(str(failure))
    if graded.failures:
        _stop(f"{len(graded.failures)} could not be graded: run the same command again, which grades only these.")


@application.command()
def check(file: Annotated[Path, typer.Argument(help="Your notebook or script.")]) -> None:
    """Grade one file as the course does, and show what came out."""
    from rich.console import Console

    from course_utils import labs, sandbox
    from course_utils.grading import discovery
    from course_utils.grading.grade import grade_answer, of_student

    console = Console(stderr=True)
    if file.is_dir():
        _stop(f"{file} is a folder: check takes one file, grade takes folders.")
    with _one_sentence():
        (found,) = discovery.discover([file])
        one = discovery.read_found(found)
        for answer in one.answers:
            with console.status(f"Grading lab {answer.lab or '?'}") as status:

                def show(duration: float, held: float, status=status, number: str = answer.lab) -> None:
                    status.update(f"Grading lab {number}: {mib(held)} after {seconds(duration)}")

                lab = labs.get(answer.lab) if answer.lab else None
                record = grade_answer(answer, lab, listener=sandbox.Listener(sample=show))
            _show(of_student(record, one))


@application.command()
def doctor(as_json: AsJson = False) -> None:
    """Say what memory, GPU and isolation this machine has, how memory is read here, and what that cannot see."""
    from course_utils import doctor

    found = doctor.examine()
    if as_json:
        _print_json(found)
    else:
        print("\n".join(doctor.sentences(found)))


@application.command()
def explain(
    file: Annotated[Path, typer.Argument(help="A file with the error text; - reads standard input.")] = Path("-"),
    as_json: AsJson = False,
) -> None:
    """Turn an error text into its cause, the fix and the lab that teaches it."""
    import dataclasses

    from course_utils import causes

    if str(file) == "-":
        if sys.stdin.isatty():
            _warn("Paste the error text, then press Ctrl-D.")
        text, source = sys.stdin.buffer.read(), "Standard input"
    else:
        try:
            text, source = file.read_bytes(), str(file)
        except OSError as error:
            _stop(f"Cannot read {file}: {error.strerror}.")
    if not text.strip():
        _stop(f"{source} is empty.")
    found = causes.explain(text)
    if as_json:
        _print_json(dataclasses.asdict(found))
        return
    print(found.title)
    for label, value in (("Why", found.why), ("Fix", found.fix), ("Lab", found.lab)):
        if value:
            print(f"{label}: {value}")


@application.command()
def fit(
    function: Annotated[str, typer.Argument(metavar="FILE.py:FUNCTION", help="The function that returns the model.")],
    batch_size: Annotated[int, typer.Option("--batch-size", help="Samples in a batch.")],
    memory: Annotated[
        str | None, typer.Option("--memory", help="What there is, such as 12.7GiB; MiB by default.")
    ] = None,
    device: Annotated[str, typer.Option("--device", help="cpu or gpu.")] = "cpu",
    static: Annotated[bool, typer.Option("--static", help="Run no step.")] = False,
    input_shape: Annotated[str | None, typer.Option("--input-shape", help="One sample, such as 224,224,3.")] = None,
    example: Annotated[
        str | None, typer.Option("--example", help="A function of FILE.py: batch_size -> batch.")
    ] = None,
    samples: Annotated[int | None, typer.Option("--samples", help="Samples of the data set, to count it too.")] = None,
    feed: Annotated[str | None, typer.Option("--feed", help="How they come: arrays or dataset.")] = None,
    as_json: AsJson = False,
) -> None:
    """Say whether a model will train in a memory, before it runs: expected peak, and what takes it."""
    from course_utils import cards
    from course_utils.cards.predictions import prediction_card
    from course_utils.fit import CannotPredict, predict
    from course_utils.units import parse_mib

    try:
        prediction = predict(
            function,
            batch_size,
            memory_mib=None if memory is None else parse_mib(memory),
            device=device,
            static=static,
            input_shape=input_shape,
            example=example,
            samples=samples,
            feed=feed,
        )
    except (CannotPredict, ValueError) as error:
        _stop(str(error))
    print(prediction.to_json() if as_json else cards.render.text(prediction_card(prediction)))


def _show(record: Record) -> None:
    """What the learner sees."""
    lab = f"Lab {record.lab}" if record.lab else Path(record.submission).name
    print(f"{lab}: {record.verdict.replace('_', ' ')}, {record.score:g} of 100 points")
    print(record.message)
    if record.where:
        print(f"Where: {record.where}")
    if record.blame and record.blame != record.where:
        print(f"The memory came at: {record.blame}")
    if record.remedy:
        print(f"What to do: {record.remedy}")
    if record.peak_mib is not None:
        print(
            f"Measured by {record.method} in {seconds(record.seconds)}: peak {mib(record.peak_mib)}, budget "
            f"{mib(record.budget_mib)}, both above a baseline of {mib(record.baseline_mib)}"
        )


def _table(records: list[Record], width: int) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table()
    for name in ("Student", "Lab", "Verdict"):
        table.add_column(name, overflow="fold")
    for name in ("Score", "Peak", "Accuracy"):
        table.add_column(name, justify="right")
    if width >= WIDE:
        table.add_column("Message", overflow="fold")
    for record in sorted(records, key=lambda record: (record.student, record.lab)):
        peak = "" if record.peak_mib is None else mib(record.peak_mib)
        accuracy = "" if record.accuracy is None else percent(record.accuracy)
        cells = [record.student, record.lab, record.verdict, f"{record.score:.1f}", peak, accuracy, record.message]
        # Text, not str: brackets in what a learner wrote are no markup.
        table.add_row(*(Text(cell) for cell in cells[: len(table.columns)]))
    return table


def _print_json(value: object) -> None:
    import json

    print(json.dumps(value, indent=1))


def _warn(sentence: str) -> None:
    print(sentence, file=sys.stderr)


def _stop(sentence: str) -> NoReturn:
    _warn(sentence)
    raise typer.Exit(COULD_NOT)


@contextmanager
def _one_sentence() -> Iterator[None]:
    """End with the sentence of why nothing can be graded, and code 2, instead of a traceback."""
    from course_utils.grading.seed import CannotGrade

    try:
        yield
    except CannotGrade as error:
        _stop(str(error))
