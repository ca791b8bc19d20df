"""What a bundle says of itself, in bundle.json: what the model is, and the digest of every file."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

from ringbound.errors import BundleError, RecordError
from ringbound.models.calibration import Calibration
from ringbound.models.cascade import Cascade
from ringbound.models.intervals import Intervals
from ringbound.workspace.records import Record

FACTS = "bundle.json"


@dataclass(frozen=True)
class Learnt:
    """What a model was learnt from and by: rows, first and last month, digest of the training table, candidate, seed."""

    rows: int
    first: str
    last: str
    data: str
    candidate: str
    arguments: dict[str, Any]
    seed: int


@dataclass(frozen=True)
class ModelFacts(Record):
    """What a model is, without what it is made of: small enough to be kept in git.

    `entry` names the declaration of the problem, `features` is the hash of the definitions it was made for; `rungs` are
    the ladder's, best first, `left_out` those that did not beat the next one, with the reason, which is the full model's
    `warning` where it did not.
    """

    format: ClassVar[int] = 3
    made_by: ClassVar[str] = "dvc repro tune"

    version: str
    problem: str
    entry: str
    task: dict[str, Any]
    features: str
    default: float | list[float]
    cascade: Cascade | None
    rungs: list[str]
    left_out: dict[str, str]
    warning: str
    learnt: Learnt


@dataclass(frozen=True)
class RungFacts:
    """A fitted rung: its file, the numbers it takes, the categories with their vocabularies, its calibration."""

    file: str
    numbers: list[str]
    vocabularies: list[tuple[str, list[str]]]
    calibration: Calibration | None


@dataclass(frozen=True)
class BundleFacts(Record):
    """bundle.json: what the model is, its fitted rungs, their answers' intervals or sets, and every other file's digest."""

    format: ClassVar[int] = 4
    made_by: ClassVar[str] = "dvc repro tune"

    model: ModelFacts
    fitted: dict[str, RungFacts]
    intervals: dict[str, Intervals]
    sets: dict[str, float]
    files: dict[str, str]


def read_facts(folder: Path) -> BundleFacts:
    """Return bundle.json, after checking the digests of the other files."""
    facts, damaged = checked_facts(folder)
    if damaged:
        raise BundleError(damage(folder, damaged))
    return facts


def checked_facts(folder: Path) -> tuple[BundleFacts, list[str]]:
    """Return bundle.json, and which files are missing or not those that were bundled."""
    try:
        facts = BundleFacts.read(folder / FACTS)
    except (FileNotFoundError, RecordError) as error:
        raise BundleError(f'expected a model bundle in {folder.name}/; {error}; run "dvc repro tune"') from error
    damaged = [FACTS] if facts.model.version != version_of(facts) else []
    damaged += [rung.file for rung in facts.fitted.values() if rung.file not in facts.files]
    for name, expected in facts.files.items():
        file = folder / name
        if not file.is_file() or digest(file.read_bytes()) != expected:
            damaged.append(name)
    return facts, damaged


def damage(folder: Path, damaged: Sequence[str]) -> str:
    """Say that a file is not the one that was bundled."""
    return f"{folder.name}/{damaged[0]}: the file is not the one bundled; fetch or build the bundle again"


def version_of(facts: BundleFacts) -> str:
    """Return twelve hex digits of a digest over all that bundle.json says but the version itself."""
    plain = asdict(replace(facts, model=replace(facts.model, version="")))
    return digest(json.dumps(plain, sort_keys=True).encode())[:12]


def digest(content: bytes) -> str:
    """Return the SHA-256 of a file's content, 64 hex digits."""
    return hashlib.sha256(content).hexdigest()
