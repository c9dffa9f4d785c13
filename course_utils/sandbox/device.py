"""A run's GPU: the child opens it before the code begins, and the owner reads from outside what the run holds of it.

Not run on a GPU as it stands: commit 5556f52 was the last that was.
"""

from __future__ import annotations

import contextlib
import ctypes
import os

from course_utils import memory
from course_utils.memory import MIB
from course_utils.postmortem import Device

HIDDEN = "-1"
MOST_POINTS = 4000


def open_device(budget_mib: float | None) -> None:
    """In the child: cut the first GPU to the budget, and make its context; without a budget, put it out of sight.

    A context takes memory of the machine and of the device. Made here, it belongs to the baseline of both, and not to
    the code. It is CUDA's primary context, which TensorFlow takes too; TensorFlow itself does not start yet, because
    then the code could no longer set its threads. Does nothing where there is no GPU.
    """
    if budget_mib is None:
        os.environ["CUDA_VISIBLE_DEVICES"] = HIDDEN
        return
    import tensorflow as tf

    devices = tf.config.list_physical_devices("GPU")
    if not devices:
        return
    limit = tf.config.LogicalDeviceConfiguration(memory_limit=int(budget_mib))
    tf.config.set_logical_device_configuration(devices[0], [limit])
    with contextlib.suppress(OSError, AttributeError):  # a GPU of another make
        driver = ctypes.CDLL("libcuda.so.1")
        device, context = ctypes.c_int(), ctypes.c_void_p()
        if driver.cuInit(0) == 0 and driver.cuDeviceGet(ctypes.byref(device), 0) == 0:
            driver.cuDevicePrimaryCtxRetain(ctypes.byref(context), device)


def allocator_figures() -> dict[str, float]:
    """In the child: return what TensorFlow's allocator says of the first GPU, in MiB; {} where the code used none."""
    if os.environ.get("CUDA_VISIBLE_DEVICES") == HIDDEN:
        return {}
    import tensorflow as tf

    with contextlib.suppress(Exception):  # the code may have broken what is asked here
        if tf.config.list_logical_devices("GPU"):
            figures = tf.config.experimental.get_memory_info("GPU:0")
            return {"gpu_peak_mib": figures["peak"] / MIB, "gpu_in_use_mib": figures["current"] / MIB}
    return {}


class DeviceWatch:
    """In the owner: reads the device memory of one run, whose first process ``pid`` has made its context."""

    def __init__(self, budget_mib: float, pid: int) -> None:
        self.measured = Device()
        self.over = False
        self._meter: memory.GpuMeter | None = None
        try:
            meter = memory.GpuMeter(budget_mib)
            meter.attach(pid)
        except memory.MeterUnavailable as error:
            self.measured.unread = str(error)
        else:
            self._meter, self.measured.context_mib = meter, meter.context_mib
            self.measured.trace.append((0.0, 0.0))

    def look(self, seconds: float) -> None:
        """Read the device if it is time to; ``seconds`` is the time since the code began."""
        if self._meter is None or seconds - self.measured.trace[-1][0] < self._meter.interval:
            return
        try:
            sample = self._meter.sample()
        except memory.MeterUnavailable as error:
            self._meter, self.measured.unread = None, str(error)
            return
        trace = self.measured.trace
        trace.append((seconds, sample.now_mib))
        if len(trace) >= MOST_POINTS:
            del trace[1::2]
        self.measured.peak_mib = max(self.measured.peak_mib, sample.now_mib)
        self.over = self._meter.over(sample)
