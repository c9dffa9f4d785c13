"""What the tests of every room share."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, NoReturn

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


@contextlib.contextmanager
def two_at_a_time(
    request: pytest.FixtureRequest, parameter: str, work: Callable[[Any], Any]
) -> Iterator[dict[Any, Future]]:
    """Begin ``work(value)`` for each value of a parameter that this module's chosen tests have.

    Training leaves a core idle half of its time. For tests whose outcome does not depend on the clock.
    """
    items = [item for item in request.session.items if item.path == request.path and hasattr(item, "callspec")]
    values = [item.callspec.params[parameter] for item in items if parameter in item.callspec.params]
    with ThreadPoolExecutor(2) as pool:
        yield {value: pool.submit(work, value) for value in values}
        pool.shutdown(cancel_futures=True)


@pytest.fixture(scope="session")
def program() -> Callable[[str], str]:
    """``program("bwrap")`` returns its path, or skips the test (fails it where CI is set)."""
    return require_program


@pytest.fixture(scope="session")
def root() -> Path:
    """The folder of the repository."""
    return ROOT
