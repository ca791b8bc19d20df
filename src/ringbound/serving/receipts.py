"""The receipt of an answer: what it was made of, why it is what it is, and the proof that its record is as it was."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from ringbound.data.values import shown
from ringbound.errors import InputError, ModelError, NotAValueError
from ringbound.models.bundle import Bundle
from ringbound.problem.packed import outcomes_kept, unpack
from ringbound.serving.body import NotThereError
from ringbound.serving.outcomes import ID
from ringbound.serving.reasons import explanation
from ringbound.store import Prediction, Store, instant
from ringbound.store.sealing import Seal, digest, includes, inclusion


def receipt(bundles: Iterable[Bundle], store: Store, name: str) -> dict[str, Any]:
    """Return everything that is known of a prediction: lineage, values, explanation, outcomes, and the proof of its seal.

    `NotThereError` where there is none of this id. What only the model knows is None where none of `bundles` answered.
    """
    try:
        found = store.find([str(ID.parse(name))])
    except NotAValueError as error:
        raise InputError(f"prediction_id: {error}") from None
    if name not in found:
        raise NotThereError(f"prediction_id: expected that of a prediction in the store; there is none {shown(name)}")
    kept, seal = found[name], store.seals_of([name]).get(name)
    mine = next((bundle for bundle in bundles if bundle.version == kept.model_version), None)
    return {
        "prediction_id": name,
        "made_at": instant(kept.made_at),
        "at": instant(kept.at),
        "asked": kept.row,
        "answer": kept.answer,
        **(_doubted(mine, kept) if mine else {"interval": None, "decision": kept.decision}),
        "rung": kept.rung,
        "reason": kept.reason,
        "took_ms": kept.took_us / 1000,
        "lineage": {
            "model": kept.model_version,
            "features": kept.features,
            "code": kept.code,
            "log": {"id": store.log, "position": kept.position},
            "learnt": vars(mine.model.learnt) if mine else None,
        },
        "values": _values(mine, kept) if mine and kept.vector else None,
        "explanation": _explained(mine, kept) if mine and kept.vector else None,
        "outcomes": [
            {
                "time": instant(one.time),
                "value": _value(mine, one.value) if mine else one.value,
                "available_at": instant(one.available_at),
                "told_by": one.told_by,
            }
            for one in store.outcomes_of(name)
        ],
        "seal": None if seal is None else _sealed(seal, kept),
    }


def _doubted(bundle: Bundle, kept: Prediction) -> dict[str, Any]:
    """Return all that was answered besides the one number: an interval, or the probabilities of classes."""
    answers, rung = unpack(bundle.task, [kept.answer], [kept.answers]), np.array([kept.rung], object)
    if bundle.task.classes:
        decided = bundle.task.decide(answers)
        there = bundle.within(answers, rung) if np.isfinite(answers).all() else None
        sets = None if there is None else [n for n, one in zip(bundle.task.classes, there[0], strict=True) if one]
        return {
            bundle.task.answer: bundle.task.told(answers)[0],
            "set": sets,
            "decision": None if decided is None else decided[0],
        }
    ends = bundle.bounds(answers, rung)
    interval = None if ends is None or np.isnan(ends[0][0]) else [float(end[0]) for end in ends]
    return {"interval": interval, "decision": kept.decision}


def _value(bundle: Bundle, kept: float) -> float | str | None:
    """Return an outcome as it was told; None where it is none of the classes that the model knows."""
    (place,) = outcomes_kept(bundle.task, np.array([kept])).tolist()
    if not bundle.task.classes:
        return kept
    return None if place != place else bundle.task.classes[int(place)]


def _values(bundle: Bundle, kept: Prediction) -> dict[str, float | str | None]:
    rung, values = bundle.rung(kept.rung), np.frombuffer(kept.vector, np.float64).tolist()
    told: dict[str, float | str | None] = {}
    for name, value in zip(rung.encoder.names, values, strict=True):
        words = rung.encoder.vocabularies.get(name)
        told[name] = None if value != value else words[int(value)] if words else value
    return told


def _explained(bundle: Bundle, kept: Prediction) -> dict[str, Any] | None:
    rung, x = bundle.rung(kept.rung), np.frombuffer(kept.vector, np.float64)
    try:
        effects = rung.explain(x[None])
    except ModelError:  # of a kind that cannot be explained, or whose file is damaged
        return None
    return explanation(bundle, rung, x, effects.values[0], float(np.ravel(effects.base)[0]))


def _sealed(seal: Seal, kept: Prediction) -> dict[str, Any]:
    told: dict[str, Any] = {"chain": seal.chain, "number": seal.number, "root": seal.root, "record": digest(kept)}
    digests = seal.digests
    if not seal.sound or kept.prediction_id not in digests:
        return told | {"proof": [], "holds": False}
    proof = inclusion(seal.previous, list(digests.values()), list(digests).index(kept.prediction_id))
    return told | {"proof": [list(step) for step in proof], "holds": includes(told["record"], proof, seal.root)}
