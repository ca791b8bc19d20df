"""Whether answers can be made again from their records, to the bit, and whether all records are as they were sealed."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ringbound.errors import BundleError
from ringbound.features.columns import differs
from ringbound.models.bundle import Bundle
from ringbound.problem.packed import pack
from ringbound.problem.task import repeated
from ringbound.proofs.audit import request_columns, vectors
from ringbound.store import Prediction, Store
from ringbound.store.sealing import Seal, digest

AT_ONCE = 50_000
"""Records that are looked up together."""
Bundles = Callable[[str], Bundle]
"""`bundles(version)` returns the model of a version; `BundleError` where there is none."""


@dataclass(frozen=True)
class Verified:
    """What came of verifying one record: `step` and `says` tell where it differs; both are empty where it is identical."""

    prediction_id: str
    step: str = ""
    says: str = ""


def verify(store: Store, predictions: Sequence[Prediction], bundles: Bundles) -> list[Verified]:
    """Make answers again from their records and the log, by the models that gave them, and say where one differs."""
    done: dict[str, Verified] = {}
    by_model: dict[str, list[Prediction]] = {}
    seals = store.seals_of([kept.prediction_id for kept in predictions])
    for kept in predictions:
        if says := _differs_from_seal(seals.get(kept.prediction_id), kept):
            done[kept.prediction_id] = Verified(kept.prediction_id, "record", says)
        else:
            by_model.setdefault(kept.model_version, []).append(kept)
    for version, some in by_model.items():
        try:
            bundle = bundles(version)
        except BundleError as error:
            done |= {kept.prediction_id: Verified(kept.prediction_id, "model", str(error)) for kept in some}
            continue
        for kept, vector in zip(some, vectors(bundle, store, some), strict=True):
            step, says = _differs(bundle, kept, vector)
            done[kept.prediction_id] = Verified(kept.prediction_id, step, says)
    return [done[kept.prediction_id] for kept in predictions]


def _differs_from_seal(seal: Seal | None, kept: Prediction) -> str:
    """Return how a record differs from what its seal says; nothing where it does not."""
    if seal is None:
        return "it is under no seal: from before there were seals, or written by no service"
    if not seal.sound:
        return f"seal {seal.number} of {seal.chain}: its root is not that of its records"
    if seal.digests.get(kept.prediction_id) != digest(kept):
        return f"seal {seal.number} of {seal.chain}: the record was changed after it was sealed"
    return ""


def _differs(bundle: Bundle, kept: Prediction, vector: np.ndarray | None) -> tuple[str, str]:
    """Return the first step at which what is made again differs, and how; two empty texts where none does."""
    if kept.features != bundle.features.hash:
        return (
            "features",
            f"made by definitions {kept.features}; those of model {bundle.version} are {bundle.features.hash}",
        )
    if vector is not None:
        used, names = np.frombuffer(kept.vector, np.float64), bundle.rung(kept.rung).encoder.names
        if len(used) != len(vector):
            return "vector", f"it has {len(used)} values; the model takes {len(vector)}"
        for place in np.flatnonzero(differs(used, vector)):
            return "vector", f"{names[place]}: used {float(used[place])!r}, the log says {float(vector[place])!r}"
    task = bundle.task
    answers = _answers(bundle, kept, vector)
    (answer,) = task.single(answers).tolist()
    (packed,) = pack(task, answers)
    if answer != kept.answer or packed != kept.answers:
        others = f" for {task.answer}" if answer == kept.answer else ""
        return "answer", f"given was {kept.answer!r}{others}; made again it is {answer!r}{', others' * bool(others)}"
    decisions = None if task.classes else task.decide(answers)  # the class is that of the largest
    decision = None if decisions is None else bool(decisions[0])
    left = kept.decision is None and kept.propensity < 1  # undecided on purpose
    if decision != kept.decision and not left:
        return "decision", f"given was {kept.decision}; made again it is {decision}"
    return "", ""


def _answers(bundle: Bundle, kept: Prediction, vector: np.ndarray | None) -> np.ndarray:
    if vector is not None:
        return bundle.rung(kept.rung).answer_matrix(vector[None])
    if kept.rung == "prior" and bundle.prior is not None:
        values = bundle.features.compute(
            request_columns(bundle, [kept]), bundle.references, names=list(bundle.prior.widths)
        )
        return bundle.prior.predict(values)
    return repeated(bundle.model.default, 1)


@dataclass(frozen=True)
class SealCheck:
    """What came of holding all records against their seals: how many there are, and what is wrong, in words.

    `unsealed` records are from before there were seals, or no service has written them.
    """

    seals: int
    records: int
    unsealed: int
    wrong: list[str]


def check_seals(store: Store) -> SealCheck:
    """Hold every record against its seal, and every seal against the one before it."""
    seals = records = 0
    roots: dict[str, tuple[int, str]] = {}
    wrong: list[str] = []
    for some in _together(store.seals()):
        there = store.find([name for seal in some for name in seal.digests])
        for seal in some:
            seals += 1
            number, root = roots.get(seal.chain, (0, "0" * 64))
            if (seal.number, seal.previous) != (number + 1, root):
                wrong.append(f"seal {seal.number} of {seal.chain}: the one before it is not there, or another")
            roots[seal.chain] = (seal.number, seal.root)
            records += len(seal.digests)
            wrong += _wrong(seal, {name: there[name] for name in seal.digests if name in there})
    return SealCheck(seals, records, store.unsealed(), wrong)


def _together(seals: Iterable[Seal]) -> Iterator[list[Seal]]:
    """Yield seals, as many at once as have some thousand records."""
    some: list[Seal] = []
    records = 0
    for seal in seals:
        some.append(seal)
        records += len(seal.digests)
        if records >= AT_ONCE:
            yield some
            some, records = [], 0
    if some:
        yield some


def _wrong(seal: Seal, there: Mapping[str, Prediction]) -> list[str]:
    if not seal.sound:
        return [f"seal {seal.number} of {seal.chain}: its root is not that of its records"]
    dropped = [f"{name}: the record was dropped after it was sealed" for name in seal.digests if name not in there]
    return dropped + [f"{name}: {says}" for name, kept in there.items() if (says := _differs_from_seal(seal, kept))]
