"""The peak of a training step from what is known before it: the graph that TensorFlow traces, or the layers' shapes.

This runs in the sandbox, where TensorFlow is; no step is run. The constants were chosen on the models `FITTED_ON` of
``benchmarks/fit_models.py``.
"""

from __future__ import annotations

import math
import time
from typing import Any

from course_utils.fit import graph, layers
from course_utils.fit.batches import Batches
from course_utils.fit.prediction import Prediction
from course_utils.fit.sizes import variables
from course_utils.units import mib

MIB = 2.0**20
RUNTIME_MIB = 60.0  # threads, kernels, and what `fit` itself takes
OPERATION_MIB = 0.035  # of the traced step, as TensorFlow keeps it ready to run
LAYER_MIB = 2.5
BATCHES = 4  # two arrays wait, one is a tensor, one is used
WORKSPACE = 0.5  # of what is alive: scratch of kernels, operations side by side, holes
KEPT, PASSING = 0.9, 2  # how much of all the layers' outputs is kept, and of the largest comes and goes besides
# Chosen on the 33 peaks of 11 trainings that were measured on an NVIDIA H200.
COMPILED, HALF, CUDNN, GPU_MIB = 1.2, 0.5, 1.8, 10.0  # HALF: for the processor XLA computes 16 bits in 32
GPUS = {"T4": 15_360, "L4": 23_034, "A100": 40_960}  # MiB, as their driver says
CONTEXT_MIB = 518  # what a process took on an NVIDIA H200 before its first tensor
TRACED, OPEN, LAYERS, GPU = (0.75, 1.3), (0.75, 1.6), (0.7, 1.4), (0.7, 1.35)  # low and high, of the predicted


def estimate(model: Any, batch_size: int, *, batches: Batches, device: str = "cpu", traced: bool = True) -> Prediction:
    """Predict the peak of ``fit`` on a compiled model. Where ``traced`` is False or tracing fails, from its layers.

    Raises what calling the model raises, where it cannot be called.
    """
    began, batch = time.monotonic(), batches(batch_size)
    model.optimizer.build(model.trainable_variables)
    known, note = variables(model), ""
    data = batches.mib(batch_size)
    moment, share = "at the end of the forward pass", LAYERS
    try:
        if not traced:
            raise ValueError("the layers were asked for")
        liveness = graph.Liveness(device)
        peak = liveness.peak(graph.trace(model, batch))
        alive, ready = peak.bytes / MIB, liveness.nodes * OPERATION_MIB
        spare = WORKSPACE * alive
        moment, share = _moment(peak.operation), OPEN if liveness.open_loops else TRACED
        note = f"From the traced graph of a step, {liveness.nodes:,} operations."
        if liveness.loops:
            note += " It has loops, whose turns were counted: what a turn keeps, times the turns."
        if liveness.open_loops:
            note += f" The length of {liveness.open_loops} of them is not known, and was taken for 1: it may be more."
    except Exception as error:
        given = layers.outputs(model, batch, batch_size)
        alive = (KEPT * given.bytes + PASSING * given.largest) / MIB + known["gradients"]
        spare, ready = WORKSPACE * known["gradients"], given.layers * LAYER_MIB
        reason = f": the step could not be traced ({type(error).__name__}: {str(error)[:200]})" if traced else ""
        note = f"From the sum of what {given.layers} layers give{reason}."
    gradients = min(known["gradients"], alive)
    parts = {
        "data": BATCHES * data,
        "weights": known["weights"],
        "gradients": gradients,
        "optimizer": known["optimizer"],
        "activations": alive - gradients,
        "graph": RUNTIME_MIB + ready,
        "workspace": spare,
    }
    if device == "gpu":
        held = known["weights"] + known["optimizer"]
        needed, how = _on_gpu(model, batch, alive, held)
        gradients = min(gradients, needed)
        parts |= {"data": data, "gradients": gradients, "activations": needed - gradients}
        parts |= {"graph": 0.0, "workspace": GPU_MIB}
        note, share = f"An estimate, not run on a GPU. {note} {how}", GPU
    predicted = sum(parts.values())
    low, high = max(known["weights"], share[0] * predicted - RUNTIME_MIB / 2), share[1] * predicted
    if device == "gpu":
        enough = [f"{name} ({mib(size)})" for name, size in GPUS.items() if high + CONTEXT_MIB < size]
        note += f" Enough for it: {', '.join(enough) or 'none of ' + ', '.join(GPUS)}."
    return Prediction(
        batch_size=batch_size,
        predicted_mib=predicted,
        low_mib=low,
        high_mib=high,
        method="static",
        breakdown=parts,
        moment=moment,
        seconds=time.monotonic() - began,
        device=device,
        note=note,
    )


def _on_gpu(model: Any, batch: tuple[Any, ...], alive: float, held: float) -> tuple[float, str]:
    """Return what a step takes on a GPU besides what is held between steps, in MiB, and how that was found.

    A GPU's step is compiled by XLA, which gives less of it back than TensorFlow and joins more: between the two lies
    what was measured. Layers such as LSTM are not compiled, since cuDNN does them.
    """
    if any(type(layer).__name__ in ("LSTM", "GRU") for layer in model._flatten_layers()):
        return CUDNN * alive, "Its recurrent layers are taken to run in cuDNN."
    try:
        compiled = graph.compiled_bytes(model, batch) / MIB - held
    except Exception as error:
        return CUDNN * alive, f"XLA could not compile it ({type(error).__name__})."
    if "16" in str(getattr(model.dtype_policy, "compute_dtype", "")):
        compiled *= HALF
    return COMPILED * math.sqrt(alive * max(compiled, 1.0)), "With the buffers that XLA plans for the processor."


def _moment(operation: str) -> str:
    if "gradient_tape" in operation:
        return "in the backward pass"
    return "in the forward pass" if "/" in operation and "Assign" not in operation else "while the weights are updated"
