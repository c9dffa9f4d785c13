"""Sandboxed cells that have a name, so that a later cell can run after them instead of repeating them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from IPython.core.error import UsageError

from course_utils import sandbox


@dataclass(frozen=True)
class NamedCell:
    """A sandboxed cell as it was last run: its source, and the names of the cells that run before it."""

    source: str
    after: tuple[str, ...]


class NamedCells:
    """The named cells of a session. They are known from the moment at which they are run, whatever becomes of them."""

    def __init__(self) -> None:
        self.cells: dict[str, NamedCell] = {}

    def add(self, name: str, source: str, after: str = "") -> list[tuple[str, str]]:
        """Remember a cell under ``name`` (not at all if that is ""); return the cells to run before it, as `before`."""
        names = split(after)
        first = self.before(names, asked_by=name)
        if name:
            self.cells[name] = NamedCell(source, names)
        return first

    def before(self, names: tuple[str, ...], asked_by: str = "") -> list[tuple[str, str]]:
        """Return (name for a post-mortem, source) of these cells and of all that they run after, each once, in order.

        Raises:
            UsageError: a cell has not been run in this session, or would have to run before itself.
        """
        found: dict[str, str] = {}
        missing: list[str] = []

        def visit(name: str, path: tuple[str, ...]) -> None:
            if name in path:
                circle = " after ".join((*path[path.index(name) :], name))
                raise UsageError(f"A cell cannot run after itself ({circle}): take a name out of one of the --after.")
            if name not in self.cells:
                missing.append(name)
            elif name not in found:
                for earlier in self.cells[name].after:
                    visit(earlier, (*path, name))
                found[name] = self.cells[name].source

        for name in names:
            visit(name, (asked_by,) if asked_by else ())
        if missing:
            listed = ", ".join(dict.fromkeys(missing))
            options = f"`--name {missing[0]}` or `--into {missing[0]}`"
            raise UsageError(
                f"Not run yet in this session: {listed}. Find the %%sandbox cell of each above ({options}), "
                "run them from top to bottom, then run this cell again."
            )
        return [(f"cell {name}", source) for name, source in found.items()]


CELLS = NamedCells()
"""Those of this session."""


def run(code: str, *, after: str = "", **options: Any) -> sandbox.Outcome:
    """Run a text as ``%%sandbox --after NAMES`` runs a cell; ``options`` are those of `sandbox.run`.

    notebook.run("history = model.fit(x, y, batch_size=64)", after="pictures, model", budget_mib=512)
    """
    return sandbox.run([("the text", code)], before=CELLS.before(split(after)), **options)


def split(names: str) -> tuple[str, ...]:
    """Read the names of an ``--after``: "pictures,model" or "pictures, model"."""
    return tuple(dict.fromkeys(names.strip("\"'").replace(",", " ").split()))
