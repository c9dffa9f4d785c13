"""Which Keras models, weights and optimizers are alive: each notes itself when it is made, by a weak reference.

Nothing here keeps them alive, and no walk through the heap is needed.
"""

from __future__ import annotations

import functools
import itertools
import math
import sys
import weakref
from collections.abc import Callable, Iterable
from typing import Any

from course_utils.memory import MIB

Entry = dict[str, Any]
LARGEST = 3
MOST_HOLDERS = 6
MOST_MEMBERS = 100
SIMPLE = (int, float, str, bool, bytes, type(None))
# By the `id`, since a Keras variable cannot be hashed. `valuerefs` and `len` are safe while another thread adds.
models: weakref.WeakValueDictionary[int, Any] = weakref.WeakValueDictionary()
variables: weakref.WeakValueDictionary[int, Any] = weakref.WeakValueDictionary()
optimizers: weakref.WeakValueDictionary[int, Any] = weakref.WeakValueDictionary()


@functools.cache
def _note_all() -> None:
    from keras.src.backend.common.variables import Variable
    from keras.src.models.model import Model
    from keras.src.optimizers.base_optimizer import BaseOptimizer

    Variable.__init__ = _noting(Variable.__init__, variables)
    BaseOptimizer.__init__ = _noting(BaseOptimizer.__init__, optimizers)
    make = Model.__new__

    @functools.wraps(make)
    def made(cls: type, *arguments: Any, **named: Any) -> Any:
        model = make(cls, *arguments, **named)
        models[id(model)] = model
        return model

    Model.__new__ = staticmethod(made)


def note_all() -> None:
    """From now on, note each Keras model, variable and optimizer that is made; does nothing before Keras is loaded."""
    keras = sys.modules.get("keras")
    if keras is not None and not getattr(keras.__spec__, "_initializing", False):
        _note_all()


def _noting(begin: Callable, known: weakref.WeakValueDictionary[int, Any]) -> Callable:
    @functools.wraps(begin)
    def begun(self: Any, *arguments: Any, **named: Any) -> None:
        begin(self, *arguments, **named)
        known[id(self)] = self

    return begun


def alive(known: weakref.WeakValueDictionary[int, Any]) -> list[Any]:
    """Return what is still alive of these, in the order in which it was made."""
    return [found for reference in known.valuerefs() if (found := reference()) is not None]


def outermost(found: list[Any]) -> list[Any]:
    """Return the models that are no part of another one, and have layers of their own.

    ``found`` is in the order in which they were made. `Sequential.add` makes a model of the same layers each time.
    """
    inner: set[int] = set()
    owned: set[int] = set()
    apart = []
    for model in found:
        held = vars(model)
        layers = [part for part in [held.get("_functional"), *(held.get("_layers") or ())] if part is not None]
        inner.update(id(part) for part in layers if id(part) in models)
        weighty = {id(part) for part in layers if type(part).__name__ not in ("InputLayer", "Functional")}
        if not weighty or not weighty <= owned:
            apart.append(model)
        owned |= weighty
    return [model for model in apart if id(model) not in inner]


def is_noted(value: Any) -> bool:
    """Whether this is a Keras model."""
    return models.get(id(value)) is value


def holders(held: Iterable[tuple[str, Any]]) -> list[list[Any]]:
    """Return the learner's names that hold models, and how many each: ``[["results", 2]]``, the most first."""
    found: dict[str, int] = {}
    for name, value in held:
        if count := len(_models_in(value, 3)):
            found[name] = max(count, found.get(name, 0))
    return [[name, count] for name, count in sorted(found.items(), key=lambda item: -item[1])][:MOST_HOLDERS]


def _models_in(value: Any, deepest: int) -> set[int]:
    """The models that a value is, or holds: also a list of what `fit` returned, which keeps its model."""
    if id(value) in models:
        return {id(value)}
    kind = type(value)
    if kind in (list, tuple, dict) and deepest:
        members = list(itertools.islice(value.values() if kind is dict else value, MOST_MEMBERS))
        return set().union(*(_models_in(one, deepest - 1) for one in members if type(one) not in SIMPLE))
    if getattr(kind, "__module__", None) == "keras.src.callbacks.history":
        return {id(model)} if id(model := vars(value).get("_model")) in models else set()
    return set()


class Weights:
    """Weighs the variables that are alive, again only where some have come or gone."""

    def __init__(self) -> None:
        self._known: tuple[Any, ...] = ()
        self._settled = False
        self._entries: list[Entry] = []
        self.owners: set[int] = set()
        """The `id` of each TensorFlow variable inside a Keras variable: they are weighed here."""

    def entries(self) -> list[Entry]:
        """Return an entry each for the weights, the optimizers' slots, and the gradients that they add up."""
        found = variables.valuerefs()
        known = (len(found), id(found[-1]) if found else 0, len(models), len(optimizers))
        # Twice: an optimizer that was just making its slots had perhaps not taken the last one as its own.
        if known != self._known or not self._settled:
            self._settled = known == self._known
            self._known = known
            self._entries = self._weigh()
        return self._entries

    def _weigh(self) -> list[Entry]:
        moving: list[Any] = []
        added: list[Any] = []
        kinds, weight_count, of_optimizers = [], 0, set()
        for optimizer in alive(optimizers):
            held = vars(optimizer)
            own = list(held.get("_variables") or ())
            of_optimizers |= set(map(id, own))
            gradients = set(map(id, held.get("_accumulated_gradients") or ()))
            added += [variable for variable in own if id(variable) in gradients]
            slots = [variable for variable in own if variable._shape and id(variable) not in gradients]
            if slots:
                moving += slots
                weight_count += len(held.get("_trainable_variables") or ())
                kinds.append(type(optimizer).__name__)
        known = alive(variables)
        self.owners = {id(getattr(variable, "_value", None)) for variable in known}
        weights = sorted((one for one in known if id(one) not in of_optimizers), key=size_of, reverse=True)
        apart = outermost(alive(models))
        parameters = sum(math.prod(variable._shape or ()) for variable in weights)
        name = str(apart[0].name) if len(apart) == 1 else f"{len(apart)} models"
        what = f"{len(apart)} model{'s' if len(apart) != 1 else ''} alive, {parameters:,} parameters"
        largest = [[one.path, list(one._shape or ()), size_of(one) / MIB] for one in weights[:LARGEST]]
        several = f"{len(kinds)} optimizers, " if len(kinds) > 1 else ""
        listed = ", ".join(dict.fromkeys(kinds))
        each = f"{len(moving) / max(1, weight_count):.2g} slots for each weight"
        return [
            _entry("weights", name, what, weights, models=len(apart), largest=largest),
            _entry("optimizer", "".join(kinds[:1]), f"{several}{listed}: {each}", moving),
            _entry("accumulator", "".join(kinds[:1]), "gradients that are added up over several steps", added),
        ]


def _entry(kind: str, name: str, what: str, of: list[Any], **details: Any) -> Entry:
    mib = sum(map(size_of, of)) / MIB
    return {"kind": kind, "name": name, "scope": "", "library": False, "what": what, "mib": mib, **details}


def size_of(variable: Any) -> int:
    """Return the bytes of a Keras variable."""
    return math.prod(variable._shape or ()) * bytes_each(variable._dtype)


@functools.cache
def bytes_each(dtype: str) -> int:
    """Return the bytes of one element: 4 for "float32", 2 for "bfloat16"."""
    digits = "".join(letter for letter in dtype.partition("_")[0] if letter.isdigit())
    return max(1, int(digits[:2]) // 8) if digits and not dtype.startswith("float8") else 1
