"""The model as a folder of plain files: what serving needs and nothing that runs on being loaded.

bundle.json       what it is: features and their hash, vocabularies, decision, provenance, digests of the other files
references.json   the tables that features look things up in
full.treelite     or full.json: the model
reduced.treelite  or reduced.json: a model that looks back on no events; prior.json: rates by a few features

The rungs full, reduced, prior and default answer the same question, each with less than the one before.
"""

import hashlib
import importlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ringbound.errors import BundleError
from ringbound.features.columns import Column, Reference
from ringbound.features.definition import FeatureSet
from ringbound.models.calibration import Calibration
from ringbound.models.cascade import Cascade
from ringbound.models.encoding import Encoder
from ringbound.models.linear import LinearModel
from ringbound.models.prior import PriorTable
from ringbound.models.trees import TreeModel

FORMAT = 2
Model = LinearModel | TreeModel
Answer = Callable[[Mapping[str, Column]], np.ndarray]


@dataclass(frozen=True)
class Rung:
    """A model with the encoder of its features and, for probabilities, the calibration of its answers."""

    encoder: Encoder
    model: Model
    calibration: Calibration | None = None

    def answer(self, features: Mapping[str, Column]) -> np.ndarray:
        """Return (n,) answers for features of n rows."""
        return self.answer_matrix(self.encoder.matrix(features))

    def answer_matrix(self, X: np.ndarray) -> np.ndarray:
        """Return (n,) answers for encoded rows (n, columns)."""
        answers = self.model.predict(X)
        return answers if self.calibration is None else self.calibration.apply(answers)


@dataclass(frozen=True)
class Bundle:
    """A loaded bundle: `facts` is bundle.json, the rest is ready to compute."""

    facts: dict[str, Any]
    features: FeatureSet
    references: dict[str, Reference]
    full: Rung
    reduced: Rung | None
    prior: PriorTable | None

    @property
    def version(self) -> str:
        """Twelve hex digits of a digest over everything in the bundle."""
        return self.facts["version"]

    @property
    def about(self) -> dict[str, Any]:
        """What the model is, without what it is made of: small enough to be kept in git."""
        return {name: value for name, value in self.facts.items() if name not in ("files", "format", "rungs")}

    @cached_property
    def threshold(self) -> float | None:
        """The probability from which the decision is yes; None for regression."""
        return self.facts["threshold"]

    @cached_property
    def cascade(self) -> Cascade | None:
        """Where the reduced model is sure enough to answer alone; None where the full one always answers."""
        return Cascade(*self.facts["cascade"]) if self.facts["cascade"] else None

    @cached_property
    def rungs(self) -> dict[str, Answer]:
        """The ladder, best first: each rung's answers (n,) for the features of n rows."""
        ladder: dict[str, Answer] = {"full": self.full.answer}
        if self.reduced:
            ladder["reduced"] = self.reduced.answer
        if self.prior:
            default = self.prior.default
            ladder["prior"] = self.prior.predict
            ladder["default"] = lambda features: np.full(len(next(iter(features.values()))), default)
        return ladder

    def predict(self, columns: Mapping[str, Column], windowed: Mapping[str, np.ndarray] | None = None) -> np.ndarray:
        """Return (n,) probabilities, or values for regression, for request columns and windowed values of n rows."""
        return self.full.answer(self.features.compute(columns, self.references, windowed))


def write_bundle(
    folder: Path,
    *,
    full: Rung,
    entry: str,
    features: FeatureSet,
    references: Mapping[str, Reference],
    task: str,
    threshold: float | None,
    provenance: Mapping[str, Any],
    reduced: Rung | None = None,
    prior: PriorTable | None = None,
    cascade: Cascade | None = None,
) -> None:
    """Write a bundle; the same inputs give the same bytes. `entry` names the feature set: `flights.features:FEATURES`."""
    folder.mkdir(parents=True, exist_ok=True)
    _write_json(folder / "references.json", {name: references[name].to_json() for name in features.references})
    files = [folder / "references.json"]
    rungs = {}
    for name, rung in {"full": full, "reduced": reduced}.items():
        if rung is None:
            continue
        if isinstance(rung.model, TreeModel):
            files.append(folder / f"{name}.treelite")
            rung.model.write(files[-1])
        else:
            files.append(folder / f"{name}.json")
            _write_json(files[-1], rung.model.to_json())
        rungs[name] = {
            "file": files[-1].name,
            "numbers": rung.encoder.numbers,
            "vocabularies": [[category, texts] for category, texts in rung.encoder.vocabularies.items()],
            "calibration": asdict(rung.calibration) if rung.calibration else None,
        }
    if prior is not None:
        files.append(folder / "prior.json")
        _write_json(files[-1], prior.to_json())
    facts: dict[str, Any] = {
        "format": FORMAT,
        "task": task,
        "features": {"entry": entry, "hash": features.hash},
        "rungs": rungs,
        "threshold": threshold,
        "cascade": [cascade.low, cascade.high] if cascade else None,
        "provenance": dict(provenance),
        "files": {f.name: _digest(f.read_bytes()) for f in files},
    }
    facts["version"] = _digest(json.dumps(facts, sort_keys=True).encode())[:12]
    _write_json(folder / "bundle.json", facts)


def load_bundle(folder: Path) -> Bundle:
    """Load a bundle; `BundleError` where a file is missing or changed, or the installed features are others."""
    facts, contents = read_facts(folder)
    module, _, attribute = facts["features"]["entry"].partition(":")
    features: FeatureSet = getattr(importlib.import_module(module), attribute)
    if features.hash != facts["features"]["hash"]:
        raise BundleError(
            f"{folder.name}: made for features {facts['features']['hash']}; installed are {features.hash}; "
            'run "dvc repro" or install the code the bundle was made with'
        )
    references = {n: Reference.from_json(r) for n, r in json.loads(contents["references.json"]).items()}
    prior = PriorTable.from_json(json.loads(contents["prior.json"])) if "prior.json" in contents else None
    full, reduced = (load_rung(folder, facts, name) for name in ("full", "reduced"))
    assert full is not None
    return Bundle(facts, features, references, full, reduced, prior)


def read_facts(folder: Path) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Return bundle.json and the other files' contents, after checking their digests."""
    try:
        facts = json.loads((folder / "bundle.json").read_text("utf-8"))
        contents = {name: (folder / name).read_bytes() for name in facts["files"]}
    except (FileNotFoundError, json.JSONDecodeError, KeyError) as error:
        raise BundleError(f'expected a model bundle in {folder.name}/; {error}; run "dvc repro tune"') from error
    if facts["format"] != FORMAT:
        raise BundleError(f"{folder.name}: expected bundle format {FORMAT}; got {facts['format']}; rebuild it")
    for name, content in contents.items():
        if _digest(content) != facts["files"][name]:
            raise BundleError(f"{folder.name}/{name}: the file is not the one bundled; fetch or build the bundle again")
    return facts, contents


def load_rung(folder: Path, facts: Mapping[str, Any], name: str) -> Rung | None:
    """Load one of a bundle's models, whatever features are installed; None where the bundle has none."""
    about = facts["rungs"].get(name)
    if about is None:
        return None
    encoder = Encoder(about["numbers"], dict(about["vocabularies"]))
    model: Model
    if about["file"].endswith(".treelite"):
        model = TreeModel.read(folder / about["file"], len(encoder.names))
    else:
        model = LinearModel.from_json(json.loads((folder / about["file"]).read_text("utf-8")))
    return Rung(encoder, model, Calibration(**about["calibration"]) if about["calibration"] else None)


def _write_json(file: Path, content: Any) -> None:
    file.write_text(json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n", "utf-8")


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
