"""The seed of the hidden images: public in a notebook, an instructor's secret in a class."""

from __future__ import annotations

import hashlib
import os
import secrets
import shlex
import stat
from pathlib import Path

PUBLIC_SEED = 0
FILE_NAME = "secret-seed.txt"


class CannotGrade(Exception):
    """The grader itself is stopped, whatever the submission; the text is a sentence for the instructor."""


def seed_from(text: str) -> int:
    """The seed that an instructor's secret text stands for."""
    return int.from_bytes(hashlib.sha256(text.strip().encode()).digest()[:7], "big")


def read_seed(path: Path) -> int:
    """The seed that a file holds.

    Raises:
        CannotGrade: the file cannot be read, is empty, or can be read by others, and so by graded answers.
    """
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            mode = os.fstat(file.fileno()).st_mode
            text = file.read()
    except OSError as error:
        raise CannotGrade(f"Cannot read {path}: {error.strerror}.") from None
    if not text.strip():
        raise CannotGrade(f"{path} is empty: write a secret text into it.")
    if stat.S_ISREG(mode) and mode & 0o077:
        command = f"chmod 600 {shlex.quote(str(path))}"
        raise CannotGrade(f"Other users may open {path}, so a graded answer could read the secret: run `{command}`.")
    return seed_from(text)


def kept_seed(out: Path) -> tuple[int, bool]:
    """The seed of the secret that is kept with the grades in ``out``, and whether it was made just now.

    Raises:
        CannotGrade: as in :func:`read_seed`; also, the file cannot be written.
    """
    path = out / FILE_NAME
    try:
        out.mkdir(parents=True, exist_ok=True)
        if path.is_file() and not path.stat().st_size:  # an earlier call was killed, or met a full disk
            path.unlink()
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_hex(32) + "\n")
    except FileExistsError:
        return read_seed(path), False
    except OSError as error:
        raise CannotGrade(f"Cannot keep grades in {out} ({error.strerror}): choose another --out folder.") from None
    return read_seed(path), True
