"""How far the grading of a class is: a bar on a terminal; elsewhere a line at the beginning and one a minute."""

from __future__ import annotations

import threading
import time
from types import TracebackType

from course_utils.units import seconds

EVERY = 60.0  # seconds


class Progress:
    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar

        self.console = Console(stderr=True, soft_wrap=True, highlight=False)
        columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
        self.bar = Bar(*columns, console=self.console)
        self.task = self.bar.add_task("Grading", total=None)
        self.level, self.done, self.total = "", 0, 0
        self.start = time.monotonic()
        self.ended = threading.Event()

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.ended.set()
        if self.bar.live.is_started:
            self.bar.stop()

    def advance(self, level: str, done: int, total: int) -> None:
        """Say that ``done`` of ``total`` answers are graded; the first call says that grading begins."""
        begins = not self.level
        self.level, self.done, self.total = level, done, total
        if self.console.is_terminal:
            self.bar.update(self.task, description=f"Grading ({level})", completed=done, total=total)
            self.bar.start()
        elif begins:
            self.console.print(f"Grading {total} answers ({level}).")
            threading.Thread(target=self._say, daemon=True).start()

    def _say(self) -> None:
        while not self.ended.wait(EVERY):
            passed = time.monotonic() - self.start
            left = f", about {seconds(passed / self.done * (self.total - self.done))} left" if self.done else ""
            self.console.print(f"{self.done} of {self.total} graded after {seconds(passed)}{left}.")
