"""Python code as what it does: the same text whatever its prose, layout and version of Python."""

import ast
import hashlib
from typing import Any


def canonical(tree: ast.AST) -> str:
    """Return code without docstrings, comments and layout, the same on every version of Python.

    `ast.dump` and `ast.unparse` differ between versions; this leaves out what is empty, so that a field which a later
    version adds changes nothing.

    >>> one = canonical(ast.parse("def f(x):\\n    'Words.'\\n    return x + 1  # more words"))
    >>> one == canonical(ast.parse("def f(x): return (x+1)"))
    True
    """
    return _plain(tree)


def digest(tree: ast.AST) -> str:
    """Return sixteen hex digits of the canonical code."""
    return hashlib.sha256(canonical(tree).encode()).hexdigest()[:16]


def _plain(node: Any) -> str:
    if isinstance(node, ast.AST):
        parts = [(name, value) for name, value in ast.iter_fields(node) if name not in ("ctx", "kind", "type_comment")]
        if isinstance(node, (ast.Module, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            parts = [(name, _body(value) if name == "body" else value) for name, value in parts]
        if isinstance(node, ast.JoinedStr):
            parts = [("values", _merged(node.values))]
        inside = ",".join(f"{name}={_plain(value)}" for name, value in parts if value is not None and value != [])
        return f"{type(node).__name__}({inside})"
    if isinstance(node, list):
        return "[" + ",".join(map(_plain, node)) + "]"
    return f"{type(node).__name__}:{node!r}"


def _body(statements: list[ast.stmt]) -> list[ast.stmt]:
    """Leave out texts that stand alone: docstrings, and texts that explain the line above them."""
    return [
        statement
        for statement in statements
        if not (
            isinstance(statement, ast.Expr)
            and isinstance(statement.value, ast.Constant)
            and isinstance(statement.value.value, str)
        )
    ]


def _merged(values: list[ast.expr]) -> list[ast.expr]:
    """Join constants of an f-string that lie side by side, which versions of Python part in different ways."""
    merged: list[ast.expr] = []
    for value in values:
        last = merged[-1] if merged else None
        if (
            isinstance(value, ast.Constant)
            and isinstance(last, ast.Constant)
            and isinstance(value.value, str)
            and isinstance(last.value, str)
        ):
            merged[-1] = ast.Constant(last.value + value.value)
        else:
            merged.append(value)
    return merged
