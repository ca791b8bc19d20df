"""What a model would be without a field of the request: fitted again without everything that takes it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from ringbound.display.tables import Shown
from ringbound.errors import ModelError
from ringbound.evaluation.ladder import LadderResult
from ringbound.evaluation.records import Estimates
from ringbound.evaluation.uncertainty import bootstrap
from ringbound.models.candidates import Candidate
from ringbound.models.encoding import Encoder, learn_vocabularies
from ringbound.models.rung import Rung
from ringbound.problem.training import Rows


@dataclass(frozen=True)
class AblationResult(Shown):
    """The metrics of the full model, of its answers to requests that lack a field, and of one that never knew the field.

    All without calibration, as they were fitted.
    """

    field: str
    features: list[str]
    full: Estimates
    asked: Estimates
    without: Estimates

    @property
    def caption(self) -> str:
        """What was left out."""
        return f"without {self.field}: {len(self.features)} features fewer"

    @property
    def frame(self) -> pd.DataFrame:
        """Each metric with its interval, with the field and without."""
        columns = {
            f"with {self.field}": self.full,
            f"asked without {self.field}": self.asked,
            f"fitted without {self.field}": self.without,
        }
        return pd.DataFrame({name: {m: str(e) for m, e in column.items()} for name, column in columns.items()})


def evaluate_without(
    result: LadderResult, past: Rows, candidates: Sequence[Candidate], *, field: str, draws: int, seed: int
) -> AblationResult:
    """Measure what a field of the request is worth: on rows that lack it, and by a model fitted without it.

    The bundle's candidate is fitted again on `past`, with the same arguments, without the features that take `field`.

    >>> from ringbound.testing import examples
    >>> candidates = [examples.LINEAR, examples.TREES]
    >>> without = evaluate_without(
    ...     examples.evaluation(), examples.past(), candidates, field="courier", draws=20, seed=1
    ... )
    >>> without.features
    ['courier_late_last_24h', 'courier_late_most_7d', 'courier_late_least_7d', 'courier_late_sum_24h']
    """
    learnt, features = result.bundle.model.learnt, past.problem.features
    candidate = next((c for c in candidates if c.name == learnt.candidate), None)
    if candidate is None:
        raise ModelError(f"ablation: expected the candidate {learnt.candidate} among {[c.name for c in candidates]}")
    taken = features.taking(field)
    if not taken:
        raise ModelError(f"ablation: expected a field that features take; got {field!r}")
    left = [name for name in features.names if name not in taken]
    vocabularies = learn_vocabularies(past.features, [n for n in features.categories if n in left])
    encoder = Encoder([n for n in features.numbers if n in left], vocabularies)
    model = candidate.fit(
        encoder.matrix(past.to_learn(learnt.seed)),
        past.y,
        sizes=encoder.sizes,
        task=past.problem.task,
        seed=learnt.seed,
        **learnt.arguments,
    )
    rows, full = result.rows, Rung(result.bundle.full.encoder, result.bundle.full.model)
    answers = [
        full.answer(rows.features),
        full.answer(rows.lacking(field)),
        Rung(encoder, model).answer(rows.features),
    ]
    options: dict[str, Any] = {"draws": draws, "seed": seed, "stretch": rows.problem.stretch, "groups": rows.groups}
    metrics = result.bundle.task.metrics
    return AblationResult(field, taken, *(bootstrap(rows.y, p, rows.blocks, metrics, **options) for p in answers))


def fit_beside(past: Rows, candidates: Sequence[Candidate], name: str, *, seed: int, **arguments: Any) -> Rung:
    """Fit a candidate on all features of `past` with given arguments: something plain to hold the full model to.

    >>> from ringbound.testing import examples
    >>> rung = fit_beside(examples.past(), [examples.LINEAR], "linear", seed=1, strength=0.1)
    >>> rung.answer(examples.later().features).shape == (len(examples.later()),)
    True
    """
    features = past.problem.features
    encoder = Encoder(features.numbers, learn_vocabularies(past.features, features.categories))
    candidate = next((c for c in candidates if c.name == name), None)
    if candidate is None:
        raise ModelError(f"expected the candidate {name} among {[c.name for c in candidates]}")
    X = encoder.matrix(past.to_learn(seed))
    return Rung(encoder, candidate.fit(X, past.y, sizes=encoder.sizes, task=past.problem.task, seed=seed, **arguments))
