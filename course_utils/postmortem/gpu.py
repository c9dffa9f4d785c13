"""What the death of a run on a GPU means: whether memory was the matter, the sentence that says so, and its cause."""

from __future__ import annotations

import re
from collections.abc import Sequence

from course_utils import causes, units
from course_utils.postmortem.evidence import Device, End, Limits

# Keras compiles with XLA on a GPU. XLA's error then comes as an UnknownError, with the text of the compiled program.
KINDS = {"ResourceExhaustedError", "InternalError", "UnknownError", "XlaRuntimeError"}
MEMORY = re.compile(r"OOM|out of memory|OUT_OF_MEMORY|exhausted", re.IGNORECASE)
NAMED = re.compile(r"device:GPU|GPU_\d|CUDA_ERROR_OUT_OF_MEMORY|cuda_malloc")
ALLOCATOR = re.compile(r"RESOURCE_EXHAUSTED: |Out of memory while trying to allocate|OOM when allocating tensor")
CPU = re.compile(r"device:CPU|mklcpu|by allocator cpu")
UNCOPIED = "Dst tensor is not initialized"
SENTENCE = re.compile(
    r"Out of memory while trying to allocate [\d.]{1,20} ?\w{0,10}\.?"
    rf"|(?:OOM when allocating|{UNCOPIED}|failed to allocate)[^\n]{{0,300}}"
    r"|[^\n]{0,100}CUDA_ERROR_OUT_OF_MEMORY[^\n]{0,200}"
)
REASON = re.compile(r"(?s)((?:Because of|It holds) \w{1,80}: )(.*)( \([^()\n]{1,150}, line \d{1,9}\))")
PREDICTING = re.compile(r"\.(predict|predict_on_batch|evaluate|test_on_batch)\(")
WAITED_SECONDS = 10
"""How long TensorFlow's allocator waits for memory to be given back before an allocation fails: ``max_millis_to_wait``
in its BFC allocator; seen on an H200 too."""


def is_memory(kinds: Sequence[str], text: str, limits: Limits) -> bool:
    """Whether an exception says that the GPU, and not the machine, ran out of memory."""
    if UNCOPIED in text:
        return True
    if not KINDS & set(kinds) or not MEMORY.search(text):
        return False
    # XLA does not name its device. A run without a GPU budget sees no GPU.
    with_gpu = limits.gpu_budget_mib is not None
    return bool(NAMED.search(text) or (with_gpu and ALLOCATOR.search(text) and not CPU.search(text)))


def sentence(text: str) -> str:
    """Return the last sentence that says what did not fit; "" if none does."""
    found = SENTENCE.findall(text)
    return found[-1].strip() if found else ""


def readable(end: End) -> End:
    """Return an end without what is not the learner's: the compiled program, and the frames of libraries."""
    text = sentence(end.text)
    reasons = []
    for reason in end.reasons:
        match = REASON.fullmatch(reason)
        short = sentence(match[2]) if match else ""
        reasons.append(f"{match[1]}{short}{match[3]}" if match and short else reason)
    return End(**{**vars(end), "text": text or end.text, "reasons": tuple(reasons)})


def explain(end: End) -> dict[str, str]:
    """Return ``allocation``, ``cause`` and ``cause_lab`` of a run whose allocation on the GPU was refused."""
    found = causes.explain(end.text)
    call = PREDICTING.search(end.frames[-1].source) if end.frames else None
    if call and found.cause in ("activations", "compiled_step"):
        why = (
            f"`{call[1]}()` sends one batch at a time through the network, and one layer's input and output for that "
            "whole batch did not fit. Nothing is kept for gradients here, so make the batch smaller."
        )
        found = causes.Explanation(found.kind, found.cause, found.title, why, "", found.lab)
    known = found.kind != "unknown"
    return {
        "allocation": causes.allocation(end.text),
        "cause": found.why if known else "",
        "cause_lab": found.lab if known else "",
    }


def outside_tensorflow() -> dict[str, str]:
    """Return the cause of a run that was killed for its device memory."""
    why = (
        "TensorFlow keeps within the budget. So the code took this memory without it, in another process, or after it "
        "had raised its own limit."
    )
    return {"allocation": "", "cause": why, "cause_lab": "10"}


def account(budget_mib: float | None, in_use_mib: float | None, device: Device | None) -> str:
    """Return what is known of the device at the end of a run, in a sentence; "" where there was none."""
    if budget_mib is None or (in_use_mib is None and not (device and device.trace)):
        return ""
    parts = [f"a budget of {units.mib(budget_mib)}"]
    if in_use_mib is not None:
        parts.append(f"{units.mib(in_use_mib)} in use at the end, by TensorFlow's own count")
    if device and device.trace:
        held, context = units.mib(device.peak_mib), units.mib(device.context_mib)
        parts.append(f"at most {held} held, by the driver's count, above a context of {context}")
    return "; ".join(parts)
