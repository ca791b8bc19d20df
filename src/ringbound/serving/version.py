"""A version that another commit made, loaded into a service that runs: its bundle, and its problem's code beside our own."""

import io
import lzma
import tarfile
import zlib
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

import ringbound
from ringbound.errors import BundleError, RolloutError
from ringbound.models.bundle import load_bundle
from ringbound.models.facts import read_facts
from ringbound.problem.declaration import load_problem
from ringbound.serving.arm import Arm
from ringbound.serving.settings import ServiceSettings
from ringbound.workspace.isolated import OWN, IsolatedPackages

MOST_BYTES = 1 << 30
INSIDE = "src"
"""The folder of a Bento that has what serves."""


def load_arm(archive: bytes, code: str, settings: ServiceSettings, beside: Arm) -> Arm:
    """Return an arm that answers by a Bento of this version; `RolloutError` where it cannot run here.

    Its files are held to its bundle's digests, its features to their hash; and the machinery that it was made with has to be
    that which runs, to the byte.
    """
    folder = TemporaryDirectory(prefix=f"ringbound-{code[:8]}-")
    packages = None
    try:
        source = unpacked(archive, Path(folder.name)) / INSIDE
        if others := other_machinery(source, Path(ringbound.__file__).parent):
            raise RolloutError(
                f"Bento {code}: expected the machinery that runs here; {len(others)} modules are others, like {others[0]}; "
                "start the service anew with this version"
            )
        packages = IsolatedPackages(source)
        packages.enter()
        facts = read_facts(source / "bundle")
        bundle = load_bundle(source / "bundle", problem=load_problem(packages.alias(facts.model.entry)))
        return Arm(bundle, settings, code, beside=beside, packages=packages, folder=folder)
    except BaseException:
        if packages:
            packages.leave()
        folder.cleanup()
        raise


def unpacked(archive: bytes, folder: Path) -> Path:
    """Unpack a Bento's archive into a folder and return it; `BundleError` where it is none."""
    try:
        with tarfile.open(fileobj=io.BytesIO(archive)) as packed:
            if sum(member.size for member in packed) > MOST_BYTES:
                raise BundleError(f"expected a Bento of at most {MOST_BYTES >> 20} MB; got more")
            for member in packed:  # as tarfile's own filter, which Python before 3.11.4 has not
                parts = PurePosixPath(member.name).parts
                if not (member.isfile() or member.isdir()) or member.name.startswith("/") or ".." in parts:
                    raise BundleError(f"expected a Bento of files and folders; got {member.name!r}")
            packed.extractall(folder)
    except (tarfile.TarError, lzma.LZMAError, zlib.error, EOFError) as error:
        raise BundleError(f"expected the archive of a Bento; {error or type(error).__name__}") from error
    return folder


def other_machinery(source: Path, mine: Path) -> list[str]:
    """Return the modules of ringbound in a Bento's folder that are not, to the byte, those of the folder `mine`."""
    theirs = source / OWN
    if not theirs.is_dir():
        return [f"{OWN}, which it lacks"]
    found = []
    for file in sorted(theirs.rglob("*.py")):
        own = mine / file.relative_to(theirs)
        if not own.is_file() or own.read_bytes() != file.read_bytes():
            found.append(f"{OWN}/{file.relative_to(theirs).as_posix()}")
    return found
