"""The attacks of tests/red_team/: at each level that this host holds, what comes of each is what its header says."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import Future

import pytest
from conftest import two_at_a_time

from tools import red_team


@pytest.fixture(scope="module")
def came(request: pytest.FixtureRequest) -> Iterator[dict[red_team.Case, Future]]:
    """What came of each case that was chosen, as a future."""
    with red_team.stand_ins(), two_at_a_time(request, "case", attempt) as futures:
        yield futures


def attempt(case: red_team.Case) -> str | None:
    return None if red_team.unavailable(case) else red_team.run(case)


@pytest.mark.parametrize("case", red_team.cases(), ids=lambda case: f"{case.attack.name}, {case.column}")
def test_an_attack_comes_to_what_it_must(case: red_team.Case, came: dict[red_team.Case, Future]) -> None:
    if why := red_team.unavailable(case):
        (pytest.fail if os.environ.get("CI") and case.level == "bwrap" else pytest.skip)(why)
    assert came[case].result() in case.allowed
