"""Answers to rows: what both the online service and the notebooks call."""

import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pydantic

from ringbound.errors import InputError
from ringbound.models.bundle import Bundle
from ringbound.serving.request import columns_from_rows, row_model

MOST_ROWS = 1000


def _new_id() -> str:
    return uuid.uuid4().hex


def decide(bundle: Bundle, answers: np.ndarray) -> np.ndarray | None:
    """Return the decision for each probability, (n,) of booleans; None for regression, which decides nothing."""
    return None if bundle.threshold is None else answers >= bundle.threshold


def answer_model(bundle: Bundle) -> type[pydantic.BaseModel]:
    """Return the pydantic model of one answer of this bundle."""
    value: dict[str, Any] = {"prediction_id": (str, ...)}
    if bundle.threshold is None:
        value["value"] = (float, pydantic.Field(description="the predicted value"))
    else:
        value["probability"] = (float, pydantic.Field(ge=0, le=1, description="probability of yes"))
        value["decision"] = (
            bool,
            pydantic.Field(description=f"whether the probability is at least {bundle.threshold:g}"),
        )
    value["model_version"] = (str, pydantic.Field(description="version of the bundle that answered"))
    # `model_version` is what everyone calls it; pydantic keeps the prefix for itself unless told.
    return pydantic.create_model("Answer", __config__=pydantic.ConfigDict(protected_namespaces=()), **value)


class Predictor:
    """A bundle that answers rows; `new_id` gives each answer its identity."""

    def __init__(self, bundle: Bundle, new_id: Callable[[], str] = _new_id):
        self.bundle = bundle
        self.fields = bundle.features.request
        self.Row = row_model(self.fields)
        self._new_id = new_id

    def predict(self, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Return one answer a row; `InputError` says which row and field does not fit."""
        if not 1 <= len(rows) <= MOST_ROWS:
            raise InputError(
                f"expected 1 to {MOST_ROWS} rows; got {len(rows)}; send several requests or use ringbound score"
            )
        validated = []
        for number, row in enumerate(rows):
            try:
                validated.append(self.Row.model_validate(row))
            except pydantic.ValidationError as error:
                first = error.errors()[0]
                place = ".".join(str(part) for part in first["loc"])
                raise InputError(f"row {number}: {place}: {first['msg']}; got {first['input']!r}") from None
        return self.answer(validated)

    def answer(self, rows: Sequence[pydantic.BaseModel]) -> list[dict[str, Any]]:
        """Return one answer for each row that is validated already."""
        answers = self.bundle.predict(columns_from_rows(rows, self.fields))
        decisions = decide(self.bundle, answers)
        name = "value" if decisions is None else "probability"
        return [
            {"prediction_id": self._new_id(), name: float(answer)}
            | ({} if decisions is None else {"decision": bool(decisions[i])})
            | {"model_version": self.bundle.version}
            for i, answer in enumerate(answers)
        ]
