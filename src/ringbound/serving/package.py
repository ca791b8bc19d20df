"""Build the Bento, the archive in which a bundle, its feature code and the service travel; unpack it where it serves."""

import gzip
import hashlib
import io
import os
import re
import shutil
import socket
import subprocess
import sys
import tarfile
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn

from ringbound import workspace
from ringbound.errors import BundleError, WorkspaceError, one_line
from ringbound.models.bundle import load_bundle

EPOCH = datetime(1980, 1, 1, tzinfo=UTC)
"""The time stamped on everything in the archive, so that the same content is the same bytes."""
BENTO_HOME = ".bentoml"


def build_bento(name: str, *, bundle_folder: Path, root: Path, archive: Path) -> None:
    """Build the Bento `name` from the bundle, `bentos/` and the packages in `src/`, and write it as `archive`."""
    version = load_bundle(bundle_folder).version
    context = workspace.fresh_folder(root / BENTO_HOME / "context")
    kept = shutil.ignore_patterns("__pycache__", "*.egg-info")
    shutil.copytree(root / "bentos", context, dirs_exist_ok=True, ignore=kept)
    shutil.copytree(root / "src", context, dirs_exist_ok=True, ignore=kept)
    shutil.copytree(bundle_folder, context / "bundle")
    build = (
        "import bentoml, sys; "
        "print(bentoml.bentos.build('service:Service', name=sys.argv[1], version=sys.argv[2], include=['*']).path)"
    )
    for store in (root / BENTO_HOME / "bentos" / name).glob(version):
        shutil.rmtree(store)
    result = subprocess.run(
        [sys.executable, "-c", build, name, version],
        cwd=context,
        env=_environment(root),
        capture_output=True,
        text=True,
    )
    if result.returncode:
        raise BundleError(
            f"expected a Bento; BentoML says: {one_line(Exception(result.stderr.strip().splitlines()[-1]))}"
        )
    folder = Path(result.stdout.strip().splitlines()[-1])
    _settle(folder)
    _archive(folder, archive)
    shutil.rmtree(context)


def unpack_bento(archive: Path, root: Path) -> Path:
    """Unpack an archive below the workspace, once for each content, and return the folder to serve."""
    if not archive.is_file():
        raise BundleError(f'expected {archive.name}; it is not there; run "dvc repro"')
    folder = root / BENTO_HOME / "served" / hashlib.sha256(archive.read_bytes()).hexdigest()[:12]
    if not folder.is_dir():
        unfinished = workspace.fresh_folder(folder.with_suffix(f".{os.getpid()}"))
        with tarfile.open(archive) as packed:
            packed.extraction_filter = getattr(tarfile, "data_filter", None)  # Python before 3.11.4 has none
            packed.extractall(unfinished)
        unfinished.rename(folder)
    return folder


def serve(
    archive: Path, root: Path, *, host: str, port: int, store: str, clock: str, workers: int, snapshot: Path
) -> NoReturn:
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
    settings = {"STORE": store, "CLOCK": clock, "WORKERS": str(workers), "SNAPSHOT": str(snapshot)}
    environment = _environment(root) | {f"RINGBOUND_{name}": value for name, value in settings.items()}
    os.execve(sys.executable, command, environment)


def _environment(root: Path) -> dict[str, str]:
    """Return the environment for BentoML: its home inside the workspace, nobody told, only the Bento's own code."""
    inherited = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    return inherited | {"BENTOML_HOME": str(root / BENTO_HOME), "BENTOML_DO_NOT_TRACK": "True"}


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
    with archive.open("wb") as out, gzip.GzipFile(filename="", mode="wb", fileobj=out, mtime=0) as zipped:
        zipped.write(buffer.getvalue())
