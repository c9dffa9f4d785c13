"""Who is told while a run goes on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from course_utils.postmortem import Sighting


@dataclass(frozen=True)
class Listener:
    """What to call while a run goes on. Each call holds up the watching, so it must be short."""

    output: Callable[[str, str], None] = lambda *arguments: None
    """Given "stdout" or "stderr", and the text that the run wrote: its beginning only, without ``whole_output``."""
    whole_output: bool = False
    sample: Callable[[float, float], None] = lambda *arguments: None
    """Given the seconds since the start, and the MiB above the baseline."""
    sighting: Callable[[Sighting], None] = lambda *arguments: None
    """Given where the run is, ten times a second and where its memory has changed."""
    figure: Callable[[bytes], None] = lambda *arguments: None
    """Given a figure that the run has shown, as PNG."""
    answer: Callable[[dict[str, Any]], dict[str, Any]] = lambda question: {}
    """Answers `course_utils.sandbox.inside.exchange`. The question also has, as ``processor_seconds``, the processor
    time that the run has taken so far."""
