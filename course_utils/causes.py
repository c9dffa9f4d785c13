"""From the text of an error to its cause, the fix and the lab that teaches it: ``causes.toml`` applied."""

from __future__ import annotations

import functools
import math
import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib import resources

from course_utils import units

# The start and the end of a long text are read: the first has the root error, the last the death.
_HEAD, _TAIL = 60_000, 140_000


@dataclass(frozen=True)
class Explanation:
    """What a crash means, in plain words."""

    kind: str
    """host_ram, gpu_memory, graph_limit, disk_full, not_memory or unknown."""
    cause: str
    """Its id in ``causes.toml``."""
    title: str
    why: str
    fix: str
    lab: str
    """The number of the lab that teaches the remedy, such as ``"01"``; "" if none does."""


class UnknownCause(LookupError):
    """An id that ``causes.toml`` does not have; its text is one sentence."""


@dataclass(frozen=True)
class _Cause:
    explanation: Explanation
    patterns: Sequence[re.Pattern[str]]
    code: Sequence[re.Pattern[str]]
    live: Sequence[str] = ()
    sign: str = "error"
    by_device: bool = False
    seen: Sequence[str] = ()

    def on_host(self) -> Explanation:
        """The explanation where it is known that the device was the CPU."""
        return replace(self.explanation, kind="host_ram") if self.by_device else self.explanation


def explain(text: str | bytes) -> Explanation:
    """Return the most specific cause that the text of an error or a log shows; kind "unknown" if none does.

    Any text is accepted, also empty, binary or huge; of a huge one only the start and the end are read.
    """
    text = _readable(text)
    on_host = bool(_CPU.search(text) and not _GPU.search(text))
    shown: dict[str, list[_Cause]] = {sign: [] for sign in ("error", "vague", "fault", "silent", "warning")}
    for cause in _read().values():
        if any(pattern.search(text) for pattern in cause.patterns):
            shown[cause.sign].append(cause)
    errors = shown["error"]
    if errors and errors[0].explanation.kind != "not_memory":
        chosen = errors[0]
    elif shown["vague"] or (shown["silent"] and not shown["fault"]):
        # Memory ran out; a warning before it, or the line of code, may say of what.
        hints = [cause for cause in shown["warning"] if cause.explanation.kind == "host_ram"]
        chosen = _by_code(text) or (hints + shown["vague"] + shown["silent"])[0]
        on_host = True
    else:
        chosen = (shown["fault"] + errors + shown["warning"] + [_read()["unknown"]])[0]
    found = chosen.on_host() if on_host else chosen.explanation
    named = _allocation(text) if found.kind in ("host_ram", "gpu_memory") else None
    if named:
        found = replace(found, why=f"{found.why} Here it is: {named[0]}, {units.mib(named[1] / 2**20)}.")
    return found


def from_code(source: str, live: Sequence[str] = ()) -> Explanation | None:
    """Guess why a process died while it ran ``source``, from that line and from descriptions of its biggest arrays.

    ``live`` holds texts such as ``"float64 array of shape (4000, 96, 96, 3)"``. Returns None where neither tells.
    """
    cause = _by_code(source)
    if cause is None:
        typical = (cause for cause in _read().values() if any(text.startswith(tuple(cause.live)) for text in live))
        cause = next(typical, None)
    return cause.on_host() if cause else None


def seen(name: str) -> tuple[str, ...]:
    """Return real messages by which people meet this cause; none if only a line of code tells. Raises UnknownCause."""
    return tuple(_cause(name).seen)


def explanations() -> list[Explanation]:
    """Return every cause, in the order of ``causes.toml``."""
    return [cause.explanation for cause in _read().values()]


def explanation(name: str) -> Explanation:
    """Return a cause by its id. Raises UnknownCause."""
    return _cause(name).explanation


def allocation_mib(text: str | bytes) -> float:
    """Return the MiB that an error says were asked for; 0 where it does not say."""
    found = _allocation(_readable(text))
    return found[1] / 2**20 if found else 0.0


def allocation(text: str | bytes) -> str:
    """Describe the allocation that an error names: "float32 array of shape (24, 64, 1024, 1024): 6,144 MiB", or ""."""
    found = _allocation(_readable(text))
    return f"{found[0]}: {units.mib(found[1] / 2**20)}" if found else ""


# ---- what a text says ----


def _compile(pattern: str) -> re.Pattern[str]:
    """Compile a pattern; a blank in it also matches where a terminal has wrapped the line.

    Every repeat in a pattern is bounded, so that no text, however long or hostile, takes more than linear time.
    """
    spaced = re.sub(r" (\??)", lambda blank: r"\s{0,20}" if blank[1] else r"\s{1,20}", pattern)
    return re.compile(spaced, re.IGNORECASE)


_TYPES = {"float": "float32", "double": "float64", "half": "float16", "long": "int64", "int": "int32"}
_SIZES = {
    "float64": 8, "int64": 8, "uint64": 8, "complex64": 8, "complex128": 16, "float32": 4, "int32": 4, "uint32": 4,
    "float16": 2, "bfloat16": 2, "int16": 2, "uint16": 2, "int8": 1, "uint8": 1, "bool": 1,
}  # fmt: skip
_UNITS = {"": 1, "k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40, "p": 2**50}
_SHAPES = (
    _compile(r"with shape \((?P<shape>[\d,\s]{1,120})\) and data type (?P<type>\w{3,12})"),
    _compile(
        r"OOM when allocating tensor (?:with|of) shape ?\[(?P<shape>[\d,\s]{1,120})\]"
        r"(?: and type (?P<type>\w{3,12}))?"
    ),
)
_BYTES = (
    _compile(r"large alloc (\d{1,18})() bytes"),
    _compile(r"Allocation of (\d{1,18})() exceeds"),
    _compile(r"\((\d{1,18})() bytes\) from device"),
    _compile(
        r"(?:Unable|trying|tried|failed) to allocate (\d{1,18}(?:\.\d{0,6})?) ?([KMGTP]?)"
        r"(?:i?B\b|bytes\b|(?<=[KMGTP])\b)"
    ),
)
_CPU = re.compile(r"OOM when allocating[^\n]{0,300}device:CPU|by allocator (?:mklcpu|cpu)|Allocator \((?:mklcpu|cpu)\)")
_GPU = re.compile(r"OOM when allocating[^\n]{0,300}device:(?:XLA_)?GPU|GPU_\d+_bfc|CUDA_ERROR_OUT_OF_MEMORY")
_NOISE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x00")


def _readable(text: str | bytes) -> str:
    """Cut the text to what is read, and take colours and zero bytes out."""
    if len(text) > _HEAD + _TAIL:
        cut = (text[:_HEAD], text[-_TAIL:])
        text = b"\n".join(cut) if isinstance(text, bytes) else "\n".join(cut)
    if isinstance(text, bytes):
        text = text.decode("utf-8", "replace")
    return _NOISE.sub("", text)


def _allocation(text: str) -> tuple[str, int] | None:
    """What was to be allocated, in words, and its bytes."""
    for pattern in _SHAPES:
        if match := pattern.search(text):
            shape = tuple(int(number) for number in re.findall(r"\d{1,18}", match["shape"])[:16])
            given = (match["type"] or "").lower()
            kind = _TYPES.get(given, given)
            what = f"array of shape {shape}"
            if kind in _SIZES:
                return f"{kind} {what}", math.prod(shape) * _SIZES[kind]
            if not given:
                return f"{what}, if float32", math.prod(shape) * 4
    sizes = [int(float(number) * _UNITS[unit.lower()]) for pattern in _BYTES for number, unit in pattern.findall(text)]
    return ("one block", max(sizes)) if sizes and max(sizes) > 0 else None


def _by_code(source: str) -> _Cause | None:
    """The first cause of which a line of code is typical."""
    typical = (cause for cause in _read().values() if any(pattern.search(source) for pattern in cause.code))
    return next(typical, None)


def _cause(name: str) -> _Cause:
    if name not in _read():
        raise UnknownCause(f"There is no cause {name!r}; the causes are {', '.join(_read())}.")
    return _read()[name]


@functools.cache
def _read() -> dict[str, _Cause]:
    text = resources.files("course_utils").joinpath("causes.toml").read_text(encoding="utf-8")
    causes: dict[str, _Cause] = {}
    for row in tomllib.loads(text)["cause"]:
        name = row.pop("id")
        words = {key: row.pop(key) for key in ("kind", "title", "why", "fix", "lab")}
        patterns = [_compile(pattern) for pattern in row.pop("patterns")]
        code = [re.compile(pattern) for pattern in row.pop("code", ())]
        causes[name] = _Cause(Explanation(cause=name, **words), patterns, code, **row)
    return causes
