"""The code of another version of a problem, imported beside the one that runs: `parcels.problem` of both, at once.

Every package of a folder but ringbound's own is imported under a name of its own, `parcels@7`, and what it imports of itself,
at whatever time, is that: each of its modules has an `__import__` which looks there first.
"""

import builtins
import importlib
import itertools
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

OWN = "ringbound"
"""The machinery, which is the same for all versions."""


NUMBERS = itertools.count(1)


class IsolatedPackages:
    """The packages and modules that lie in a folder, importable as `NAME@MARK` from `enter` to `leave`; `mark` is its own."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.mark = str(next(NUMBERS))
        found = [path for path in folder.iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file()]
        self.names = {path.stem for path in found} - {OWN}

    def enter(self) -> None:
        """Make them importable."""
        sys.meta_path.insert(0, self)

    def leave(self) -> None:
        """Forget them: nothing of them is to be called any more."""
        if self in sys.meta_path:
            sys.meta_path.remove(self)
        for name in [name for name in list(sys.modules) if self._is_mine(name)]:
            sys.modules.pop(name, None)

    def alias(self, name: str) -> str:
        """Return what a module is called here: `parcels.problem` is `parcels@MARK.problem`."""
        root, dot, rest = name.partition(".")
        return f"{root}@{self.mark}{dot}{rest}" if root in self.names else name

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> Any:
        """Return how a module of ours is loaded; None for those of others."""
        if not self._is_mine(name):
            return None
        place = self.folder.joinpath(*name.replace(f"@{self.mark}", "").split("."))
        package = place / "__init__.py"
        for file, inside in ((package, [str(place)]), (place.with_suffix(".py"), None)):
            if file.is_file():
                loader = _Loader(name, str(file), self)
                spec: ModuleSpec | None = spec_from_file_location(
                    name, file, loader=loader, submodule_search_locations=inside
                )
                return spec
        return None

    def import_module(self, name: str, package: Any = None, local: Any = None, wanted: Any = (), level: int = 0) -> Any:
        """Import as `__import__` does, from here where it is here."""
        root = name.partition(".")[0]
        if level or root not in self.names:
            return builtins.__import__(name, package, local, wanted or (), level)
        found = importlib.import_module(self.alias(name))
        if not wanted:
            return sys.modules[self.alias(root)]
        for one in wanted:
            if one != "*" and not hasattr(found, one) and hasattr(found, "__path__"):
                try:
                    importlib.import_module(f"{found.__name__}.{one}")
                except ModuleNotFoundError as error:
                    if error.name != f"{found.__name__}.{one}":
                        raise
        return found

    def _is_mine(self, name: str) -> bool:
        root, _, mark = name.partition(".")[0].partition("@")
        return mark == self.mark and root in self.names


class _Loader(SourceFileLoader):
    """Loads a module that imports from where it comes from."""

    def __init__(self, name: str, file: str, packages: IsolatedPackages):
        super().__init__(name, file)
        self._packages = packages

    def exec_module(self, module: ModuleType) -> None:
        """Run the module's code, and that of its functions later, with its own `__import__`."""
        vars(module)["__builtins__"] = vars(builtins) | {"__import__": self._packages.import_module}
        super().exec_module(module)


def imported_by(function: Any, module: str) -> ModuleType:
    """Return the module that code of a function gets when it imports it by name."""
    scope = getattr(function, "__globals__", {})
    given = scope.get("__builtins__", builtins)
    find = given["__import__"] if isinstance(given, dict) else given.__import__
    return find(module, scope, {}, ("__name__",), 0)
