"""Stands in for Keras: only what a sandbox takes hold of before a run."""

import sys
import types


def _module(name: str, **classes: type) -> None:
    sys.modules[name] = module = types.ModuleType(name)
    module.__dict__.update(classes)


class Variable:
    def __init__(self) -> None: ...


class Model:
    def __init__(self) -> None: ...


class BaseOptimizer:
    def __init__(self) -> None: ...


for _name, _classes in {
    "keras.src": {},
    "keras.src.backend": {},
    "keras.src.backend.common": {},
    "keras.src.backend.common.variables": {"Variable": Variable},
    "keras.src.models": {},
    "keras.src.models.model": {"Model": Model},
    "keras.src.optimizers": {},
    "keras.src.optimizers.base_optimizer": {"BaseOptimizer": BaseOptimizer},
}.items():
    _module(_name, **_classes)
