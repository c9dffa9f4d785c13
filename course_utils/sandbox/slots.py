"""How the ledger lies in a run's state file: behind the stack, in two places that take turns.

A kill in the middle of writing spoils one, and the older one is still whole.
"""

from __future__ import annotations

import json
import struct
import zlib
from typing import Any

START = 8192
SIZE = 24 * 1024
HEADER = struct.Struct("<QII")  # turn, length, checksum
LARGEST = SIZE - HEADER.size


def pack(turn: int, record: dict[str, Any]) -> tuple[int, bytes]:
    """Return where in the file a record belongs, and its bytes. Raises ValueError where it is too large."""
    body = json.dumps(record).encode()
    if len(body) > LARGEST:
        raise ValueError(f"A ledger of {len(body):,} bytes does not fit.")
    return START + turn % 2 * SIZE, HEADER.pack(turn, len(body), _checksum(turn, body)) + body


def newest(state: bytes) -> Any:
    """Return the newest record in a state file that is whole, None where there is none."""
    found: list[tuple[int, bytes]] = []
    for start in (START, START + SIZE):
        slot = state[start : start + SIZE]
        if len(slot) > HEADER.size:
            turn, length, checksum = HEADER.unpack_from(slot)
            body = slot[HEADER.size : HEADER.size + length]
            if _checksum(turn, body) == checksum:
                found.append((turn, body))
    for _, body in sorted(found, reverse=True):
        try:
            return json.loads(body)
        except (ValueError, RecursionError):
            continue
    return None


def _checksum(turn: int, body: bytes) -> int:
    """Of the turn too: the first bytes of a new one before an old body would make that look new."""
    return zlib.crc32(body, turn & 0xFFFFFFFF)
