"""What stands under a cell while its run goes on: output, figures, and a status line that turns into the card."""

from __future__ import annotations

import base64
import sys
import time
from typing import Any

from IPython.display import DisplayHandle, display

from course_utils import cards
from course_utils.cards.runs import status_card
from course_utils.notebook.show import show
from course_utils.sandbox import Listener, Outcome

UPDATE_SECONDS = 0.25


class Live:
    """Shows one run.

    The status line stands above the output and is replaced by the card at the end, so that a stored notebook
    keeps no stale line and the card is the first thing under the cell. A terminal cannot replace a line that it has
    printed, so it gets the output and then the card.
    """

    def __init__(self, shell: Any, budget_mib: float, doing: str = "Running", note: str = "") -> None:
        self.budget_mib, self.doing, self.note = budget_mib, doing, note
        self.peak, self.shown_at = 0.0, 0.0
        self.shown = {"stdout": 0, "stderr": 0}
        self.handle = None
        if getattr(shell, "kernel", None) is not None:
            self.handle = DisplayHandle()
            self.handle.display(cards.bundle(status_card(0.0, 0.0, 0.0, budget_mib, "Starting")), raw=True)

    def listener(self) -> Listener:
        """The callbacks for `sandbox.run`."""
        return Listener(output=self.output, sample=self.sample, figure=self.figure)

    def output(self, stream: str, text: str) -> None:
        """Pass on the output of the sandboxed code."""
        target = sys.stderr if stream == "stderr" else sys.stdout
        target.write(text)
        self.shown[stream] += len(text)
        if self.handle is None:
            target.flush()  # a kernel does so by itself; waiting for it here would delay the next sample

    def output_left(self, outcome: Outcome) -> None:
        """Write the end of an output too long to be shown live: the sandbox passes on its beginning only."""
        self.output("stdout", outcome.stdout[self.shown["stdout"] :])
        self.output("stderr", outcome.stderr[self.shown["stderr"] :])

    def sample(self, seconds: float, amount: float) -> None:
        """Show memory against the budget, about four times a second."""
        self.peak = max(self.peak, amount)
        now = time.monotonic()
        if self.handle is None or now - self.shown_at < UPDATE_SECONDS:
            return
        self.shown_at = now
        card = status_card(seconds, amount, self.peak, self.budget_mib, self.doing, self.note)
        self.handle.update(cards.bundle(card), raw=True)

    def figure(self, png: bytes) -> None:
        """Display a figure of the sandboxed code."""
        data = {"image/png": base64.b64encode(png).decode(), "text/plain": "[figure drawn by the cell above]"}
        display(data, raw=True)

    def finish(self, card: cards.Document) -> None:
        """Replace the status line with the card."""
        sys.stdout.flush()
        sys.stderr.flush()
        if self.handle is None:
            show(card)
        else:
            self.handle.update(cards.bundle(card), raw=True)
