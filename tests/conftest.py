"""What the tests of every room share."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def require_program(name: str) -> str:
    """Return where a program is; without it the test is skipped, or fails where CI is set."""
    found = shutil.which(name)
    if found is None:
        sentence = f"The program {name} is not installed, so this cannot be tested here."
        if os.environ.get("CI"):
            pytest.fail(sentence)
        pytest.skip(sentence)
    return found


@pytest.fixture(scope="session")
def program() -> Callable[[str], str]:
    """``program("bwrap")`` returns its path, or skips the test (fails it where CI is set)."""
    return require_program


@pytest.fixture(scope="session")
def root() -> Path:
    """The folder of the repository."""
    return ROOT
