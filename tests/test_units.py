"""Amounts as a person reads and writes them."""

from __future__ import annotations

import pytest

from course_utils import units


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (units.mib(1234.4), "1,234 MiB"),
        (units.mib(7.46), "7.5 MiB"),
        (units.mib(8 / 2**20), "less than 0.1 MiB"),
        (units.mib(0), "0.0 MiB"),
        (units.mib(None), "not known"),
        (units.percent(0.873), "87.3%"),
        (units.percent(0.8, 0), "80%"),
        (units.seconds(0.012), "12 ms"),
        (units.seconds(9.94), "9.9 s"),
        (units.seconds(33.2), "33 s"),
        (units.seconds(119.6), "2 min"),
        (units.seconds(125), "2 min 5 s"),
        (units.number(12345), "12,345"),
        (units.number(1234.5), "1,234"),
        (units.number(0.12345), "0.123"),
        (units.number(True), "True"),
        (units.number("a text"), "a text"),
    ],
)
def test_amounts_are_written_one_way(written: str, expected: str) -> None:
    assert written == expected


@pytest.mark.parametrize("text", ["512", "512 MiB", "0.5GiB", "0.5g", "524_288 kib", "1,024 m"])
def test_an_amount_is_read_in_any_unit(text: str) -> None:
    assert units.parse_mib(text) == (1024 if text.startswith("1,") else 512)


@pytest.mark.parametrize("text", ["", "lots", "-5", "0", "nan", "inf", "5 parsecs", "1e3", "9" * 400])
def test_what_is_no_amount_gets_a_sentence(text: str) -> None:
    with pytest.raises(ValueError, match="is not an amount of memory: write it like 512, 512MiB or 12.7GiB"):
        units.parse_mib(text)
