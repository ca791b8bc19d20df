"""A Docker engine and a base image, where they can be had: those that are there, or made of Debian's packages."""

import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

BASE = "python:3.11-slim"
PACKAGES = "python3,python3-venv,ca-certificates"
NEEDLESS = ("var/cache/apt/archives", "var/lib/apt/lists", "usr/share/doc", "usr/share/man", "usr/share/locale")


def docker(*arguments: str, check: bool = True, **more) -> subprocess.CompletedProcess:
    """Run Docker's client; Debian's where there is one, which has what builds images."""
    path = f"/usr/bin{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        ["docker", *arguments], check=check, capture_output=True, text=True, env=os.environ | {"PATH": path}, **more
    )


class Engine:
    """A Docker engine that runs, ours where there was none; the test is skipped where none can."""

    def __init__(self, folder: Path):
        self._own: subprocess.Popen | None = None
        if shutil.which("docker") is None:
            pytest.skip("NO CONTAINER WAS TESTED: there is no Docker; apt-get install docker.io debootstrap")
        if docker("info", check=False).returncode:
            if os.getuid() or shutil.which("dockerd") is None:
                pytest.skip("NO CONTAINER WAS TESTED: no Docker engine can be reached, nor started")
            log = (folder / "dockerd.log").open("w")
            self._own = subprocess.Popen(["dockerd"], stdout=log, stderr=log, start_new_session=True)
            ends = time.monotonic() + 30
            while docker("info", check=False).returncode:
                if time.monotonic() > ends:
                    self.stop()
                    pytest.skip("NO CONTAINER WAS TESTED: the Docker engine does not start here")
                time.sleep(0.5)
        if (
            docker("image", "inspect", BASE, check=False).returncode
            and docker("pull", "-q", BASE, check=False).returncode
        ):
            self._make_base(folder / "base")

    def _make_base(self, root: Path) -> None:
        """Make what stands for Python's own image, where no registry of images can be reached."""
        if os.getuid() or shutil.which("debootstrap") is None:
            pytest.skip("NO CONTAINER WAS TESTED: no base image can be fetched, and no debootstrap makes one")
        command = ["debootstrap", "--variant=minbase", f"--include={PACKAGES}", "bookworm", str(root)]
        subprocess.run(command, check=True, capture_output=True)
        for folder in NEEDLESS:
            shutil.rmtree(root / folder, ignore_errors=True)
            (root / folder).mkdir(parents=True)
        shutil.copy(shutil.which("uv") or "", root / "usr/local/bin/uv")
        shutil.copy("/etc/ssl/certs/ca-certificates.crt", root / "etc/ssl/certs/ca-certificates.crt")
        packed = subprocess.Popen(["tar", "-C", str(root), "-c", "."], stdout=subprocess.PIPE)
        docker("import", "--change", "ENV UV_SYSTEM_CERTS=true", "-", BASE, stdin=packed.stdout)
        packed.wait()
        shutil.rmtree(root)

    def stop(self) -> None:
        """End the engine, where it is ours."""
        if self._own:
            self._own.terminate()
            self._own.wait(30)
