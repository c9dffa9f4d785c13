"""Scans of handwritten digits: real handwriting, drawn as ink on paper at any size and number.

The strokes come from the 1,797 digits that scikit-learn ships (UCI optical digits, 8x8), so nothing is downloaded.
A scan depends on (split, index, size, seed, distorted) alone: the same call gives the same bytes wherever NumPy and
Pillow are the same. Finished folders stay in the cache, read-only, and a manifest beside each tells whether it is
still as it was drawn.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import stat
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from course_utils.files import cache_folder, remove, write_whole
from course_utils.handwriting import CLASSES, SPLITS, ScanError, draw, originals_file

SMALLEST, LARGEST = 8, 4096
# Raise it with any change to the drawing, so that no cache serves pictures of the old kind.
REVISION = 1

_BATCH = 50  # scans that a process draws at a time
_SCANS_A_WORKER = 250  # fewer are drawn sooner than another process starts


def load(
    split: str,
    *,
    count: int = 4000,
    size: int = 96,
    seed: int = 0,
    distorted: bool = False,
    style: int = 0,
    verify: bool = False,
) -> Path:
    """Return a folder with ``count`` scans of ``size`` x ``size`` pixels, drawn on the first call.

    A folder in the cache whose files have changed since they were drawn is drawn again, with a warning. By default
    names, sizes and times are compared.

    Args:
        split: ``"train"``, ``"validation"`` or ``"hidden"``; no original is in two of them.
        count: Number of scans, shared evenly among the ten classes.
        size: Height and width in pixels, 8 to 4096.
        seed: Any whole number from 0 to 2**64 - 1; it decides paper, pen, position and slant of each scan.
        distorted: Slant, turn, scale and shift much more strongly, as a careless scanner would.
        style: 0 draws digits upright, each in the class of its own number. Any other number, such as a secret, decides
            which digit each class holds and how the paper lay on the scanner, for all scans alike.
        verify: Compare the content of every file as well: 0.1 to 0.2 seconds for 40 MB.

    Returns:
        A folder of RGB JPEG files, ``folder/<class 0..9>/<NNNNN>.jpg``. It is the cache itself, so copy it before
        you change anything; folders and files are read-only.

    Raises:
        ScanError: An argument is out of range, scikit-learn is missing, or the cache cannot be written.
    """
    if split not in SPLITS:
        raise ScanError(f"The split must be one of {', '.join(SPLITS)}, not {split!r}.")
    count = _whole_number("count", count, 1, 1_000_000)
    size = _whole_number("size", size, SMALLEST, LARGEST)
    seed, style = (_whole_number(name, value, 0, 2**64 - 1) for name, value in (("seed", seed), ("style", style)))
    kind = f"{split}-distorted" if distorted else split
    # A name can be seen by others, such as a graded answer: seed and style of hidden scans must not be read off it.
    named = _hidden_name(seed) if split == "hidden" else f"seed{seed}"
    named += f"-{_hidden_name(style)}" if style else ""
    folder = cache_folder() / f"{kind}-{count}x{size}px-{named}-r{REVISION}"
    if _is_intact(folder, verify):  # nothing is written then, so a sandbox may ask for scans that are there
        return folder
    originals_file()
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        from filelock import FileLock

        with FileLock(folder.parent / f".{folder.name}.lock"):
            if not _is_intact(folder, verify):  # another process may have drawn it while this one waited
                if _manifest(folder).exists() and folder.exists():
                    warnings.warn(f"Files in {folder} have changed, so the scans are drawn again.", stacklevel=2)
                scan = {"split": split, "size": size, "seed": seed, "distorted": bool(distorted), "style": style}
                _render(folder, scan, count)
    except OSError as error:
        raise ScanError(
            f"Could not write the scans to {folder.parent} ({error.strerror or error}); "
            "free some space, or set COURSE_UTILS_CACHE to a folder that has room and can be written."
        ) from error
    return folder


def _hidden_name(number: int) -> str:
    return hashlib.sha256(str(number).encode()).hexdigest()[:16]


# ---- the cache ----


def _render(folder: Path, scan: dict, count: int) -> None:
    """Draw into a temporary folder, and rename it to ``folder`` when it is whole. The caller holds the lock."""
    prefix = f".{folder.name}.part"
    for left_over in folder.parent.glob(f"{prefix}*"):  # from a run that was killed
        remove(left_over)
    part = Path(tempfile.mkdtemp(prefix=prefix, dir=folder.parent))
    try:
        for label in range(CLASSES):
            (part / str(label)).mkdir()
        _draw_all(part, scan, count)
        for place in part.iterdir():
            place.chmod(0o555)
        # A sandbox under another user reads it too. Labels are folder names, so hidden ones are for the owner alone.
        part.chmod(0o500 if scan["split"] == "hidden" else 0o555)
        fingerprints = {"stamps": _fingerprint(part, _stamp), "content": _fingerprint(part, _content)}
        write_whole(_manifest(folder), json.dumps(fingerprints))
        if folder.exists():
            # Moved aside and not emptied: a run that is training on it misses no file.
            folder.rename(Path(tempfile.mkdtemp(prefix=prefix, dir=folder.parent)))
        part.rename(folder)
    finally:
        for left_over in folder.parent.glob(f"{prefix}*"):
            remove(left_over)


def _draw_all(folder: Path, scan: dict, count: int) -> None:
    """Draw all scans, shared among processes if they are many.

    joblib's loky starts fresh interpreters: a fork would inherit TensorFlow's locks, multiprocessing's spawn would
    import the caller's script a second time, and threads would mostly wait for one another.
    """
    from joblib import Parallel, cpu_count, delayed
    from joblib.externals.loky import get_reusable_executor

    workers = max(1, min(cpu_count(), 8, count // _SCANS_A_WORKER))
    # The timeout is for workers whose owner was killed.
    share = Parallel(workers, "loky", return_as="generator_unordered", batch_size=1, idle_worker_timeout=10)
    batches = (delayed(_write)(folder, scan, range(count)[start : start + _BATCH]) for start in range(0, count, _BATCH))
    with _progress(f"Drawing {count:,} scans of {scan['size']}x{scan['size']} pixels", count) as advance:
        for written in share(batches):
            advance(written)
    if workers > 1:
        get_reusable_executor(reuse=True).shutdown(kill_workers=True)  # idle workers would count in a sandbox


def _write(folder: Path, scan: dict, indices: range) -> int:
    """Write these scans; return their number."""
    for index in indices:
        picture, label = draw(index=index, **scan)
        data = io.BytesIO()  # one write a file: Pillow's own writing seeks, which is slow on network disks
        picture.save(data, "JPEG", quality=90)
        path = folder / str(label) / f"{index // CLASSES:05d}.jpg"
        path.write_bytes(data.getvalue())
        path.chmod(0o444)
    return len(indices)


def _manifest(folder: Path) -> Path:
    """The file beside a folder that holds its fingerprints, out of reach of code that is given the folder alone."""
    return folder.with_name(f".{folder.name}.json")


def _is_intact(folder: Path, verify: bool) -> bool:
    """Whether a folder holds what was drawn. Files that were only copied or touched are compared by content."""
    try:
        expected = json.loads(_manifest(folder).read_text("utf-8"))
        if not verify and expected["stamps"] == _fingerprint(folder, _stamp):
            return True
        return expected["content"] == _fingerprint(folder, _content)
    except (OSError, ValueError, KeyError, TypeError):  # the manifest may hold anything
        return False


def _fingerprint(folder: Path, of: Callable[[str], str]) -> str:
    """A digest of the names of all files and folders below ``folder`` and of what ``of`` says about each file."""
    digest = hashlib.sha256()
    for place, folders, files in os.walk(folder):
        folders.sort()  # the order in which os.walk goes on
        lines = [f"{name} {of(os.path.join(place, name))}" for name in sorted(files)]
        digest.update("\n".join([place[len(str(folder)) :], *folders, *lines, ""]).encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def _stamp(path: str) -> str:
    found = os.lstat(path)
    return f"{found.st_size} {found.st_mtime_ns}"


def _content(path: str) -> str:
    if not stat.S_ISREG(os.lstat(path).st_mode):
        return "not a file"  # a link or a pipe, and reading a pipe might never end
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


@contextlib.contextmanager
def _progress(title: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show how far the drawing is where somebody can watch: in a terminal, or in a notebook."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    if getattr(shell, "kernel", None) is None:
        from rich.console import Console
        from rich.progress import Progress

        with Progress(console=Console(stderr=True), transient=True) as progress:
            task = progress.add_task(title, total=total)
            yield lambda written: progress.advance(task, written)
        return

    from IPython.display import display  # the bars of rich and tqdm need ipywidgets in a notebook; a line needs nothing

    done = 0
    line = display({"text/plain": f"{title} ..."}, raw=True, display_id=True)

    def advance(written: int) -> None:
        nonlocal done
        done += written
        line.update({"text/plain": f"{title}: {'done.' if done == total else f'{done:,} so far.'}"}, raw=True)

    yield advance


def _whole_number(name: str, value: object, least: int, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or not least <= value <= most:
        raise ScanError(f"The {name} of scans must be a whole number from {least} to {most}, not {value!r}.")
    return int(value)
