"""The rooms of the package: no circle of imports, arrows point downwards, and no module is too long to read."""

from __future__ import annotations

import ast
import graphlib
from pathlib import Path

from jinja2 import Environment, meta, nodes

from course_utils import causes, memory

PACKAGE = Path(memory.__file__).parents[1]
LONGEST = 350
# What each room may import of the others; a room that is not named here is a door, or free to import what it needs.
ALLOWED = {
    "units": set(),
    "files": set(),
    "memory": set(),
    "causes": {"units"},
    "postmortem": {"causes", "units"},
    "sandbox": {"files", "memory", "postmortem", "units"},
}


def modules() -> dict[str, Path]:
    """Every module of the package by its dotted name; a folder's name stands for its ``__init__``."""
    found = {}
    for path in PACKAGE.rglob("*.py"):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(path: Path, known: set[str]) -> set[str]:
    """The modules of the package that a module imports anywhere in it, within functions and for types too."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} has a relative import"
            # A name that is imported from a folder is a module in it, or something that its __init__ holds.
            for name in node.names:
                inner = f"{node.module}.{name.name}"
                found.add(inner if inner in known else str(node.module))
    return found & known


def graph() -> dict[str, set[str]]:
    known = modules()
    # The package's own __init__ only names the version, and opens the notebook's door when a notebook asks for it.
    return {name: imports(path, set(known)) - {PACKAGE.name} for name, path in known.items() if name != PACKAGE.name}


def room(module: str) -> str:
    return module.split(".")[1]


def test_there_is_no_circle_of_imports() -> None:
    order = list(graphlib.TopologicalSorter(graph()).static_order())  # raises CycleError, which names the circle
    assert len(order) > 30


def test_arrows_point_downwards() -> None:
    arrows = {(room(name), room(other)) for name, others in graph().items() for other in others}
    wrong = [(here, there) for here, there in arrows if here != there and there not in ALLOWED.get(here, {there})]
    assert wrong == []
    assert ("grading", "notebook") not in arrows
    assert not {here for here, there in arrows if there == "cli"} - {"cli", "__main__"}


def test_no_module_is_too_long_to_read() -> None:
    lengths = {name: len(path.read_text(encoding="utf-8").splitlines()) for name, path in modules().items()}
    assert {name: length for name, length in lengths.items() if length > LONGEST} == {}


def test_a_rule_finds_its_sentence_with_all_that_it_says_and_its_cause() -> None:
    """A rule that fails is taken for one that finds nothing, so a wrong name would never be seen."""
    rules = PACKAGE / "postmortem" / "rules"
    environment = Environment()
    environment.filters |= dict.fromkeys(["mib", "percent", "count"], str)
    template = environment.parse((rules / "sentences.jinja").read_text(encoding="utf-8"))
    macros = {macro.name: {argument.name for argument in macro.args} for macro in template.find_all(nodes.Macro)}
    assert meta.find_undeclared_variables(template) == set()
    said = {}
    for path in rules.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.args:
                first = node.args[0]
                if node.func.id == "say":
                    said.setdefault(first.value, set()).update(keyword.arg for keyword in node.keywords)
                if node.func.id == "Finding" and isinstance(first, ast.Constant):
                    causes.explanation(first.value)  # raises UnknownCause
    assert len(said) > 30
    assert {name: values - macros[name] for name, values in said.items()} == dict.fromkeys(said, set())
