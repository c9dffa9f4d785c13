"""Read the variables of code that is running, without leaving a trace in it."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Collection, Iterator, Sequence
from types import FrameType, GeneratorType
from typing import Any, NamedTuple

MOST_VARIABLES = 2000  # of one function
DEEPEST = 150
# A function that calls these may hold, or walk through, the very dictionary that reading its variables changes.
READS_LOCALS = frozenset({"locals", "vars", "dir", "eval", "exec"})
# Before Python 3.13 a frame keeps the dictionary that it made, and with it every object that it names.
KEEPS_DICTIONARY = sys.version_info < (3, 13)
REFERENCES = 3  # to that dictionary: the frame's, that of the function below, and that of the call which counts them
OWN_PACKAGE = "/course_utils/sandbox/"


class Variable(NamedTuple):
    """A name and what it stands for. ``scope`` is its function's name, "" at the top level."""

    name: str
    scope: str
    library: bool
    value: Any


def chain(frame: FrameType | None) -> Iterator[FrameType]:
    """Yield a frame and those that called it, the innermost first."""
    for _ in range(DEEPEST):
        if frame is None:
            return
        yield frame
        frame = frame.f_back


def all_of(frames: Sequence[FrameType], names: Collection[str]) -> list[Variable]:
    """Return the variables in sight of these frames and of their callers: the learner's own first.

    ``names`` are the files whose code is the learner's own. Some of its variables are attributes: ``data.images``.
    """
    own: list[Variable] = []
    foreign: list[Variable] = []
    seen: set[int] = set()
    for innermost in frames:
        for frame in chain(innermost):
            code = frame.f_code
            if id(frame) in seen or code.co_name == "<module>":  # whose variables are those of the module
                continue
            seen.add(id(frame))
            if code.co_filename in names:
                own += _variables(list(of(frame).items()), code.co_name, False)
            elif OWN_PACKAGE not in code.co_filename:
                held = of(frame)
                foreign += _variables(list(held.items()), code.co_name, True)
                own += _given(held, names)
    own += _variables(list(vars(sys.modules["__main__"]).items())[:MOST_VARIABLES], "", False)
    return own + foreign


def _given(held: dict[str, Any], names: Collection[str]) -> list[Variable]:
    """Return what the learner's callbacks, data set and generator hold, of which Keras often has the only name.

    ``held`` are the variables of a function such as `fit`.
    """
    found = []
    for callback in getattr(held.get("callbacks"), "callbacks", None) or ():
        found += _attributes(callback, type(callback).__name__, "")
    data = held.get("x")
    found += _attributes(data, "self", "__getitem__")  # as they would be found while it reads
    if type(data) is GeneratorType and data.gi_frame and data.gi_frame.f_code.co_filename in names:
        found += _variables(list(of(data.gi_frame).items()), data.gi_frame.f_code.co_name, False)
    return found


def _attributes(value: Any, name: str, scope: str) -> list[Variable]:
    """Return the attributes of an object of the learner's own class."""
    if type(value).__module__ != "__main__" or isinstance(value, type):
        return []
    try:
        attributes = list(vars(value).items())[:MOST_VARIABLES]
    except Exception:  # it has none, or the class does something of its own
        return []
    return [Variable(f"{name}.{key}", scope, False, part) for key, part in attributes]


def of(frame: FrameType) -> dict[str, Any]:
    """Return the variables of a function that is running, {} where reading them might disturb it.

    The frame keeps none of them alive. A debugger's trace function, or code that holds its own `locals()`, is left in
    peace.
    """
    if frame.f_trace is not None or not READS_LOCALS.isdisjoint(frame.f_code.co_names):
        return {}
    held = frame.f_locals
    found = dict(held)
    if KEEPS_DICTIONARY and frame.f_code.co_flags & inspect.CO_OPTIMIZED and sys.getrefcount(held) == REFERENCES:
        held.clear()
    return found


def _variables(items: list[tuple[str, Any]], scope: str, library: bool) -> list[Variable]:
    found = []
    for name, value in items:
        if name.startswith("__"):
            continue
        found.append(Variable(name, scope, library, value))
        if not library:
            found += _attributes(value, name, scope)
    return found
