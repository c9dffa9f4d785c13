"""Hash everything that a trained result depends on besides its own text: Python, locked versions, the package."""

from __future__ import annotations

import functools
import hashlib
import sys

from tools import ROOT


@functools.cache
def fingerprint(leave_out: tuple[str, ...] = ()) -> str:
    """Return a hash of the Python version, ``requirements.lock`` and every file of the package.

    Args:
        leave_out: Files and folders of the package, such as ``"notebook"``, that the result does not depend on.
    """
    package = ROOT / "course_utils"
    left_out = {package / name for name in leave_out}
    files = [ROOT / "requirements.lock", *sorted(path for path in package.rglob("*") if path.is_file())]
    digest = hashlib.sha256(repr(sys.version_info[:2]).encode())
    for path in files:
        if path.suffix != ".pyc" and left_out.isdisjoint([path, *path.parents]):
            digest.update(f"\0{path.relative_to(ROOT)}\0".encode() + path.read_bytes())
    return digest.hexdigest()[:16]
