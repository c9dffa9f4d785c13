"""Check the form of each lab. Every finding is a sentence that names the file and the cell."""

from __future__ import annotations

import argparse
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from difflib import SequenceMatcher
from pathlib import Path

import nbformat

from course_utils import labs
from course_utils.notebook import named
from tools import answers, quiz
from tools.source import ROLES, Cell, Source, SourceError, paths, read

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
_SECTIONS_OF_A_SOLUTION = ("## Why it works", "## What else would pass")
_MOST_LINES_REPEATED = 8
_AFTER_OF_A_TEXT = re.compile(r"""\bnotebook\.run\(.*?\bafter=["']([^"']*)""", re.DOTALL)

_MAGIC = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
for _option in ("--name", "--into"):
    _MAGIC.add_argument(_option, default="")
_MAGIC.add_argument("--after", nargs="*", default=[])


def lint(root: Path) -> list[str]:
    """Return one sentence for each place where a lab under ``root`` departs from its form."""
    findings, found = [], set()
    for path in paths(root):
        try:
            source = read(path)
            found.add(source.spec.number)
            findings += [finding for look in _LOOKS for finding in (f"{source.name}{rest}" for rest in look(source))]
            findings += _outputs(root, source)
        except SourceError as error:
            findings.append(str(error))
    for spec in labs.specs():
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
        yield f"{_at(first)}: the first line must be {title!r}, the title in labs.toml."
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
    """Return the words of a heading that should not have a capital."""
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
    for cell in graded:
        try:
            answers.starter(cell.text)
        except ValueError as error:
            yield f"{_at(cell)}: {error}."
    if graded and not any("# BEGIN SOLUTION" in cell.text for cell in graded):
        yield f"{_at(graded[0])}: no `# BEGIN SOLUTION` marks the answer."
    if not any("--predict" in cell.magic for cell in source.cells):
        yield ": no %%sandbox cell has a --predict, and the learner is asked to predict the peak."


def _self_contained(source: Source) -> Iterator[str]:
    """A cell runs in a process of its own, after the cells that it names: nothing else is defined there."""
    programs, findings = [], []
    for answered in (False, True):
        cells = source.shown(answered=answered)
        programs += _programs(cells, findings)
        findings += _repetitions(cells)
    yield from findings
    yield from _undefined(programs)


def _programs(cells: list[Cell], findings: list[str]) -> list[list[Cell]]:
    """Return, for each cell that runs in a process of its own, the cells that run there, itself last.

    A name that no cell above has is added to ``findings``.
    """
    programs: list[list[Cell]] = []
    known: dict[str, list[Cell]] = {}
    graded: list[Cell] = []
    for cell in cells:
        verb, _, rest = cell.magic.partition(" ")
        if verb == "graded":
            graded.append(cell)
            programs.append([*graded])
            continue
        options, _ = _MAGIC.parse_known_args(shlex.split(rest) if verb == "sandbox" else [])
        after = named.split(" ".join([*options.after, *_AFTER_OF_A_TEXT.findall(cell.text)]))
        if missing := [name for name in after if name not in known]:
            wanted = " and ".join(f"`--name {name}`" for name in missing)
            findings.append(f"{_at(cell)}: no %%sandbox cell above it has {wanted}.")
        if verb == "sandbox":
            before = {one.line: one for name in after for one in known.get(name, ())}
            program = known[options.name or options.into] = [*before.values(), cell]
            if not missing:
                programs.append(program)
    return programs


def _repetitions(cells: list[Cell]) -> list[str]:
    findings, earlier = [], []
    for cell in cells:
        if cell.magic.partition(" ")[0] != "sandbox":
            continue
        lines = [line for line in cell.text.splitlines()[1:] if line.strip()]
        for other, its_lines in earlier:
            same = SequenceMatcher(None, its_lines, lines, autojunk=False).find_longest_match().size
            if same > _MOST_LINES_REPEATED:
                findings.append(
                    f"{_at(cell)}: it repeats {same} lines of the cell at line {other.line}; give that one a --name "
                    "and run this one --after it."
                )
                break
        earlier.append((cell, lines))
    return findings


def _undefined(programs: list[list[Cell]]) -> Iterator[str]:
    """Yield what ruff finds in each cell, unless a later cell of the same program puts it right (an import it uses)."""
    found: dict[int, list[set[tuple[int, str]]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        places = []
        for number, program in enumerate(programs):
            # The first line of a cell is its magic; a blank in its place keeps ruff's line numbers true.
            texts = ["\n" + cell.text.partition("\n")[2] + "\n" for cell in program]
            (Path(folder) / f"{number}.py").write_text("".join(texts), encoding="utf-8")
            places.append(
                [
                    (cell, cell.line + row)
                    for cell, text in zip(program, texts, strict=True)
                    for row in range(1, text.count("\n") + 1)
                ]
            )
        # A step may define a function of the cell before it again (F811): to show the change is what it is for.
        complaints = _run_ruff([*_RUFF, "--isolated", "--select=F", "--ignore=F811", "."], Path(folder))
    for number, program in enumerate(programs):
        for cell in program:
            found.setdefault(cell.line, []).append(set())
        for line in complaints:
            if match := re.match(rf"{number}\.py:(\d+):\d+: (\S+) (.+)", line):
                cell, row = places[number][int(match[1]) - 1]
                found[cell.line][-1].add((row, f"{match[3].removeprefix('[*] ')} ({match[2]})"))
    for each in found.values():
        for row, message in sorted(set.intersection(*each)):
            yield f", line {row}: the cell does not stand alone: {message}."


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


def _solution(source: Source) -> Iterator[str]:
    text = "\n".join(cell.text for cell in source.cells if "solution" in cell.tags)
    for heading in _SECTIONS_OF_A_SOLUTION:
        if heading not in text.splitlines():
            yield f': no cell with tags=["solution"] has the heading {heading!r}.'


_LOOKS = (_header, _anatomy, _solution, _headings, _magics, _self_contained, _pictures, _questions, _table)


def _outputs(root: Path, source: Source) -> Iterator[str]:
    for folder in ("solutions", "labs"):
        path = root / folder / f"{source.path.stem}.ipynb"
        cells = nbformat.read(path, as_version=4).cells if path.is_file() else []
        for number, cell in enumerate(cells, start=1):
            if cell.get("outputs") or cell.get("execution_count"):
                yield f"{folder}/{path.name}, cell {number}: outputs are not committed."


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
