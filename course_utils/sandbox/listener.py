"""Who is told while a run goes on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Listener:
    """What to call while a run goes on. Each call holds up the watching, so it must be short."""

    output: Callable[[str, str], None] = lambda *arguments: None
    """Given "stdout" or "stderr", and the text that the run wrote."""
    sample: Callable[[float, float], None] = lambda *arguments: None
    """Given the seconds since the start, and the MiB above the baseline."""
    figure: Callable[[bytes], None] = lambda *arguments: None
    """Given a figure that the run has shown, as PNG."""
    answer: Callable[[dict[str, Any]], dict[str, Any]] = lambda question: {}
    """Answers `course_utils.sandbox.inside.exchange`. The question also has, as ``processor_seconds``, the processor
    time that the run has taken so far."""
