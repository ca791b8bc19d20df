"""An image of a Bento, and the bill of what is in it."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from ringbound import workspace
from ringbound.errors import WorkspaceError
from ringbound.serving.bento import environment_of
from ringbound.workspace import layout

LISTS = (
    "import json, importlib.metadata as m; "
    "print(json.dumps(sorted((d.name, d.version, d.metadata.get('License-Expression') or '') for d in m.distributions())))"
)
"""What an image is asked for its packages by."""


def build_image(archive: Path, root: Path, tag: str) -> None:
    """Build an image of a Bento, called `tag`, with BentoML and Docker; `WorkspaceError` says what is missing."""
    if shutil.which("docker") is None:
        raise WorkspaceError("container: expected Docker, to build the image with; it is not there")
    home = workspace.fresh_folder(root / layout.BENTO_HOME / f"image.{os.getpid()}")
    run, environment = [sys.executable, "-m", "bentoml"], environment_of(home)
    try:
        imported = subprocess.run(
            [*run, "import", str(archive.absolute())], env=environment, capture_output=True, text=True
        )
        described = list((home / "bentos").glob("*/*/bento.yaml"))
        if imported.returncode or len(described) != 1:
            last = (imported.stderr.strip().splitlines() or ["no reason given"])[-1]
            raise WorkspaceError(f"container: expected a Bento in {archive.name}; BentoML says: {last}")
        name = f"{described[0].parent.parent.name}:{described[0].parent.name}"
        # The machine's own network: package indexes that it reaches are reached.
        built = subprocess.run([*run, "containerize", name, "-t", tag, "--opt", "network=host"], env=environment)
    finally:
        shutil.rmtree(home, ignore_errors=True)
    if built.returncode:
        raise WorkspaceError("container: the image could not be built; what is above says why")


def bill_of_materials(tag: str) -> dict[str, Any]:
    """Return which packages an image has, as CycloneDX 1.5 (ecma-international.org, ECMA-424)."""
    command = ["docker", "run", "--rm", "--entrypoint", "/app/.venv/bin/python", tag, "-c", LISTS]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise WorkspaceError(f"container: expected an image {tag} that runs; Docker says: {done.stderr.strip()[-200:]}")
    components = [
        {"type": "library", "name": name, "version": version, "purl": f"pkg:pypi/{name.lower()}@{version}"}
        | ({"licenses": [{"expression": license}]} if license else {})
        for name, version, license in json.loads(done.stdout)
    ]
    about = {"component": {"type": "container", "name": tag}}
    return {"bomFormat": "CycloneDX", "specVersion": "1.5", "version": 1, "metadata": about, "components": components}
