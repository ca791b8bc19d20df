"""A clone of the flights workspace, and its service, as users have them."""

import json
import os
import re
import shutil
import signal
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import suppress
from pathlib import Path

from postgresql import free_port

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


def family(pid: int) -> list[int]:
    """Return a process and all its descendants."""
    children = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True).stdout.split()
    return [pid, *(found for child in children for found in family(int(child)))]


class Service:
    """The packaged service, served as `make serve` does, on a port of its own; answers may take their time."""

    def __init__(self, clone: Clone, *options: str, port: int | None = None, scheme: str = "http", token: str = ""):
        self.port = port or free_port()
        self.address = f"{scheme}://127.0.0.1:{self.port}"
        self.token = token
        self._trust = ssl._create_unverified_context()  # what tests speak to has made its certificate itself
        self._process = subprocess.Popen(
            ["ringbound", "serve", "--port", str(self.port), "--deadline-ms", "20000", *options],
            cwd=clone.root, env=clone.environment,
            start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        deadline = time.monotonic() + 60
        while True:
            try:
                assert urllib.request.urlopen(f"{self.address}/readyz", context=self._trust).status == 200
                return
            except (urllib.error.URLError, ConnectionError):
                assert self._process.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.2)

    def post(self, route: str, content: object) -> tuple[int, dict]:
        """Send JSON and return the status and the answer."""
        body = json.dumps(content).encode()
        headers = {"Content-Type": "application/json"}
        headers |= {"Authorization": f"Bearer {self.token}"} if self.token else {}
        request = urllib.request.Request(f"{self.address}/{route}", body, headers)
        try:
            with urllib.request.urlopen(request, context=self._trust) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)

    def stop(self) -> None:
        """Stop it, as an operator does."""
        os.killpg(self._process.pid, signal.SIGTERM)
        self._process.wait(30)

    def kill_worker(self) -> None:
        """Kill the process that answers, and leave the one that watches it."""
        os.kill(family(self._process.pid)[-1], signal.SIGKILL)

    def kill(self) -> None:
        """Kill every process of it, workers first; they have groups of their own."""
        for pid in reversed(family(self._process.pid)):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._process.wait(30)
