"""Write down, a few times a second, which of the learner's objects are the largest.

Read after a death. A run that is killed inside one long C call leaves the picture from before that call.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import threading
import time
from types import FrameType
from typing import Any

INTERVAL = 0.05
FIRST_INTERVAL = 0.005  # a run that dies at once leaves a picture too
LARGEST = 5
SMALLEST_MIB = 1.0
MIB = 1024 * 1024


def start(descriptor: int, names: set[str]) -> None:
    """Start the thread. ``names`` are the cells whose frames belong to the learner."""
    main_thread = threading.get_ident()

    def keep_writing() -> None:
        last = b""
        started = time.monotonic()
        while True:
            time.sleep(INTERVAL if time.monotonic() - started > INTERVAL else FIRST_INTERVAL)
            text = json.dumps(take(main_thread, names)).encode()
            if text != last:
                with contextlib.suppress(OSError):  # a full disk costs the picture, not the run
                    os.pwrite(descriptor, text.ljust(max(len(text), len(last))), 0)
                    last = text

    threading.Thread(target=keep_writing, daemon=True, name="snapshot").start()


def take(thread: int, names: set[str]) -> dict[str, Any]:
    """Return the learner's current line in a thread, and the largest objects in sight of it."""
    frame: FrameType | None = sys._current_frames().get(thread)
    where = None
    found: dict[int, dict[str, Any]] = {}
    while frame is not None:
        if frame.f_code.co_filename in names:
            if where is None:
                where = [frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_name]
            weigh(frame.f_locals, found)
        frame = frame.f_back
    for other, frame in sys._current_frames().items():  # a worker thread, or a generator that TensorFlow calls
        while other != thread and frame is not None:
            if frame.f_code.co_filename in names:
                weigh(frame.f_locals, found)
            frame = frame.f_back
    weigh(vars(sys.modules["__main__"]), found)
    live = sorted(found.values(), key=lambda item: -item["mib"])[:LARGEST]
    return {"where": where, "live": [item for item in live if item["mib"] >= SMALLEST_MIB]}


def weigh(variables: dict[str, Any], found: dict[int, dict[str, Any]]) -> None:
    """Add the arrays, and lists of arrays, among ``variables`` to ``found``, once each."""
    try:
        items = list(variables.items())
    except RuntimeError:  # changed while it was being read
        return
    for name, value in items:
        if name.startswith("__") or id(value) in found:
            continue
        if (size := size_of(value)) is not None:
            found[id(value)] = {"name": name, "what": size[0], "mib": size[1] / MIB}
        elif type(value).__module__ == "__main__" and "." not in name:  # an object of the learner's own class
            weigh(parts(name, value), found)


def parts(name: str, value: Any) -> dict[str, Any]:
    """Return the attributes of an object of the learner's own class, by the name under which they are found."""
    try:
        return {f"{name}.{key}": part for key, part in list(vars(value).items())}
    except Exception:  # it has none, or the class does something of its own
        return {}


def size_of(value: Any) -> tuple[str, int] | None:
    """Return a description and the bytes of an array, a tensor, a list of arrays or of pairs with one, or a batch."""
    if type(value) in (list, tuple) and value:
        pairs = type(value[0]) in (list, tuple)
        members = value[0][:4] if pairs else value[:4]
        arrays = [size for member in members if type(member) not in (list, tuple) and (size := size_of(member))]
        if not arrays:
            return None
        largest = max(arrays, key=lambda size: size[1])
        if not pairs and len(value) == len(members) and len(set(arrays)) > 1:  # a batch: pictures and their labels
            return f"{type(value).__name__} with {largest[0]}", sum(size for _, size in arrays)
        return f"{type(value).__name__} of {len(value):,} x {largest[0]}", largest[1] * len(value)
    kind = type(value)
    if kind.__module__.split(".")[0] not in ("numpy", "tensorflow") or not hasattr(value, "shape"):
        return None
    if kind.__name__ == "memmap":
        return None  # its pages belong to a file, which does not count
    try:
        shape = tuple(int(length) for length in value.shape)
        item = value.dtype.itemsize if kind.__module__.startswith("numpy") else value.dtype.size
        name = getattr(value.dtype, "name", str(value.dtype))
    except Exception:  # a symbolic tensor, whose shape is not known
        return None
    count = 1
    for length in shape:
        count *= length
    return f"{name} array {shape}", count * item
