"""How data are fed: `tf.data` pipelines, ImageDataGenerator, generators that keep what they read, workers."""

from __future__ import annotations

import math

from course_utils.postmortem import phases
from course_utils.postmortem.evidence import Where
from course_utils.postmortem.rules.case import LEAST, OWN, Came, Case, Finding, say, together
from course_utils.postmortem.rules.said import MIB, Entry

FLOAT32_COPIES = 3.5  # of its array that `fit` of ImageDataGenerator makes at most, with room for what it adds to them
STEPS = (phases.FIRST_STEP, phases.LATER_STEPS, phases.EVALUATION, phases.PREDICT)
WHILE_RUNNING = (*STEPS, phases.TRACING)
"""A pipeline begins to fill its buffers when it is begun, which is before the first step."""
SLICES = {"from_tensor_slices", "from_tensors", "_from_tensor_slices", "_from_tensors"}
ITERATES = {"make_iterator", "__next__", "_next_internal", "iterator_get_next", "get_next"}
LATER = 1.3  # of what it held when it was weighed: a list in another thread is not seen at every moment
AGE = 0.3  # seconds that the run's own account may be old
WORKERS = 0.5  # of the memory: what is not in the process that trains


def stages(case: Case, *ops: str) -> list[Entry]:
    """Return the stages that were alive and do this, those that can hold the most first."""
    return [one for one in case.entries("pipeline") if one.op in ops]


def tensor_slices(case: Case) -> Finding | None:
    """`from_tensor_slices` makes a tensor of the whole array, and both are alive."""
    building, blame = case.came_in("tensorflow/", functions=SLICES)
    if building < LEAST * case.peak_mib:
        return None
    arrays = [one for one in case.data if one.kind == "array" and not one.library]
    named_there = [one for one in arrays if one.name in case.program.statement(blame).names]
    arrays = named_there or [one for one in arrays if one.mib >= 0.05 * case.peak_mib][:2]
    words = say("tensor_slices", made=building, given=arrays[:3])
    return Finding("tensor_slices", min(building + together(arrays), case.peak_mib), words, blame)


def running(case: Case) -> Came:
    """Return what can have come into the buffers of pipelines while they ran, and the line that took elements.

    In a loop of the learner's own they fill in the background, whatever line of the loop is running.
    """
    steps, (read, reader) = case.came(*WHILE_RUNNING), case.came_in("tensorflow/", functions=ITERATES)
    if around := case.program.loop(reader):
        inside = sum(one.mib for one in case.growth if one.where and one.phase in OWN and around.holds(one.where))
        read = max(read, inside - _growing(case))
    return Came(steps.mib + min(read, case.came(*OWN).mib), steps.where if steps.mib else reader)


def _growing(case: Case) -> float:
    """The lists that were being filled, which keep what comes out of a pipeline."""
    return sum(one.mib for one in case.data if one.kind == "list" and one.grows)


def line_of(case: Case, *calls: str) -> Where | None:
    """Return the only line that makes such a stage, else that which took elements."""
    return case.program.caller(calls) or running(case).where


def cached(case: Case) -> Finding | None:
    """`cache()` without a file keeps every element that has come through it."""
    found = next(iter(stages(case, "cache")), None)
    seen = _seen(case)
    if found and not found.element_mib and not case.program.statement(running(case).where).collects:
        # Of a size that is not known, such as that of decoded pictures: what came while the learner's own line read.
        held = case.came_in("tensorflow/", functions=ITERATES).mib - _growing(case)
        return Finding("cache_in_memory", held, say("cached_unknown", one=found, held=held), line_of(case, "cache"))
    if found is None or not found.element_mib or (found.count is None and seen is None):
        return None
    most, filled = math.inf if found.count is None else found.mib, stages(case, "shuffle")
    # No batch comes to the cache before a buffer of what is in the batches is full.
    before = sum(one.mib for one in filled if one.element_mib < found.element_mib)
    held = min(most, running(case).mib - before, most if seen is None else seen * found.element_mib)
    words = say("cached", one=found, held=held, buffer=next(iter(filled), None))
    return Finding("cache_in_memory", held, words, line_of(case, "cache"), found.mib)


def _seen(case: Case) -> int | None:
    """At most how many elements a cache has seen; None where it may have seen all."""
    said = case.training
    if said.step is None or said.epoch != 0 or said.function != "fit":
        return None
    batch = max((stage.count or 1 for stage in stages(case, "batch", "padded_batch")), default=1)
    # Batches that are ready: AUTOTUNE makes a few, and a step may be over since.
    ahead = max([8, *(stage.count or 1 for stage in stages(case, "prefetch"))])
    return (said.step + 2 + ahead) * batch + sum(stage.count or 0 for stage in stages(case, "shuffle"))


def shuffled(case: Case) -> Finding | None:
    """A shuffle buffer holds its elements as they are at that point, and fills before the first step."""
    buffer = next(iter(stages(case, "shuffle")), None)
    if buffer is None or not buffer.element_mib:
        return None
    if any(one.element_mib == buffer.element_mib and one.mib >= buffer.mib for one in stages(case, "cache")):
        return None  # the same elements, and the cache has them for good
    held = min(buffer.mib, running(case).mib)
    return Finding("shuffle_buffer", held, say("shuffled", one=buffer, held=held), line_of(case, "shuffle"), buffer.mib)


def prefetched(case: Case) -> Finding | None:
    """Batches that wait for the model, and batches that are large by themselves."""
    waiting = next(iter(stages(case, "prefetch")), Entry())
    batch = next(iter(stages(case, "batch", "padded_batch")), Entry())
    outputs = case.layers.mib
    room = running(case).mib - outputs - case.model_mib
    held = min(waiting.mib, room)
    if waiting.element_mib and (waiting.count or 0) > 1 and held >= LEAST * case.peak_mib <= 0.3 * waiting.mib:
        return Finding("prefetch_buffer", held, say("prefetched", one=waiting), line_of(case, "prefetch"), waiting.mib)
    if batch.mib > max(outputs, LEAST * case.peak_mib):
        line = line_of(case, "batch", "padded_batch")
        return Finding("large_elements", min(room, 3 * batch.mib), say("batches", one=batch), line)
    return None


def queued(case: Case) -> Finding | None:
    """Batches of a `PyDataset` that its workers have made ready and the model has not taken yet."""
    queue = case.training.queue
    # The workers go on while the graph of a step is made, and that takes a few MiB.
    held = min(queue.most * queue.batch_mib, running(case).mib - case.layers.mib)
    if queue.most <= 1 or held < 0.5 * case.peak_mib:
        return None
    return Finding("queued_batches", held, say("queued", queue=queue), running(case).where)


def image_data_generator(case: Case) -> Finding | None:
    """`flow` and `fit` of ImageDataGenerator turn the whole array into float32."""
    grown, where = case.came_in("preprocessing/image")
    if grown < LEAST * case.peak_mib or where is None:
        return None
    function = next((one.function for one in case.growth if one.where == where and one.function), "")
    names = case.program.statement(where).names
    given = [one for one in case.data if one.kind == "array" and not one.library and one.name in names]
    if given and grown > FLOAT32_COPIES * sum(math.prod(one.shape) for one in given) * 4 / MIB:
        return _whitening(case, grown, where)
    words = say("image_generator", function=function, grown=grown, given=given)
    return Finding("image_data_generator", grown + together(given), words, where)


def _whitening(case: Case, grown: float, where: Where) -> Finding | None:
    """More than copies came: `zca_whitening` compares each value of a picture with every other one."""
    for one in case.entries("array"):
        values = math.prod(one.shape[1:])
        size = values**2 * one.bytes_each / MIB
        if one.library and len(one.shape) == 4 and grown <= FLOAT32_COPIES * size:
            words = say("whitening", one=one, values=values, size=size, grown=grown)
            return Finding("whitening", grown, words, case.program.caller(["zca_whitening"]) or where)
    return None


def kept_elements(case: Case) -> Finding | None:
    """A generator, or a PyDataset, that keeps what it has read in a list or a dictionary that grows."""
    if not case.training.function:
        return None
    # The training had begun before the list was complete.
    begun = case.training.step or any(phase == phases.LATER_STEPS for phase, _ in case.line)
    for one in case.data:
        if one.kind == "list" and one.grows and not one.library and begun and case.program.gives_data(one.scope):
            blame = case.program.filler(one.name) or case.came(*OWN).where
            size = max(one.mib + case.since_the_ledger, LATER * one.mib)
            return Finding(
                "kept_elements",
                min(size, running(case).mib + case.came(*OWN).mib),
                say("elements_kept", one=one),
                blame,
            )
    return None


def workers(case: Case) -> Finding | None:
    """Processes that read data have memory of their own."""
    processes, resident = case.facts.processes, case.facts.resident_mib
    if not processes or resident is None:
        return None
    end = case.line[-1][1].seconds if case.line else 0.0
    before = max((one.mib for _, one in case.line if one.seconds <= end - AGE), default=0.0)
    elsewhere = min(case.peak_mib, before) - resident  # the process itself may have grown since it noted its memory
    if elsewhere < WORKERS * case.peak_mib:
        return None
    words = say("workers", elsewhere=elsewhere, all=case.peak_mib, processes=processes)
    came = case.came(*WHILE_RUNNING, phases.CALLING).mib  # the main process is where it was seen, not where it came
    return Finding("workers", min(case.peak_mib, max(elsewhere, came)), words, running(case).where or case.where)


def buffers(case: Case) -> float:
    """Return the MiB that a buffer explains which other threads or processes fill, whatever the main one does."""
    return max((one.mib for rule in FILL_THEMSELVES if (one := rule(case))), default=0.0)


FILL_THEMSELVES = (cached, shuffled, prefetched, queued, workers)
RULES = (tensor_slices, image_data_generator, kept_elements, *FILL_THEMSELVES)
