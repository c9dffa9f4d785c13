"""What code in a sandbox may say to the outside: values, figures, and one question at a time.

Outside a sandbox `report` prints its values, so that a cell also runs as an ordinary one.
"""

from __future__ import annotations

import base64
import contextlib
import json
import socket
import struct
import threading
from collections.abc import Iterator
from typing import Any

HEADER = struct.Struct("!I")
LARGEST_MESSAGE = 4 * 1024 * 1024

_channel: socket.socket | None = None
_quiet = False
_sending = threading.Lock()


def connect(channel: socket.socket) -> None:
    """Use ``channel`` for everything that this process says from now on."""
    global _channel
    _channel = channel


def send(message: dict[str, Any]) -> None:
    """Send one message to the owner; raises ValueError where it is too large or not JSON."""
    if _channel is None:
        raise RuntimeError("This code does not run in a sandbox, so there is no one to send a message to.")
    try:
        body = json.dumps(message).encode()
    except TypeError as error:
        raise ValueError(f"Only numbers, texts, lists and dictionaries can leave a sandbox: {error}.") from None
    if len(body) > LARGEST_MESSAGE:
        raise ValueError(f"A message of {len(body)} bytes is too large to leave the sandbox.")
    with _sending:
        _channel.sendall(HEADER.pack(len(body)) + body)


def receive() -> dict[str, Any]:
    """Wait for one message from the owner; raises EOFError if the owner is gone."""
    assert _channel is not None
    header = _receive_exactly(HEADER.size)
    return json.loads(_receive_exactly(HEADER.unpack(header)[0]))


def _receive_exactly(count: int) -> bytes:
    parts = []
    while count:
        part = _channel.recv(min(count, 1 << 20))
        if not part:
            raise EOFError("the owner of the sandbox is gone")
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Within, nothing is reported and no figure is shown: the cells that run before the learner's own."""
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
    if _channel is None:
        print(plain)
    elif not _quiet:
        send({"type": "report", "values": plain})


def exchange(question: dict[str, Any]) -> dict[str, Any]:
    """Send a question to the owner and wait for the answer."""
    send({"type": "exchange", "question": question})
    return receive()


def show_figure(png: bytes) -> None:
    """Show a picture where the sandbox was started from."""
    if not _quiet:
        send({"type": "figure", "png": base64.b64encode(png).decode()})
