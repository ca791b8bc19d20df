"""What a model would be without a field of the request: fitted again without everything that takes it."""

from collections.abc import Sequence
from dataclasses import dataclass

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
    """The metrics of the full model, and of one that never knew a field; both without calibration, as they were fitted."""

    field: str
    features: list[str]
    full: Estimates
    without: Estimates

    @property
    def caption(self) -> str:
        """What was left out."""
        return f"without {self.field}: {len(self.features)} features fewer"

    @property
    def frame(self) -> pd.DataFrame:
        """Each metric with its interval, with the field and without."""
        return pd.DataFrame(
            {f"with {self.field}": {m: str(e) for m, e in self.full.items()},
             f"without {self.field}": {m: str(e) for m, e in self.without.items()}}
        )  # fmt: skip


def evaluate_without(
    result: LadderResult, past: Rows, candidates: Sequence[Candidate], *, field: str, draws: int, seed: int
) -> AblationResult:
    """Fit the bundle's candidate again on `past`, without the features that take `field`, and measure it on the same rows.

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
        encoder.matrix(past.features),
        past.y,
        sizes=encoder.sizes,
        task=past.problem.task,
        seed=learnt.seed,
        **learnt.arguments,
    )
    rows, full = result.rows, result.bundle.full
    measured = [
        bootstrap(rows.y, rung.answer(rows.features), rows.blocks, result.bundle.task.metrics, draws=draws, seed=seed)
        for rung in (Rung(full.encoder, full.model), Rung(encoder, model))
    ]
    return AblationResult(field, taken, *measured)
