"""The attacks of tests/red_team/: run them, and say what came of each. ``python -m tools.red_team`` writes the table.

An attack is one file. The first paragraph of its docstring says what it tries, the lines after it what must come of it:

    bwrap: refused                what it prints last, or the status of its run; several with "or"
    user, process: out_of_memory
    process by procfs: unseen     where memory is read in ``/proc``; it is then run that way too
    budget_mib: 64                also: time_limit, disk_mib, holds_mib (memory that has to be counted if it finishes)

At a level that it does not name it is not run: it would do harm, or there is nothing to attack. It finds the names of
`Bait` among its variables. Most need no TensorFlow, and get `stand_in` instead, so that a run takes a second.
"""

from __future__ import annotations

import ast
import contextlib
import functools
import os
import re
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import psutil

from course_utils import memory, sandbox
from tools import ROOT

FOLDER = ROOT / "tests" / "red_team"
STAND_IN = FOLDER / "stand_in"
PAGE = ROOT / "book" / "red-team.md"
DEFAULTS = {"budget_mib": 100.0, "time_limit": 30.0, "disk_mib": 2048.0, "holds_mib": 0.0}
COUNTED = 0.9
OUTPUT_LIMIT = 40


@dataclass(frozen=True, eq=False)
class Attack:
    """One file: what it tries, what may come of it by level (and "by procfs"), and how it is run."""

    name: str
    tries: str
    expected: dict[str, tuple[str, ...]]
    settings: dict[str, float]
    source: str


@dataclass(frozen=True)
class Case:
    """An attack at a level; ``method`` is empty for the best that the host allows."""

    attack: Attack
    level: str
    method: str = ""

    @property
    def column(self) -> str:
        return f"{self.level} by {self.method}" if self.method else self.level

    @property
    def allowed(self) -> tuple[str, ...]:
        expected, best = self.attack.expected, memory.choose()
        return (best == "procfs" and expected.get(f"{self.level} by procfs")) or expected[self.column]

    @property
    def is_probe(self) -> bool:
        """Whether it only tries what is refused, so that many can do so in one sandbox."""
        probing = {"refused", "read"} >= {*self.attack.expected[self.column]}
        return probing and not self.method and self.attack.settings == DEFAULTS


def read(path: Path) -> Attack:
    """Return the attack in a file. Raises ValueError where its header is not as it must be."""
    source = path.read_text(encoding="utf-8")
    tries, _, lines = (ast.get_docstring(ast.parse(source)) or "").partition("\n\n")
    expected: dict[str, tuple[str, ...]] = {}
    settings = dict(DEFAULTS)
    for line in lines.splitlines():
        keys, _, value = line.partition(": ")
        for key in keys.split(", "):
            if key in DEFAULTS:
                settings[key] = float(value)
            elif re.fullmatch(r"(bwrap|user|process)( by procfs)?", key) and value:
                expected[key] = tuple(value.split(" or "))
            else:
                raise ValueError(f"{path}: the header has no {key!r}.")
    if not tries or not expected:
        raise ValueError(f"{path}: the header says what is tried, and what must come of it at each level.")
    return Attack(path.stem, " ".join(tries.split()), expected, settings, source)


@functools.cache
def cases() -> list[Case]:
    """Return every attack at every level that it names, those that share a sandbox together."""
    attacks = [read(path) for path in sorted(FOLDER.glob("*.py"))]
    found = [Case(attack, *column.split(" by ")) for attack in attacks for column in attack.expected]
    return sorted(found, key=lambda case: (case.column, case.attack.name))


class Bait:
    """What an attack may be after, and what it gets: a class folder, training images, the owner and its sockets."""

    def __init__(self, folder: Path) -> None:
        self.mark = f"red-team-{secrets.token_hex(8)}"
        self.grades = folder / "class" / "grades.csv"
        self.training = folder / "training"
        self.grades.parent.mkdir(parents=True)
        self.grades.parent.chmod(0o700)
        self.training.mkdir()
        self.grades.write_text("mallory,0\n")
        self.image = self.training / "0.jpg"
        self.image.write_bytes(b"picture")
        self.image.chmod(0o444)
        folder.chmod(0o755)
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.named = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.named.bind(f"\0{self.mark}")
        self.named.listen()
        os.environ["COURSE_SECRET"] = self.mark

    def preamble(self) -> str:
        """Return the code that tells an attack where everything is."""
        return (
            f"GRADES, IMAGE, OWNER = {str(self.grades)!r}, {str(self.image)!r}, {os.getpid()}\n"
            f"PORT, MARK = {self.listening.getsockname()[1]}, {self.mark!r}"
        )

    def harm(self) -> str:
        """Return what the attack has changed or left, "" for nothing."""
        if not self.grades.exists() or self.grades.read_text() != "mallory,0\n":
            return "the grades are changed"
        if os.listdir(self.training) != ["0.jpg"] or self.image.read_bytes() != b"picture":
            return "the training folder is changed"
        left = [one for one in psutil.process_iter(["cmdline"]) if self.mark in (one.info["cmdline"] or [])]
        return "a process is left" if left else ""

    def close(self) -> None:
        Path("/dev/shm", self.mark).unlink(missing_ok=True)
        self.listening.close()
        self.named.close()


def unavailable(case: Case) -> str:
    """Return why this host cannot run a case, "" if it can."""
    if case.level == "user" and not sandbox.unavailable("user") and not own_mounts():
        return "root may not make mounts here, so `user` shares folders and the network with the host."
    return sandbox.unavailable(case.level)


@functools.cache
def own_mounts() -> bool:
    """Whether root can give a process mounts and a network of its own here."""
    with contextlib.suppress(FileNotFoundError):
        tried = ["unshare", "--mount", "--ipc", "--net", "true"]
        return subprocess.run(tried, stderr=subprocess.DEVNULL).returncode == 0
    return False


@functools.cache
def probed(level: str) -> dict[str, str]:
    """Run all attacks of a level that only try whether something is refused, in one sandbox; return what they said."""
    probes = [case.attack for case in cases() if case.level == level and case.is_probe]
    cells = []
    for attack in probes:
        code = f"exec(compile({attack.source!r}, {attack.name!r}, 'exec'), {{**globals()}})"
        caught = "except BaseException as error:\n    print(type(error).__name__)"
        cells.append((attack.name, f"print('## {attack.name}')\ntry:\n    {code}\n{caught}"))
    harm, outcome = sandboxed(cells, level, "", DEFAULTS)
    found = dict(part.strip().partition("\n")[::2] for part in outcome.stdout.split("## ")[1:])
    return {attack.name: harm or found.get(attack.name, outcome.status) for attack in probes}


def run(case: Case) -> str:
    """Run an attack; return what came of it, in the words of its header."""
    if case.is_probe:
        return probed(case.level)[case.attack.name]
    harm, outcome = sandboxed([("attack", case.attack.source)], case.level, case.method, case.attack.settings)
    if harm:
        return harm
    if outcome.status != "finished":
        return outcome.status
    if outcome.peak_mib < COUNTED * case.attack.settings["holds_mib"]:
        return "unseen"
    said = outcome.stdout.strip().splitlines()
    return said[-1][:OUTPUT_LIMIT] if said else "finished"


def sandboxed(
    cells: list[tuple[str, str]], level: str, method: str, settings: dict[str, float]
) -> tuple[str, sandbox.Outcome]:
    """Run cells among the bait; return the harm that they have done, and the outcome."""
    with sandbox.scratch("red-team-") as folder:
        bait = Bait(folder)
        try:
            outcome = sandbox.run(
                [("bait", bait.preamble()), *cells],
                budget_mib=settings["budget_mib"],
                time_limit=settings["time_limit"],
                disk_mib=settings["disk_mib"],
                isolation=level,
                method=method or None,
                readable=[STAND_IN, bait.training],
                # An owner that is slow to answer must not be blind meanwhile.
                listener=sandbox.Listener(answer=lambda question: time.sleep(0.5) or {}),
            )
            return bait.harm(), outcome
        finally:
            bait.close()


@contextlib.contextmanager
def stand_ins() -> Iterator[None]:
    """Within, sandboxes get the stand-ins in the place of TensorFlow, and zygotes from before serve no more."""
    before = os.environ.get("PYTHONPATH")
    sandbox.stop()
    os.environ["PYTHONPATH"] = os.pathsep.join([str(STAND_IN), *filter(None, [before])])
    try:
        yield
    finally:
        sandbox.stop()
        os.environ.pop("PYTHONPATH")
        if before is not None:
            os.environ["PYTHONPATH"] = before


def table(came: dict[tuple[str, str], str]) -> str:
    """Return the page: what came of each attack, by its name and its column."""
    columns = ["bwrap", "user", "process", "bwrap by procfs", "user by procfs", "process by procfs"]
    rows = ["| attack | " + " | ".join(f"`{column}`" for column in columns) + " |", "|---" * (len(columns) + 1) + "|"]
    for attack in {case.attack.name: case.attack for case in cases()}.values():
        cells = [came.get((attack.name, column), "–").replace("_", " ") for column in columns]
        rows.append(f"| {attack.tries} | " + " | ".join(cells) + " |")
    return "\n".join(rows)


HEAD = """# What each isolation stops

Each row is a file in `tests/red_team/`, run on the machine that made this page by `python -m tools.red_team`, with
memory read by {method}; the last columns are memory read in `/proc`. *refused*: the kernel did not allow it, or there
was nothing to find. *out of memory*, *out of disk*, *timed out*, *raised*, *died*: the run was stopped, and gets no
points. *done*: it harmed nobody, and where it needed memory, all of that was counted; a server, a socket or a process
of this machine was reached where one was asked for. *unseen*, *read*: the attack worked. A dash: it is not tried there,
because it would harm the machine, or because there is nothing to attack.

"""


def main() -> None:
    """Run every attack that this host can hold; write the page; end with 1 where one came out as it must not."""
    came, wrong = {}, 0
    possible = [case for case in cases() if not unavailable(case)]
    with stand_ins(), ThreadPoolExecutor(2) as pool:
        for case, result in zip(possible, pool.map(run, possible), strict=True):
            came[case.attack.name, case.column] = result
            if result not in case.allowed:
                wrong += 1
                must = " or ".join(case.allowed)
                print(f"{case.attack.name}, {case.column}: {result}, not {must}", file=sys.stderr)
    PAGE.write_text(HEAD.format(method=memory.choose()) + table(came) + "\n", encoding="utf-8")
    raise SystemExit(bool(wrong))


if __name__ == "__main__":
    main()
