"""What is alive in the child: arrays, lists of them, weights, optimizer slots, pipelines, and what Keras is doing.

It is taken while the code runs, often inside an op that has released the interpreter. So nothing here runs the code's
own functions, waits for TensorFlow, or keeps an object alive after it.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import sys
from collections.abc import Callable, Collection, Iterable, Iterator
from types import FrameType
from typing import Any

from course_utils.memory import MIB
from course_utils.sandbox import arrays, models, pipelines, training, variables
from course_utils.sandbox.slots import LARGEST
from course_utils.sandbox.variables import Variable

SMALLEST_MIB = 1.0
MOST_ENTRIES, MOST_SMALL = 14, 4
MARGIN = 64  # bytes that the record has around its parts
PAGE_MIB = os.sysconf("SC_PAGE_SIZE") / MIB
MOST_KNOWN_LISTS = 500
LONG_LIST = 8  # members: a longer list is the home of its arrays, a shorter one only repeats the names of some
MOST_FIGURES = 3
MOST_TAPES = 3
MOST_TRACES = 5
TABLES = {"DataFrame", "Series"}
Entry = dict[str, Any]


class Ledger:
    """Takes one ledger after the other of a run. ``names`` are the files whose code is the learner's own."""

    def __init__(self, names: Collection[str]) -> None:
        self.names = names
        self.started_mib = private_mib()
        self._weights, self._layers, self._stages = models.Weights(), training.Layers(), pipelines.Stages()
        self._lengths: dict[tuple[int, str], int] = {}
        self._called: dict[str, Any] = {}

    def take(self, frames: list[FrameType]) -> dict[str, Any]:
        """Return ``entries``, the largest first, and ``facts``, at most `slots.LARGEST` bytes as JSON.

        ``frames`` are where the threads are, the main one first. Memory is in MiB.
        """
        entries, facts = self._look(frames)
        # The learner's objects are let go by now. What follows may wait.
        facts["resident_mib"] = max(0.0, private_mib() - self.started_mib)
        for more in (tensorflow_facts, processes):
            with contextlib.suppress(Exception):
                facts |= more()
        while entries and len(json.dumps([entries, facts])) > LARGEST - MARGIN:
            entries.pop()
        return {"entries": entries, "facts": facts}

    def _look(self, frames: list[FrameType]) -> tuple[list[Entry], dict[str, Any]]:
        """The part that holds objects of the learner while it works."""
        seen = variables.all_of(frames, self.names)
        entries: list[Entry] = []
        with contextlib.suppress(Exception):
            entries += self._weights.entries()
        claimed = set(self._weights.owners)
        lengths = dict(self._lengths)  # also of lists that are out of sight now
        held = [one for one in seen if type(one.value) in arrays.CONTAINERS]
        loose = [one for one in seen if type(one.value) not in arrays.CONTAINERS]
        here = next((at.f_code.co_name for at in variables.chain(frames[0]) if at.f_code.co_filename in self.names), "")
        entries += _each(held, lambda one: self._list(one, claimed, lengths) if len(one.value) > LONG_LIST else ())
        entries += _each(loose, lambda one: _array(one, claimed, here.replace("<module>", "")))
        entries += _each(held, lambda one: self._list(one, claimed, lengths))
        entries += _each(loose, lambda one: self._other(one, claimed))
        self._lengths = lengths
        own = [(one.name, one.value) for one in seen if not one.library]
        with contextlib.suppress(Exception):
            next(entry for entry in entries if entry["kind"] == "weights")["holders"] = models.holders(own)
        facts: dict[str, Any] = {"training": {}}
        with contextlib.suppress(Exception):
            facts["training"], model = training.facts(frames[0], {id(value): name for name, value in reversed(own)})
            if facts["training"].get("function") == "call" and not facts["training"]["inner"]:
                tapes = [one for one in seen if type(one.value).__name__ == "GradientTape" and one.value._recording]
                facts["training"]["tapes"] = [tape.name for tape in tapes[:MOST_TAPES]]
                self._called = facts["training"]
            elif not facts["training"]:  # such as the gradients of that call
                facts["training"] = self._called
            if model is None or not models.is_noted(model):
                model = next(iter(reversed(models.alive(models.models))), None)
            if model is not None and facts["training"].get("batch_size"):
                facts["layers"] = self._layers.facts(model, facts["training"]["batch_size"])
        with contextlib.suppress(Exception):
            entries += _figures()
        return _look_inside(entries), facts

    def _other(self, variable: Variable, claimed: set[int]) -> Iterable[Entry]:
        name = type(variable.value).__name__
        if name in TABLES:
            return _table(variable, claimed)
        if name.endswith("Dataset") or name == "TFEpochIterator":
            return self._pipeline(variable, claimed)
        return _function(variable, claimed) if name == "Function" else ()

    def _pipeline(self, variable: Variable, claimed: set[int]) -> list[Entry]:
        value = variable.value
        if type(value).__name__ == "TFEpochIterator":  # whose pipeline Keras has made
            value = vars(value).get("_distributed_dataset")
        return [_entry(variable, "pipeline", **found) for found in self._stages.entries(value, claimed)]

    def _list(self, variable: Variable, claimed: set[int], lengths: dict[tuple[int, str], int]) -> list[Entry]:
        key = (id(variable.value), variable.name)
        if id(variable.value) in claimed or (variable.library and not arrays.holds_arrays(variable.value)):
            return []
        load = arrays.load_of(variable.value, claimed)
        if not load.pieces or load.size < SMALLEST_MIB * MIB:
            return []
        claimed |= load.owners | {id(variable.value)}
        first = min(self._lengths.get(key, load.count), load.count)
        if len(lengths) < MOST_KNOWN_LISTS:
            lengths[key] = first
        what = arrays.list_text(type(variable.value).__name__, load)
        known = {"count": load.count, "grows": load.count > first, **_typed(load.largest)}
        return [_entry(variable, "list", what, load.size / MIB, **known)]


def _each(seen: list[Variable], weigh: Callable[[Variable], Iterable[Entry]]) -> list[Entry]:
    found: list[Entry] = []
    for variable in seen:
        try:
            found += weigh(variable)
        except Exception:  # half built, or changed meanwhile: it costs its entry
            continue
    return found


def _entry(variable: Variable, kind: str, what: str, mib: float, **details: Any) -> Entry:
    place = {"kind": kind, "name": variable.name, "scope": variable.scope, "library": variable.library}
    return {**place, "what": what, "mib": mib, **details}


def _typed(piece: arrays.Piece) -> Entry:
    return {"dtype": piece.dtype, "shape": list(piece.shape)}


def _array(variable: Variable, claimed: set[int], here: str) -> Iterator[Entry]:
    """An array; a small one only where it is an operand: in the function ``here`` that is running."""
    piece = arrays.piece_of(variable.value)
    if piece is None or piece.owner in claimed:
        return
    if piece.size < SMALLEST_MIB * MIB:
        if not variable.library and variable.scope == here and piece.shape and piece.size >= arrays.NOTABLE:
            yield _entry(variable, "operand", piece.text, piece.size / MIB, **_typed(piece))
        return
    claimed.add(piece.owner)
    kind = "array" if type(piece.whole).__module__.partition(".")[0] == "numpy" else "tensor"
    known = {**_typed(piece), "whole": piece.whole} if piece.shape else {}
    yield _entry(variable, kind if piece.shape else "object", piece.text, piece.size / MIB, **known)


def _table(variable: Variable, claimed: set[int]) -> Iterator[Entry]:
    found = arrays.table_size(variable.value)
    if found and id(variable.value) not in claimed:
        claimed.add(id(variable.value))
        yield _entry(variable, "dataframe", found[1], found[0] / MIB)


def _function(variable: Variable, claimed: set[int]) -> Iterator[Entry]:
    if not type(variable.value).__module__.endswith("polymorphic_function"):
        return
    traces = variable.value.experimental_get_tracing_count()
    if traces > MOST_TRACES and id(variable.value) not in claimed:
        claimed.add(id(variable.value))
        yield _entry(variable, "functions", f"tf.function traced {traces:,} times", 0.0, traces=traces)


def _figures() -> Iterator[Entry]:
    pyplot = sys.modules.get("matplotlib._pylab_helpers")
    managers = list(pyplot.Gcf.figs.values()) if pyplot else []
    if len(managers) > MOST_FIGURES:
        size = sum(math.prod(manager.canvas.figure.bbox.size) * 4 for manager in managers)
        known = Variable("pyplot", "", True, None)
        yield _entry(known, "figures", f"{len(managers)} open figures", size / MIB, count=len(managers))


def _look_inside(entries: list[Entry]) -> list[Entry]:
    """Return the largest entries, the largest first, with a look into the arrays among them."""
    entries.sort(key=lambda entry: -entry["mib"])
    large = [entry for entry in entries if entry["mib"] >= SMALLEST_MIB]
    small = [entry for entry in entries if entry["mib"] < SMALLEST_MIB and _counts_without_size(entry)][:MOST_SMALL]
    found = [*large[: MOST_ENTRIES - len(small)], *small]
    for entry in found:
        whole = entry.pop("whole", None)
        if entry["kind"] == "array":
            with contextlib.suppress(Exception):
                entry |= arrays.contents(whole)
    return found


def _counts_without_size(entry: Entry) -> bool:
    """Whether an entry says something though its size is small or not known."""
    unknown = entry["kind"] == "pipeline" and entry["op"] in ("cache", "shuffle", "prefetch") and entry["mib"] == 0
    return unknown or entry["kind"] in ("operand", "functions", "figures")


def tensorflow_facts() -> dict[str, float]:
    """Return the bytes that TensorFlow counts itself; {} before it has begun, since asking would begin it."""
    context = getattr(sys.modules.get("tensorflow.python.eager.context"), "_context", None)
    if context is None or not context._initialized:
        return {}
    return {"tensorflow_mib": context.get_memory_info("CPU:0")["current"] / MIB}


def processes() -> dict[str, int]:
    """Return how many processes the code has started by `multiprocessing`."""
    started = sys.modules.get("multiprocessing.process")
    return {"processes": len(started._children) if started else 0}


def private_mib() -> float:
    """Return about how much memory this process has that no file stands behind."""
    with open("/proc/self/statm") as file:
        _, resident, shared, *_ = map(int, file.read().split())
    return (resident - shared) * PAGE_MIB
