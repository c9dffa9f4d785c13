"""What stays from one turn of a loop to the next: models, results, graphs, figures; and weights, which stay anyway."""

from __future__ import annotations

import itertools

from course_utils.postmortem import phases
from course_utils.postmortem.evidence import Sighting, Stack, Where
from course_utils.postmortem.rules.case import Case, Finding
from course_utils.postmortem.rules.pipelines import buffers
from course_utils.postmortem.rules.said import Weights, training, weights
from course_utils.units import mib

LEAST = 0.2  # of the memory
KEPT = 0.4  # of the memory: a container that holds so much
MANY_TRACES, FEW_TRACES = 8, 4
MANY_FIGURES = 5
WIDE_INPUT = 8192
FEW_MODELS = 3
TRAINED = {phases.FIRST_STEP, phases.LATER_STEPS, phases.EVALUATION, phases.PREDICT, phases.CALLING}
WHILE_RUNNING = (
    phases.CALLING, phases.PREDICT, phases.EVALUATION, phases.FIRST_STEP, phases.LATER_STEPS, phases.BETWEEN,
)  # fmt: skip
MODEL = (phases.BUILDING, phases.TRACING, phases.FIRST_STEP, phases.LATER_STEPS)


def floors(case: Case) -> list[tuple[float, Where]]:
    """Return how much memory there was each time that a model was begun after training, and the line that built it."""
    found: list[tuple[float, Where]] = []
    trained, lowest = True, 0.0
    for phase, sighting in case.line:
        if phase in TRAINED:
            trained, lowest = True, sighting.mib
        lowest = min(lowest, sighting.mib)
        where = _line(sighting)
        makes = not any(frame.function in {"compile", *phases.TRAINER} for frame in sighting.stack)
        if phase == phases.BUILDING and makes and trained and where:
            found.append((lowest or sighting.mib, where))
            trained = False
    return found


def models_kept(case: Case) -> Finding | None:
    """Models that stay when the next one is built, with their weights, slots and graphs."""
    known, begun = weights(case), floors(case)
    again = [mib for mib, where in begun if where.line == begun[-1][1].line]
    alive = known.mib + known.slots_mib
    came = case.grown(*MODEL)
    many = known.models > FEW_MODELS or any(count > 1 for _, count in known.holders)
    texts = ", ".join(f"{floor:,.0f}" for floor in again[-5:])
    stairs = f" When the last ones were begun, {texts} MiB were in use." if len(again) >= 3 else ""
    if known.models >= 2 and alive >= KEPT * case.peak_mib and came >= 0.5 * alive and (many or len(again) > 1):
        explained = min(alive + case.grown(phases.TRACING), came)  # each has a graph of its own
        return Finding("models_kept", explained, _alive(known) + stairs, _holder(case))
    rises = [after - before for before, after in itertools.pairwise(again)]
    if len(again) < 3 or sum(rise > 0 for rise in rises) < 0.7 * len(rises):
        return None
    # The first model also brings what TensorFlow itself needs.
    each = (again[-1] - again[1]) / max(len(rises) - 1, known.models - 2)
    if alive / max(1, known.models) < 0.4 * each and known.mib:  # something else grows in this loop
        return None
    words = f"Each model leaves about {mib(each)} behind.{stairs} {_alive(known)}"
    explained = again[-1] - again[0] + min(came, case.peak_mib - again[-1])
    return Finding("models_kept", min(explained, came), words.strip(), _holder(case))


def loaded_models(case: Case) -> Finding | None:
    """`load_model` also loads the optimizer's slots, and holds what it reads beside what it fills."""
    grown = sum(one.mib for one in case.growth if one.function in ("load_model", "load_weights"))
    if grown < LEAST * case.peak_mib:
        return None
    known = weights(case)
    where = next(one.where for one in case.growth if one.function in ("load_model", "load_weights"))
    words = f"{mib(grown)} came while models were loaded from files, before any data had gone through them."
    if known.slots_mib:
        words += f" {mib(known.slots_mib)} of that are the slots of {known.optimizer}, which only training needs."
    return Finding("loaded_models", grown, words, where)


def weights_of_a_model(case: Case) -> Finding | None:
    """Weights that are too large themselves, with their gradients and the optimizer's slots."""
    known, building = weights(case), case.grown(phases.BUILDING)
    where = case.grower(phases.BUILDING)
    loaded = any(one.function in ("load_model", "load_weights") for one in case.growth[:2])
    if where is None or known.models > FEW_MODELS or loaded or models_kept(case):
        return None
    steps = case.grown(phases.FIRST_STEP, phases.LATER_STEPS)
    trained = min(steps, 3 * known.mib, max(0.0, steps - 2.25 * training(case).outputs_mib))
    if building + trained < LEAST * case.peak_mib:
        return None
    path, shape, size = known.largest[0] if known.largest else ("", (), 0.0)
    layer, drawn = _being_built(case), _being_drawn(case)
    if known.mib >= 0.3 * building and size:
        has = f"{known.models} models have" if known.models > 1 else "The model has"
        words = f"{has} {mib(known.mib)} of weights, the largest `{path}` {shape} with {mib(size)}"
        if known.slots_mib:
            words += f", and {known.optimizer} keeps {mib(known.slots_mib)} of slots for them"
        words += ". Each weight also gets a gradient of its size."
    elif layer and 2 * case.grown_where(_makes_weights) >= building:
        words = (
            f"Keras was making the weights of a layer of the kind {layer}: {mib(building)} came before any training."
        )
        path, shape, size = ("", *drawn) if drawn else ("", (), 0.0)
        if shape:
            product = " x ".join(f"{length:,}" for length in shape)
            words += f" The last ones are {product} numbers, {mib(size)}, and the values drawn for them as much again."
    else:
        return None
    is_kernel = "embedding" not in path if path else layer == "Dense"
    flattened = is_kernel and len(shape) == 2 and shape[0] >= WIDE_INPUT and shape[0] > 4 * shape[1]
    if flattened or (not shape and layer == "Dense" and "Flatten" in where.source):
        return Finding("wide_dense", building + trained, words, where)
    return Finding("large_weights", building + trained, words, where)


def results_kept(case: Case) -> Finding | None:
    """A list that gets one result more at each turn: outputs, losses with all they hang on, weights, predictions."""
    grown = case.grown(*WHILE_RUNNING, phases.TRACING, phases.CONVERTING)  # what was given back may be charged to these
    loaded = case.grown(phases.LOADING)
    for entry in case.entries("list"):
        if entry.get("library") or entry["mib"] < KEPT * case.peak_mib:
            continue
        if grown < 0.6 * entry["mib"] or loaded >= 0.7 * entry["mib"]:  # it was filled while the data were loaded
            return None
        words = f"`{entry['name']}` is a {entry['what']}, {mib(entry['mib'])}, and nothing in it is ever let go."
        line = case.filler(entry["name"]) or case.grower(*WHILE_RUNNING)
        return Finding("results_kept", min(grown, 1.3 * entry["mib"]), words, line)
    return None


def traced_again(case: Case) -> Finding | None:
    """A step that is traced at call after call, and keeps each graph."""
    grown, where = case.grown(phases.TRACING), case.grower(phases.TRACING)
    turns, share = _turns_of_tracing(case), grown / case.peak_mib
    traced = next((entry for entry in case.entries("functions") if not entry.get("library")), None)
    least = LEAST / 2 if traced else LEAST
    if not where or share < least or turns < (FEW_TRACES if traced or share >= 0.4 else MANY_TRACES):
        return None
    known = weights(case)
    if known.mib + known.slots_mib > 0.5 * grown or len(floors(case)) > 2:  # each model has a graph of its own
        return None
    if traced and traced.get("traces", 0) >= FEW_TRACES:
        words = f"`{traced['name']}` was traced {traced['traces']:,} times, and each time left a graph that is kept."
    else:
        words = (
            f"A step was traced again and again, at least {turns} times, and each time left a graph that is kept. "
            "Each `compile`, each new `tf.function` and each new shape traces once more."
        )
    ran = sum(one.mib for one in case.growth if one.where == where and one.phase != phases.TRACING)
    kept = sum(entry["mib"] for entry in case.entries("list") if not entry.get("library"))
    explained = grown + min(ran, FEW_TRACES * grown)  # a graph needs memory again where it runs
    explained = min(explained, case.peak_mib - kept)
    words += f" {mib(grown)} came while it was traced, and {mib(explained)} with what each graph needs to run."
    return Finding("retracing", explained, words, where)


def large_graph(case: Case) -> Finding | None:
    """The graph of a network with very many layers, which needs memory before the first step."""
    grown, where = case.grown(phases.TRACING), case.grower(phases.TRACING)
    if not where or grown < 0.4 * case.peak_mib or _turns_of_tracing(case) >= FEW_TRACES:
        return None
    if buffers(case) >= 0.5 * grown:  # they fill while a graph is made
        return None
    built = case.grown(phases.BUILDING)
    words = (
        f"{mib(grown)} came while TensorFlow traced the graph of a step, and {mib(built)} while the model was built, "
        "before any batch had gone through it."
    )
    return Finding("large_graph", grown + built, words, where)


def _turns_of_tracing(case: Case) -> int:
    """How often a step was traced anew after something else had run."""
    turns, ran = 0, True
    for phase, sighting in case.line:
        if phase == phases.TRACING:
            turns, ran = turns + ran, False
        elif phase in TRAINED or phases.runs_a_graph(sighting.stack):
            ran = True
    return turns


def figures_kept(case: Case) -> Finding | None:
    """pyplot keeps every figure until it is closed."""
    entry = next(iter(case.entries("figures")), {})
    count = entry.get("count", 0)
    grown = case.grown_where(_draws)
    if count < MANY_FIGURES or grown < LEAST * case.peak_mib:
        return None
    drawn = [one for one in case.growth if one.where]
    words = f"{count} figures of pyplot are open; {mib(grown)} came while they were drawn, {mib(grown / count)} each."
    return Finding("open_figures", grown, words, drawn[0].where if drawn else None)


def _draws(phase: str, stack: Stack) -> bool:
    return any(frame.file.startswith(("matplotlib/", "mpl_toolkits/", "seaborn/")) for frame in stack)


def _alive(known: Weights) -> str:
    """What is alive of models, in words."""
    if not known.models:
        return ""
    count = f"{known.models} models are" if known.models != 1 else "1 model is"
    words = f"{count} alive, with {mib(known.mib)} of weights"
    if known.slots_mib:
        words += f" and {mib(known.slots_mib)} of the optimizers' slots"
    if known.models > 1:
        words += f", {mib((known.mib + known.slots_mib) / known.models)} a model"
    held = [f"`{name}` holds {number}" for name, number in known.holders if number > 1]
    if held:
        return f"{words}; {held[0]} of them."
    return f"{words}."


def _holder(case: Case) -> Where | None:
    """The line that puts models into the variable that holds them; where none is known, that at which they grew."""
    held = next((name for name, count in weights(case).holders if count > 1), "")
    return (case.filler(held) if held else None) or case.grower(*MODEL)


def _line(sighting: Sighting) -> Where | None:
    return next((frame.where for frame in sighting.stack if frame.where), None)


def _makes_weights(phase: str, stack: Stack) -> bool:
    return any(frame.function in ("add_weight", "_initialize_with_initializer") for frame in stack)


def _being_drawn(case: Case) -> tuple[tuple[int, ...], float] | None:
    """The shape and MiB of the random values that were drawn for new weights."""
    for entry in case.entries("tensor"):
        if entry.get("library") and len(entry.get("shape", ())) == 2:
            return tuple(entry["shape"]), entry["mib"]
    return None


def _being_built(case: Case) -> str:
    """The kind of the layer whose weights were made last: "Dense"."""
    for _, sighting in reversed(case.line):
        for frame in sighting.stack:
            if frame.function == "build" and frame.file.startswith("keras/src/layers/"):
                return "".join(part.title() for part in frame.file.rpartition("/")[2].removesuffix(".py").split("_"))
    return ""


RULES = (
    models_kept, loaded_models, weights_of_a_model, results_kept, traced_again, large_graph, figures_kept,
)  # fmt: skip
