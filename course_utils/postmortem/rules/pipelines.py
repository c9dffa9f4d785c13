"""How data are fed: `tf.data` pipelines, ImageDataGenerator, generators that keep what they read, workers."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any

from course_utils.postmortem import phases
from course_utils.postmortem.evidence import Frame, Where
from course_utils.postmortem.rules.case import Case, Finding
from course_utils.postmortem.rules.data import MIB, OWN, elements, grower_in, grown_in, holdings, since_the_ledger
from course_utils.postmortem.rules.line import gives_data, loop, statement
from course_utils.postmortem.rules.said import training
from course_utils.units import mib

LEAST = 0.2  # of the memory
FLOAT32_COPIES = 3.5  # of its array that `fit` of ImageDataGenerator makes at most, with room for what it adds to them
STEPS = (phases.FIRST_STEP, phases.LATER_STEPS, phases.EVALUATION, phases.PREDICT)
WHILE_RUNNING = (*STEPS, phases.TRACING)
"""A pipeline begins to fill its buffers when it is begun, which is before the first step."""
IMAGE_GENERATOR = re.compile(r"keras/.*preprocessing/image\.py$|keras/.*legacy/preprocessing/image")
SLICES = {"from_tensor_slices", "from_tensors", "_from_tensor_slices", "_from_tensors"}
ITERATES = {"__next__", "_next_internal", "iterator_get_next", "get_next"}
LATER = 1.3  # of what it held when it was weighed: a list in another thread is not seen at every moment
AGE = 0.3  # seconds that the run's own account may be old
WORKERS = 0.5  # of the memory: what is not in the process that trains


@dataclass(frozen=True)
class Stage:
    """A stage of a pipeline that holds elements. Memory is in MiB."""

    op: str
    name: str
    what: str
    count: int | None
    element_mib: float
    mib: float
    """What it holds when it is full."""
    full: bool


def stages(case: Case) -> list[Stage]:
    """Return the stages that were alive, those that can hold the most first."""
    found = [_stage(entry) for entry in case.entries("pipeline")]
    batch = next((stage for stage in found if "batch" in stage.op), None)
    if batch:  # the length of the last batch is not known, so that of an element after `batch()` is not, either
        found = [
            replace(stage, element_mib=batch.mib, mib=batch.mib * (stage.count or 0))
            if not stage.element_mib and "(None, " in stage.what
            else stage
            for stage in found
        ]
    return sorted(found, key=lambda stage: -stage.mib)


def _stage(entry: dict[str, Any]) -> Stage:
    count, each = entry.get("count"), entry.get("element_mib") or 0.0
    return Stage(entry.get("op", ""), entry["name"], entry["what"], count, each, entry["mib"], bool(entry.get("full")))


def product(stage: Stage) -> str:
    """The arithmetic of a stage that is full."""
    each = mib(stage.element_mib) if stage.element_mib >= 1 else f"{stage.element_mib:.3g} MiB"
    return f"{stage.count or 0:,} x {each} = {mib(stage.mib)}"


def tensor_slices(case: Case) -> Finding | None:
    """`from_tensor_slices` makes a tensor of the whole array, and both are alive."""
    building = grown_in(case, lambda frame: frame.function in SLICES and "tensorflow/" in frame.file)
    if building < LEAST * case.peak_mib:
        return None
    arrays = [one for one in holdings(case) if one.kind == "array" and not one.library]
    blame = grower_in(case, lambda frame: frame.function in SLICES and "tensorflow/" in frame.file)
    named_there = [one for one in arrays if one.name in statement(case, blame).names]
    arrays = named_there or [one for one in arrays if one.mib >= 0.05 * case.peak_mib][:2]
    given = " and ".join(one.brief for one in arrays[:3])
    words = f"`from_tensor_slices` made {mib(building)} of tensors"
    words += f" from {given}, and both are alive" if given else ""
    size = building + sum(one.mib for one in arrays)
    return Finding("tensor_slices", min(size, case.peak_mib), f"{words}.", blame)


def running(case: Case) -> float:
    """Return the MiB that can have come into the buffers of pipelines while they ran.

    In a loop of the learner's own they fill in the background, whatever line of the loop is running.
    """
    around = loop(case, _reader(case))
    kept = sum(one.mib for one in holdings(case) if one.kind == "list" and one.grows)
    inside = sum(
        one.mib for one in case.growth if one.where and one.phase in OWN and around and _within(one.where, around)
    )
    own = max(grown_in(case, _iterates), inside - kept)
    return case.grown(*WHILE_RUNNING) + min(own, case.grown(*OWN))


def runner(case: Case) -> Where | None:
    """Return the line that took elements from a pipeline."""
    return case.grower(*WHILE_RUNNING) if case.grown(*WHILE_RUNNING) else _reader(case)


def _reader(case: Case) -> Where | None:
    return grower_in(case, _iterates)


def _iterates(frame: Frame) -> bool:
    return frame.function in ITERATES and "tensorflow/" in frame.file


def _within(where: Where, around: tuple[str, int, int]) -> bool:
    cell, first, last = around
    return where.cell == cell and first <= where.line <= last


def cached(case: Case) -> Finding | None:
    """`cache()` without a file keeps every element that has come through it."""
    grown = running(case)
    found = next((stage for stage in stages(case) if stage.op == "cache"), None)
    if found is None or grown < LEAST * case.peak_mib:
        return None
    seen = _seen(case, found)
    if not found.element_mib or (found.count is None and seen is None):
        return None
    most = found.mib if found.count is not None else float("inf")
    held = min(most, grown, most if seen is None else seen * found.element_mib)
    if held < LEAST * case.peak_mib:
        return None
    each = re.sub(r"^cache\(\) of ", "", found.what)
    full = f": {product(found)}" if found.count is not None else f", {mib(found.element_mib)}"
    words = f"`cache()` keeps {each}{full}. So far, {mib(held)} of them had come"
    beside = [stage for stage in stages(case) if stage.op == "shuffle"]
    if beside and beside[0].mib < 0.5 * held:
        words += f"; the shuffle buffer beside it holds {mib(beside[0].mib)}"
    elif beside and beside[0].element_mib == found.element_mib:
        words += "; the shuffle buffer holds the same elements, which need no second copy"
    return Finding("cache_in_memory", held, f"{words}.", named(case, r"\.cache\(") or runner(case))


def _seen(case: Case, cache: Stage) -> int | None:
    """At most how many elements a cache has seen; None where it may have seen all."""
    said = case.facts.get("training")
    said = said if isinstance(said, dict) else {}
    step, epoch = said.get("step"), said.get("epoch")
    if type(step) is not int or epoch != 0 or said.get("function") != "fit":
        return None
    later = [stage for stage in stages(case) if stage.op in ("batch", "padded_batch")]
    batch = max((stage.count or 1 for stage in later), default=1)
    ahead = [stage.count or 1 for stage in stages(case) if stage.op == "prefetch"]
    shuffled = sum(stage.count or 0 for stage in stages(case) if stage.op == "shuffle")
    waiting = max([*ahead, 8])  # batches that are ready: AUTOTUNE makes a few, and a step may be over since
    return (step + 2 + waiting) * batch + shuffled


def shuffled(case: Case) -> Finding | None:
    """A shuffle buffer holds its elements as they are at that point, and fills before the first step."""
    grown = running(case)
    found = [stage for stage in stages(case) if stage.op == "shuffle"]
    caches = [stage for stage in stages(case) if stage.op == "cache"]
    if not found or grown < LEAST * case.peak_mib or not found[0].element_mib:
        return None
    buffer = found[0]
    if any(cache.element_mib == buffer.element_mib and cache.mib >= buffer.mib for cache in caches):
        return None  # the same elements, and the cache has them for good
    held = min(buffer.mib, grown)
    if held < LEAST * case.peak_mib:
        return None
    of = re.sub(r"^shuffle\(\) of ", "", buffer.what)
    words = f"The shuffle buffer holds {of}: {product(buffer)}"
    if buffer.mib > 1.05 * held:
        words += f". It had got {mib(held)} when the run died"
    return Finding("shuffle_buffer", held, f"{words}.", named(case, r"\.shuffle\(") or runner(case))


def prefetched(case: Case) -> Finding | None:
    """Batches that wait for the model, and batches that are large by themselves."""
    grown = running(case)
    waiting = next((stage for stage in stages(case) if stage.op == "prefetch"), None)
    batch = next((stage for stage in stages(case) if stage.op in ("batch", "padded_batch")), None)
    outputs = training(case).outputs_mib
    model = sum(entry["mib"] for entry in case.entries("weights", "optimizer"))
    room = grown - outputs - model
    if waiting and waiting.element_mib and (waiting.count or 0) > 1:
        held = min(waiting.mib, room)
        if held >= LEAST * case.peak_mib and waiting.mib >= 0.5 * case.peak_mib:
            of = re.sub(r"^prefetch\(\) of ", "", waiting.what)
            words = f"`prefetch` holds up to {of}: {product(waiting)}"
            return Finding("prefetch_buffer", held, f"{words}.", named(case, r"\.prefetch\(") or runner(case))
    if batch and batch.mib >= LEAST * case.peak_mib and batch.mib > outputs:
        of = re.sub(r"^(padded_)?batch\(\) of ", "", batch.what)
        words = f"One batch has {of}: {product(batch)}, and more than one is alive"
        return Finding("large_elements", min(room, 3 * batch.mib), f"{words}.", named(case, r"batch\(") or runner(case))
    return None


def queued(case: Case) -> Finding | None:
    """Batches of a `PyDataset` that its workers have made ready and the model has not taken yet."""
    said = case.facts.get("training")
    queue = said.get("queue") if isinstance(said, dict) else None
    if not isinstance(queue, dict):
        return None
    most, each = queue.get("most"), queue.get("batch_mib")
    if type(most) is not int or type(each) not in (int, float) or each <= 0 or most <= 1:
        return None
    # The workers go on while the graph of a step is made, and that takes a few MiB.
    held = min(most * each, running(case) - training(case).outputs_mib)
    if held < 0.5 * case.peak_mib:
        return None
    words = f"Up to {most:,} batches of {mib(each)} each wait until the model takes them: {mib(most * each)}"
    return Finding("queued_batches", held, f"{words}.", runner(case))


def image_data_generator(case: Case) -> Finding | None:
    """`flow` and `fit` of ImageDataGenerator turn the whole array into float32."""

    def told(frame: Frame) -> bool:
        return bool(IMAGE_GENERATOR.search(frame.file))

    grown, where = grown_in(case, told), grower_in(case, told)
    if grown < LEAST * case.peak_mib or where is None:
        return None
    function = next((one.function for one in case.growth if one.where == where and one.function), "")
    given = [one for one in holdings(case) if one.kind == "array" and not one.library and one.name in where.source]
    copies = FLOAT32_COPIES * sum(elements(one) for one in given) * 4 / MIB
    if given and grown > copies:
        return _whitening(case, grown, where)
    words = f"`{function}` of ImageDataGenerator was making float32 of the whole array: {mib(grown)} so far"
    if given:
        words += f", 4 bytes for each value of {given[0].brief}, and again for each copy"
    return Finding("image_data_generator", grown + sum(one.mib for one in given), f"{words}.", where)


def _whitening(case: Case, grown: float, where: Where) -> Finding | None:
    """More than copies came: `zca_whitening` compares each value of a picture with every other one."""
    for one in holdings(case):
        if one.library and one.kind == "array" and len(one.shape) == 2 and one.shape[0] == one.shape[1]:
            words = f"`fit` was making a square matrix with a row for each value of a picture: {one.text}"
            return Finding("whitening", grown, f"{words}.", where)
    return None


def kept_elements(case: Case) -> Finding | None:
    """A generator, or a PyDataset, that keeps what it has read in a list or a dictionary that grows."""
    said = case.facts.get("training")
    if not isinstance(said, dict) or not said.get("function"):
        return None
    for one in holdings(case):
        large = one.kind == "list" and one.grows and one.mib >= LEAST * case.peak_mib
        if large and not one.library and gives_data(case, one.scope) and _in_a_step(case):
            words = f"{one.called} is a {one.what}, {mib(one.mib)}, and it grows with each batch that is read"
            blame = case.filler(one.name) or case.grower(*OWN)
            size = max(one.mib + since_the_ledger(case), LATER * one.mib)
            return Finding("kept_elements", min(size, running(case) + case.grown(*OWN)), f"{words}.", blame)
    return None


def _in_a_step(case: Case) -> bool:
    """Whether the training had begun before the list was complete."""
    step = case.facts["training"].get("step")
    return (type(step) is int and step > 0) or any(phase == phases.LATER_STEPS for phase, _ in case.line)


def workers(case: Case) -> Finding | None:
    """Processes that read data have memory of their own."""
    processes, resident = case.facts.get("processes"), case.facts.get("resident_mib")
    if type(processes) is not int or processes < 1 or type(resident) not in (int, float):
        return None
    end = case.line[-1][1].seconds if case.line else 0.0
    before = max((one.mib for _, one in case.line if one.seconds <= end - AGE), default=0.0)
    elsewhere = min(case.peak_mib, before) - resident  # the process itself may have grown since it noted its memory
    if elsewhere < WORKERS * case.peak_mib:
        return None
    words = (
        f"{mib(elsewhere)} of the {mib(case.peak_mib)} were not in the process that trains but in {processes} worker "
        f"processes, {mib(elsewhere / processes)} each, and in what they send to it"
    )
    came = case.grown(*WHILE_RUNNING, phases.CALLING)  # the main process is where it was seen, and not where it came
    return Finding("workers", min(case.peak_mib, max(elsewhere, came)), f"{words}.", runner(case) or case.where)


def buffers(case: Case) -> float:
    """Return the MiB that a buffer explains which other threads or processes fill, whatever the main one does."""
    return max(
        (found.mib for rule in (cached, shuffled, prefetched, queued, workers) if (found := rule(case))), default=0
    )


def named(case: Case, words: str) -> Where | None:
    """Return the only line that has these words; None where there is none, or more than one."""
    pattern = re.compile(words)
    found = [
        Where(cell, number, line.strip()[:300])
        for cell, source in case.cells
        for number, line in enumerate(source.split("\n"), 1)
        if pattern.search(line.partition("#")[0])
    ]
    return found[0] if len(found) == 1 else None


RULES = (tensor_slices, cached, shuffled, prefetched, image_data_generator, queued, kept_elements, workers)
