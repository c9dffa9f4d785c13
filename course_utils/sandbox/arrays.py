"""Weigh arrays, tensors, tables, and lists of them: by their exact types, so that no code of theirs runs."""

from __future__ import annotations

import itertools
import math
import mmap
import sys
from collections import deque
from typing import Any, NamedTuple

CONTAINERS = (list, tuple, dict, deque)
PLAIN = (float, int, complex, str, bytes, bytearray)
ARRAYS = {"ndarray", "matrix", "recarray", "MaskedArray"}
TENSORS = {"EagerTensor", "ResourceVariable", "Variable"}
MOST_MEMBERS = 100
MOST_PARTS = 16  # of a member that holds several arrays, such as a batch, or a model's weights
DEEPEST = 3
NOTABLE = 4096  # bytes: libraries have many lists of handles and scalars
MOST_SAMPLED = 16_384  # elements of an array
BLOCK, MOST_BLOCKS = 256, 16  # they lie in few pages, since each costs time to reach
SAMPLED_ROWS = 8


class Piece(NamedTuple):
    """Something that holds memory. ``owner`` tells it apart: two views of one array have the same."""

    owner: int
    size: int
    whole: Any
    """The object itself; of a view, the array whose memory it keeps."""
    shape: tuple[int, ...] = ()

    @property
    def dtype(self) -> str:
        """Such as "float32"; of a plain Python object, its class."""
        return self.whole.dtype.name if self.shape else type(self.whole).__name__

    @property
    def text(self) -> str:
        return f"{self.dtype} array {self.shape}" if self.shape else f"Python {self.dtype}"


def piece_of(value: Any) -> Piece | None:
    """Return what an array, a tensor or a plain Python object holds; None for anything else.

    None also for an array in a file, whose pages do not count, and for a tensor whose shape is not known.
    """
    kind = type(value)
    if kind in PLAIN:
        known = kind is int and -6 < value < 257  # Python has these once
        return None if known else Piece(id(value), sys.getsizeof(value), value)
    if kind.__name__ in ARRAYS:
        return _array(value)
    return _tensor(value) if kind.__name__ in TENSORS else None


def _array(value: Any) -> Piece | None:
    ndarray = sys.modules["numpy"].ndarray
    if not issubclass(type(value), ndarray):
        return None
    for _ in range(10):
        base = value.base
        if base is None or not issubclass(type(base), ndarray):
            break
        value = base
    if type(value).__name__ == "memmap" or type(value.base) is mmap.mmap or not value.shape:
        return None
    return Piece(id(value), value.nbytes, value, value.shape)


def _tensor(value: Any) -> Piece | None:
    """A tensor that has been computed, or a variable; its shape and type are known without waiting for anything."""
    try:
        inner = value._value if type(value).__module__.startswith("keras.") else value
        shape = tuple(inner.shape.as_list())
        return Piece(id(inner), math.prod(shape) * inner.dtype.size, inner, shape) if shape else None
    except Exception:  # of another library, or not initialized
        return None


class Load(NamedTuple):
    """What a container holds, estimated from a sample of its members where it has many."""

    size: float
    pieces: list[Piece]
    """The heaviest of each member that was looked at."""
    owners: set[int]
    count: int

    @property
    def largest(self) -> Piece:
        return max(self.pieces, key=lambda piece: piece.size)


def load_of(container: Any, claimed: set[int]) -> Load:
    """Weigh a list, tuple, dict or deque. What is ``claimed`` already, and what it holds twice, weighs nothing.

    The members of a long list that are looked at are spread over its whole length; the rest is taken to weigh as much.
    """
    return _load(container, claimed, set(), MOST_MEMBERS, DEEPEST)


def holds_arrays(container: Any, deepest: int = DEEPEST) -> bool:
    """Whether the first or the last members of a container are, or hold, arrays or tensors that are not tiny."""
    if type(container) in (list, tuple):
        members = (*container[:2], *container[-1:])
    else:
        members = tuple(itertools.islice(container.values() if type(container) is dict else container, 2))
    for member in members:
        if (piece := piece_of(member)) and piece.shape and piece.size >= NOTABLE:
            return True
        if deepest > 1 and type(member) in CONTAINERS and holds_arrays(member, deepest - 1):
            return True
    return False


def _load(container: Any, claimed: set[int], owners: set[int], most: int, deepest: int) -> Load:
    count = len(container)
    if type(container) in (list, tuple):
        members = container[:: max(1, -(-count // most))]
    else:
        values = container.values() if type(container) is dict else container
        members = list(itertools.islice(values, most))
    size, pieces = 0.0, []
    for member in members:
        if type(member) in CONTAINERS:
            if deepest > 1 and (inner := _load(member, claimed, owners, MOST_PARTS, deepest - 1)).pieces:
                size += inner.size
                pieces.append(inner.largest)
        elif (piece := piece_of(member)) and piece.owner not in owners and piece.owner not in claimed:
            size += piece.size
            owners.add(piece.owner)
            pieces.append(piece)
    return Load(size * count / max(1, len(members)), pieces, owners, count)


def list_text(kind: str, load: Load) -> str:
    """Describe a container in a few words."""
    if len({(piece.dtype, len(piece.shape)) for piece in load.pieces}) > 1:
        return f"{kind} with {load.largest.text}"
    if len({piece.shape for piece in load.pieces}) > 1:
        return f"{kind} of {load.count:,} arrays, the largest a {load.largest.text}"
    return f"{kind} of {load.count:,} x {load.largest.text}"


def contents(array: Any) -> dict[str, Any]:
    """Return the share of zeros in a NumPy array, and whether its rows are one-hot, from a sample; {} if not known."""
    numpy = sys.modules["numpy"]
    if array.dtype.kind not in "biufc" or not (array.flags.c_contiguous or array.flags.f_contiguous):
        return {}
    array = array if array.flags.c_contiguous else array.T
    flat = array.reshape(-1)  # a view, since the array is contiguous
    block = min(BLOCK, len(flat))
    starts = [(len(flat) - block) * index // (MOST_BLOCKS - 1) for index in range(MOST_BLOCKS)]
    zeros = 1 - sum(int(numpy.count_nonzero(flat[start : start + block])) for start in starts) / (block * MOST_BLOCKS)
    found: dict[str, Any] = {"zeros": round(zeros, 4)}
    width = array.shape[-1]
    if array.ndim > 1 and 1 < width <= MOST_SAMPLED and zeros > 0:
        rows = array.reshape(-1, width)
        most = max(2, min(SAMPLED_ROWS, MOST_SAMPLED // width))
        chosen = [(len(rows) - 1) * index // (most - 1) for index in range(most)]
        found["one_hot"] = all(int(numpy.count_nonzero(rows[row])) == 1 for row in chosen)
    return found


def table_size(value: Any) -> tuple[int, str] | None:
    """Return bytes and description of a pandas table or column; None for anything else."""
    kind = type(value)
    if not kind.__module__.startswith("pandas") or kind.__name__ not in ("DataFrame", "Series"):
        return None
    shape = " x ".join(f"{length:,}" for length in value.shape)
    return sum(block.values.nbytes for block in value._mgr.blocks), f"{kind.__name__} of {shape}"
