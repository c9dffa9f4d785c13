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
    unless: Sequence[re.Pattern[str]] = ()
    numbers: Sequence[tuple[re.Pattern[str], str]] = ()
    sign: str = "error"
    by_device: bool = False
    seen: Sequence[str] = ()

    def is_shown_by(self, lowered: str) -> bool:
        """Whether a pattern is in the text in lower case, and nothing takes it back."""
        return _any(self.patterns, lowered) and not _any(self.unless, lowered)

    def on_host(self) -> Explanation:
        """The explanation where it is known that the device was the CPU."""
        return replace(self.explanation, kind="host_ram") if self.by_device else self.explanation


def explain(text: str | bytes) -> Explanation:
    """Return the most specific cause that the text of an error or a log shows; kind "unknown" if none does.

    Any text is accepted, also empty, binary or huge; of a huge one only the start and the end are read.
    """
    text = _readable(text)
    on_host = bool(_CPU.search(text) and not _GPU.search(text))
    shown: dict[str, list[_Cause]] = {sign: [] for sign in ("decisive", "error", "vague", "other", "silent", "warning")}
    lowered = text.lower()
    for cause in _read().values():
        if cause.is_shown_by(lowered):
            is_other = cause.sign == "fault" or (cause.sign == "error" and cause.explanation.kind == "not_memory")
            shown["other" if is_other else cause.sign].append(cause)
    if shown["decisive"] or shown["error"]:
        chosen = (shown["decisive"] + shown["error"])[0]
    elif shown["vague"] or (shown["silent"] and not shown["other"]):
        # Memory ran out; a warning before it, or the line of code, may say of what.
        hints = [cause for cause in shown["warning"] if cause.explanation.kind == "host_ram"]
        chosen = _by_running_line(text) or (hints + shown["vague"] + shown["silent"])[0]
        on_host = True
    else:
        chosen = (shown["other"] + shown["warning"] + [_read()["unknown"]])[0]
    found = chosen.on_host() if on_host else chosen.explanation
    sentences = [found.why]
    for pattern, sentence in chosen.numbers:
        if match := pattern.search(text):
            sentences.append(sentence.format(**match.groupdict()))
    if found.kind in ("host_ram", "gpu_memory"):
        sentences += _arithmetic(text, found.kind, is_refused=chosen.sign != "warning")
    return replace(found, why=" ".join(sentences))


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


def _compile(pattern: str, flags: int = re.IGNORECASE) -> re.Pattern[str]:
    """Compile a pattern; a blank in it also matches where a terminal has wrapped the line.

    Every repeat in a pattern is bounded, so that no text, however long or hostile, takes more than linear time.
    """
    return re.compile(re.sub(r" (\??)", lambda blank: r"\s{0,20}" if blank[1] else r"\s{1,20}", pattern), flags)


def _compile_lowered(pattern: str) -> re.Pattern[str]:
    """Compile a pattern for a text in lower case, in which a search takes a fifth of the time."""
    return _compile(re.sub(r"\\.|[A-Z]+", lambda part: part[0] if part[0][0] == "\\" else part[0].lower(), pattern), 0)


_TYPES = {"float": "float32", "double": "float64", "half": "float16", "long": "int64", "int": "int32"}
_SIZES = {
    "float64": 8, "int64": 8, "uint64": 8, "complex64": 8, "complex128": 16, "float32": 4, "int32": 4, "uint32": 4,
    "float16": 2, "bfloat16": 2, "int16": 2, "uint16": 2, "int8": 1, "uint8": 1, "bool": 1,
}  # fmt: skip
_UNITS = {"": 1, "k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40, "p": 2**50}
_SHAPES = (
    _compile(r"with shape \((?P<shape>[\d,\s]{1,120})\) and data type (?P<type>\w{3,12})"),
    _compile(
        r"OOM when allocating tensor (?:with|of) shape ?\[(?P<shape>[\d,\s]{0,120})\]"
        r"(?: and type (?P<type>\w{3,12}))?"
    ),
)
# Blocks of memory that were asked for: refused, and given but noted.
_REFUSED = (
    _compile(r"malloc of size (\d{1,18})() failed"),
    _compile(r"\((\d{1,18})() bytes\) from device"),
    _compile(
        r"(?:(?:Unable|trying|tried|failed|attempting) to (?:allocate|alloc|reserve)|memory allocating)"
        r"(?: request for)? (\d{1,18}(?:\.\d{0,6})?) ?([KMGTP]?)(?:i?B\b|bytes\b|(?<=[KMGTP])\b)"
    ),
)
_NOTED = (_compile(r"large alloc (\d{1,18})() bytes"), _compile(r"Allocation of (\d{1,18})() exceeds"))
# A request for a faster algorithm, which goes on without it; and amounts of a GPU, which explain nothing about RAM.
_NO_FAILURE = _compile(r"ran out of memory trying to allocate [^\n]{0,240}not a failure")
_OF_GPU = _compile(r"failed to allocate [^\n]{0,60}from device|Created (?:TensorFlow )?device [^\n]{0,120}")
# What a text says of a memory: how much was used, allowed, or free. A number without a unit is in the unit beside it.
_AMOUNTS = [
    (_compile(re.sub(r"<(\w+)>", r"(?P<\1>\\d[\\d.]{0,18} ?(?:[KMGT]i?B?\\b|bytes|B\\b)?)", pattern)), unit)
    for pattern, unit in (
        (r"Used <used> of <limit> \w{3,8}", "B"),
        (r"That was not possible\. There are <free> free", "B"),
        (r"would exceed memory \(size=<limit>\)", "B"),
        (r"\(GPU \d{1,3}; <limit> total capacity; <used> already allocated; <free> free", "B"),
        (r"has a total capac\w{1,4} of <limit> of which <free> is free", "B"),
        (r"MPS allocated: [^)]{1,80}, max allowed: <limit>\)", "B"),
        (r"Limit:\s{1,60}<limit>\s{1,9}InUse:\s{1,60}<used>", "B"),
        (r"<used> of <limit> (?:physical|virtual) memory used", "B"),
        (r"mem (?:job total )?<used> exceeded limit <limit>", "B"),
        (r"memory limit \(<used> > <limit>\)", "K"),
        (r"was using <used>, which exceeds its request of <limit>", "B"),
        (r"memory limit of <limit> exceeded with <used> used", "B"),
        (r"memory limit of <limit>(?: megabytes)?\. Peak usage: <used>", "M"),
        (r"Max Memory :\s{1,60}<used>[\s\S]{0,200}Total Requested Memory :\s{1,60}<limit>", "M"),
        (r"(?:Memory usage:|Driver report) <free> free(?:,| and) <limit> total", "B"),
        (r"Free memory/Total memory: <free>/<limit>", "B"),
        (r"anon-rss:<used>", "K"),
        (r"Created (?:TensorFlow )?device [^\n]{0,80} with <limit> memory", "M"),
    )
]
# A refused request of this size or less, in MiB, means that memory was full before.
_SMALL_REQUEST = 64
_CPU = re.compile(r"OOM when allocating[^\n]{0,300}device:CPU|by allocator (?:mklcpu|cpu)|Allocator \((?:mklcpu|cpu)\)")
_GPU = re.compile(r"OOM when allocating[^\n]{0,300}device:(?:XLA_)?GPU|GPU_\d+_bfc|CUDA_ERROR_OUT_OF_MEMORY")
# Colours, zero bytes, and lines of code that only name an exception.
_NOISE = re.compile(r"\x1b\[[0-9;?]{0,20}[A-Za-z]|\x00|(?m:^[ \t\d>|-]{0,40}(?:raise|except)\b[^\n]{0,400})")


def _readable(text: str | bytes) -> str:
    """Cut the text to what is read, and take out what says nothing."""
    if len(text) > _HEAD + _TAIL:
        cut = (text[:_HEAD], text[-_TAIL:])
        text = b"\n".join(cut) if isinstance(text, bytes) else "\n".join(cut)
    if isinstance(text, bytes):
        text = text.decode("utf-8", "replace")
    return _NOISE.sub("", text)


def _allocation(text: str) -> tuple[str, int] | None:
    """What was to be allocated, in words, and its bytes."""
    return _shaped(text) or _block(text, (*_REFUSED, *_NOTED))


def _shaped(text: str) -> tuple[str, int] | None:
    """The array whose shape an error names, in words, and its bytes."""
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
    return None


def _block(text: str, patterns: Sequence[re.Pattern[str]]) -> tuple[str, int] | None:
    """The largest block of memory that the patterns find in a text."""
    sizes = [
        int(float(number) * _UNITS[unit.lower()]) for pattern in patterns for number, unit in pattern.findall(text)
    ]
    return ("one block", max(sizes)) if sizes and max(sizes) > 0 else None


def _arithmetic(text: str, kind: str, is_refused: bool) -> list[str]:
    """Sentences about the amounts in a text: what was asked for, used, allowed, and free."""
    text = _OF_GPU.sub("", text) if kind == "host_ram" else text
    amounts: dict[str, float] = {}
    for pattern, unit in _AMOUNTS:
        if match := pattern.search(text):
            amounts |= {key: _mib(words, unit) for key, words in match.groupdict().items() if key not in amounts}
    used, limit, free = (amounts.get(key, 0.0) for key in ("used", "limit", "free"))
    block = _block(_NO_FAILURE.sub("", text), _REFUSED) if is_refused else None
    shaped = _shaped(text)
    asked = (shaped or block or ("", 0))[1] / 2**20
    sentences = []
    if shaped:
        sentences.append(f"Here it is: {shaped[0]}, {units.mib(asked)}.")
    elif block:
        sentences.append(f"The request that was refused is for {units.mib(asked)}.")
    elif kind == "host_ram" and (noted := _block(text, _NOTED)):
        sentences.append(f"Here it is: {noted[0]}, {units.mib(noted[1] / 2**20)}.")
    if is_refused and 0 < limit < asked:
        sentences.append(
            f"That alone is more than all the memory there is, {units.mib(limit)}: no setting makes it fit."
        )
    elif is_refused and 0 < asked <= _SMALL_REQUEST:
        sentences.append(
            "That is little: the memory was full already, and the line that asked is not to blame. "
            "Look for what filled it before."
        )
    elif is_refused and 0 < asked <= free:
        sentences.append(f"{units.mib(free)} were free, but in pieces that are too small.")
    if used > limit > 0:
        excess = units.mib(used - limit)
        sentences.append(f"The program needed {units.mib(used)} and had {units.mib(limit)}: {excess} too much.")
    elif used and limit:
        sentences.append(f"{units.mib(used)} of {units.mib(limit)} were in use.")
    elif used:
        sentences.append(f"The process held {units.mib(used)} when it was killed.")
    elif free and not 0 < asked <= free:
        sentences.append(f"{units.mib(free)}{f' of {units.mib(limit)}' if limit else ''} were free.")
    return [sentence[0].upper() + sentence[1:] for sentence in sentences]


def _mib(words: str, unit: str) -> float:
    """Read an amount such as "5.5 GB", "12Gi", or "4096 bytes"; a number alone is in ``unit``."""
    number, written = re.fullmatch(r"([\d.]*\d)\.? ?([KMGTB]?).*", words, re.IGNORECASE | re.DOTALL).groups()
    try:
        return units.parse_mib(number + (written or unit))
    except ValueError:
        return 0.0


def _any(patterns: Sequence[re.Pattern[str]], text: str) -> bool:
    return any(pattern.search(text) for pattern in patterns)


_ARROW = re.compile(r"^\W{0,8}-{2,6}> ?\d{0,6}(?P<code>.*)")
_FRAME = re.compile(r'^\s{0,8}(File "(?P<path>[^"]{1,300})", line \d|.{0,200}( in <?\w{1,60}>?\(|:\d{1,6}, in ))')
_LIBRARY = re.compile(r"(site|dist)-packages|[/\\]lib[/\\]python\d")


def _by_running_line(text: str) -> _Cause | None:
    """The cause of which the innermost line of a traceback in the person's own code is typical.

    Without a traceback, the whole text counts, which may be a program.
    """
    own: list[str] = []
    is_library = follows_frame = False
    for line in text.splitlines():
        if frame := _FRAME.match(line):
            is_library = bool(_LIBRARY.search(line))
            follows_frame = bool(frame["path"])
        elif (arrow := _ARROW.match(line)) or follows_frame:
            if not is_library:
                own.append(arrow["code"] if arrow else line)
            follows_frame = False
    if not own:
        return _by_code(text)
    typical = (cause for line in reversed(own) if (cause := _by_code(line)))
    return next(typical, None)


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
        patterns = [_compile_lowered(pattern) for pattern in row.pop("patterns")]
        code = [re.compile(pattern) for pattern in row.pop("code", ())]
        unless = [_compile_lowered(pattern) for pattern in row.pop("unless", ())]
        numbers = [(_compile(pattern), sentence) for pattern, sentence in row.pop("numbers", ())]
        causes[name] = _Cause(Explanation(cause=name, **words), patterns, code, unless, numbers, **row)
    return causes
