"""One way to write amounts that a person reads, and to read amounts that a person writes."""

from __future__ import annotations

import re

NOT_KNOWN = "not known"
MIB_PER_UNIT = {"": 1.0, "b": 2.0**-20, "k": 2.0**-10, "m": 1.0, "g": 2.0**10, "t": 2.0**20}
_AMOUNT = re.compile(r"\s*([0-9][0-9_,]*\.?[0-9]*|\.[0-9]+)\s*([bkmgt]?)(?:i?b)?\s*", re.IGNORECASE)


def mib(amount: float | None) -> str:
    """An amount of memory in MiB: "1,234 MiB", "7.5 MiB", "less than 0.1 MiB"."""
    if amount is None:
        return NOT_KNOWN
    if 0 < abs(amount) < 0.05:
        return "less than 0.1 MiB"
    return f"{amount:,.0f} MiB" if abs(amount) >= 9.95 else f"{amount:.1f} MiB"


def change(amount: float) -> str:
    """A change of memory with its sign: "+375 MiB", "-7.1 MiB", "+0 MiB"."""
    if abs(amount) < 0.05:
        return "+0 MiB"
    return f"{amount:+,.0f} MiB" if abs(amount) >= 9.95 else f"{amount:+.1f} MiB"


def percent(share: float | None, digits: int = 1) -> str:
    """A share of 1 as a percentage: ``percent(0.873)`` is "87.3%"."""
    return NOT_KNOWN if share is None else f"{100 * share:.{digits}f}%"


def seconds(duration: float | None) -> str:
    """A duration in milliseconds, seconds, or minutes and seconds, whichever a person would say."""
    if duration is None:
        return NOT_KNOWN
    if duration >= 119.5:
        minutes, rest = divmod(round(duration), 60)
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    if duration < 0.095:
        return f"{1000 * duration:.0f} ms"
    return f"{duration:.0f} s" if duration >= 9.95 else f"{duration:.1f} s"


def number(value: object) -> str:
    """A reported value: whole numbers with separators, others to three significant digits, texts as they are."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if isinstance(value, int) or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def parse_mib(text: str) -> float:
    """Read an amount of memory: "512", "512 MiB" and "0.5GiB" are all 512.0. A number alone is in MiB.

    Raises:
        ValueError: it is no amount above 0; the text is a sentence.
    """
    match = _AMOUNT.fullmatch(text)
    amount = float(match[1].replace(",", "").replace("_", "")) * MIB_PER_UNIT[match[2].lower()] if match else 0.0
    if not 0 < amount < 2**40:
        raise ValueError(f"{text!r} is not an amount of memory: write it like 512, 512MiB or 12.7GiB.")
    return amount
