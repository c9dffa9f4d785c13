"""What stays from one turn of a loop to the next: models, results, graphs, figures; and weights, which stay anyway."""

from __future__ import annotations

import itertools

from course_utils.postmortem import phases
from course_utils.postmortem.evidence import Where, innermost
from course_utils.postmortem.growth import Charge
from course_utils.postmortem.rules.case import Case, Finding, say
from course_utils.postmortem.rules.pipelines import buffers

LEAST = 0.2  # of the memory
KEPT = 0.4  # of the memory: a container that holds so much
MANY_TRACES, FEW_TRACES = 8, 4
MANY_FIGURES = 5
WIDE_INPUT = 8192
FEW_MODELS = 3
TRAINED = {phases.FIRST_STEP, phases.LATER_STEPS, phases.EVALUATION, phases.PREDICT, phases.CALLING}
WHILE_RUNNING = (*TRAINED, phases.OUTSIDE)
MODEL = (phases.BUILDING, phases.TRACING, phases.FIRST_STEP, phases.LATER_STEPS)
LOADS = ("load_model", "load_weights")
DRAWS = ("matplotlib/", "mpl_toolkits/", "seaborn/")
MAKES_WEIGHTS = {"add_weight", "_initialize_with_initializer"}


def floors(case: Case) -> list[tuple[float, Where]]:
    """Return how much memory there was each time that a model was begun after training, and the line that built it."""
    found: list[tuple[float, Where]] = []
    trained, lowest = True, 0.0
    for phase, sighting in case.line:
        if phase in TRAINED:
            trained, lowest = True, sighting.mib
        lowest = min(lowest, sighting.mib)
        where = innermost(sighting.stack)
        makes = not any(frame.function in {"compile", *phases.TRAINER} for frame in sighting.stack)
        if phase == phases.BUILDING and makes and trained and where:
            found.append((lowest or sighting.mib, where))
            trained = False
    return found


def models_kept(case: Case) -> Finding | None:
    """Models that stay when the next one is built, with their weights, slots and graphs."""
    begun, models, held = floors(case), case.weights.models, [one for one in case.weights.holders if one[1] > 1]
    again = [floor for floor, where in begun if where == begun[-1][1]]
    came = case.came(*MODEL)
    blame = (case.program.filler(held[0][0]) if held else None) or came.where
    many = models > FEW_MODELS or held or len(again) > 1
    if models >= 2 and many and case.model_mib >= KEPT * case.peak_mib and came.mib >= 0.5 * case.model_mib:
        explained = min(case.model_mib + case.came(phases.TRACING).mib, came.mib)  # each has a graph of its own
        words = say("models", weights=case.weights, slots=case.slots, held=held, again=again)
        return Finding("models_kept", explained, words, blame)
    rises = [after - before for before, after in itertools.pairwise(again)]
    if len(again) < 3 or sum(rise > 0 for rise in rises) < 0.7 * len(rises):
        return None
    # The first model also brings what TensorFlow itself needs.
    each = (again[-1] - again[1]) / max(len(rises) - 1, models - 2)
    if case.model_mib / max(1, models) < 0.4 * each and case.weights.mib:  # something else grows in this loop
        return None
    explained = again[-1] - again[0] + min(came.mib, case.peak_mib - again[-1])
    words = say("models", weights=case.weights, slots=case.slots, held=held, again=again, each=each)
    return Finding("models_kept", min(explained, came.mib), words, blame)


def loaded_models(case: Case) -> Finding | None:
    """`load_model` also loads the optimizer's slots, and holds what it reads beside what it fills."""
    loaded = [one for one in case.growth if one.function in LOADS]
    grown = sum(one.mib for one in loaded)
    if grown < LEAST * case.peak_mib:
        return None
    return Finding("loaded_models", grown, say("loaded", grown=grown, slots=case.slots), loaded[0].where)


def weights_of_a_model(case: Case) -> Finding | None:
    """Weights that are too large themselves, with their gradients and the optimizer's slots."""
    known, (building, where) = case.weights, case.came(phases.BUILDING)
    loaded = any(one.function in LOADS for one in case.growth[:2])
    if where is None or known.models > FEW_MODELS or loaded or models_kept(case):
        return None
    steps = case.came(phases.FIRST_STEP, phases.LATER_STEPS).mib
    trained = min(steps, 3 * known.mib, max(0.0, steps - 2.25 * case.layers.mib))
    path, shape, size = known.largest[0] if known.largest else ("", (), 0.0)
    layer = _being_built(case)
    if known.mib >= 0.3 * building and size:
        words = say("weights", known=known, slots=case.slots)
    elif layer and 2 * case.came(told=_makes_weights).mib >= building:
        # The random values that were drawn for new weights.
        drawn = next((one for one in case.entries("tensor") if one.library and len(one.shape) == 2), None)
        path, shape = "", drawn.shape if drawn else ()
        words = say("building", layer=layer, building=building, drawn=drawn)
    else:
        return None
    is_kernel = "embedding" not in path if path else layer == "Dense"
    flattened = is_kernel and len(shape) == 2 and shape[0] >= WIDE_INPUT and shape[0] > 4 * shape[1]
    flattened = flattened or (not shape and layer == "Dense" and "Flatten" in case.program.statement(where).calls)
    return Finding("wide_dense" if flattened else "large_weights", building + trained, words, where)


def results_kept(case: Case) -> Finding | None:
    """A list that gets one result more at each turn: outputs, losses with all they hang on, weights, predictions."""
    # What was given back may be charged to tracing and to conversions.
    grown, loaded = case.came(*WHILE_RUNNING, phases.TRACING, phases.CONVERTING).mib, case.came(phases.LOADING).mib
    one = next((one for one in case.entries("list") if not one.library), None)
    if one is None or one.mib < KEPT * case.peak_mib or grown < 0.6 * one.mib or loaded >= 0.7 * one.mib:
        return None  # it was filled while the data were loaded
    blame = case.program.filler(one.name) or case.came(*WHILE_RUNNING).where
    return Finding("results_kept", min(grown, 1.3 * one.mib), say("results", one=one), blame)


def traced_again(case: Case) -> Finding | None:
    """A step that is traced at call after call, and keeps each graph."""
    (grown, where), turns = case.came(phases.TRACING), _turns_of_tracing(case)
    share = grown / case.peak_mib
    traced = next((entry for entry in case.entries("functions") if not entry.library), None)
    if share < (LEAST / 2 if traced else LEAST) or turns < (FEW_TRACES if traced or share >= 0.4 else MANY_TRACES):
        return None
    if case.model_mib > 0.5 * grown or len(floors(case)) > 2:  # each model has a graph of its own
        return None
    ran = sum(one.mib for one in case.growth if one.where == where and one.phase != phases.TRACING)
    kept = sum(one.mib for one in case.entries("list") if not one.library)
    explained = grown + min(ran, FEW_TRACES * grown)  # a graph needs memory again where it runs
    explained = min(explained, case.peak_mib - kept)
    function = traced if traced and traced.traces >= FEW_TRACES else None
    words = say("traced", function=function, turns=turns, grown=grown, explained=explained)
    return Finding("retracing", explained, words, where)


def large_graph(case: Case) -> Finding | None:
    """The graph of a network with very many layers, which needs memory before the first step."""
    grown, where = case.came(phases.TRACING)
    if grown < 0.4 * case.peak_mib or _turns_of_tracing(case) >= FEW_TRACES:
        return None
    if buffers(case) >= 0.5 * grown:  # they fill while a graph is made
        return None
    built = case.came(phases.BUILDING).mib
    return Finding("large_graph", grown + built, say("large_graph", grown=grown, built=built), where)


def _turns_of_tracing(case: Case) -> int:
    """How often a step was traced again after something else had run."""
    turns, ran = 0, True
    for phase, sighting in case.line:
        if phase == phases.TRACING:
            turns, ran = turns + ran, False
        elif phase in TRAINED or phases.runs_a_graph(sighting.stack):
            ran = True
    return turns


def figures_kept(case: Case) -> Finding | None:
    """pyplot keeps every figure until it is closed."""
    count = next((entry.count or 0 for entry in case.entries("figures")), 0)
    grown, where = case.came(told=lambda one: any(frame.file.startswith(DRAWS) for frame in one.stack))
    if count < MANY_FIGURES:
        return None
    return Finding("open_figures", grown, say("figures", number=count, grown=grown), where)


def _makes_weights(charge: Charge) -> bool:
    return any(frame.function in MAKES_WEIGHTS for frame in charge.stack)


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
