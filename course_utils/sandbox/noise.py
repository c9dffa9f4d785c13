"""Lines that TensorFlow writes to standard error of every run on a GPU, and that tell a learner nothing."""

from __future__ import annotations

import re

# TF_CPP_MIN_LOG_LEVEL does not hide them: they come before the C++ program has set up its log, which Python never does.
NOISE = re.compile(
    rb"WARNING: All log messages before absl::InitializeLog\(\)|I0000 00:00:\d+\.\d+ +\d+ [\w.]+:\d+\] ",
)
BEGINNINGS = (b"WARNING: All log messages before ", b"I0000 00:00:")
LONGEST = 2000


class NoiseFilter:
    """Takes the bytes of a stream as they come, and returns those that are to be shown.

    A line is held back only while it begins like noise: a progress bar, which ends no line, shows at once.
    """

    def __init__(self) -> None:
        self._held = b""
        self._passing = False  # the beginning of this line has been shown

    def feed(self, data: bytes) -> bytes:
        """Take more bytes; return what is to be shown now."""
        shown = []
        for piece in re.findall(rb"[^\n]*\n|[^\n]+", data):
            line, self._held = self._held + piece, b""
            whole = line.endswith(b"\n")
            if not whole and not self._passing and _may_be_noise(line):
                self._held = line
            elif self._passing or not NOISE.match(line):
                shown.append(line)
                self._passing = not whole
        return b"".join(shown)

    def rest(self) -> bytes:
        """Return what was held back of a last line that never ended."""
        return b"" if NOISE.match(self._held) else self._held


def _may_be_noise(line: bytes) -> bool:
    """Whether the beginning of a line may become noise."""
    return len(line) < LONGEST and any(line.startswith(known) or known.startswith(line) for known in BEGINNINGS)
