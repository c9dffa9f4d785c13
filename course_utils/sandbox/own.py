"""In the child: what a program or a notebook of one's own finds there as it would outside of a sandbox."""

from __future__ import annotations

import builtins
import functools
import os
import sys
import tempfile
from typing import Any

SKIPPED = {"matplotlib", "load_ext", "reload_ext", "autoreload", "course"}
"""Magics of which a sandbox has no use: figures show by themselves, and this package is around the code, not in it."""


def begin(file: str, environment: dict[str, str]) -> None:
    """Prepare the process, before the first line of a file: arguments, environment, what a notebook has built in."""
    sys.argv = [file]
    os.environ.pop("TMPDIR", None)  # the sandbox's own working directory is here the user's
    os.environ.update(environment)
    tempfile.tempdir = None
    if file.lower().endswith(".ipynb"):
        builtins.get_ipython, builtins.display = shell, display
    else:
        sys.modules["__main__"].__file__ = file


def display(*objects: Any, **options: Any) -> None:
    """Show objects as text: `IPython.display.display`."""
    from IPython.display import display

    display(*objects, **options)


@functools.cache
def shell() -> Any:
    """The IPython to which a notebook's `%` and `!` lines lead, made where there is one."""
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Config

    class Shell(InteractiveShell):
        """IPython with the magics that mean something here. The others are said."""

        system = InteractiveShell.system_raw  # a command writes where the run writes

        def run_line_magic(self, name: str, line: str, _stack_depth: int = 1) -> Any:
            if name in SKIPPED or not self.find_line_magic(name):
                return print(f"Skipped: %{name} {line}".rstrip(), file=sys.stderr)
            return super().run_line_magic(name, line, _stack_depth + 1)

        def run_cell_magic(self, name: str, line: str, cell: str) -> Any:
            if not self.find_cell_magic(name):
                return print(f"Skipped: %%{name} {line}".rstrip(), file=sys.stderr)
            return super().run_cell_magic(name, line, cell)

    main = sys.modules["__main__"]
    quiet = Config({"HistoryManager": {"enabled": False}, "InteractiveShell": {"colors": "NoColor"}})
    return Shell.instance(user_module=main, user_ns=vars(main), config=quiet)
