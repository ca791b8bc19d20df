"""What code depends on, read off its imports and followed through the workspace's packages and the installed ringbound.

Nothing is imported for it. A stage depends on the digest of each module that its notebook reaches, without prose: an edit
of a docstring, or of a module that no stage uses, runs nothing again.
"""

import ast
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ringbound.errors import WorkspaceError, one_line
from ringbound.workspace.code import digest

MACHINERY = "ringbound"
BESIDE = {"ringbound.store.schema": "ringbound.store.migrations"}
"""Modules that load a whole package by its folder, and that package."""


@dataclass(frozen=True)
class Module:
    """A module's file, its path below the folder that Python searches, and whether it is a package."""

    name: str
    path: Path
    relative: str

    @cached_property
    def tree(self) -> ast.Module:
        """Its code; `WorkspaceError` where it is not Python."""
        try:
            return ast.parse(self.path.read_text("utf-8"))
        except (SyntaxError, ValueError) as error:
            raise WorkspaceError(f"{self.relative}: expected Python; {one_line(error)}; correct it") from error

    @property
    def digest(self) -> str:
        """Sixteen hex digits that change when the code does, not when prose does."""
        return digest(self.tree)

    @property
    def sha256(self) -> str:
        """Sixteen hex digits that change with every byte."""
        return hashlib.sha256(self.path.read_bytes()).hexdigest()[:16]


class Modules:
    """The modules that can be followed: those below `root/src`, and ringbound's wherever it is installed."""

    def __init__(self, root: Path):
        self.places = [root / "src", Path(__file__).parents[2]]
        self._found: dict[str, Module | None] = {}

    def find(self, name: str) -> Module | None:
        """Return a module by its dotted name; None where it is none of these."""
        if name not in self._found:
            self._found[name] = next(self._files(name), None)
        return self._found[name]

    def _files(self, name: str) -> Iterator[Module]:
        below = name.replace(".", "/")
        for place in self.places if name.split(".")[0] == MACHINERY else self.places[:1]:
            for relative in (f"{below}/__init__.py", f"{below}.py"):
                if (place / relative).is_file():
                    yield Module(name, place / relative, relative)

    def reached(self, code: ast.Module) -> dict[str, Module]:
        """Return, by name, all modules that the code imports, directly or through others, and the packages they are in."""
        seen: dict[str, Module] = {}
        waiting = list(self._imported(code, ""))
        while waiting:
            name = waiting.pop()
            module = self.find(name)
            if module is None or name in seen:
                continue
            seen[name] = module
            package = name if module.relative.endswith("__init__.py") else name.rpartition(".")[0]
            waiting += [name.rpartition(".")[0]] if "." in name else []
            waiting += self._imported(module.tree, package)
            if name in BESIDE:
                waiting += self._inside(BESIDE[name])
        return dict(sorted(seen.items()))

    def _inside(self, package: str) -> Iterator[str]:
        module = self.find(package)
        if module is not None:
            for file in sorted(module.path.parent.rglob("*.py")):
                inner = file.relative_to(module.path.parent).with_suffix("").as_posix().replace("/", ".")
                yield package if inner == "__init__" else f"{package}.{inner}".removesuffix(".__init__")

    def _imported(self, tree: ast.AST, package: str) -> Iterator[str]:
        """Yield the dotted names that code in `package` imports, wherever in it; `from a import b` gives a and a.b."""
        nodes = list(_running(tree))
        whole = {
            alias.asname or alias.name
            for node in nodes
            if isinstance(node, ast.Import)
            for alias in node.names
            if alias.name == MACHINERY
        }
        for node in nodes:
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in whole:
                yield self.public.get(node.attr, f"{MACHINERY}.{node.attr}")
            elif isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                base = node.module or ""
                if node.level:
                    above = package.split(".")[: len(package.split(".")) - node.level + 1]
                    base = ".".join([*above, *filter(None, [node.module])])
                yield base
                names = self.public if base == MACHINERY else {}
                if names and any(alias.name == "*" for alias in node.names):
                    yield from names.values()
                yield from (names.get(alias.name, f"{base}.{alias.name}") for alias in node.names)

    @cached_property
    def public(self) -> dict[str, str]:
        """The names that ringbound hands out by itself, and the module of each."""
        module = self.find(MACHINERY)
        for node in module.tree.body if module else []:
            if isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == "PUBLIC" and node.value is not None:
                table: dict[str, tuple[str, ...]] = ast.literal_eval(node.value)
                return {name: module for module, names in table.items() for name in names}
        return {}


def _running(tree: ast.AST) -> Iterator[ast.AST]:
    """Walk the code that may run: what is imported for type checkers alone is left out."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        if isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
            waiting += node.orelse
        else:
            waiting += ast.iter_child_nodes(node)
