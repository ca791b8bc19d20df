"""A repository in which a model is made again and again, each a commit whose outputs DVC keeps."""

import shutil
import subprocess
from contextlib import chdir
from pathlib import Path

from dvc.repo import Repo

from ringbound.models.bundle import write_bundle
from ringbound.models.facts import Learnt, ModelFacts
from ringbound.models.rung import Rung
from ringbound.release.registry import Registry
from ringbound.testing import examples
from ringbound.testing.parcels import ENTRY, PROBLEM
from ringbound.workspace import layout

PIPELINE = """
stages:
  ingest: {cmd: "true", outs: [data/raw]}
  tune: {cmd: "true", deps: [data/raw], outs: [data/models]}
  package: {cmd: "true", deps: [data/models], outs: [data/bento]}
artifacts:
  late-parcels: {path: data/models, type: model}
"""


def git(root: Path, *arguments: str) -> str:
    command = ["git", "-c", "user.name=Ann", "-c", "user.email=ann@example.org", *arguments]
    return subprocess.run(command, cwd=root, check=True, capture_output=True, text=True).stdout


class Versions:
    """Makes versions in the empty folder `root`."""

    def __init__(self, root: Path):
        self.root = root
        git(root, "init", "-q", "-b", "main")
        with Repo.init(str(root)) as repo:
            repo.config["core"]["analytics"] = False
        (root / "dvc.yaml").write_text(PIPELINE)
        self.registry = Registry(root, "late-parcels")

    @classmethod
    def copied(cls, built: Path, root: Path) -> "Versions":
        """Return a copy of versions that were made."""
        made = object.__new__(cls)
        made.root = shutil.copytree(built, root, symlinks=True)
        made.registry = Registry(made.root, "late-parcels")
        return made

    def commit(self, name: str, rung: Rung | None = None) -> str:
        """Commit what a run left behind: raw data, a model (without one, its bytes alone) and a Bento; return the commit."""
        for path in ("data/raw", "data/models", "data/bento", "data/reports"):
            (self.root / path).mkdir(parents=True, exist_ok=True)
        (self.root / "data/raw/events.txt").write_text(f"events of {name}\n" * 1000)
        (self.root / "data/bento/model.bento").write_text(name)
        if rung is None:
            (self.root / "data/models/full.json").write_text(f"model {name}\n" * 100)
        else:
            facts = write_bundle(
                self.root / "data/models", problem=PROBLEM, full=rung, references=examples.training().references,
                default=0.3, learnt=Learnt(10, "a", "b", "", "linear", {}, 1), entry=ENTRY,
            )  # fmt: skip
            model: ModelFacts = facts.model
            model.write(self.root / layout.MODEL)
        with chdir(self.root), Repo(str(self.root)) as repo:  # DVC goes by where one is
            repo.commit(force=True)
        git(self.root, "add", "-A")
        git(self.root, "commit", "-q", "--allow-empty", "-m", name)
        return git(self.root, "rev-parse", "HEAD").strip()
