"""Build the Bento, the archive in which a bundle, the code it needs and the service travel; unpack it where it serves."""

import ast
import hashlib
import io
import json
import lzma
import os
import re
import shutil
import socket
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn

import pandas as pd

from ringbound import workspace
from ringbound.display.tables import Shown
from ringbound.errors import BundleError, WorkspaceError, one_line
from ringbound.models.facts import read_facts
from ringbound.serving.settings import ServiceSettings
from ringbound.workspace import layout
from ringbound.workspace.modules import Modules

EPOCH = datetime(1980, 1, 1, tzinfo=UTC)
"""The time stamped on everything in the archive, so that the same content is the same bytes."""
SERVICE = "bentos"
"""The folder of the workspace with `service.py`, and what else is to travel; its `ops` is for who watches."""


@dataclass(frozen=True)
class BentoResult(Shown):
    """A Bento that was built: its archive, its version, and the modules that travel in it."""

    archive: Path
    version: str
    modules: list[str]

    @property
    def caption(self) -> str:
        """Name, version and size."""
        size = self.archive.stat().st_size / 1e6
        return f"{self.archive.name}, version {self.version}: {size:.1f} MB, {len(self.modules)} modules of code"

    @property
    def frame(self) -> pd.DataFrame:
        """The files by their folder."""
        with tarfile.open(self.archive) as opened:
            members = [(m.name, m.size) for m in opened.getmembers() if m.isfile()]
        files = pd.DataFrame(members, columns=["file", "bytes"])
        folder = files["file"].str.rpartition("/")[0].replace("", ".")
        return files.groupby(folder)["bytes"].agg(["size", "sum"]).rename(columns={"size": "files", "sum": "bytes"})


def build_bento(name: str, *, bundle_folder: Path, root: Path, archive: Path) -> BentoResult:
    """Build the Bento `name` from the bundle, `bentos/` and the modules that serving imports, and write it as `archive`.

    Its version is a digest of the bundle and of this code: an edit of anything else leaves its bytes as they are.

    >>> from ringbound import workspace
    >>> from ringbound.testing import examples
    >>> models, archive = examples.folder() / "models", examples.folder() / "parcels.bento"
    >>> version = examples.bundle().version  # the bundle is there
    >>> built = build_bento("parcels", bundle_folder=models, root=workspace.root(), archive=archive)
    >>> "ringbound.testing.parcels" in built.modules, "ringbound.release.report" in built.modules
    (True, False)
    """
    facts = read_facts(bundle_folder)
    modules = Modules(root)
    service = (root / SERVICE / "service.py").read_text("utf-8")
    shipped = modules.reached(ast.parse(f"{service}\nimport {facts.model.entry.partition(':')[0]}\n"))
    context = workspace.fresh_folder(root / layout.BENTO_HOME / f"context.{os.getpid()}")
    ignored = shutil.ignore_patterns("__pycache__", "ops")
    shutil.copytree(root / SERVICE, context, dirs_exist_ok=True, ignore=ignored)
    for file in shipped.values():
        target = context / file.relative
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file.path, target)
    shutil.copytree(bundle_folder, context / "bundle")
    version = _version(context)
    build = (
        "import bentoml, sys; "
        "print(bentoml.bentos.build('service:Service', name=sys.argv[1], version=sys.argv[2], include=['*']).path)"
    )
    for stored in (root / layout.BENTO_HOME / "bentos" / name).glob(version):
        shutil.rmtree(stored)
    result = subprocess.run(
        [sys.executable, "-c", build, name, version],
        cwd=context,
        env=environment_of(root / layout.BENTO_HOME),
        capture_output=True,
        text=True,
    )
    if result.returncode:
        lines = result.stderr.strip().splitlines() or ["no reason given"]
        why = next((line for line in lines if "Failed to import module" in line), lines[-1])
        raise BundleError(f"expected a Bento; BentoML says: {one_line(Exception(why))}")
    folder = Path(result.stdout.strip().splitlines()[-1])
    _settle(folder)
    _archive(folder, archive)
    shutil.rmtree(context)
    return BentoResult(archive, version, sorted(shipped))


def unpack_bento(archive: Path, root: Path) -> Path:
    """Unpack an archive below the workspace, once for each content, and return the folder to serve."""
    if not archive.is_file():
        raise BundleError(f'expected {archive.name}; it is not there; run "dvc repro"')
    folder = root / layout.BENTO_HOME / "served" / hashlib.sha256(archive.read_bytes()).hexdigest()[:12]
    if not folder.is_dir():
        unfinished = workspace.fresh_folder(folder.with_suffix(f".{os.getpid()}"))
        with tarfile.open(archive) as packed:
            packed.extraction_filter = getattr(tarfile, "data_filter", None)  # Python before 3.11.4 has none
            packed.extractall(unfinished)
        unfinished.rename(folder)
    return folder


def serve(archive: Path, root: Path, *, host: str, port: int, settings: ServiceSettings) -> NoReturn:
    """Become BentoML, serving the archive; `WorkspaceError` where the address is taken."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise WorkspaceError(
                f"expected {host}:{port} to be free; {error.strerror}; choose another --port"
            ) from error
    folder = unpack_bento(archive, root)
    command = [sys.executable, "-m", "bentoml", "serve", str(folder), "--host", host, "--port", str(port)]
    os.chdir(folder)
    # Its counts lie in BentoML's home, which the next service there would empty: each has a home of its own.
    home = root / layout.BENTO_HOME / "serving" / str(port)
    os.execve(sys.executable, command, environment_of(home) | settings.to_environment())


def _version(context: Path) -> str:
    """Return sixteen hex digits of a digest of all files that travel."""
    files = sorted(p for p in context.rglob("*") if p.is_file())
    content = [[p.relative_to(context).as_posix(), hashlib.sha256(p.read_bytes()).hexdigest()] for p in files]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]


def environment_of(home: Path) -> dict[str, str]:
    """Return the environment for BentoML: its home, nobody told, only the Bento's own code."""
    inherited = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    return inherited | {"BENTOML_HOME": str(home), "BENTOML_DO_NOT_TRACK": "True"}


def _settle(folder: Path) -> None:
    """Replace the time of building, the one thing in a Bento that is not made from its content."""
    file = folder / "bento.yaml"
    text = re.sub(r"^creation_time: .*$", f"creation_time: {EPOCH.isoformat()}", file.read_text("utf-8"), flags=re.M)
    file.write_text(text, "utf-8")


def _archive(folder: Path, archive: Path) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as packed:
        for file in sorted(p for p in folder.rglob("*") if p.is_file() and "__pycache__" not in p.parts):
            info = tarfile.TarInfo(file.relative_to(folder).as_posix())
            info.size, info.mode, info.mtime = file.stat().st_size, 0o644, int(EPOCH.timestamp())
            with file.open("rb") as opened:
                packed.addfile(info, opened)
    archive.parent.mkdir(parents=True, exist_ok=True)
    archive.write_bytes(lzma.compress(buffer.getvalue()))  # what `bentoml import` takes for a file of this name
