"""Execute the notebooks of the book that have changed, two at a time: ``python -m tools.execute``.

Sphinx would execute them one after the other, and training leaves a core idle half of the time. The outputs go into the
cache from which Sphinx reads them. They stay valid as long as the code of the notebook, the package, and the locked
versions stay the same.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
import yaml

from course_utils.files import write_whole
from tools import ROOT
from tools.fingerprint import fingerprint

AT_ONCE = 2
BUILD = ROOT / "_build"
CACHE = BUILD / ".jupyter_cache"
MADE_WITH = CACHE / "made-with"
DOCTREES = BUILD / ".doctrees"


@dataclass(frozen=True)
class Execution:
    """A notebook as the book shows it, and the progress of a learner who has run it: verdict and figures by lab."""

    notebook: nbformat.NotebookNode
    progress: dict[str, dict[str, Any]]
    seconds: float


def _is_current() -> bool:
    return MADE_WITH.exists() and MADE_WITH.read_text("utf-8") == fingerprint()


def empty_outdated_cache() -> None:
    """Remove what another state of the package or of its versions has executed, and the pages that Sphinx made of it.

    Sphinx reads a page again if its text has changed, but not if its outputs have.
    """
    if not _is_current():
        for outdated in (CACHE, DOCTREES):
            shutil.rmtree(outdated, ignore_errors=True)
        CACHE.mkdir(parents=True)
        write_whole(MADE_WITH, fingerprint())


def find(path: Path) -> Execution | None:
    """Return the execution of a notebook as it stands now, or None where there is none."""
    from jupyter_cache import get_cache

    if not _is_current():
        return None
    cache = get_cache(str(CACHE))
    try:
        key, notebook = cache.merge_match_into_notebook(nbformat.read(path, as_version=4))
    except KeyError:
        return None
    data = cache.get_cache_record(key).data
    return Execution(notebook, data["progress"], data["execution_seconds"])


def execute(path: Path) -> str:
    """Execute a notebook in an empty folder and put it into the cache; return the error, "" if there was none."""
    from jupyter_cache import get_cache
    from jupyter_cache.base import CacheBundleIn
    from jupyter_cache.executors.utils import single_nb_execution

    from course_utils.notebook.progress import FILE_NAME

    notebook = nbformat.read(path, as_version=4)
    limit = yaml.safe_load((ROOT / "_config.yml").read_text("utf-8"))["execute"]["timeout"]
    with tempfile.TemporaryDirectory() as folder:
        progress = Path(folder) / FILE_NAME
        try:
            result = single_nb_execution(notebook, cwd=folder, timeout=limit, allow_errors=False)
        except Exception as error:  # a kernel that died, for one
            return f"{type(error).__name__}: {error}"
        if result.err:
            return result.exc_string
        labs = json.loads(progress.read_text("utf-8"))["labs"] if progress.exists() else {}
    data = {"execution_seconds": result.time, "progress": labs}
    bundle = CacheBundleIn(notebook, str(path), data=data)
    get_cache(str(CACHE)).cache_notebook_bundle(bundle, check_validity=False, overwrite=True)
    return ""


def notebooks() -> list[Path]:
    """The notebooks of the book, in its order."""
    contents = yaml.safe_load((ROOT / "_toc.yml").read_text("utf-8"))
    files = [chapter["file"] for part in contents["parts"] for chapter in part["chapters"]]
    return [path for path in (ROOT / f"{file}.ipynb" for file in files) if path.exists()]


def main() -> int:
    empty_outdated_cache()
    asked = [Path(name).resolve() for name in sys.argv[1:]] or notebooks()
    todo = [path for path in asked if find(path) is None]
    os.environ.pop("COURSE_UTILS_PROGRESS", None)  # each run keeps its progress in its own folder
    errors = []
    with ThreadPoolExecutor(AT_ONCE) as pool:
        start = time.monotonic()
        running = {pool.submit(execute, path): path.relative_to(ROOT) for path in todo}
        for number, done in enumerate(as_completed(running), 1):
            error, spent = done.result(), time.monotonic() - start
            errors += [f"{running[done]} cannot be executed.\n{error}"] if error else []
            print(f"{number} of {len(todo)} notebooks executed after {spent:.0f} s: {running[done]}", flush=True)
    for error in errors:
        print(error, file=sys.stderr)
    return 1 if errors else 0


if __name__ == "__main__":
    raise SystemExit(main())
