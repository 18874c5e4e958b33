"""Reading the declaration of a project file, `project = Project(...)`, without running it if all values are literals.

Commands that only read the ledger need a project's name, columns and policies, but none of the file's imports.
"""

from __future__ import annotations

import ast
import datetime
import operator
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

from pydantic import BaseModel

import refit
from refit.errors import RefitError
from refit.project import Project

Plain: TypeAlias = Any
"""The value of a literal expression."""

CALLED = ("load", "build", "expectations")
"""The functions of a project; the file is run when one of them is called."""
MODULES: dict[str, Any] = {"refit": refit, "datetime": datetime}
"""The modules whose names can be resolved without running the file."""
CONSTANT = (str, bytes, int, float, tuple, frozenset, datetime.date, datetime.timedelta, type(None), BaseModel)
"""The types of values that a name may have: immutable ones, which no other line of the file can change."""
OPERATORS: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


class _NotPlain(Exception):
    """Raised for a value that is known only by running the file."""


def declared_project(file: Path, run: Callable[[Path], Project]) -> Project | None:
    """Reads the project that a file declares.

    Args:
        file: The project file.
        run: Runs a project file; it is called when the project's load, estimator or expectations are called.

    Returns:
        The project; `None` if the file has to be run to know the project or its error.
    """
    try:
        module = ast.parse(file.read_bytes())
        values = dict(_Module(module).project(file, run))
        first_line = (ast.get_docstring(module) or "").strip().partition("\n")[0]
        values["description"] = values.get("description") or first_line
        return Project(**{**values, "file": file})
    except (_NotPlain, RefitError, OSError, SyntaxError, ValueError, TypeError, ArithmeticError, RecursionError):
        return None


def declared_name(file: Path) -> str | None:
    """Reads the project name that a file declares.

    Args:
        file: The project file.

    Returns:
        The value of `name=` in `project = Project(...)`, a literal or a constant of the file; `None` if it is computed
        or the file cannot be parsed.
    """
    try:
        tree = ast.parse(file.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return None
    texts = {name: value for name, value in _assignments(tree) if isinstance(value, ast.Constant)}
    calls = [value for name, value in _assignments(tree) if name == "project" and isinstance(value, ast.Call)]
    given = next((word.value for call in calls[-1:] for word in call.keywords if word.arg == "name"), None)
    found = texts.get(given.id) if isinstance(given, ast.Name) else given
    return found.value if isinstance(found, ast.Constant) and isinstance(found.value, str) else None


def _assignments(tree: ast.Module) -> list[tuple[str, ast.expr]]:
    found: list[tuple[str, ast.expr]] = []
    for node in tree.body:
        if isinstance(node, ast.Assign):
            found += [(target.id, node.value) for target in node.targets if isinstance(target, ast.Name)]
        elif isinstance(node, ast.AnnAssign) and node.value and isinstance(node.target, ast.Name):
            found.append((node.target.id, node.value))
    return found


class _Module(ast.NodeVisitor):
    """The top-level names of a file and their literal values."""

    def __init__(self, module: ast.Module) -> None:
        self._bindings = Counter(_bound_names(module.body))
        self._statements: dict[str, ast.stmt] = {}
        for statement in module.body:
            self._statements |= dict.fromkeys(_bound_names([statement]), statement)

    def project(self, file: Path, run: Callable[[Path], Project]) -> Iterator[tuple[str, Any]]:
        """Reads the keyword arguments of `project = Project(...)`; functions become calls that run the file.

        Args:
            file: The project file.
            run: Runs the file.

        Yields:
            The names and values.

        Raises:
            _NotPlain: If a value is not a literal.
        """
        call = self._assigned("project")
        if not isinstance(call, ast.Call) or self.visit(call.func) is not Project or call.args:
            raise _NotPlain
        for keyword in call.keywords:
            if keyword.arg is None:
                raise _NotPlain
            given = not (isinstance(keyword.value, ast.Constant) and keyword.value.value is None)
            later = keyword.arg in CALLED and given
            yield keyword.arg, _make_lazy(keyword.arg, file, run) if later else self.visit(keyword.value)

    def _assigned(self, name: str) -> ast.expr:
        statement = self._statements.get(name)
        single = self._is_bound_once(name)
        if single and isinstance(statement, ast.Assign) and isinstance(statement.targets[-1], ast.Name):
            return statement.value
        if single and isinstance(statement, ast.AnnAssign) and statement.value:
            return statement.value
        raise _NotPlain

    def _is_bound_once(self, name: str) -> bool:
        return self._bindings[name] == 1 and "*" not in self._bindings

    def generic_visit(self, node: ast.AST) -> Plain:
        raise _NotPlain(type(node).__name__)

    def visit_Constant(self, node: ast.Constant) -> Plain:
        return node.value

    def visit_Tuple(self, node: ast.Tuple) -> Plain:
        return tuple(self.visit(item) for item in node.elts)

    def visit_List(self, node: ast.List) -> Plain:
        return [self.visit(item) for item in node.elts]

    def visit_Dict(self, node: ast.Dict) -> Plain:
        if None in node.keys:  # `**other`
            raise _NotPlain
        return {self.visit(key): self.visit(item) for key, item in zip(node.keys, node.values, strict=True) if key}

    def visit_UnaryOp(self, node: ast.UnaryOp) -> Plain:
        if not isinstance(node.op, ast.USub):
            raise _NotPlain
        return -self.visit(node.operand)

    def visit_BinOp(self, node: ast.BinOp) -> Plain:
        if type(node.op) not in OPERATORS:
            raise _NotPlain
        return OPERATORS[type(node.op)](self.visit(node.left), self.visit(node.right))

    def visit_Attribute(self, node: ast.Attribute) -> Plain:
        return self._member(self.visit(node.value), node.attr)

    def visit_Name(self, node: ast.Name) -> Plain:
        name = node.id
        statement = self._statements.get(name)
        if self._is_bound_once(name) and isinstance(statement, ast.Import | ast.ImportFrom):
            return self._imported(statement, name)
        value = self.visit(self._assigned(name))
        if not isinstance(value, CONSTANT):
            raise _NotPlain
        return value

    def _imported(self, statement: ast.Import | ast.ImportFrom, name: str) -> Plain:
        found = next((one.name for one in statement.names if name == (one.asname or one.name)), "")
        if isinstance(statement, ast.Import) and found in MODULES:
            return MODULES[found]
        if isinstance(statement, ast.ImportFrom) and not statement.level and statement.module in MODULES:
            return self._member(MODULES[statement.module], found)
        raise _NotPlain

    def _member(self, module: object, name: str) -> Plain:
        if (module is refit and name in refit.__all__) or (module is datetime and name == "timedelta"):
            return getattr(module, name)
        raise _NotPlain

    def visit_Call(self, node: ast.Call) -> Plain:
        made = self.visit(node.func)
        if not isinstance(made, type) or any(keyword.arg is None for keyword in node.keywords):
            raise _NotPlain
        arguments = {str(keyword.arg): self.visit(keyword.value) for keyword in node.keywords}
        return made(*(self.visit(argument) for argument in node.args), **arguments)


def _make_lazy(name: str, file: Path, run: Callable[[Path], Project]) -> Callable[..., Any]:
    """Makes a function that runs the file and calls the project's function of the given name."""

    def call(*arguments: object) -> Plain:
        return getattr(run(file), name)(*arguments)

    return call


def _bound_names(statements: list[ast.stmt]) -> Iterator[str]:
    """Lists the names that statements bind, once per binding."""
    for statement in statements:
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield statement.name
            yield from (name for node in ast.walk(statement) if isinstance(node, ast.Global) for name in node.names)
            continue
        for node in ast.walk(statement):
            if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
                yield node.id
            elif isinstance(node, ast.alias):
                yield (node.asname or node.name).partition(".")[0]
            elif isinstance(node, ast.FunctionDef | ast.ClassDef | ast.ExceptHandler) and node.name:
                yield node.name
