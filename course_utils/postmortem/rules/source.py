"""The learner's program, read as Python: its words name what the evidence has shown, and decide nothing alone."""

from __future__ import annotations

import ast
import contextlib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

from course_utils.postmortem.evidence import Where

REDUCES = {"sum", "any", "all", "max", "min", "next"}  # they keep nothing of what a generator gives them
ADDS = {"append", "add", "extend", "insert", "setdefault", "update"}
COLLECTS = {"list", "tuple", "set", "dict"}
PLAIN = {"float", "int", "round", "len", "item"}  # a container of such numbers stays small
LOOPS = (ast.For, ast.While, ast.AsyncFor)
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


@dataclass
class Statement:
    """The names of a statement; of a loop or a function only those of its first line."""

    targets: set[str] = field(default_factory=set)
    """What it assigns to: ``x`` also where it is ``x[index] = ...``, and ``self.seen`` with its object."""
    fills: set[str] = field(default_factory=set)
    """Those of the targets of which it only writes a part."""
    names: set[str] = field(default_factory=set)
    """What it reads."""
    calls: dict[str, int] = field(default_factory=dict)
    """The last names of the functions that it calls, ``array`` for ``np.array(...)``, and their lines."""
    options: dict[str, int] = field(default_factory=dict)
    """The keywords of its calls, and their lines."""
    adds: dict[str, int] = field(default_factory=dict)
    """The last names of the containers to which it adds more than a plain number, and the lines that do so."""
    divided: set[str] = field(default_factory=set)
    """The names whose values it divides with ``/``."""
    operations: int = 0
    """How many times it computes."""
    keeps: bool = False
    """Whether its result gets a name, or is given back."""
    collects: bool = False
    """Whether it makes a list of many things in one go, such as ``[read(path) for path in paths]``."""
    makes: str = ""
    """The function whose result is all that it keeps: ``ones`` for ``table = np.ones(9)``."""


class Place(NamedTuple):
    """A statement, and where it stands: ``around`` is the outermost loop."""

    cell: str
    function: str
    owner: ast.ClassDef | None
    around: ast.stmt | None
    node: ast.stmt

    def holds(self, where: Where) -> bool:
        return self.cell == where.cell and self.node.lineno <= where.line <= (self.node.end_lineno or 0)


class Program:
    """The learner's code, (name, source) pairs; a cell that is no Python says nothing."""

    def __init__(self, cells: Sequence[tuple[str, str]]) -> None:
        self._lines = {cell: source.split("\n") for cell, source in cells}
        self._read: dict[ast.AST, Statement] = {}

    @cached_property
    def places(self) -> list[Place]:
        """Every statement, each after those that it is in."""
        found: list[Place] = []
        for cell, lines in self._lines.items():
            with contextlib.suppress(SyntaxError, ValueError, RecursionError, MemoryError):
                found += _places(ast.parse("\n".join(lines)), cell)
        return found

    def statement(self, where: Where | None) -> Statement:
        """Return the whole statement at a line, also where it goes over several lines."""
        found = [place.node for place in self.places if where and place.holds(where)]
        return self._statement(found[-1]) if found else Statement()

    def loop(self, where: Where | None) -> Place | None:
        """Return the outermost loop around a line."""
        return next(
            (one for one in self.places if where and isinstance(one.node, LOOPS) and one.holds(where)),
            None,
        )

    def definition(self, name: str, scope: str) -> Where | None:
        """Return the only line that makes a variable, in the function ``scope``; None where it is not one."""
        found = [
            place
            for place in self.places
            if isinstance(place.node, ast.Assign)
            and place.function == scope
            and name in {ast.unparse(target) for target in place.node.targets}
        ]
        return self._where(found[0], found[0].node.lineno) if len(found) == 1 else None

    def filler(self, name: str) -> Where | None:
        """Return the line that adds to a container of this name, the last of several; None where no line does."""
        last = name.rpartition(".")[2]
        found = [(place, line) for place in self.places if (line := self._statement(place.node).adds.get(last))]
        return self._where(*found[-1]) if found else None

    def caller(self, names: Collection[str]) -> Where | None:
        """Return the only line that calls one of these, or gives it as a keyword; None where it is not one."""
        found = {
            (place.cell, line): place
            for place in self.places
            for name, line in (self._statement(place.node).calls | self._statement(place.node).options).items()
            if name in names
        }
        if len(found) != 1:
            return None
        [((_, line), place)] = found.items()
        return self._where(place, line)

    def gives_data(self, scope: str) -> bool:
        """Whether a function gives out data piece by piece: it has a ``yield``, or its class has a ``__getitem__``."""
        made = [place for place in self.places if isinstance(place.node, FUNCTIONS)]
        owners = {place.owner for place in made if place.node.name == "__getitem__"} - {None}
        return any(
            place.owner in owners or any(isinstance(node, ast.Yield | ast.YieldFrom) for node in ast.walk(place.node))
            for place in made
            if place.node.name == scope
        )

    def _where(self, place: Place, line: int) -> Where:
        return Where(place.cell, line, self._lines[place.cell][line - 1].strip()[:300], place.function)

    def _statement(self, node: ast.stmt) -> Statement:
        if node not in self._read:
            self._read[node] = Statement()
            with contextlib.suppress(RecursionError):  # a formula of thousands of terms
                self._read[node] = _read(node)
        return self._read[node]


def _places(
    tree: ast.AST, cell: str, function: str = "", owner: ast.ClassDef | None = None, around: ast.stmt | None = None
) -> Iterator[Place]:
    for node in ast.iter_child_nodes(tree):
        if not isinstance(node, ast.stmt):
            yield from _places(node, cell, function, owner, around)  # such as the branches of a `try`
            continue
        yield Place(cell, function, owner, around, node)
        inside = node.name if isinstance(node, FUNCTIONS) else function
        outermost = around or (node if isinstance(node, LOOPS) else None)
        yield from _places(node, cell, inside, node if isinstance(node, ast.ClassDef) else owner, outermost)


def _read(statement: ast.stmt) -> Statement:
    found = Statement()
    reduced: set[ast.AST] = set()
    for node in _nodes(statement):
        match node:
            case ast.Name() | ast.Attribute():
                (found.targets if isinstance(node.ctx, ast.Store) else found.names).add(ast.unparse(node))
            case ast.Subscript(ctx=ast.Store()):
                found.fills.add(ast.unparse(node.value))
            case ast.Call():
                name = _last(node.func)
                found.calls[name] = node.func.end_lineno or node.lineno
                found.collects |= name in COLLECTS and bool(node.args)
                reduced.update(node.args[:1] if name in REDUCES else ())
                if name in ADDS and isinstance(node.func, ast.Attribute) and not _is_plain(node.args[-1:]):
                    found.adds[_last(node.func.value)] = node.func.end_lineno or node.lineno
            case ast.keyword(arg=str(name)):
                found.options[name] = node.lineno
            case ast.ListComp() | ast.DictComp() | ast.SetComp() | ast.GeneratorExp():
                found.collects |= not (isinstance(node, ast.GeneratorExp) and node in reduced)
            case ast.BinOp() | ast.AugAssign():
                found.operations += 1
                if isinstance(node.op, ast.MatMult):
                    found.calls["matmul"] = node.lineno
                if isinstance(node.op, ast.Div):
                    found.divided.add(ast.unparse(node.left if isinstance(node, ast.BinOp) else node.target))
    match statement:
        case ast.Assign(targets=[ast.Subscript() as target], value=value) if not _is_plain([value]):
            found.adds[_last(target.value)] = statement.lineno
        case ast.AugAssign(target=target):
            found.adds[_last(target)] = statement.lineno
        case ast.Assign(targets=[_], value=ast.Call(func=function)) | ast.Return(value=ast.Call(func=function)):
            found.makes = _last(function)
    found.targets |= found.fills
    found.keeps = bool(found.targets - found.fills) or isinstance(statement, ast.Return)
    return found


def _nodes(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a statement without the statements inside it."""
    yield node
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.stmt):
            yield from _nodes(child)


def _last(node: ast.AST) -> str:
    """The last name of an expression: ``seen`` for ``self.seen[0]``."""
    while isinstance(node, ast.Subscript):
        node = node.value
    return ast.unparse(node).rpartition(".")[2][:60]


def _is_plain(values: Sequence[ast.expr]) -> bool:
    """Whether a value that is added is a plain number."""
    return any(isinstance(value, ast.Call) and _last(value.func) in PLAIN for value in values)
