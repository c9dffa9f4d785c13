"""The door for code in a sandbox: values, figures, and one question at a time go out through it.

Outside a sandbox `report` prints its values, so that a cell also runs as an ordinary one.
"""

from __future__ import annotations

import base64
import contextlib
import socket
import threading
from collections.abc import Iterator
from typing import Any

from course_utils.sandbox import framing

channel: socket.socket | None = None
"""The way to the owner, which the child sets; None outside a sandbox."""
FIGURE_PART = 45_000  # bytes, which base64 makes a third longer
_quiet = False
_sending = threading.Lock()


def send(message: dict[str, Any]) -> None:
    """Send one message to the owner. Raises ValueError where it is too large or not JSON."""
    if channel is None:
        raise RuntimeError("This code does not run in a sandbox, so there is no one to send a message to.")
    packed = framing.pack(message)
    if len(packed) > framing.LARGEST:
        raise ValueError(f"A message of {len(packed):,} bytes is too large to leave the sandbox.")
    with _sending:
        channel.sendall(packed)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Within, nothing is reported and no figure is shown: for the cells that run before the learner's own."""
    global _quiet
    _quiet = True
    try:
        yield
    finally:
        _quiet = False


def report(**values: Any) -> None:
    """Hand numbers or short texts to the notebook, where they show in the card and in comparisons.

    A name that begins with an underscore is kept for later cells and not shown. NumPy and TensorFlow scalars are taken
    as Python numbers.
    """
    plain = {name: value.item() if hasattr(value, "item") else value for name, value in values.items()}
    plain = {name: value.numpy().item() if hasattr(value, "numpy") else value for name, value in plain.items()}
    if channel is None:
        print(plain)
    elif not _quiet:
        send({"type": "report", "values": plain})


def exchange(question: dict[str, Any]) -> dict[str, Any]:
    """Send a question to the owner and wait for the answer. Raises EOFError if the owner is gone."""
    send({"type": "exchange", "question": question})
    assert channel is not None
    return framing.receive(channel)


def show_figure(png: bytes) -> None:
    """Show a picture where the sandbox was started from. It goes in parts, as long as a message may be."""
    for start in range(0, 0 if _quiet else len(png), FIGURE_PART):
        part, more = png[start : start + FIGURE_PART], start + FIGURE_PART < len(png)
        send({"type": "figure", "png": base64.b64encode(part).decode(), "more": more})
