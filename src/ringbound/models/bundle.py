"""The model as a folder of plain files: what serving needs and nothing that runs on being loaded.

bundle.json       what it is: features and their hash, vocabularies, decision, provenance, digests of the other files
references.json   the tables that features look things up in
trees.treelite    or linear.json: the model
"""

import hashlib
import importlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ringbound.errors import BundleError
from ringbound.features.columns import Column, Reference
from ringbound.features.definition import FeatureSet
from ringbound.models.encoding import Encoder
from ringbound.models.linear import LinearModel
from ringbound.models.trees import TreeModel

FORMAT = 1


@dataclass(frozen=True)
class Bundle:
    """A loaded bundle: `facts` is bundle.json, the rest is ready to compute."""

    facts: dict[str, Any]
    features: FeatureSet
    references: dict[str, Reference]
    encoder: Encoder
    model: LinearModel | TreeModel

    @property
    def version(self) -> str:
        """Twelve hex digits of a digest over everything in the bundle."""
        return self.facts["version"]

    @cached_property
    def threshold(self) -> float | None:
        """The probability from which the decision is yes; None for regression."""
        return self.facts["threshold"]

    def predict(self, columns: Mapping[str, Column], windowed: Mapping[str, np.ndarray] | None = None) -> np.ndarray:
        """Return (n,) probabilities, or values for regression, for request columns and windowed values of n rows."""
        return self.predict_features(self.features.compute(columns, self.references, windowed))

    def predict_features(self, features: Mapping[str, Column]) -> np.ndarray:
        """Return (n,) answers for features that are computed already."""
        return self.model.predict(self.encoder.matrix(features))


def write_bundle(
    folder: Path,
    *,
    model: LinearModel | TreeModel,
    entry: str,
    features: FeatureSet,
    references: Mapping[str, Reference],
    encoder: Encoder,
    task: str,
    threshold: float | None,
    provenance: Mapping[str, Any],
) -> None:
    """Write a bundle; the same inputs give the same bytes. `entry` names the feature set: `flights.features:FEATURES`."""
    folder.mkdir(parents=True, exist_ok=True)
    _write_json(folder / "references.json", {name: references[name].to_json() for name in features.references})
    if isinstance(model, TreeModel):
        kind, file = "trees", folder / "trees.treelite"
        model.write(file)
    else:
        kind, file = "linear", folder / "linear.json"
        _write_json(file, model.to_json())
    facts: dict[str, Any] = {
        "format": FORMAT,
        "task": task,
        "model": kind,
        "features": {
            "entry": entry,
            "hash": features.hash,
            "numbers": features.numbers,
            "categories": features.categories,
        },
        "vocabularies": encoder.vocabularies,
        "threshold": threshold,
        "provenance": dict(provenance),
        "files": {f.name: _digest(f.read_bytes()) for f in (folder / "references.json", file)},
    }
    facts["version"] = _digest(json.dumps(facts, sort_keys=True).encode())[:12]
    _write_json(folder / "bundle.json", facts)


def load_bundle(folder: Path) -> Bundle:
    """Load a bundle; `BundleError` where a file is missing or changed, or the installed features are others."""
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
    module, _, attribute = facts["features"]["entry"].partition(":")
    features: FeatureSet = getattr(importlib.import_module(module), attribute)
    if features.hash != facts["features"]["hash"]:
        raise BundleError(
            f"{folder.name}: made for features {facts['features']['hash']}; installed are {features.hash}; "
            'run "dvc repro" or install the code the bundle was made with'
        )
    references = {n: Reference.from_json(r) for n, r in json.loads(contents["references.json"]).items()}
    vocabularies = {name: facts["vocabularies"][name] for name in features.categories}  # in model order
    encoder = Encoder(features.numbers, vocabularies)
    model: LinearModel | TreeModel
    if facts["model"] == "trees":
        model = TreeModel.read(folder / "trees.treelite", len(encoder.names))
    else:
        model = LinearModel.from_json(json.loads(contents["linear.json"]))
    return Bundle(facts, features, references, encoder, model)


def _write_json(file: Path, content: Any) -> None:
    file.write_text(json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n", "utf-8")


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
