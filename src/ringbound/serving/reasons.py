"""Why an answer is what it is, as people are told: what counted most, in the problem's words."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import pydantic

from ringbound.models.bundle import Bundle
from ringbound.models.rung import Rung
from ringbound.models.stepping import LadderAnswers
from ringbound.problem.task import Task

MOST_EFFECTS = 5


class Effect(pydantic.BaseModel):
    """What one feature adds to the margin."""

    feature: str
    says: str = pydantic.Field(description="what the feature is called in front of people")
    value: float | str | None = pydantic.Field(description="null where it is missing or was never seen in training")
    effect: float = pydantic.Field(description="what it adds to the margin, compared with not knowing it")
    direction: Literal["raises", "lowers"]


class Explanation(pydantic.BaseModel):
    """What counted most: `base`, all `effects` and `others` add up to `margin`."""

    margin: float = pydantic.Field(description="log-odds before calibration, a logarithm, or the value")
    base: float = pydantic.Field(description="the margin when nothing is known")
    of: str | None = pydantic.Field(None, description="the class that is explained, where there are several")
    effects: list[Effect] = pydantic.Field(description=f"the {MOST_EFFECTS} largest, largest first")
    others: float = pydantic.Field(description="what all other features add together")


def explanations(
    bundle: Bundle, done: LadderAnswers, wanted: Sequence[bool] | np.ndarray
) -> list[dict[str, Any] | None]:
    """Return, for the rows for which it is wanted, what counted most; None where a constant or a rate answered."""
    found: list[dict[str, Any] | None] = [None] * len(wanted)
    if not np.any(wanted):
        return found
    for name, rung in (("full", bundle.full), ("reduced", bundle.reduced)):
        rows = np.flatnonzero(np.asarray(wanted) & (done.rungs == name))
        if rung is None or not len(rows):
            continue
        X = done.matrix(rows)
        effects = rung.explain(X)
        bases = np.broadcast_to(effects.base, len(rows)).tolist()
        for i, x, values, base in zip(rows.tolist(), X, effects.values, bases, strict=True):
            found[i] = explanation(bundle, rung, x, values, base)
    return found


def explanation(bundle: Bundle, rung: Rung, x: np.ndarray, effects: np.ndarray, base: float) -> dict[str, Any]:
    """Return what is told of one row's vector (columns,) and the effects of its columns."""
    names, first = rung.encoder.names, np.argsort(-np.abs(effects), kind="stable")[:MOST_EFFECTS]
    return {
        "margin": base + float(effects.sum()),
        "base": base,
        "of": _of(rung, bundle.task, x) if bundle.task.classes else None,
        "effects": [
            {
                "feature": names[j],
                "says": bundle.problem.word(names[j]),
                "value": _value(rung, names[j], float(x[j])),
                "effect": float(effects[j]),
                "direction": "raises" if effects[j] > 0 else "lowers",
            }
            for j in first.tolist()
            if effects[j]
        ],
        "others": float(np.delete(effects, first).sum()),
    }


def _of(rung: Rung, task: Task, x: np.ndarray) -> str:
    """Return the class whose margin is explained."""
    return task.classes[int(np.argmax(rung.model.predict(x[None])))]


def _value(rung: Rung, name: str, value: float) -> float | str | None:
    if value != value:
        return None
    words = rung.encoder.vocabularies.get(name)
    return value if words is None else words[int(value)]
