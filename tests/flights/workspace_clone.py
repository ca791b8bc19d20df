"""A clone of the flights workspace, as users have it."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
SMALL = {
    'through: "2014-01-03T00:00:00Z"': 'through: "2013-04-10T00:00:00Z"',
    "trials: 16": "trials: 4",
    "reduced_trials: 4": "reduced_trials: 2",
    "draws: 500": "draws: 20",
    "valid_months: 3": "valid_months: 2",
    "test_months: 2": "test_months: 1",
    "every: 1 ": "every: 12 ",
    "first: 3 ": "first: 2 ",
    "years: 500": "years: 20",
}


def environment_of(root: Path) -> dict[str, str]:
    """Return the environment for commands in a clone: nobody else's settings, this Python, its own code."""
    return {k: v for k, v in os.environ.items() if not k.startswith("RINGBOUND")} | {
        "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(root / "src"),  # else the editable install shows the tree this was copied from
    }


class Clone:
    """A clone of the working tree, in a folder whose name has a space; its DVC cache is shared with others of this run."""

    def __init__(self, root: Path, cache: Path):
        self.root = root
        listed = subprocess.run(
            ["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout
        for name in filter(None, listed.split("\0")):
            if (ROOT / name).is_file():
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / name, root / name)
        params = (root / "params.yaml").read_text()
        for before, after in SMALL.items():
            assert params.count(before) == 1, before
            params = params.replace(before, after)
        (root / "params.yaml").write_text(params)
        self.environment = environment_of(root)
        self.call("git", "init", "-q")
        self.call("dvc", "cache", "dir", "--local", str(cache))

    @classmethod
    def copied(cls, built: Path, root: Path) -> "Clone":
        """Return a copy of a clone with everything in it, also what its stages have made."""
        made = object.__new__(cls)
        made.root, made.environment = root, environment_of(root)
        shutil.copytree(built, root, symlinks=True, dirs_exist_ok=True)
        return made

    def call(self, *command: str, check: bool = True) -> subprocess.CompletedProcess:
        """Run a command in the clone."""
        result = subprocess.run(command, cwd=self.root, env=self.environment, capture_output=True, text=True)
        assert result.returncode == 0 or not check, f"{command}: {result.stdout[-2000:]} {result.stderr[-2000:]}"
        return result

    def repro(self, *more: str) -> list[str]:
        """Reproduce and return the names of the stages that ran."""
        return re.findall(r"Running stage '(\w+)'", self.call("dvc", "repro", *more).stdout)

    def lock(self) -> str:
        return (self.root / "dvc.lock").read_text()

    def edit_cell(self, notebook: str, kind: str, before: str, after: str) -> None:
        """Replace text in the cells of one kind, and export."""
        path = self.root / f"notebooks/{notebook}.ipynb"
        nb = json.loads(path.read_text())
        for cell in nb["cells"]:
            if cell["cell_type"] == kind:
                cell["source"] = "".join(cell["source"]).replace(before, after).splitlines(keepends=True)
        path.write_text(json.dumps(nb, sort_keys=True, indent=1, ensure_ascii=False) + "\n")
        self.call("ringbound", "notebooks", "export")
