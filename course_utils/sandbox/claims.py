"""Names that only one process of this machine holds at a time: processors, user ids."""

from __future__ import annotations

import socket


def claim(name: str) -> socket.socket | None:
    """Hold ``name`` until the socket is closed or this process ends; None where somebody holds it already.

    An address of the kernel's own, not a file: nothing is left behind, and nobody can put a link in its place.
    """
    held = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        held.bind(f"\0course-utils/{name}")
    except OSError:
        held.close()
        return None
    return held
