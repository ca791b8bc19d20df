"""Import a Bento's service and answer its problem's examples with nothing installed but what the Bento asks for.

python alone.py FOLDER   the folder of an unpacked Bento
"""

import asyncio
import importlib
import json
import re
import sys
from importlib.metadata import PackageNotFoundError, distribution, packages_distributions
from pathlib import Path


def plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def needed(names: list[str]) -> set[str]:
    """Return distributions and all that they require."""
    found: set[str] = set()
    while names:
        name = plain(names.pop())
        if name not in found:
            try:
                requires = distribution(name).requires or []
            except PackageNotFoundError:  # for another system or another Python
                continue
            found.add(name)
            names += [re.match(r"[\w.-]+", one)[0] for one in requires if "extra ==" not in one]
    return found


class Refuses:
    """A finder that has none of some modules."""

    def __init__(self, modules: set[str]):
        self.modules = modules

    def find_spec(self, name: str, path=None, target=None):
        if name.partition(".")[0] in self.modules:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def main(folder: Path) -> None:
    """Refuse what is not asked for, import the service, and print its answers."""
    lines = (folder / "env/python/requirements.txt").read_text().splitlines()
    there = needed([line.partition("==")[0] for line in lines if re.match(r"\w", line)])
    shipped = {path.stem for path in (folder / "src").iterdir()}
    others = {module for module, of in packages_distributions().items() if not there & {*map(plain, of)}} - shipped
    assert {"pandas", "sklearn", "pyarrow", "dvc"} <= others
    sys.meta_path.insert(0, Refuses(others))
    sys.path.insert(0, str(folder / "src"))
    made = importlib.import_module("service").Service.inner()
    rows = [
        {name: value for name, value in row.items() if name != "at"} for row in made.serving.bundle.problem.examples
    ]
    answers = asyncio.run(made.serving.predict(rows, explain=True))
    made.shutdown()
    print(json.dumps(answers))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
