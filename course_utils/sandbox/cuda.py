"""Where this host keeps what CUDA needs: a sandbox that shows only parts of the host has to show these too.

What is found is tested; that CUDA starts in such a sandbox is not, since this has not run on a GPU.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

LIBRARY = re.compile(
    r"lib(cuda|cublas|cudnn|cufft|curand|cusolver|cusparse|cupti|nvJitLink|nvrtc|nvidia-|nccl)[\w-]*\.so(\.[\d.]+)?"
)


def devices() -> list[Path]:
    """Return NVIDIA's device files."""
    return sorted(Path("/dev").glob("nvidia*"))


def folders() -> list[Path]:
    """Return the folders that hold CUDA's libraries, and those that links among the libraries lead to."""
    found: set[Path] = set()
    for library in _libraries():
        found |= {library.parent, library.resolve().parent}
    return sorted(folder for folder in found if folder.is_dir() and folder != Path("/"))


def _libraries() -> Iterator[Path]:
    """CUDA's libraries wherever the loader looks: its path, its cache, and NVIDIA's packages for Python."""
    # An empty or relative entry means the working directory, which is not the same in a sandbox.
    listed = [Path(entry) for entry in os.environ.get("LD_LIBRARY_PATH", "").split(os.pathsep) if entry[:1] == "/"]
    packages = importlib.util.find_spec("nvidia")  # nvidia/cudnn/lib and its like; TensorFlow finds them by itself
    for location in (packages and packages.submodule_search_locations) or ():
        listed += Path(location).glob("*/lib")
    for folder in listed:
        if folder.is_dir():
            yield from (path for path in folder.iterdir() if LIBRARY.fullmatch(path.name))
    if program := shutil.which("ldconfig", path=f"{os.environ.get('PATH', '')}:/sbin:/usr/sbin"):
        cache = subprocess.run([program, "-p"], capture_output=True, text=True).stdout
        paths = (Path(line.rpartition("=> ")[2]) for line in cache.splitlines() if "=> /" in line)
        yield from (path for path in paths if LIBRARY.fullmatch(path.name))
