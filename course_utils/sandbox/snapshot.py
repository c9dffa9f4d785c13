"""Write down, many times a second, the learner's line and the largest of the learner's objects.

The owner reads it when the run is over. A run that is killed inside one long C call leaves the picture from before it.
Close to the cap the owner asks for the line with SIGUSR2, which Python answers between two instructions. A thread that
looked all the time would get in the way of the code's own threads, and move the peak.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import sys
import threading
import time
from types import FrameType
from typing import Any

from course_utils.memory import MIB

INTERVAL = 0.05
FIRST_INTERVAL = 0.005  # a run that dies at once leaves a picture too
PADDED = 8192  # so that a short picture covers a long one
OUTERMOST, INNERMOST = 20, 30  # frames of a stack that are written down
PACKAGES = re.compile(r".*/(?:site-packages|dist-packages|python3\.\d+)/")
LARGEST = 5
SMALLEST_MIB = 1.0
MOST_MEMBERS = 400
MOST_PARTS = 8


def start(descriptor: int, names: set[str]) -> None:
    """Start the thread, from the main thread. ``names`` are the cells whose frames belong to the learner."""
    main_thread = threading.get_ident()
    picture: dict[str, Any] = {"turn": 0}

    def write_down(weighing: bool) -> None:
        with contextlib.suppress(Exception):  # a full disk, or an odd object, costs the picture and not the run
            picture.update(take(main_thread, names, weighing))
            picture["turn"] += 1  # it comes first, and tells the owner that this is a new picture
            os.pwrite(descriptor, json.dumps(picture).encode().ljust(PADDED), 0)

    def keep_writing() -> None:
        started = time.monotonic()
        while True:
            time.sleep(INTERVAL if time.monotonic() - started > INTERVAL else FIRST_INTERVAL)
            write_down(weighing=True)

    signal.signal(signal.SIGUSR2, lambda number, frame: write_down(weighing=False))
    signal.siginterrupt(signal.SIGUSR2, False)  # a system call of a library goes on, as after SIGUSR1
    threading.Thread(target=keep_writing, daemon=True, name="snapshot").start()


def take(thread: int, names: set[str], weighing: bool = True) -> dict[str, Any]:
    """Return the stack and the learner's line, and if ``weighing`` the largest objects in any thread's sight."""
    frames = sys._current_frames()
    where = None
    found: dict[int, dict[str, Any]] = {}
    stack = stack_of(frames.get(thread), names)
    # The other threads are workers, or a generator that TensorFlow calls.
    for frame in (frames.pop(thread, None), *frames.values()):
        while frame is not None:
            if frame.f_code.co_filename in names:
                where = where or [frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_name]
                if not weighing:
                    return {"where": where, "stack": stack}
                weigh(frame.f_locals, found)
            frame = frame.f_back
    if not weighing:
        return {"stack": stack}
    weigh(vars(sys.modules["__main__"]), found)
    live = sorted(found.values(), key=lambda item: -item["mib"])[:LARGEST]
    return {"where": where, "stack": stack, "live": [item for item in live if item["mib"] >= SMALLEST_MIB]}


def stack_of(frame: FrameType | None, names: set[str]) -> list[list[Any]]:
    """Return ``[file, line, function]`` of a frame and of those that called it, the innermost first."""
    found = []
    while frame is not None:
        code = frame.f_code
        if code.co_filename in names or "/sandbox/" not in code.co_filename:  # not this package's own
            found.append([PACKAGES.sub("", code.co_filename)[-80:], frame.f_lineno or 1, code.co_name[:40]])
        frame = frame.f_back
    return found if len(found) <= OUTERMOST + INNERMOST else found[:INNERMOST] + found[-OUTERMOST:]


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
    """Return a description and the bytes of an array, a tensor, or a list of arrays or of tuples with arrays.

    Up to `MOST_MEMBERS` members of a list are weighed, each object once. In a longer list these are spread over its
    whole length, and the rest is taken to weigh as much. A list that is being changed is only ever seen in part.
    """
    if type(value) not in (list, tuple):
        size = bytes_of(value)
        return None if size is None else (description(value), size)
    members = value[:: max(1, -(-len(value) // MOST_MEMBERS))]
    heaviest = []  # of each member its largest array, which is mostly the member itself
    sizes: dict[int, int] = {}  # of every array, by its id
    for member in members:
        new = []
        for part in member[:MOST_PARTS] if type(member) in (list, tuple) else (member,):
            if id(part) not in sizes and (size := bytes_of(part)):
                sizes[id(part)] = size
                new.append(part)
        if new:
            heaviest.append(max(new, key=lambda part: sizes[id(part)]))
    if not heaviest:
        return None
    name = description(max(heaviest, key=lambda part: sizes[id(part)]))
    kind, count = type(value).__name__, len(value)
    if len({(part.dtype, len(part.shape)) for part in heaviest}) > 1:  # such as a batch, or a model's weights
        what = f"{kind} with {name}"
    elif len({tuple(part.shape) for part in heaviest}) > 1:
        what = f"{kind} of {count:,} arrays, the largest a {name}"
    else:
        what = f"{kind} of {count:,} x {name}"
    return what, sum(sizes.values()) * count // len(members)


def bytes_of(value: Any) -> int | None:
    """Return the size of an array or a tensor; None for anything else, and where its shape is not known."""
    module = type(value).__module__.partition(".")[0]
    if module == "numpy" and type(value).__name__ != "memmap":  # whose pages belong to a file, which does not count
        return getattr(value, "nbytes", None) if getattr(value, "shape", ()) else None
    if module != "tensorflow":
        return None
    try:
        return value.shape.num_elements() * value.dtype.size if value.shape.rank else None
    except Exception:  # not a tensor, or a symbolic one
        return None


def description(value: Any) -> str:
    """Describe an array or a tensor in a few words."""
    return f"{getattr(value.dtype, 'name', value.dtype)} array {tuple(int(length) for length in value.shape)}"
