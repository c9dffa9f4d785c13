"""The memory of GPUs, as the driver counts it for the processes of a run: NVML, read from outside.

TensorFlow's own figures come from inside the run, and know only what its allocator handed out. The driver counts what a
process holds however it came by it: the context, the pool of the allocator, and what is allocated past TensorFlow.

Not run on a GPU yet: commit 5556f52 was the last that was, and it read no GPU from outside.
NVML: https://docs.nvidia.com/deploy/nvml-api/
"""

from __future__ import annotations

import functools
from typing import Any, ClassVar

from course_utils.memory.meter import MIB, Meter, MeterUnavailable, Sample
from course_utils.memory.procfs import members, parent

LIBRARIES_MIB = 512.0
"""What a run may hold above context and budget: code that cuBLAS, cuDNN and XLA load onto the device while it runs.
Generous until it is measured, since too little would end runs that keep to their budget. The record of an H200 in
book/measured/gpu.json leaves about a fifth of it for such code, above a context that had run one product."""


@functools.cache
def _devices() -> tuple[list[Any], str]:
    """Return NVML's handle of each GPU; or none, and a sentence that says why."""
    try:
        import pynvml
    except ImportError:
        return [], "the package that asks the driver is not installed: pip install nvidia-ml-py"
    try:
        pynvml.nvmlInit()
        found = [pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(pynvml.nvmlDeviceGetCount())]
    except pynvml.NVMLError as error:
        return [], f"there is no GPU whose driver can be asked ({error})"
    return found, "" if found else "the driver knows no GPU"


def held_mib() -> dict[int, float]:
    """Return what each process holds on all GPUs, in MiB, by its process number. Raises `MeterUnavailable`."""
    devices, why = _devices()
    if why:
        raise MeterUnavailable(f"GPU memory is not read from outside: {why}.")
    import pynvml

    held: dict[int, float] = {}
    try:
        for device in devices:
            for process in pynvml.nvmlDeviceGetComputeRunningProcesses(device):
                # None where the driver does not tell
                held[process.pid] = held.get(process.pid, 0.0) + (process.usedGpuMemory or 0) / MIB
    except (pynvml.NVMLError, pynvml.NVMLLibraryMismatchError) as error:
        raise MeterUnavailable(f"GPU memory is not read from outside: the driver refuses ({error}).") from None
    return held


def devices() -> list[dict[str, Any]]:
    """Return one row for each GPU: ``name, memory_mib, used_mib``; [] where the driver refuses."""
    import pynvml

    try:
        read = [(pynvml.nvmlDeviceGetName(one), pynvml.nvmlDeviceGetMemoryInfo(one)) for one in _devices()[0]]
    except pynvml.NVMLError:
        return []
    return [{"name": str(name), "memory_mib": held.total // MIB, "used_mib": held.used // MIB} for name, held in read]


class GpuMeter(Meter):
    """Reads what the processes of a run hold on GPUs above the context with which it began. It kills nothing."""

    counts: ClassVar[str] = "what the driver counts on all GPUs for the processes of the run, above its first context"
    cannot_see: ClassVar[str] = (
        "what another process holds for the run, as in CUDA's MPS; a spike shorter than the interval; anything where "
        "the driver does not name the processes, as on a part of a GPU (MIG)"
    )
    interval: ClassVar[float] = 0.05

    def __init__(self, cap_mib: float) -> None:
        self.cap_mib = cap_mib
        self.context_mib = 0.0

    @classmethod
    def probe(cls) -> str:
        return _devices()[1]

    def attach(self, pid: int) -> None:
        """Begin to watch ``pid``, which has made its context. Raises `MeterUnavailable` where the driver lists none."""
        held = held_mib()
        if pid not in held:
            raise MeterUnavailable("GPU memory is not read from outside: the driver does not list the run's process.")
        self._root, self._reaper, self.context_mib = pid, parent(pid), held[pid]

    def sample(self) -> Sample:
        held = held_mib()
        total = sum(held.get(pid, 0.0) for pid in members(self._root, self._reaper))
        now = max(0.0, total - self.context_mib)
        return Sample(now, now)

    def over(self, sample: Sample) -> bool:
        """Whether the run holds more than it may."""
        return sample.now_mib > self.cap_mib + LIBRARIES_MIB

    def kill(self) -> None:
        """Do nothing: the meter of the machine's memory kills a run, and with it what it holds on a GPU."""
