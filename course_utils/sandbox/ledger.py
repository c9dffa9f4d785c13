"""What is alive in the child: arrays, lists of them, weights, optimizer slots, pipelines, and what Keras is doing.

It is taken while the code runs, often inside an op that has released the interpreter. So nothing here runs the code's
own functions, waits for TensorFlow, or keeps an object alive after it.
"""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

from course_utils.memory import MIB
from course_utils.sandbox import arrays, models, pipelines, training, variables
from course_utils.sandbox.slots import LARGEST
from course_utils.sandbox.variables import Variable

SMALLEST_MIB = 1.0
MOST_ENTRIES = 14
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
        self.started_mib = resident_mib()
        self._weights, self._layers, self._stages = models.Weights(), training.Layers(), pipelines.Stages()
        self._lengths: dict[tuple[int, str], int] = {}
        self._called: dict[str, Any] = {}

    def take(self, frames: list[FrameType]) -> dict[str, Any]:
        """Return ``entries``, the largest first, and ``facts``, at most `slots.LARGEST` bytes as JSON.

        ``frames`` are where the threads are, the main one first. Memory is in MiB.
        """
        entries, facts = self._look(frames)
        # The learner's objects are let go by now. What follows may wait.
        with contextlib.suppress(Exception):
            facts["resident_mib"] = max(0.0, resident_mib() - self.started_mib)
        with contextlib.suppress(Exception):
            facts |= tensorflow_facts()
        with contextlib.suppress(Exception):
            if "multiprocessing.process" in sys.modules:
                facts["processes"] = len(sys.modules["multiprocessing.process"]._children)
        return fitting(entries, facts)

    def _look(self, frames: list[FrameType]) -> tuple[list[Entry], dict[str, Any]]:
        """The part that holds objects of the learner while it works."""
        seen = variables.all_of(frames, self.names)
        entries: list[Entry] = []
        facts: dict[str, Any] = {}
        with contextlib.suppress(Exception):
            entries += self._weights.entries()
        claimed = set(self._weights.owners)
        lengths = dict(self._lengths)  # also of lists that are out of sight now
        held = [one for one in seen if type(one.value) in arrays.CONTAINERS]
        loose = [one for one in seen if type(one.value) not in arrays.CONTAINERS]
        entries += _each(held, lambda one: self._list(one, claimed, lengths) if len(one.value) > LONG_LIST else ())
        entries += _each(loose, lambda one: _array(one, claimed))
        entries += _each(held, lambda one: self._list(one, claimed, lengths))
        self._lengths = lengths
        entries += _each(loose, lambda one: self._other(one, claimed))
        own = [(one.name, one.value) for one in seen if not one.library]
        with contextlib.suppress(Exception):
            if (weights := next((entry for entry in entries if entry["kind"] == "weights"), None)) is not None:
                weights["holders"] = models.holders(own)
        with contextlib.suppress(Exception):
            names = {id(value): name for name, value in reversed(own)}
            facts["training"], model = training.facts(frames[0], names)
            if facts["training"].get("function") == "call" and not facts["training"]["inner"]:
                self._called = facts["training"]
            elif not facts["training"]:  # such as the gradients of that call
                facts["training"] = self._called
            if model is None or not models.is_noted(model):
                model = next(iter(reversed(models.alive(models.models))), None)
            batch = facts["training"].get("batch_size")
            if model is not None and batch:
                facts["layers"] = self._layers.facts(model, batch)
        with contextlib.suppress(Exception):
            tapes = [one.name for one in seen if type(one.value).__name__ == "GradientTape" and one.value._recording]
            if facts["training"].get("function") == "call" and tapes:
                facts["training"]["tapes"] = tapes[:MOST_TAPES]
        with contextlib.suppress(Exception):
            entries += _figures()
        _look_inside(entries)
        return entries, facts

    def _other(self, variable: Variable, claimed: set[int]) -> Iterable[Entry]:
        name = type(variable.value).__name__
        if name in TABLES:
            return _table(variable, claimed)
        if name.endswith("Dataset") or name == "TFEpochIterator":
            return self._pipeline(variable, claimed)
        return _function(variable, claimed) if name == "Function" else ()

    def _pipeline(self, variable: Variable, claimed: set[int]) -> Iterator[Entry]:
        value = variable.value
        if type(value).__name__ == "TFEpochIterator":  # whose pipeline Keras has made
            value = vars(value).get("_distributed_dataset")
        place = {"kind": "pipeline", "name": variable.name, "scope": variable.scope, "library": variable.library}
        for found in self._stages.entries(value, claimed):
            yield {**place, **found}

    def _list(self, variable: Variable, claimed: set[int], lengths: dict[tuple[int, str], int]) -> list[Entry]:
        key = (id(variable.value), variable.name)
        if variable.library and not arrays.holds_arrays(variable.value):
            return []
        if id(variable.value) in claimed:
            return []
        load = arrays.load_of(variable.value, claimed)
        if not load.pieces or load.size < SMALLEST_MIB * MIB:
            return []
        claimed |= load.owners | {id(variable.value)}
        first = min(self._lengths.get(key, load.count), load.count)
        if len(lengths) < MOST_KNOWN_LISTS:
            lengths[key] = first
        typical = max(load.pieces, key=lambda piece: piece.size)
        return [
            _entry(
                variable,
                "list",
                arrays.list_text(type(variable.value).__name__, load),
                load.size,
                count=load.count,
                dtype=typical.dtype,
                shape=list(typical.shape),
                grows=load.count > first,
            )
        ]


def _each(seen: list[Variable], weigh: Callable[[Variable], Iterable[Entry]]) -> list[Entry]:
    found: list[Entry] = []
    for variable in seen:
        try:
            found += weigh(variable)
        except Exception:  # half built, or changed meanwhile: it costs its entry
            continue
    return found


def _entry(variable: Variable, kind: str, what: str, size: float, **details: Any) -> Entry:
    place = {"kind": kind, "name": variable.name, "scope": variable.scope, "library": variable.library}
    return {**place, "what": what, "mib": size / MIB, **details}


def _array(variable: Variable, claimed: set[int]) -> Iterator[Entry]:
    piece = arrays.piece_of(variable.value)
    if piece is None or piece.size < SMALLEST_MIB * MIB or piece.owner in claimed:
        return
    claimed.add(piece.owner)
    if not piece.shape:
        yield _entry(variable, "object", piece.text, piece.size)
        return
    kind = "array" if type(piece.whole).__module__.partition(".")[0] == "numpy" else "tensor"
    details = {"dtype": piece.dtype, "shape": list(piece.shape)}
    yield _entry(variable, kind, piece.text, piece.size, **details, whole=piece.whole)


def _table(variable: Variable, claimed: set[int]) -> Iterator[Entry]:
    found = arrays.table_size(variable.value) if "pandas" in sys.modules else None
    if found and id(variable.value) not in claimed:
        claimed.add(id(variable.value))
        size, what, rows, columns = found
        yield _entry(variable, "dataframe", what, size, rows=rows, columns=columns)


def _function(variable: Variable, claimed: set[int]) -> Iterator[Entry]:
    kind = type(variable.value)
    if not kind.__module__.endswith("polymorphic_function"):
        return
    traces = variable.value.experimental_get_tracing_count()
    if traces > MOST_TRACES and id(variable.value) not in claimed:
        claimed.add(id(variable.value))
        yield _entry(variable, "functions", f"tf.function traced {traces:,} times", 0, traces=traces)


def _figures() -> Iterator[Entry]:
    if "matplotlib._pylab_helpers" not in sys.modules:
        return
    managers = list(sys.modules["matplotlib._pylab_helpers"].Gcf.figs.values())
    if len(managers) > MOST_FIGURES:
        size = 0.0
        for manager in managers:
            width, height = manager.canvas.figure.bbox.size
            size += width * height * 4
        place = {"kind": "figures", "name": "pyplot", "scope": "", "library": True}
        yield {**place, "what": f"{len(managers)} open figures", "mib": size / MIB, "count": len(managers)}


def _look_inside(entries: list[Entry]) -> None:
    """Sort the entries, keep the largest, and look into the arrays among them."""
    entries.sort(key=lambda entry: -entry["mib"])
    kept = [entry for entry in entries if entry["mib"] >= SMALLEST_MIB][:MOST_ENTRIES]
    kept += [entry for entry in entries if _counts_without_size(entry)][: MOST_ENTRIES - len(kept)]
    for entry in kept:
        whole = entry.pop("whole", None)
        if entry["kind"] == "array":
            with contextlib.suppress(Exception):
                entry |= arrays.contents(whole)
    entries[:] = kept


def _counts_without_size(entry: Entry) -> bool:
    """Whether an entry says something though its size is small or not known."""
    unknown = entry["kind"] == "pipeline" and entry["op"] in ("cache", "shuffle", "prefetch") and entry["mib"] == 0
    return entry["mib"] < SMALLEST_MIB and (unknown or entry["kind"] in ("functions", "figures"))


def fitting(entries: list[Entry], facts: dict[str, Any]) -> dict[str, Any]:
    """Round what is to be rounded, and leave out the smallest entries where all are too long to be written."""
    record = {"entries": [rounded(entry) for entry in entries], "facts": rounded(facts)}
    while record["entries"] and len(json.dumps(record)) > LARGEST:
        record["entries"].pop()
    return record


def rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 4)
    if isinstance(value, str):
        return value[:200]
    if isinstance(value, dict):
        return {key: rounded(part) for key, part in value.items()}
    return [rounded(part) for part in value] if isinstance(value, list | tuple) else value


def resident_mib() -> float:
    """Return this process's own anonymous and shared memory."""
    found = 0
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(("RssAnon:", "RssShmem:")):
            found += int(line.split()[1])
    return found / 1024


def tensorflow_facts() -> dict[str, float]:
    """Return the bytes that TensorFlow counts itself; {} before it has begun, since asking would begin it."""
    context = getattr(sys.modules.get("tensorflow.python.eager.context"), "_context", None)
    if context is None or not context._initialized:
        return {}
    return {"tensorflow_mib": context.get_memory_info("CPU:0")["current"] / MIB}
