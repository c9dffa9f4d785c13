"""Digits in real handwriting, drawn as ink on paper: how one scan is made. Folders of them are in `scans`."""

from __future__ import annotations

import functools
import importlib.util
from pathlib import Path

import numpy as np
from PIL import Image

SPLITS = ("train", "validation", "hidden")
CLASSES = 10

# The split of each original of a class, in turn, by its first letter.
_TURN = "tthttvtthttvtthttvth"
_SHARP = 0.8
_MARGIN = 2  # blank cells around the 8x8 original, so that a stroke at its rim has an edge


class ScanError(ValueError):
    """A request that cannot be met; its message is one sentence."""


def draw(
    split: str, index: int, *, size: int, seed: int, distorted: bool = False, style: int = 0
) -> tuple[Image.Image, int]:
    """Draw scan number ``index`` of a split; return an RGB picture of ``size`` x ``size`` and its class."""
    label, turn = index % CLASSES, index // CLASSES
    digits, turns, mirrored = manner(style)
    written = originals()[split, digits[label]]
    order = np.random.default_rng([seed, SPLITS.index(split), digits[label]]).permutation(len(written))
    generator = np.random.default_rng([seed, SPLITS.index(split), index, size, distorted])
    field = _place(written[order[turn % len(written)]], size, 2.2 if distorted else 1.0, generator)
    field = np.ascontiguousarray(np.rot90(field[:, ::-1] if mirrored else field, turns))
    return _ink_on_paper(field, size, generator), label


@functools.cache
def manner(style: int) -> tuple[list[int], int, bool]:
    """What a style means: the digit that each class holds, quarter turns of the paper, and whether it is mirrored.

    With any style but 0, no class holds the digit of its own number, so labels learned elsewhere are all wrong.
    """
    if not style:
        return list(range(CLASSES)), 0, False
    generator = np.random.default_rng([style, len(SPLITS)])
    circle = generator.permutation(CLASSES)
    digits = np.empty(CLASSES, int)
    digits[circle] = np.roll(circle, 1)
    return digits.tolist(), int(generator.integers(4)), bool(generator.integers(2))


@functools.cache
def originals() -> dict[tuple[str, int], list[Image.Image]]:
    """The handwriting by (split, class): pictures of 12x12 cells, 0 paper to 1 ink, sharpened.

    The file is read without importing scikit-learn, which takes a second. Raises ScanError where it is missing.
    """
    table = np.loadtxt(originals_file(), delimiter=",", dtype=np.float32)
    groups: dict[tuple[str, int], list[Image.Image]] = {}
    names = {name[0]: name for name in SPLITS}
    for label in range(CLASSES):
        for position, pixels in enumerate(table[table[:, 64] == label, :64]):
            cells = _sharpen(np.pad(pixels.reshape(8, 8) / 16, _MARGIN))
            groups.setdefault((names[_TURN[position % len(_TURN)]], label), []).append(Image.fromarray(cells))
    return groups


def originals_file() -> Path:
    """The file of the originals. Raises ScanError where it is missing, as in an isolated sandbox."""
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
