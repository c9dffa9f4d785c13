"""Hold each lab to its anatomy. Every finding is a sentence that names the file and the cell."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import nbformat

from course_utils import labs
from course_utils.authoring import quiz
from course_utils.authoring.notebooks import SUFFIX, build, repository
from course_utils.authoring.source import ROLES, Cell, Source, SourceError, paths, read

PROPER_NAMES = {
    "Adam",
    "Codespaces",
    "Colab",
    "Datasets",
    "Gradescope",
    "Jupyter",
    "Keras",
    "Linux",
    "Python",
    "Binder",
}
"""Words that keep their capital inside a heading. Those with two, such as TensorFlow, keep them anyway."""

_HEADING = re.compile(r"^(#+) (.+)$", re.MULTILINE)
_FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_IMAGE_WITHOUT_ALT = re.compile(r"!\[\s*\]\(")
_DRAWS = re.compile(r"\bplt\.|\.plot\(|\.savefig\(|\bdisplay\(")
_ALT = 'add mystnb={"image": {"alt": "..."}} to its `# %%` line'
_RUFF = ("check", "--output-format", "concise")
_IN_ORDER = ("predict", "crash", "explain", "claims", "graded")


def lint(root: Path) -> list[str]:
    """Return one sentence for each way in which a lab under ``root`` misses its form."""
    findings, found = [], set()
    for path in paths(root):
        try:
            source = read(path)
            found.add(source.spec.number)
            findings += [finding for look in _LOOKS for finding in (f"{source.name}{rest}" for rest in look(source))]
            findings += _pair(root, source)
        except SourceError as error:
            findings.append(str(error))
    for spec in labs.all():
        if spec.number not in found:
            findings.append(f"course_utils/labs.toml has lab {spec.number}; solutions/{spec.name}.py is missing.")
    return findings + _ruff(root)


def _at(cell: Cell) -> str:
    return f", the cell at line {cell.line}"


def _prose(source: Source) -> Iterator[tuple[Cell, str]]:
    """Yield each markdown cell with its text, code blocks left out."""
    for cell in source.cells:
        if cell.kind == "markdown":
            yield cell, _FENCE.sub("", cell.text)


def _header(source: Source) -> Iterator[str]:
    first, title = source.cells[0], f"# {source.spec.title}"
    if first.kind != "markdown" or first.text.split("\n", 1)[0] != title:
        yield f"{_at(first)}: the first line is to be {title!r}, the title in labs.toml."
    for part in ("Objectives", "Prerequisites"):
        if f"**{part}**" not in first.text:
            yield f"{_at(first)}: the header lacks its **{part}**."


def _anatomy(source: Source) -> Iterator[str]:
    places = {role: [i for i, cell in enumerate(source.cells) if role in cell.tags] for role in ROLES}
    for role, found in places.items():
        if not found:
            yield f': no cell has tags=["{role}"], and every lab has one.'
    present = [role for role in _IN_ORDER if places[role]]
    for before, after in zip(present, present[1:], strict=False):
        if places[before][0] > places[after][0]:
            yield f"{_at(source.cells[places[before][0]])}: {before} comes after {after}."


def _headings(source: Source) -> Iterator[str]:
    titles = 0
    for cell, text in _prose(source):
        for marks, heading in _HEADING.findall(text):
            titles += marks == "#"
            if wrong := _capitals(heading):
                yield f"{_at(cell)}: the heading {heading!r} is not in sentence case ({', '.join(wrong)})."
    if titles != 1:
        yield f": it has {titles} first-level headings, and a page has one."


def _capitals(heading: str) -> list[str]:
    """Return the words of a heading that have no right to their capital."""
    words = re.sub(r"`[^`]*`", "code", heading).replace("**", "").split()
    wrong = []
    for before, word in zip(words, words[1:], strict=False):
        bare = word.strip(".,:;?!()\"'")
        if re.fullmatch(r"[A-Z][a-z]+", bare) and bare not in PROPER_NAMES and before[-1] not in ".:?!":
            wrong.append(bare)
    return wrong


def _magics(source: Source) -> Iterator[str]:
    number = source.spec.number
    for cell in source.cells:
        verb, _, rest = cell.magic.partition(" ")
        if "graded" in cell.tags and cell.kind == "code" and (verb, rest.strip()) != ("graded", number):
            yield f"{_at(cell)}: a graded cell starts with `# %%graded {number}`."
        if verb == "graded" and "graded" not in cell.tags:
            yield f'{_at(cell)}: a %%graded cell needs tags=["graded"].'
        if verb == "sandbox" and "--budget" not in rest:
            yield f"{_at(cell)}: %%sandbox needs a --budget."
        if "crash" in cell.tags and cell.kind == "code" and verb != "sandbox":
            yield f"{_at(cell)}: a crash belongs in a sandbox: start it with `# %%sandbox --budget MIB`."
    graded = [cell for cell in source.cells if "graded" in cell.tags and cell.kind == "code"]
    if graded and not any("# BEGIN SOLUTION" in cell.text for cell in graded):
        yield f"{_at(graded[0])}: no `# BEGIN SOLUTION` says where the answer is."
    if not any("--predict" in cell.magic for cell in source.cells):
        yield ": no %%sandbox cell has a --predict, and the learner is asked to predict the peak."


def _self_contained(source: Source) -> Iterator[str]:
    """A sandboxed cell runs alone: a name from another cell is not there."""
    with tempfile.TemporaryDirectory() as folder:
        for position, cell in enumerate(source.cells):
            if cell.magic.partition(" ")[0] == "sandbox":
                # The first line is the magic; a blank in its place keeps ruff's line numbers true.
                text = "\n" + cell.text.partition("\n")[2] + "\n"
                (Path(folder) / f"{position}.py").write_text(text, encoding="utf-8")
        complaints = _run_ruff([*_RUFF, "--isolated", "--select=F", "."], Path(folder))
    for line in complaints:
        if match := re.match(r"(\d+)\.py:(\d+):\d+: (\S+) (.+)", line):
            place = f", line {source.cells[int(match[1])].line + int(match[2])}"
            message = match[4].removeprefix("[*] ")
            yield f"{place}: the cell does not stand alone: {message} ({match[3]})."


def _pictures(source: Source) -> Iterator[str]:
    for cell, text in _prose(source):
        if _IMAGE_WITHOUT_ALT.search(text):
            yield f"{_at(cell)}: an image has no alt text."
    for cell in source.cells:
        if cell.kind != "code":
            continue
        described = cell.metadata.get("mystnb", {}).get("image", {}).get("alt")
        if _DRAWS.search(cell.text) and not described:
            yield f"{_at(cell)}: a figure needs alt text: {_ALT}."
        if "notebook.compare(" in cell.text and "alt=" not in cell.text:
            yield f"{_at(cell)}: notebook.compare needs alt text: give it alt=..."


def _questions(source: Source) -> Iterator[str]:
    cells = [cell for cell in source.cells if "quiz" in cell.tags and cell.kind == "markdown"]
    questions = []
    for cell in cells:
        try:
            questions += [(cell, part) for part in quiz.parse(cell.text) if isinstance(part, quiz.Question)]
        except ValueError as error:
            yield f"{_at(cell)}: {error}."
    if cells and not 3 <= len(questions) <= 5:
        yield f"{_at(cells[0])}: the quiz has {len(questions)} questions, and a quiz has three to five."
    for cell, question in questions:
        if sum(right for right, _, _ in question.options) != 1:
            yield f"{_at(cell)}: {question.text} needs one right option, `- [x]`."
        if len(question.options) < 2 or not all(why for _, _, why in question.options):
            yield f"{_at(cell)}: {question.text} needs two options or more, each with its ` :: why`."


def _table(source: Source) -> Iterator[str]:
    if len(source.spec.hints) != 3:
        yield f": its table in labs.toml has {len(source.spec.hints)} hints, and a lab has three."
    if not source.spec.takeaway.strip():
        yield ": its table in labs.toml has no takeaway."


_LOOKS = (_header, _anatomy, _headings, _magics, _self_contained, _pictures, _questions, _table)


def _pair(root: Path, source: Source) -> list[str]:
    """Compare the two notebooks of a lab, and look at them for outputs."""
    findings = []
    where = repository(root)
    solution, starter = (build(source, where, answered=answered) for answered in (True, False))
    for number, (one, other) in enumerate(zip(solution.cells, starter.cells, strict=True), start=1):
        if "graded" in one.metadata.get("tags", []):
            continue
        if _same(one.source, source) != _same(other.source, source):
            findings.append(f"{source.name}: cell {number} of the starter differs outside an answer.")
    for folder in ("solutions", "labs"):
        path = root / folder / f"{source.path.stem}.ipynb"
        if not path.is_file():
            continue
        for number, cell in enumerate(nbformat.read(path, as_version=4).cells, start=1):
            if cell.get("outputs") or cell.get("execution_count"):
                findings.append(f"{folder}/{path.name}, cell {number}: outputs are not committed.")
    return findings


def _same(text: str, source: Source) -> str:
    """Take out what solution and starter differ in on purpose: title, own address, labels."""
    text = text.replace(source.spec.title + SUFFIX, source.spec.title).replace("solution-", "")
    return text.replace(f"solutions/{source.path.stem}.ipynb", f"labs/{source.path.stem}.ipynb")


def _ruff(root: Path) -> list[str]:
    files = [str(path.relative_to(root)) for path in paths(root)]
    if not files:
        return []
    findings = [f"{line}." for line in _run_ruff([*_RUFF, *files], root) if line.startswith("solutions/")]
    # The wording differs between versions of ruff; that the file is named does not.
    layout = "\n".join(_run_ruff(["format", "--check", *files], root))
    return findings + [f"{file}: ruff format would change it." for file in files if file in layout]


def _run_ruff(arguments: list[str], directory: Path) -> list[str]:
    command = [sys.executable, "-m", "ruff", *arguments]
    run = subprocess.run(command, capture_output=True, text=True, cwd=directory)
    if run.returncode not in (0, 1):
        raise SourceError(f"ruff could not look at the labs: {run.stderr.strip().splitlines()[-1]}")
    return run.stdout.splitlines()
