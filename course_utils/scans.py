"""Scans of handwritten digits: real handwriting, drawn as ink on paper at any size and number.

The strokes come from the 1,797 digits that scikit-learn ships (UCI optical digits, 8x8): nothing is fetched.
A scan depends on (split, index, size, seed) alone: the same call gives the same bytes wherever NumPy and
Pillow are the same.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import importlib.util
import io
import json
import operator
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from course_utils.files import cache_folder

SPLITS = ("train", "validation", "hidden")
CLASSES = 10
SMALLEST, LARGEST = 8, 4096
# Raise it with any change to the drawing, so that no cache serves pictures of the old kind.
REVISION = 1

# The split of each original of a class, in turn, by its first letter.
_TURN = "tthttvtthttvtthttvth"
_SHARP = 0.8
_MARGIN = 2  # blank cells around the 8x8 original, so that a stroke at its rim has an edge
_SCANS_A_WORKER = 250  # fewer are drawn sooner than another process starts


class ScanError(ValueError):
    """A request that cannot be drawn; its message is one sentence."""


def load(split: str, *, count: int = 4000, size: int = 96, seed: int = 0, distorted: bool = False) -> Path:
    """Return a folder with ``count`` scans of ``size`` x ``size`` pixels, drawn on the first call.

    Args:
        split: ``"train"``, ``"validation"`` or ``"hidden"``; no original is in two of them.
        count: number of scans, shared evenly among the ten classes.
        size: height and width in pixels, 8 to 4096.
        seed: any whole number from 0 to 2**64 - 1; it decides paper, pen, position and slant of each scan.
        distorted: slant, turn, scale and shift much more strongly, as a careless scanner would.

    Returns:
        A folder of RGB JPEG files, ``folder/<class 0..9>/<NNNNN>.jpg``. Read only: it is the cache.

    Raises:
        ScanError: an argument is out of range, scikit-learn is missing, or the cache cannot be written.
    """
    if split not in SPLITS:
        raise ScanError(f"The split must be one of {', '.join(SPLITS)}, not {split!r}.")
    count = _whole_number("count", count, 1, 1_000_000)
    size = _whole_number("size", size, SMALLEST, LARGEST)
    seed = _whole_number("seed", seed, 0, 2**64 - 1)
    kind = f"{split}-distorted" if distorted else split
    folder = cache_folder() / f"{kind}-{count}x{size}px-seed{seed}-r{REVISION}"
    if _is_whole(folder, count):
        return folder
    _handwriting()
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _only_one(folder.parent / f".{folder.name}.lock"):
            if not _is_whole(folder, count):  # another process may have drawn it while this one waited
                scan = {"split": split, "size": size, "seed": seed, "distorted": bool(distorted)}
                _render(folder, scan, count)
    except OSError as error:
        raise ScanError(
            f"Could not write the scans to {folder.parent} ({error.strerror or error}); "
            "free some space, or set COURSE_UTILS_CACHE to a folder that has room and can be written."
        ) from error
    return folder


def draw(split: str, index: int, *, size: int, seed: int, distorted: bool = False) -> tuple[Image.Image, int]:
    """Draw scan number ``index`` of a split; return an RGB picture of ``size`` x ``size`` and its class."""
    label, turn = index % CLASSES, index // CLASSES
    originals = _originals()[split, label]
    order = np.random.default_rng([seed, SPLITS.index(split), label]).permutation(len(originals))
    generator = np.random.default_rng([seed, SPLITS.index(split), index, size, distorted])
    field = _place(originals[order[turn % len(originals)]], size, 2.2 if distorted else 1.0, generator)
    return _ink_on_paper(field, size, generator), label


@functools.cache
def _originals() -> dict[tuple[str, int], list[Image.Image]]:
    """The originals by (split, class). Reads the file only: importing scikit-learn itself takes a second."""
    table = np.loadtxt(_handwriting(), delimiter=",", dtype=np.float32)
    groups: dict[tuple[str, int], list[Image.Image]] = {}
    names = {name[0]: name for name in SPLITS}
    for label in range(CLASSES):
        for position, pixels in enumerate(table[table[:, 64] == label, :64]):
            cells = _sharpen(np.pad(pixels.reshape(8, 8) / 16, _MARGIN))
            groups.setdefault((names[_TURN[position % len(_TURN)]], label), []).append(Image.fromarray(cells))
    return groups


def _handwriting() -> Path:
    """The file of the originals; raises ScanError where it is not, as in an isolated sandbox."""
    package = importlib.util.find_spec("sklearn")
    path = Path(package.origin or "").parent / "datasets" / "data" / "digits.csv.gz" if package else None
    if path is None or not path.is_file():
        raise ScanError("The handwriting that comes with scikit-learn is not here: pip install scikit-learn.")
    return path


def _sharpen(cells: np.ndarray) -> np.ndarray:
    """Take some of each cell's neighbours from it: strokes get thinner and the eyes of an 8 stay open."""
    inner = np.pad(cells, 1)
    around = inner[:-2, 1:-1] + inner[2:, 1:-1] + inner[1:-1, :-2] + inner[1:-1, 2:]
    return (1 + _SHARP) * cells - np.float32(_SHARP / 4) * around


def _place(original: Image.Image, size: int, strength: float, generator: np.random.Generator) -> np.ndarray:
    """Slant, turn, scale and shift the 8x8 strokes into a float32 field of (size, size), 0 paper to 1 ink."""
    angle, slant = generator.normal(0, 0.06 * strength), generator.normal(0.08, 0.12 * strength)
    height = generator.uniform(0.64 - 0.1 * (strength - 1), 0.86)  # of the paper, for the eight rows
    width = height * generator.uniform(0.85, 1.1)
    shift = generator.uniform(-1, 1, 2) * ((1 - height) / 2 + 0.02 * (strength - 1))
    cosine, sine = np.cos(angle), np.sin(angle)
    # From a pixel of the scan (x, y) to a cell of the original: undo shift, turn, slant, scale.
    scale = np.diag([8 / (width * size), 8 / (height * size)])
    matrix = scale @ np.array([[1, slant], [0, 1]]) @ np.array([[cosine, sine], [-sine, cosine]])
    offset = np.full(2, 4 + _MARGIN) - matrix @ ((0.5 + shift) * size)
    coefficients = (*matrix[0], offset[0], *matrix[1], offset[1])
    placed = original.transform((size, size), Image.Transform.AFFINE, coefficients, Image.Resampling.BICUBIC)
    return np.asarray(placed)


def _ink_on_paper(field: np.ndarray, size: int, generator: np.random.Generator) -> Image.Image:
    """Cut the field at a contour, its edge a pixel or two wide; lay it as ink on tinted, grained paper."""
    grain, rough = _textures(size)
    row, column = generator.integers(0, size + 1, 2)
    piece = np.s_[row : row + size, column : column + size]

    # The slope of the field turns "how far above the contour" into "how many pixels inside it".
    inside = field - np.float32(generator.uniform(0.3, 0.65)) + rough[piece] * np.float32(0.02)
    slope = np.abs(field[1:, :-1] - field[:-1, :-1]) + np.abs(field[:-1, 1:] - field[:-1, :-1])
    slope = np.pad(slope, (0, 1), "edge") + np.float32(0.6 / size)
    ink = np.clip(inside / (slope * np.float32(max(1, size / 160))) + np.float32(0.5), 0, 1)
    ink *= np.clip(np.float32(0.82) + np.float32(0.2) * field, 0, 1)  # pressure

    paper = np.clip(_PAPERS[generator.integers(len(_PAPERS))] + generator.normal(0, 4, 3), 0, 255)
    pen = np.clip(_PENS[generator.integers(len(_PENS))] + generator.normal(0, 10, 3), 0, 150)
    across = np.linspace(-1, 1, size, dtype=np.float32)
    lamp = generator.normal(0, 4, 2).astype(np.float32)
    shade = lamp[0] * across + (lamp[1] * across)[:, None]
    shade += grain[piece] * np.float32(generator.uniform(1.5, 3.5))
    if generator.random() < 0.3:  # ruled paper
        spacing, first = size * generator.uniform(0.2, 0.35), generator.uniform(0, size)
        distance = np.abs((np.arange(size) - first + spacing / 2) % spacing - spacing / 2)
        rule = (np.clip(size / 150 - distance, 0, 1) * 28).astype(np.float32)
        shade -= rule[:, None] * (1 - np.float32(0.7) * ink)

    scan = np.empty((size, size, 3), np.uint8)
    for channel in range(3):
        light = ink * np.float32(pen[channel] - paper[channel])
        light += shade
        light += np.float32(paper[channel])
        scan[..., channel] = np.clip(light, 0, 255, out=light)
    return Image.fromarray(scan)


_PENS = np.array([[28, 28, 34], [24, 38, 110], [20, 60, 140], [60, 58, 62], [130, 28, 36], [16, 78, 58]])
_PAPERS = np.array([[246, 245, 240], [238, 230, 208], [232, 236, 242], [222, 218, 208], [244, 236, 224]])


@functools.cache
def _textures(size: int) -> tuple[np.ndarray, np.ndarray]:
    """Paper grain and roughness of a pen's edge, float32 (2 * size, 2 * size); each scan cuts out a piece.

    That is several times cheaper than noise made for each scan.
    """
    generator = np.random.default_rng(0)

    def cloud(knots: int) -> np.ndarray:
        coarse = Image.fromarray(generator.standard_normal((knots, knots), np.float32))
        return np.asarray(coarse.resize((2 * size, 2 * size), Image.Resampling.BICUBIC))

    noise = generator.standard_normal((2 * size, 2 * size), np.float32)
    return noise + cloud(6) + cloud(100), cloud(50) + cloud(120)


def _write(folder: Path, scan: dict, start: int, stop: int, step: int) -> Iterator[int]:
    """Write every ``step``-th scan from ``start``; yield how many are written, now and then."""
    written = 0
    for index in range(start, stop, step):
        picture, label = draw(index=index, **scan)
        data = io.BytesIO()  # one write a file: Pillow's own writing seeks, which is slow on network disks
        picture.save(data, "JPEG", quality=90)
        (folder / str(label) / f"{index // CLASSES:05d}.jpg").write_bytes(data.getvalue())
        written += 1
        if written % 50 == 0:
            yield 50
    yield written % 50


def _render(folder: Path, scan: dict, count: int) -> None:
    """Draw into a temporary folder, renamed to ``folder`` when it is whole. The caller holds the lock."""
    for left_over in folder.parent.glob(f".{folder.name}.part*"):  # of a run that was killed
        _remove(left_over)
    part = Path(tempfile.mkdtemp(prefix=f".{folder.name}.part", dir=folder.parent))
    try:
        part.chmod(0o755)  # a sandbox under another user reads it too
        for label in range(CLASSES):
            (part / str(label)).mkdir()
        with _progress(f"Drawing {count:,} scans of {scan['size']}x{scan['size']}", count) as advance:
            _share(part, scan, count, advance)
        if folder.exists():  # somebody took files out of it
            shutil.rmtree(folder)
        part.rename(folder)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise


def _remove(folder: Path) -> None:
    """Remove a folder into which orphaned workers may still be writing; they end where they find it gone."""
    for _ in range(100):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
        time.sleep(0.02)


def _share(folder: Path, scan: dict, count: int, advance: Callable[[int], None]) -> None:
    """Share the scans among fresh interpreters, one a core.

    They run this file as a program. multiprocessing would fork TensorFlow's threads, or import the caller's
    script a second time.
    """
    workers = min(len(os.sched_getaffinity(0)), 8, count // _SCANS_A_WORKER)
    if workers < 2:
        for written in _write(folder, scan, 0, count, 1):
            advance(written)
        return
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    read_end, write_end = os.pipe()
    with contextlib.ExitStack() as stack, os.fdopen(read_end) as counts:
        running = []
        with os.fdopen(write_end, "w") as shared:
            for start in range(workers):
                command = [
                    sys.executable,
                    "-P",
                    __file__,
                    json.dumps([str(folder), scan, start, count, workers]),
                ]
                worker = subprocess.Popen(command, stdout=shared, stderr=subprocess.PIPE, env=environment)
                stack.enter_context(worker)
                stack.callback(worker.kill)
                running.append(worker)
        for written in counts:  # ends when the last worker has closed its side
            advance(int(written))
        for worker in running:
            complaint = worker.communicate()[1].decode(errors="replace").split("\n")
            if worker.returncode != 0:
                raise OSError("".join(complaint[-2:]) or f"a drawing process died of {worker.returncode}")


def _is_whole(folder: Path, count: int) -> bool:
    """Whether every scan is there. A rename made the folder, so only files taken out later can be missing."""
    try:
        return sum(len(os.listdir(folder / str(label))) for label in range(CLASSES)) == count
    except OSError:
        return False


@contextlib.contextmanager
def _only_one(path: Path) -> Iterator[None]:
    """Hold a lock between processes; the kernel lets go of it when its owner dies."""
    with open(path, "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(file, fcntl.LOCK_UN)


@contextlib.contextmanager
def _progress(title: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show a bar where somebody can see it move: in a terminal, or in a notebook."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    if getattr(shell, "kernel", None) is not None:
        # rich wants ipywidgets in a notebook and warns without them; IPython's own bar needs nothing.
        from IPython.display import ProgressBar, display

        bar = ProgressBar(total)
        bar.display()

        def advance(written: int) -> None:
            bar.progress += written  # draws itself anew

        yield advance
        display({"text/plain": f"{title}: done."}, raw=True, display_id=bar._display_id, update=True)
        return

    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(title, total=total)
        yield lambda written: progress.advance(task, written)


def _whole_number(name: str, value: object, least: int, most: int) -> int:
    try:
        number = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        number = None
    if number is None or isinstance(value, bool) or not least <= number <= most:
        raise ScanError(f"The {name} of scans must be a whole number from {least} to {most}, not {value!r}.")
    return number


if __name__ == "__main__":
    where, what, first, last, every = json.loads(sys.argv[1])
    for done in _write(Path(where), what, first, last, every):
        # One write a line: print makes two where PYTHONUNBUFFERED is set, and the workers share the pipe.
        os.write(1, f"{done}\n".encode())  # a closed pipe ends this process when its owner has died
