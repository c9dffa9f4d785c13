"""Versions: requirements.txt is what a person pins, requirements.lock what every machine installs."""

from __future__ import annotations

import re
import tomllib

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tools import ROOT

PINNED = [
    Requirement(pin)
    for line in (ROOT / "requirements.txt").read_text("utf-8").splitlines()
    if (pin := line.partition("#")[0].strip())
]
LOCK = (ROOT / "requirements.lock").read_text("utf-8")
# A requirement, and the lines that go on with it.
LOCKED = [entry.replace("\\\n", " ").split("--hash=") for entry in re.findall(r"^\w(?:.*\\\n)*.*$", LOCK, re.MULTILINE)]


def versions(name: str) -> set[str]:
    """The versions of a package in the lock; several where it depends on the Python version."""
    requirements = [Requirement(entry[0]) for entry in LOCKED]
    return {str(one.specifier) for one in requirements if canonicalize_name(one.name) == canonicalize_name(name)}


@pytest.mark.parametrize("pin", PINNED, ids=lambda pin: pin.name)
def test_the_lock_holds_the_version_that_is_pinned(pin: Requirement) -> None:
    assert re.fullmatch(r"==[\w.]+", str(pin.specifier)), f"{pin} in requirements.txt is not an exact version"
    assert versions(pin.name) == {str(pin.specifier)}, "requirements.lock is out of date: run `make lock`"


def test_everything_in_the_lock_is_exact_and_has_hashes() -> None:
    assert len(LOCKED) > len(PINNED)
    for requirement, *hashes in LOCKED:
        assert re.fullmatch(r"==[\w.]+", str(Requirement(requirement).specifier)), requirement
        assert hashes and all(re.fullmatch(r"sha256:[0-9a-f]{64}\s*", one) for one in hashes), requirement


def test_the_lock_names_no_address_and_no_option() -> None:
    lines = [line.strip() for line in LOCK.splitlines() if not line.startswith("#")]
    assert [line for line in lines if "://" in line or line.startswith("-") and not line.startswith("--hash=")] == []


def test_what_the_package_imports_is_pinned() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    needed = {canonicalize_name(Requirement(text).name) for text in project["dependencies"]}
    assert needed <= {canonicalize_name(pin.name) for pin in PINNED}
