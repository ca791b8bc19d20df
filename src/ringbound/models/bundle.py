"""The model as a folder of plain files: what serving needs and nothing that runs on being loaded.

bundle.json       what it is: see `BundleFacts`
references.json   the tables that features look things up in
full.treelite     or full.json: the model
reduced.treelite  or reduced.json: a model that looks back on no events; prior.json: rates by a few features
profile.json      what live data are held against: see `ringbound.monitoring`

The rungs full, reduced, prior and default answer the same question, each with less than the one before. A bundle
has those that beat the one below them.
"""

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ringbound import workspace
from ringbound.errors import BundleError
from ringbound.features.columns import Column, Reference
from ringbound.features.definition import FeatureSet
from ringbound.models.cascade import Cascade
from ringbound.models.encoding import Encoder
from ringbound.models.facts import (
    FACTS,
    BundleFacts,
    Learnt,
    ModelFacts,
    RungFacts,
    checked_facts,
    damage,
    digest,
    version_of,
)
from ringbound.models.intervals import Intervals, bounds, within
from ringbound.models.linear import LinearModel, SeveralLinear
from ringbound.models.prior import PriorTable
from ringbound.models.rung import LostModel, Model, Rung
from ringbound.models.trees import TreeModel
from ringbound.problem.declaration import Problem, load_problem
from ringbound.problem.task import Task, repeated
from ringbound.problem.tasks import task_from_json
from ringbound.workspace.records import Record

REFERENCES = "references.json"
PRIOR = "prior.json"
PROFILE = "profile.json"
LOG = logging.getLogger(__name__)
Answer = Callable[[Mapping[str, Column]], np.ndarray]


@dataclass(frozen=True)
class Bundle:
    """A loaded bundle, ready to compute; `facts` is bundle.json."""

    facts: BundleFacts
    problem: Problem
    references: dict[str, Reference]
    full: Rung
    reduced: Rung | None
    prior: PriorTable | None

    @property
    def model(self) -> ModelFacts:
        """What the model is."""
        return self.facts.model

    @property
    def version(self) -> str:
        """Twelve hex digits of a digest over everything in the bundle."""
        return self.facts.model.version

    @property
    def features(self) -> FeatureSet:
        """The definitions that its values are computed by."""
        return self.problem.features

    @cached_property
    def task(self) -> Task:
        """The task that it was made for, with the costs it was made with."""
        return task_from_json(self.facts.model.task)

    @property
    def cascade(self) -> Cascade | None:
        """Where the reduced model is sure enough to answer alone; None where the full one always answers."""
        return self.facts.model.cascade

    @cached_property
    def rungs(self) -> dict[str, Answer]:
        """The ladder, best first: each rung's answers (n,) for the features of n rows."""
        default = self.facts.model.default
        answers: dict[str, Answer] = {"full": self.full.answer}
        answers |= {"reduced": self.reduced.answer} if self.reduced else {}
        answers |= {"prior": self.prior.predict} if self.prior else {}
        return answers | {"default": lambda features: repeated(default, len(next(iter(features.values()))))}

    def rung(self, name: str) -> Rung:
        """Return one of the rungs that answer from a vector: full or reduced; `BundleError` where it has none."""
        found = {"full": self.full, "reduced": self.reduced}.get(name)
        if found is None:
            raise BundleError(f"bundle: expected a rung that has a model; {self.version} has none called {name}")
        return found

    def bounds(self, answers: np.ndarray, rungs: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
        """Return the ends of the intervals of answers (n,) by `rungs`, (n,) each; None where answers have none."""
        return bounds(self.facts.intervals, answers, rungs)

    def within(self, answers: np.ndarray, rungs: np.ndarray) -> np.ndarray | None:
        """Return which classes are of the sets of answers (n, classes) by `rungs`; None where answers have none."""
        return within(self.facts.sets, answers, rungs)

    def predict(self, columns: Mapping[str, Column], windowed: Mapping[str, np.ndarray] | None = None) -> np.ndarray:
        """Return (n,) answers of the full model for request columns and windowed values of n rows."""
        return self.full.answer(self.features.compute(columns, self.references, windowed))


def write_bundle(
    folder: Path,
    *,
    problem: Problem,
    full: Rung,
    references: Mapping[str, Reference],
    default: float | list[float],
    learnt: Learnt,
    reduced: Rung | None = None,
    prior: PriorTable | None = None,
    cascade: Cascade | None = None,
    left_out: Mapping[str, str] | None = None,
    warning: str = "",
    entry: str = "",
    intervals: Mapping[str, Intervals] | None = None,
    sets: Mapping[str, float] | None = None,
    profile: Record | None = None,
) -> BundleFacts:
    """Write a bundle and return what it is; the same inputs give the same bytes.

    `entry` names the declaration of the problem, by default as pyproject.toml does.
    """
    folder.mkdir(parents=True, exist_ok=True)
    contents: dict[str, bytes] = {
        REFERENCES: _json({name: references[name].to_json() for name in problem.features.references})
    }
    fitted = {}
    for name, rung in {"full": full, "reduced": reduced}.items():
        if rung is None:
            continue
        file = f"{name}.{'treelite' if isinstance(rung.model, TreeModel) else 'json'}"
        if isinstance(rung.model, TreeModel):
            rung.model.write(folder / file)
            contents[file] = (folder / file).read_bytes()
        elif isinstance(rung.model, LinearModel | SeveralLinear):
            contents[file] = _json(rung.model.to_json())
        vocabularies = list(rung.encoder.vocabularies.items())
        fitted[name] = RungFacts(file, rung.encoder.numbers, vocabularies, rung.calibration)
    if prior is not None:
        contents[PRIOR] = _json(prior.to_json())
    if profile is not None:
        contents[PROFILE] = profile.to_text().encode()
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    model = ModelFacts(
        version="",
        problem=problem.name,
        entry=entry or workspace.problem_entry(),
        task=problem.task.to_json(),
        features=problem.features.hash,
        default=default,
        cascade=cascade,
        rungs=[*fitted, *(["prior"] if prior is not None else []), "default"],
        left_out=dict(left_out or {}),
        warning=warning,
        learnt=learnt,
    )
    facts = BundleFacts(
        model,
        fitted,
        dict(intervals or {}),
        dict(sets or {}),
        {name: digest(content) for name, content in contents.items()},
    )
    facts = replace(facts, model=replace(model, version=version_of(facts)))
    facts.write(folder / FACTS)
    return facts


def load_bundle(folder: Path, *, lenient: bool = False, problem: Problem | None = None) -> Bundle:
    """Load a bundle; `BundleError` where a file is missing or changed, or the installed features are others.

    `lenient` is for who must answer all the same: a model whose file is missing or changed is there and fails when it is
    asked, so that the next rung of the ladder answers. `problem` is its declaration where that is not the installed one.

    >>> from ringbound.testing import examples
    >>> version = examples.bundle().version  # it is written here
    >>> load_bundle(examples.folder() / "models").version == version
    True
    """
    facts, damaged = checked_facts(folder)
    if damaged and not (lenient and FACTS not in damaged):
        raise BundleError(damage(folder, damaged))
    for name in damaged:
        LOG.error("%s; the rungs below answer", damage(folder, [name]))
    problem = problem or load_problem(facts.model.entry)
    if problem.features.hash != facts.model.features:
        raise BundleError(
            f"{folder.name}: made for features {facts.model.features}; installed are {problem.features.hash}; "
            'run "dvc repro" or install the code the bundle was made with'
        )
    tables = {} if REFERENCES in damaged else json.loads((folder / REFERENCES).read_text("utf-8"))
    has_prior = PRIOR in facts.files and PRIOR not in damaged
    full = load_rung(folder, facts, "full", damaged)
    if full is None:
        raise BundleError(f'{folder.name}: expected a full model; got rungs {facts.model.rungs}; run "dvc repro tune"')
    return Bundle(
        facts,
        problem,
        {name: Reference.from_json(plain) for name, plain in tables.items()},
        full,
        load_rung(folder, facts, "reduced", damaged),
        PriorTable.from_json(json.loads((folder / PRIOR).read_text("utf-8"))) if has_prior else None,
    )


def load_rung(folder: Path, facts: BundleFacts, name: str, damaged: Sequence[str] = ()) -> Rung | None:
    """Load one of a bundle's models, whatever features are installed; None where the bundle has none."""
    about = facts.fitted.get(name)
    if about is None:
        return None
    encoder = Encoder(about.numbers, dict(about.vocabularies))
    model: Model
    if about.file in damaged:
        model = LostModel(damage(folder, [about.file]))
    elif about.file.endswith(".treelite"):
        model = TreeModel.read(folder / about.file, len(encoder.names))
    else:
        plain = json.loads((folder / about.file).read_text("utf-8"))
        model = SeveralLinear.from_json(plain) if "classes" in plain else LinearModel.from_json(plain)
    return Rung(encoder, model, about.calibration)


def _json(content: Any) -> bytes:
    text = json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False)
    return f"{text}\n".encode()
