"""How messages travel between a run and its owner: four bytes that say the length, then JSON of that length."""

from __future__ import annotations

import json
import socket
import struct
from typing import Any

HEADER = struct.Struct("!I")
LARGEST = 64 * 1024


def pack(message: Any) -> bytes:
    """Return a message as it travels. Raises ValueError where it is not JSON."""
    try:
        body = json.dumps(message).encode()
    except TypeError as error:
        raise ValueError(f"Only numbers, texts, lists and dictionaries can leave a sandbox: {error}.") from None
    return HEADER.pack(len(body)) + body


def receive(channel: socket.socket, header: bytes = b"") -> Any:
    """Wait for one message of a trusted sender, whose header may have been read before.

    Raises EOFError if the sender is gone.
    """
    header = header or _exactly(channel, HEADER.size)
    return json.loads(_exactly(channel, HEADER.unpack(header)[0]))


def _exactly(channel: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        if not (part := channel.recv(count - len(data))):
            raise EOFError("the other side of the sandbox is gone")
        data += part
    return data


class Reader:
    """Takes the messages of a sender that is not trusted from the bytes as they arrive, and never waits."""

    def __init__(self) -> None:
        self.broken = False
        """A message was announced that is larger than any may be: nothing is read from then on."""
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[dict[str, Any]]:
        """Take some bytes; return the messages that they complete. What is not a JSON object is left out."""
        self._buffer += data
        messages, at = [], 0
        while not self.broken and len(self._buffer) - at >= HEADER.size:
            length = HEADER.unpack_from(self._buffer, at)[0]
            self.broken = length > LARGEST
            start, end = at + HEADER.size, at + HEADER.size + length
            if self.broken or len(self._buffer) < end:
                break
            at = end
            try:
                message = json.loads(self._buffer[start:end])
            except (ValueError, RecursionError):
                continue
            if isinstance(message, dict):
                messages.append(message)
        del self._buffer[:at]
        if self.broken:
            self._buffer.clear()
        return messages
