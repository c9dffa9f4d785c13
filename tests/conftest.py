"""What the tests of every room share."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest

ROOT = Path(__file__).resolve().parent.parent


def cannot_be_tested(sentence: str) -> NoReturn:
    """Skip the test and say why; where CI is set, which must hold all that the tests need, fail it."""
    (pytest.fail if os.environ.get("CI") else pytest.skip)(sentence)


def require_program(name: str) -> str:
    """Return where a program is; without it the test cannot be done."""
    found = shutil.which(name)
    if found is None:
        cannot_be_tested(f"The program {name} is not installed, so this cannot be tested here.")
    return found


@pytest.fixture(scope="session")
def program() -> Callable[[str], str]:
    """``program("bwrap")`` returns its path, or skips the test (fails it where CI is set)."""
    return require_program


@pytest.fixture(scope="session")
def root() -> Path:
    """The folder of the repository."""
    return ROOT
