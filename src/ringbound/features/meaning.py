"""What a function means: its code without prose, and all that it can reach.

Followed are the names that any part of the function looks up, in comprehensions, lambdas and inner functions too, what it
imports, defaults, closures, and what these reach in turn: functions and classes of the workspace and of ringbound by their
code, values by their content. What other packages give goes by its name, if that name gives it: their versions are locked.
What has no content that can be read is refused, by name.
"""

import ast
import datetime
import dis
import enum
import functools
import importlib.util
import inspect
import re
import sys
import textwrap
import zoneinfo
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np

from ringbound.errors import FeatureError
from ringbound.workspace.code import canonical
from ringbound.workspace.isolated import imported_by

PLAIN = (str, bytes, int, float, complex, bool, type(None), type(...), range)
CONTAINERS = (list, tuple, set, frozenset, dict)
LOOKS_UP = ("LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS")
INSTANTS = (datetime.date, datetime.time, datetime.timedelta, datetime.tzinfo, zoneinfo.ZoneInfo)
GIVEN = {
    "__dict__",
    "__weakref__",
    "__module__",
    "__doc__",
    "__qualname__",
    "__annotations__",
    "__slots__",
    "_abc_impl",
}
"""What a class has of itself, or that its code says already."""


def meaning_of(function: Any) -> str:
    """Return all that the value of a function depends on, as text; `FeatureError` names what cannot be read.

    >>> from ringbound.features.clock import local_clock
    >>> "QUARTER" in meaning_of(local_clock)
    True
    """
    return _Walk(getattr(function, "__module__", "") or "").text(function, getattr(function, "__name__", "a function"))


class _Walk:
    """One walk through what a function reaches; each function and each object is told once."""

    def __init__(self, module: str):
        package = module.split(".")[0]
        self.packages = {package, package.partition("@")[0], "ringbound"}
        self.mark = "".join(package.partition("@")[1:])  # of code that was imported beside that which runs
        self.beside = _source_folder(module)
        self.seen: dict[int, tuple[int, Any]] = {}

    def text(self, value: Any, name: str) -> str:
        """Return a value's content as text; `name` is what the code calls it."""
        if isinstance(value, enum.Enum):
            return f"{type(value).__qualname__}.{value.name}={self.text(value.value, name)}"
        if type(value) in PLAIN or isinstance(value, INSTANTS):
            return f"{type(value).__name__}:{value!r}"
        if isinstance(value, (tuple, frozenset, np.generic)):  # whether equal ones are one object is up to Python
            return self._text(value, name)
        if id(value) in self.seen:  # also where objects hold one another
            return f"#{self.seen[id(value)][0]}"
        self.seen[id(value)] = (len(self.seen), value)  # holds it, so that no other object gets its id
        return self._text(value, name)

    def _text(self, value: Any, name: str) -> str:
        if isinstance(value, (*CONTAINERS, *PLAIN)) and type(value) not in CONTAINERS and self._ours(value):
            return f"{self._class(type(value), name)}:{self._content(value, name)}"
        if isinstance(value, (*CONTAINERS, Mapping)):
            return self._content(value, name)
        if isinstance(value, np.ndarray) and value.dtype != object:
            return f"array:{value.dtype}:{value.shape}:{np.ascontiguousarray(value).tobytes().hex()}"
        if isinstance(value, (np.generic, np.dtype)):
            return f"{type(value).__name__}:{value!r}"
        if isinstance(value, re.Pattern):
            return f"pattern:{value.pattern!r}:{value.flags}"
        if isinstance(value, functools.partial):
            return f"partial({self.text(value.func, name)},{self.text(value.args, name)},{self.text(value.keywords, name)})"
        if isinstance(value, MethodType):
            return f"method({self.text(value.__func__, name)},{self.text(value.__self__, name)})"
        if isinstance(value, ModuleType):
            return self._module(value, name)
        holder = getattr(value, "__self__", None)
        if isinstance(value, BuiltinFunctionType) and holder is not None and not isinstance(holder, ModuleType):
            return f"method({value.__name__},{self.text(holder, name)})"  # like the `get` of a dictionary
        if not self._ours(value):
            return self._of_others(value, name)
        if isinstance(value, FunctionType):
            return self._function(value, name)
        if isinstance(value, type):
            return self._class(value, name)
        if hasattr(value, "__wrapped__"):  # functools.lru_cache and the like
            return f"{type(value).__name__}({self.text(value.__wrapped__, name)})"
        return self._instance(value, name)

    def _content(self, value: Any, name: str) -> str:
        kind = type(value).__name__
        if isinstance(value, (list, tuple)):
            return f"{kind}[" + ",".join(self.text(v, f"{name}[{i}]") for i, v in enumerate(value)) + "]"
        if isinstance(value, (set, frozenset)):
            return f"{kind}{{" + ",".join(sorted(self.text(v, name) for v in value)) + "}"
        if isinstance(value, Mapping):
            pairs = (f"{self.text(k, name)}:{self.text(v, f'{name}[{k!r}]')}" for k, v in value.items())
            return f"{kind}{{" + ",".join(pairs) + "}"
        return f"{kind}:{value!r}"

    def _instance(self, value: Any, name: str) -> str:
        if is_dataclass(value):
            state = [(f.name, getattr(value, f.name)) for f in fields(value)]
        else:
            slots = {s for kind in type(value).__mro__ for s in _names(kind.__dict__.get("__slots__", ()))}
            held = {slot: getattr(value, slot) for slot in slots if hasattr(value, slot)} | getattr(
                value, "__dict__", {}
            )
            state = sorted(held.items())
        inside = ",".join(f"{key}={self.text(part, f'{name}.{key}')}" for key, part in state)
        return f"{self.text(type(value), type(value).__name__)}({inside})"

    def _is_ours(self, module: str) -> bool:
        """Say whether a module can change with a commit of the workspace or a version of ringbound."""
        package = module.split(".")[0]
        named = {package, package + self.mark}
        return package in self.packages or (self.beside is not None and self.beside in map(_source_folder, named))

    def _ours(self, value: Any) -> bool:
        home = getattr(value, "__module__", None) or type(value).__module__
        return isinstance(home, str) and self._is_ours(home)

    def _module(self, value: ModuleType, name: str) -> str:
        if self._is_ours(value.__name__):
            raise FeatureError(
                f"{name}: a feature uses the module {value.__name__} as a value, so that what it takes of it cannot be read; "
                "import what it takes by name"
            )
        return f"module:{value.__name__}"

    def _of_others(self, value: Any, name: str) -> str:
        home, known = getattr(value, "__module__", None), getattr(value, "__qualname__", None)
        known = known or getattr(value, "__name__", None)
        if isinstance(value, np.ufunc):
            home = "numpy"
        if isinstance(known, str) and _named(home or "builtins", known) is value:
            return f"{home or 'builtins'}.{known}"
        raise FeatureError(
            f"{name}: a feature reaches it, and a {type(value).__module__}.{type(value).__qualname__} has no content that "
            "a hash can tell; use plain values, arrays, functions or a reference table"
        )

    def _function(self, function: FunctionType, name: str) -> str:
        tree = _source(function, name)
        parts = [canonical(tree)]
        for free, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
            parts.append(f"{free}={self.text(cell.cell_contents, free)}")
        for defaults in (function.__defaults__, function.__kwdefaults__):
            if defaults:
                parts.append(f"defaults={self.text(defaults, f'a default of {function.__name__}')}")
        if attributes := {key: value for key, value in vars(function).items() if key != "__wrapped__"}:
            parts.append(f"attributes={self.text(attributes, function.__name__)}")
        for looked_up in sorted(_globals_of(function.__code__)):
            if looked_up in function.__globals__:
                parts.append(f"{looked_up}={self._used(function.__globals__[looked_up], looked_up, tree)}")
        for imported, value in self._imported(tree, function):
            parts.append(f"{imported}={self._used(value, imported.split('.')[-1], tree)}")
        return "function(" + ";".join(parts) + ")"

    def _imported(self, tree: ast.AST, function: FunctionType) -> Iterator[tuple[str, Any]]:
        """Yield what code imports of ours when it runs, by the name it uses for it."""
        package = function.__globals__.get("__package__") or ""
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    if self._is_ours(alias.name):
                        module = imported_by(function, alias.name)
                        root = alias.name.split(".")[0]
                        yield alias.asname or root, module if alias.asname else imported_by(function, root)
            elif isinstance(node, ast.ImportFrom):
                base = importlib.util.resolve_name("." * node.level + (node.module or ""), package)
                if self._is_ours(base):
                    for alias in node.names:
                        yield alias.asname or alias.name, _attribute(imported_by(function, base), alias.name)

    def _used(self, value: Any, name: str, tree: ast.AST) -> str:
        """Return the content of a name that code uses; of a module of ours, that of what the code takes of it."""
        if not (isinstance(value, ModuleType) and self._is_ours(value.__name__)):
            return self.text(value, name)
        chains = _chains(tree, name)
        if None in chains:
            return self._module(value, name)
        parts = []
        for chain in sorted(chain for chain in chains if chain is not None):
            taken: Any = value
            for attribute in chain:
                if not isinstance(taken, ModuleType):
                    break
                taken = _attribute(taken, attribute)
            parts.append(f"{'.'.join(chain)}={self.text(taken, '.'.join((name, *chain)))}")
        return "module(" + ",".join(parts) + ")"

    def _class(self, kind: type, name: str) -> str:
        parts = [canonical(_source(kind, name))]
        parts += [self.text(base, base.__name__) for base in kind.__bases__ if base is not object]
        for attribute, value in sorted(vars(kind).items()):
            part = f"{name}.{attribute}"
            function = value
            for inner in ("__func__", "fget", "func"):  # of class and static methods, properties, cached properties
                function = getattr(function, inner, function)
            if isinstance(function, FunctionType):
                if function.__module__ == kind.__module__ and _written(function):
                    parts.append(f"{attribute}={self.text(function, part)}")
            elif attribute not in GIVEN and not attribute.startswith("__") and not inspect.isdatadescriptor(value):
                parts.append(f"{attribute}={self.text(value, part)}")
        if is_dataclass(kind):
            made = {f.name: f.default_factory for f in fields(kind) if f.default_factory is not MISSING}
            parts.append(f"factories={self.text(made, name)}")
        return "class(" + ";".join(parts) + ")"


def _source_folder(module: str) -> Path | None:
    """Return the folder that Python searches and that has a module's package; None for installed ones."""
    package = sys.modules.get(module.split(".")[0])
    file = getattr(package, "__file__", None)
    if file is None:
        return None
    path = Path(file)
    folder = path.parents[1] if path.name == "__init__.py" else path.parent
    installed = {"site-packages", "dist-packages"} & set(folder.parts) or str(folder).startswith(sys.base_prefix)
    return None if installed else folder


def _named(module: str, qualified: str) -> Any:
    value: Any = sys.modules.get(module)
    for part in qualified.split("."):
        value = getattr(value, part, None)
    return value


def _attribute(module: ModuleType, name: str) -> Any:
    try:
        return getattr(module, name)
    except AttributeError:
        return importlib.import_module(f"{module.__name__}.{name}")


def _names(slots: Any) -> tuple[str, ...]:
    return (slots,) if isinstance(slots, str) else tuple(slots)


def _written(function: FunctionType) -> bool:
    """Say whether a function stands in a file: those that `dataclass` makes follow from the class's own code."""
    return inspect.unwrap(function).__code__.co_filename != "<string>"


def _source(value: Any, name: str) -> ast.AST:
    try:
        # By its code object: of a decorated function, the source of what the decorator returned, not of what it wraps.
        text = textwrap.dedent(inspect.getsource(value.__code__ if isinstance(value, FunctionType) else value))
    except (OSError, TypeError) as error:
        raise FeatureError(
            f"{name}: a feature reaches it, and its code cannot be read; define it in a module"
        ) from error
    try:
        return ast.parse(text)
    except SyntaxError:  # a lambda amid a statement: take the whole statement that holds it
        line = value.__code__.co_firstlineno
        tree = ast.parse("".join(inspect.getsourcelines(sys.modules[value.__module__])[0]))
        holding = [
            n for n in ast.walk(tree) if isinstance(n, ast.stmt) and n.lineno <= line <= (n.end_lineno or n.lineno)
        ]
        return max(holding, key=lambda n: n.lineno)


def _globals_of(code: CodeType) -> set[str]:
    """Return the global names that code looks up, inner functions, lambdas and comprehensions included."""
    names = {i.argval for i in dis.get_instructions(code) if i.opname in LOOKS_UP}
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            names |= _globals_of(constant)
    return names


def _chains(tree: ast.AST, name: str) -> set[tuple[str, ...] | None]:
    """Return the chains of attributes that code takes of a name: `help.tools.g` gives help (tools, g); None where it takes
    the name itself.
    """
    chains: set[tuple[str, ...] | None] = set()

    def visit(node: ast.AST) -> None:
        chain: list[str] = []
        inner = node
        while isinstance(inner, ast.Attribute):
            chain.append(inner.attr)
            inner = inner.value
        if isinstance(inner, ast.Name) and inner.id == name and isinstance(inner.ctx, ast.Load):
            chains.add(tuple(reversed(chain)) or None)
            return
        for child in ast.iter_child_nodes(node):
            visit(child)

    visit(tree)
    return chains
