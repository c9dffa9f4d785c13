"""The child: it runs one piece of code, to its end or until it is killed. The owner trusts nothing here.

A process that is killed cannot say anything, so the evidence for the post-mortem is written ahead of time:
`faulthandler` prints the current Python line when the owner asks by a signal, and `snapshot` writes down line and
arrays many times a second.
"""

from __future__ import annotations

import ast
import builtins
import contextlib
import ctypes
import faulthandler
import io
import linecache
import os
import re
import resource
import signal
import socket
import sys
import tempfile
import traceback
import types
import warnings
from typing import Any, NoReturn

from course_utils.sandbox import device, framing, inside, snapshot
from course_utils.sandbox.order import Order

PAGE = os.sysconf("SC_PAGE_SIZE")
MADV_POPULATE_WRITE = 23
FILE_SIZE_LIMIT = 4 * 1024**3
OPEN_FILES_LIMIT = 4096
LONGEST_TEXT = 19_000
EPILOGUE = "<grader>"


def own_inherited_pages() -> None:
    """Copy every page that is still shared with the zygote, so that all later growth is the run's own.

    Without this the copy-on-write of about 30 MiB of interpreter pages would be charged to the run by one method
    (control groups) and not by the other (resident size). Where ``/proc/self/pagemap`` cannot be read, the difference
    stays.
    """
    import numpy as np

    library = ctypes.CDLL(None, use_errno=True)
    try:
        pagemap = os.open("/proc/self/pagemap", os.O_RDONLY)
    except OSError:
        return
    with open("/proc/self/maps") as file:
        mappings = [line.split() for line in file]
    for addresses, permissions, *_ in mappings:
        if not permissions.startswith("rw-p"):
            continue
        start, end = (int(address, 16) for address in addresses.split("-"))
        entries = np.frombuffer(os.pread(pagemap, (end - start) // PAGE * 8, start // PAGE * 8), np.uint64)
        present = (entries >> np.uint64(63)) == 1
        anonymous = (entries >> np.uint64(61)) & np.uint64(1) == 0
        edges = np.flatnonzero(np.diff(np.concatenate([[False], present & anonymous, [False]]).astype(np.int8)))
        for first, last in edges.reshape(-1, 2).tolist():
            address, length = start + first * PAGE, (last - first) * PAGE
            if library.madvise(ctypes.c_void_p(address), ctypes.c_size_t(length), MADV_POPULATE_WRITE):
                for offset in range(0, length, PAGE):  # before Linux 5.14
                    ctypes.memmove(address + offset, address + offset, 1)
    os.close(pagemap)


def main(owner: socket.socket, taken: int) -> NoReturn:
    """Wait for an order on ``owner``, confirm it on the pipe ``taken``, carry it out and leave.

    The order's files come with it, by descriptor.
    """
    os.setsid()
    own_inherited_pages()
    header, descriptors, _, _ = socket.recv_fds(owner, framing.HEADER.size, 5)
    if not header:
        os._exit(0)
    os.write(taken, b"t")
    os.close(taken)
    stdout, stderr, control, dump, state = descriptors
    order = Order(**framing.receive(owner, header))
    owner.close()
    inside.channel = channel = socket.socket(fileno=control)
    for descriptor, number in ((os.open(os.devnull, os.O_RDONLY), 0), (stdout, 1), (stderr, 2)):
        os.dup2(descriptor, number)
        os.close(descriptor)
    prepare(order, dump)
    inside.send({"type": "hello"})
    framing.receive(channel)  # the owner watches from here on
    names = {name for name, _ in order.cells}
    snapshot.start(state, names, order.cap_mib)
    message = execute(order, names)
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):  # the code may have closed or replaced it
            stream.flush()
    try:
        inside.send({"type": "end", **message})
    except ValueError:  # an error whose text is longer than a message may be
        short = {"text": str(message.get("text"))[:5000], "frames": message.get("frames", [])[-5:], "reasons": []}
        inside.send({"type": "end", **message, **short})
    os._exit(message.get("exit_code") or 0)


def prepare(order: Order, dump: int) -> None:
    """Set limits, streams, devices and the working directory."""
    for limit, value in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, FILE_SIZE_LIMIT),
        (resource.RLIMIT_NOFILE, OPEN_FILES_LIMIT),
    ):
        hard = resource.getrlimit(limit)[1]
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(limit, (value, value))
    os.environ["TMPDIR"] = tempfile.tempdir = order.directory
    os.sched_setaffinity(0, order.processors)
    os.nice(5)  # the watcher must be scheduled first, also when the code starts hundreds of processes
    os.chdir(order.directory)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(snapshot.ANSWERED, signal.SIG_IGN)  # until `snapshot` answers it
    sys.stdout = open(1, "w", buffering=1, encoding="utf-8", errors="replace", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", buffering=1, encoding="utf-8", errors="replace", closefd=False)  # noqa: SIM115
    faulthandler.register(snapshot.DUMPED, file=dump, all_threads=False, chain=False)
    faulthandler.enable(file=dump, all_threads=False)
    builtins.input = refuse_input
    warnings.formatwarning = warning_line
    sys.path.insert(0, order.directory)
    device.open_device(order.gpu_budget_mib)


def warning_line(message: object, category: type[Warning], path: str, line: int, text: str | None = None) -> str:
    """Return a warning as one line, without the folder of the packages, which is of no use to the learner."""
    return f"{path.rpartition('site-packages/')[2]}, line {line}: {category.__name__}: {message}\n"


def refuse_input(prompt: object = "") -> str:
    """Stand in for ``input``, which would wait forever."""
    raise RuntimeError(
        "input() cannot be used in a sandboxed cell, where no one can answer: put the value in the code."
    )


def execute(order: Order, names: set[str]) -> dict[str, Any]:
    """Run the cells, then the epilogue; return how it ended."""
    module = types.ModuleType("__main__")
    module.__dict__["__builtins__"] = builtins
    sys.modules["__main__"] = module
    try:
        if order.quiet:
            with inside.quiet(), contextlib.redirect_stdout(io.StringIO()):
                for name, source in order.cells[: order.quiet]:
                    run_cell(name, source, module.__dict__)
            figures("close", "all")
        for name, source in order.cells[order.quiet :]:
            run_cell(name, source, module.__dict__)
        if order.epilogue:
            run_cell(EPILOGUE, order.epilogue, module.__dict__)
        figures("show")
        return {"status": "finished", **device.allocator_figures()}
    except SystemExit as leaving:
        code = leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
        return {"status": "died", "exit_code": code, **describe(leaving, names)}
    except BaseException as error:
        with contextlib.suppress(Exception):  # figures drawn before the error are shown, as in a notebook
            figures("show")
        return {"status": "raised", **device.allocator_figures(), **describe(error, names)}


def figures(action: str, *arguments: str) -> None:
    """Show or close the figures that the code has drawn and not shown: call a function of pyplot, if it was used."""
    if "matplotlib.pyplot" in sys.modules:
        getattr(sys.modules["matplotlib.pyplot"], action)(*arguments)


def run_cell(name: str, source: str, namespace: dict[str, Any]) -> None:
    """Run one cell; like a notebook, print the value of its last line where that is an expression."""
    linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
    tree = ast.parse(source, name)
    last = None
    hidden = name == EPILOGUE or source.rstrip().endswith(";")  # a semicolon hides the last value, as in a notebook
    if tree.body and isinstance(tree.body[-1], ast.Expr) and not hidden:
        last = ast.Expression(tree.body.pop().value)
    exec(compile(tree, name, "exec", dont_inherit=True), namespace)
    if last is not None:
        value = eval(compile(last, name, "eval", dont_inherit=True), namespace)
        if value is not None:
            print(repr(value))


ANSI = re.compile(r"\x1b\[[0-9;]*m")


def text_of(error: BaseException) -> str:
    """Return the text of an exception, without colors."""
    try:
        return ANSI.sub("", str(error))
    except BaseException:
        return "(the exception has no text: its own __str__ fails)"


def shortened(text: str) -> str:
    """Return the beginning and the end of a text: what a GPU's error is about stands at its end."""
    return text if len(text) <= LONGEST_TEXT else f"{text[: LONGEST_TEXT // 2]}\n[...]\n{text[-LONGEST_TEXT // 2 :]}"


def own_frames(error: BaseException, names: set[str]) -> list[traceback.FrameSummary]:
    """Return the learner's own lines that an exception passed through."""
    return [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename in names]


def reasons(error: BaseException, names: set[str]) -> list[str]:
    """Return a line, with its place, for each exception from the learner's code that led to this one or is in it."""
    found: list[str] = []
    seen = {id(error)}
    waiting = [error]
    while waiting and len(found) < 5:
        at = waiting.pop(0)
        before = at.__cause__ or (None if at.__suppress_context__ else at.__context__)
        held = list(getattr(at, "exceptions", ())) if isinstance(at, BaseExceptionGroup) else []
        for word, other in [("Because of", before), *(("It holds", inner) for inner in held)]:
            if other is None or id(other) in seen:
                continue
            seen.add(id(other))
            waiting.append(other)
            own = own_frames(other, names)
            if own:  # an error that a library caught within itself does not concern the learner
                place = f"{own[-1].filename}, line {own[-1].lineno}"
                found.append(f"{word} {type(other).__name__}: {text_of(other)[:1000]} ({place})")
    return found


def describe(error: BaseException, names: set[str]) -> dict[str, Any]:
    """Return an exception as the learner should see it: its kind, its text, the learner's own lines."""
    frames = own_frames(error, names)
    if isinstance(error, SyntaxError) and error.filename in names:
        frames = [traceback.FrameSummary(error.filename, error.lineno or 1, "<module>", line=error.text or "")]
    return {
        "kinds": [kind.__name__ for kind in type(error).__mro__],
        "text": shortened(text_of(error)),
        "reasons": reasons(error, names),
        "frames": [[frame.filename, frame.lineno, frame.name, frame.line or ""] for frame in frames[-20:]],
    }
