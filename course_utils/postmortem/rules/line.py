"""Read the words of a line of the learner's: they name what the evidence has shown, and decide nothing alone."""

from __future__ import annotations

import ast
import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

from course_utils.postmortem.evidence import Where
from course_utils.postmortem.rules.case import Case

REDUCES = {"sum", "any", "all", "max", "min", "next"}  # they keep nothing of what a generator gives them


@dataclass(frozen=True)
class Statement:
    """The names of a statement; of a loop or a function only those of its first line."""

    targets: frozenset[str] = frozenset()
    """What it assigns to: ``x`` also where it is ``x[index] = ...``, and ``self.seen`` with its object."""
    names: frozenset[str] = frozenset()
    """What it reads."""
    calls: frozenset[str] = frozenset()
    """The last names of the functions that it calls: ``array`` for ``np.array(...)``."""
    operations: int = 0
    """How many times it computes."""
    divides: bool = False
    """Whether it divides with ``/``."""

    keeps: bool = False
    """Whether its result gets a name, or is given back."""
    collects: bool = False
    """Whether it makes a list of many things in one go, such as ``[read(path) for path in paths]``."""
    fills: frozenset[str] = frozenset()
    """Those of the targets of which it only writes a part: ``x[index] = ...``."""


def definition(case: Case, name: str, scope: str) -> Where | None:
    """Return the only line that makes a variable, in the function ``scope`` ("" for none); None where it is not one."""
    found = []
    for cell, source in case.cells:
        lines = source.split("\n")
        with contextlib.suppress(SyntaxError, ValueError, RecursionError, MemoryError):
            for function, node in _assignments(ast.parse(source), ""):
                if function == scope and name in {ast.unparse(target) for target in node.targets}:
                    found.append(Where(cell, node.lineno, lines[node.lineno - 1].strip()[:300], function))
    return found[0] if len(found) == 1 else None


def gives_data(case: Case, scope: str) -> bool:
    """Whether a function gives out data piece by piece: it has a ``yield``, or its class has a ``__getitem__``."""
    for _, source in case.cells:
        with contextlib.suppress(SyntaxError, ValueError, RecursionError, MemoryError):
            for node in ast.walk(ast.parse(source)):
                if isinstance(node, ast.ClassDef):
                    methods = {one.name for one in node.body if isinstance(one, ast.FunctionDef)}
                    if scope in methods and "__getitem__" in methods:
                        return True
                elif isinstance(node, ast.FunctionDef) and node.name == scope:
                    return any(isinstance(inner, ast.Yield | ast.YieldFrom) for inner in ast.walk(node))
    return False


def _assignments(tree: ast.AST, function: str) -> Iterator[tuple[str, ast.Assign]]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Assign):
            yield function, node
        inside = node.name if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) else function
        yield from _assignments(node, inside)


def statement(case: Case, where: Where | None) -> Statement:
    """Return the whole statement at a line, also where it goes over several lines."""
    if where is None:
        return Statement()
    for name, source in case.cells:
        if name == where.cell:
            with contextlib.suppress(SyntaxError, ValueError, RecursionError, MemoryError):
                found = _innermost(ast.parse(source), where.line)
                if found is not None:
                    return _read(found)
    source = where.source.rstrip(":")
    with contextlib.suppress(SyntaxError, ValueError, RecursionError, MemoryError):
        return _read(ast.parse(source))
    return Statement()


def loop(case: Case, where: Where | None) -> tuple[str, int, int] | None:
    """Return the outermost loop around a line: its cell and its first and last line; None where it is in no loop."""
    for name, source in case.cells:
        if where and name == where.cell:
            with contextlib.suppress(SyntaxError, ValueError, RecursionError, MemoryError):
                for node in ast.walk(ast.parse(source)):
                    inside = isinstance(node, ast.For | ast.While | ast.AsyncFor)
                    if inside and node.lineno <= where.line <= (node.end_lineno or node.lineno):
                        return name, node.lineno, node.end_lineno or node.lineno
    return None


def _innermost(tree: ast.AST, line: int) -> ast.stmt | None:
    found = None
    for node in ast.walk(tree):  # which goes from the outermost to the innermost
        if isinstance(node, ast.stmt) and node.lineno <= line <= (node.end_lineno or node.lineno):
            found = node
    return found


def _read(found: ast.AST) -> Statement:
    targets, fills, names, calls = set(), set(), set(), set()
    operations, divides, collects = 0, False, False
    reduced: set[ast.AST] = set()
    for node in _nodes(found):
        if isinstance(node, ast.Name | ast.Attribute):
            named = targets if isinstance(node.ctx, ast.Store) else names
            named.add(ast.unparse(node))
        elif isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store):
            fills.add(ast.unparse(node.value))
        elif isinstance(node, ast.Call):
            name = ast.unparse(node.func).rpartition(".")[2][:60]
            calls.add(name)
            reduced.update(node.args[:1] if name in REDUCES else ())
        elif isinstance(node, ast.ListComp | ast.DictComp | ast.SetComp | ast.GeneratorExp):
            collects = collects or not (isinstance(node, ast.GeneratorExp) and node in reduced)
        elif isinstance(node, ast.BinOp | ast.AugAssign):
            operations += 1
            divides = divides or isinstance(node.op, ast.Div)
    return Statement(
        targets=frozenset(targets | fills),
        names=frozenset(names),
        calls=frozenset(calls),
        operations=operations,
        divides=divides,
        keeps=bool(targets) or isinstance(found, ast.Return),
        collects=collects,
        fills=frozenset(fills),
    )


def _nodes(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a statement without the statements inside it."""
    yield node
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.stmt) or isinstance(node, ast.Module):
            yield from _nodes(child)
