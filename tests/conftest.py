"""What the tests of every room share."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

from tools import ROOT

if TYPE_CHECKING:
    from nbformat import NotebookNode

    from tools.execute import Execution

TRAINED = {"graded", "executed", "site"}
"""Fixtures that train, or that need the built book, whose notebooks train."""


@pytest.hookimpl(wrapper=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> Generator[None, None, None]:
    """Mark the tests that `make quick` leaves out, and order the tests of the site so that each page is opened once."""
    for item in items:
        if TRAINED.intersection(item.fixturenames):
            item.add_marker("trains")
    yield  # pytest leaves tests out, and orders them by the position of their parameter
    order: dict[Any, int] = {}

    def place(item: pytest.Item) -> int:
        parameters = item.callspec.params if hasattr(item, "callspec") else {}
        return order.setdefault((item.path, parameters.get("visit")), len(order))

    items.sort(key=place)


def cannot_be_tested(sentence: str) -> NoReturn:
    """Skip the test and say why; where CI is set, which must hold all that the tests need, fail it."""
    (pytest.fail if os.environ.get("CI") else pytest.skip)(sentence)


def require_program(name: str) -> str:
    """Return where a program is; without it the test cannot be done."""
    found = shutil.which(name)
    if found is None:
        cannot_be_tested(f"The program {name} is not installed, so this cannot be tested here.")
    return found


def plain_text(cell: NotebookNode) -> str:
    """What a cell of an executed notebook shows, as text in small letters."""
    parts = [output.get("text", "") or output.get("data", {}).get("text/plain", "") for output in cell.outputs]
    return "\n".join(parts).casefold()


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
def executed() -> Callable[[str], Execution]:
    """``executed("labs/01_...")`` is a notebook as the book has executed it; skips the test where that is outdated."""
    from tools.execute import find

    def execution(name: str) -> Execution:
        found = find(ROOT / f"{name}.ipynb")
        if found is None:
            cannot_be_tested(f"{name}.ipynb has not been executed as it stands now: run `make book`.")
        return found

    return execution


@pytest.fixture(scope="session")
def root() -> Path:
    """The folder of the repository."""
    return ROOT
