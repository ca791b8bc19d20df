"""Answers by the ladder: each row by the best rung that can answer it, and why that is not the first."""

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from ringbound.errors import ModelError
from ringbound.features.columns import Column
from ringbound.models.bundle import Bundle
from ringbound.models.rung import Rung

LOG = logging.getLogger(__name__)


@dataclass
class LadderAnswers:
    """The answers for n rows, each with its rung, the reason why no better one answered, and the vector it is made from.

    `values` is (n,) float64; a vector is the model's input as float64 bytes, empty where the rung has none. `failed` are the
    rungs that were asked and failed.
    """

    values: np.ndarray
    rungs: list[str]
    reasons: list[str | None]
    vectors: list[bytes]
    failed: list[str] = field(default_factory=list)

    def put(self, rows: np.ndarray, rung: str, values: np.ndarray, X: np.ndarray | None) -> None:
        """Put a rung's answers for some rows in their places."""
        if not np.isfinite(values).all():
            raise ModelError(f"{rung}: expected finite answers; got others")
        self.values[rows] = values
        for place, row in enumerate(rows.tolist()):
            self.rungs[row] = rung
            self.vectors[row] = b"" if X is None else X[place].tobytes()


def answer_by_ladder(
    bundle: Bundle,
    columns: Mapping[str, Column],
    windowed: Mapping[str, np.ndarray] | None,
    reasons: Sequence[str | None],
    resting: Collection[str] = (),
) -> LadderAnswers:
    """Answer n rows of request `columns`, each by the best rung that can.

    `reasons` say why the full model cannot be asked about a row, None where it can; `windowed` are the values it needs. A
    rung that is `resting`, fails or answers what is no number is left for the next one; the last is a constant, which
    always answers.

    >>> from ringbound.serving.request import columns_from_rows, validate_rows
    >>> from ringbound.testing import examples
    >>> from ringbound.testing.parcels import FEATURES, PROBLEM
    >>> columns = columns_from_rows(validate_rows(FEATURES, PROBLEM.examples), FEATURES.request)
    >>> answer_by_ladder(examples.bundle(), columns, None, ["store", "store"]).rungs
    ['reduced', 'reduced']
    """
    n = len(reasons)
    done = LadderAnswers(np.full(n, np.nan), [""] * n, list(reasons), [b""] * n)
    for name in bundle.model.rungs:
        if name == "full":
            rows = np.flatnonzero([reason is None for reason in done.reasons])
        else:
            rows = np.flatnonzero([not rung for rung in done.rungs])
        if not len(rows):
            continue
        if name not in resting or name == bundle.model.rungs[-1]:
            try:
                _answer(bundle, name, columns, windowed, rows, done)
                continue
            except Exception:  # whatever a model does, the next rung answers
                LOG.exception("rung %s failed on %d rows; the next one answers", name, len(rows))
                done.failed.append(name)
        for row in rows.tolist():
            done.reasons[row] = done.reasons[row] or "model"
    return done


def _answer(
    bundle: Bundle,
    name: str,
    columns: Mapping[str, Column],
    windowed: Mapping[str, np.ndarray] | None,
    rows: np.ndarray,
    done: LadderAnswers,
) -> None:
    every = len(rows) == len(done.rungs)
    some: Callable[[Mapping], Mapping] = lambda given: given if every else {k: c[rows] for k, c in given.items()}  # noqa: E731
    features = bundle.features
    if name == "default":
        done.put(rows, name, np.full(len(rows), bundle.model.default), None)
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
