"""Answers by the ladder: each row by the best rung that can answer it, and why that is not the first."""

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ringbound.errors import ModelError
from ringbound.features.columns import Column
from ringbound.features.definition import FeatureSet
from ringbound.models.bundle import Bundle
from ringbound.models.cascade import Cascade
from ringbound.models.rung import Rung
from ringbound.problem.task import repeated

LOG = logging.getLogger(__name__)


@dataclass
class LadderAnswers:
    """The answers for n rows, each with its rung, and the reason why no better one answered.

    `values` is (n,) float64, or (n, classes), `rungs` and `reasons` are (n,) of texts, None for no reason; `failed` are the
    rungs that were asked and failed.
    """

    values: np.ndarray
    rungs: np.ndarray
    reasons: np.ndarray
    failed: list[str] = field(default_factory=list)
    _inputs: list[np.ndarray] = field(default_factory=list)

    def __post_init__(self):
        self._input = np.full(len(self.values), -1)
        self._place = np.zeros(len(self.values), np.intp)

    @classmethod
    def none_yet(cls, reasons: Sequence[str | None], classes: int = 0) -> "LadderAnswers":
        """Return what there is before a row is answered."""
        n = len(reasons)
        return cls(
            np.full((n, classes) if classes else n, np.nan),
            np.full(n, "", object),
            np.array([*reasons, None], object)[:n],
        )

    def put(self, rows: np.ndarray, rung: str, values: np.ndarray, X: np.ndarray | None) -> None:
        """Put a rung's answers for some rows, made from X where it is made from vectors, in their places.

        What is no number is none: the row is left for the next rung.
        """
        good = np.isfinite(values) if values.ndim == 1 else np.isfinite(values).all(axis=1)
        if not good.all():
            LOG.error("rung %s: %d of %d answers are no numbers", rung, (~good).sum(), len(rows))
            self.reasons[rows[~good & (self.reasons[rows] == None)]] = "model"  # noqa: E711 - elementwise
            rows, values, X = rows[good], values[good], None if X is None else X[good]
        self.values[rows] = values
        self.rungs[rows] = rung
        if X is not None:
            self._input[rows] = len(self._inputs)
            self._place[rows] = np.arange(len(rows))
            self._inputs.append(X)

    def vector(self, row: int) -> bytes:
        """Return the vector that a row's answer is made from as float64 bytes, empty where its rung has none."""
        return self._inputs[self._input[row]][self._place[row]].tobytes() if self._input[row] >= 0 else b""

    def matrix(self, rows: np.ndarray) -> np.ndarray:
        """Return the vectors of some rows that one rung answered, (rows, columns)."""
        return self._inputs[self._input[rows[0]]][self._place[rows]]


def answer_by_ladder(
    bundle: Bundle,
    columns: Mapping[str, Column],
    windowed: Mapping[str, np.ndarray] | None,
    reasons: Sequence[str | None],
    resting: Collection[str] = (),
) -> LadderAnswers:
    """Answer n rows of request `columns`, each by the best rung that can.

    `reasons` say why the full model cannot be asked about a row, None where it can; `windowed` are the values it needs. It
    is not asked about a row of whose entities nothing is known, nor where the bundle has a cascade and the reduced model is
    sure. A rung that is `resting`, fails or answers what is no number is left for the next one; the last is a constant,
    which always answers.

    >>> from ringbound.serving.request import columns_from_rows, validate_rows
    >>> from ringbound.testing import examples
    >>> from ringbound.testing.parcels import FEATURES, PROBLEM
    >>> columns = columns_from_rows(validate_rows(FEATURES, PROBLEM.examples), FEATURES.request)
    >>> answer_by_ladder(examples.bundle(), columns, None, ["store", "store"]).rungs.tolist()
    ['reduced', 'reduced']
    """
    n = len(reasons)
    done = LadderAnswers.none_yet(reasons, len(bundle.task.classes))
    if windowed:
        done.reasons[(done.reasons == None) & unknown(bundle.features, windowed, n)] = "missing"  # noqa: E711 - elementwise
    if bundle.cascade and "reduced" not in resting:
        _answer_sure(bundle, bundle.cascade, columns, done)
    for name in bundle.model.rungs:
        rows = np.flatnonzero(done.reasons == None if name == "full" else done.rungs == "")  # noqa: E711
        if not len(rows):
            continue
        if name not in resting or name == bundle.model.rungs[-1]:
            try:
                _answer(bundle, name, columns, windowed, rows, done)
                continue
            except Exception:  # whatever a model does, the next rung answers
                LOG.exception("rung %s failed on %d rows; the next one answers", name, len(rows))
                done.failed.append(name)
        done.reasons[rows[done.reasons[rows] == None]] = "model"  # noqa: E711
    return done


def unknown(features: FeatureSet, windowed: Mapping[str, np.ndarray], n: int) -> np.ndarray:
    """Return for which of n rows no window holds an event, (n,) of booleans.

    >>> from ringbound.testing.parcels import FEATURES
    >>> nothing = {name: np.zeros(1) if "arrivals" in name or "pickups" in name else np.full(1, np.nan)
    ...            for name in FEATURES.windowed}
    >>> unknown(FEATURES, nothing, 1), unknown(FEATURES, nothing | {"courier_late_last_24h": np.zeros(1)}, 1)
    (array([ True]), array([False]))
    """
    found = np.ones(n, bool)
    for name, (_, feature) in features.windowed.items():
        values = windowed[name]
        found &= values == 0 if feature.aggregate == "count" else np.isnan(values)
        if not found.any():
            break
    return found


def doubts(bundle: Bundle, done: LadderAnswers) -> list[dict[str, Any]]:
    """Return what else may come: `low` and `high`, or the `set` of classes; None for a rung that cannot say.

    Nothing where no rung can.

    >>> from ringbound.testing import examples
    >>> doubts(examples.bundle(), LadderAnswers.none_yet(["store"]))
    [{}]
    """
    if bundle.task.classes:
        there = bundle.within(done.values, done.rungs)
        if there is None:
            return [{} for _ in done.values]
        names = bundle.task.classes
        return [{"set": [name for name, one in zip(names, row, strict=True) if one]} for row in there.tolist()]
    ends = bundle.bounds(done.values, done.rungs)
    if ends is None:
        return [{} for _ in done.values]
    low, high = ([None if end != end else end for end in side.tolist()] for side in ends)
    return [{"low": one, "high": other} for one, other in zip(low, high, strict=True)]


def _answer_sure(bundle: Bundle, cascade: Cascade, columns: Mapping[str, Column], done: LadderAnswers) -> None:
    """Let the reduced model answer the rows that nothing keeps from the full one and about which it is sure."""
    rows = np.flatnonzero(done.reasons == None)  # noqa: E711 - elementwise
    if not len(rows) or bundle.reduced is None:
        return
    try:
        trial = LadderAnswers.none_yet([None] * len(done.values), len(bundle.task.classes))
        _answer(bundle, "reduced", columns, None, rows, trial)
    except Exception:  # the full model answers these
        LOG.exception("rung reduced failed on %d rows; the full one answers", len(rows))
        done.failed.append("reduced")
        return
    sure = rows[(trial.rungs[rows] == "reduced") & ~cascade.asks_costly(trial.values[rows])]
    if len(sure):
        done.put(sure, "reduced", trial.values[sure], trial.matrix(sure))
        done.reasons[sure] = "sure"


def _answer(
    bundle: Bundle,
    name: str,
    columns: Mapping[str, Column],
    windowed: Mapping[str, np.ndarray] | None,
    rows: np.ndarray,
    done: LadderAnswers,
) -> None:
    every = len(rows) == len(done.values)
    some: Callable[[Mapping], Mapping] = lambda given: given if every else {k: c[rows] for k, c in given.items()}  # noqa: E731
    features = bundle.features
    if name == "default":
        done.put(rows, name, repeated(bundle.model.default, len(rows)), None)
    elif name == "prior":
        if bundle.prior is None:
            raise ModelError("prior: it cannot be read")
        values = features.compute(some(columns), bundle.references, names=list(bundle.prior.widths))
        done.put(rows, name, bundle.prior.predict(values), None)
    else:
        rung: Rung | None = bundle.full if name == "full" else bundle.reduced
        assert rung is not None
        known = None if windowed is None or name != "full" else some(windowed)
        values = features.compute(some(columns), bundle.references, known, None if name == "full" else features.plain)
        X = rung.encoder.matrix(values)
        done.put(rows, name, rung.answer_matrix(X), X)
