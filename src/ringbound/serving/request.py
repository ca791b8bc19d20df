"""Rows asked about online: held to the declared request fields by pydantic, and as feature columns."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any

import pydantic

from ringbound.data.values import shown
from ringbound.errors import InputError
from ringbound.features.columns import EPOCH, MICROSECOND, Column, column_of
from ringbound.features.definition import FeatureSet
from ringbound.features.request import Field

MOST_SURPLUS = 20


def row_model(fields: Sequence[Field], name: str = "Row") -> type[pydantic.BaseModel]:
    """Return the pydantic model of one row; unknown fields are refused."""
    definitions: dict[str, Any] = {}
    for field in fields:
        kind: Any
        if field.kind == "category":
            kind = Annotated[str, pydantic.WithJsonSchema(_text_schema(field))]
        elif field.kind == "number":
            kind = Annotated[float, pydantic.Field(ge=field.ge, le=field.le, allow_inf_nan=False)]
        else:
            kind = pydantic.AwareDatetime
        kind = kind if field.required else kind | None
        described = pydantic.Field(
            ... if field.required else None, description=field.description, examples=[field.example]
        )
        definitions[field.name] = (Annotated[kind, pydantic.BeforeValidator(_parser(field))], described)
    return pydantic.create_model(name, __config__=pydantic.ConfigDict(extra="forbid"), **definitions)


def _text_schema(field: Field) -> dict[str, Any]:
    pattern = {"pattern": f"^(?:{field.pattern})$"} if field.pattern else {}
    return {"type": "string", "minLength": 1, "maxLength": 200, **pattern}


def _parser(field: Field) -> Callable[[Any], Any]:
    """Return what turns a value into the field's, by the one rule; a time comes as one with offset."""

    def parse(value: Any) -> Any:
        found = field.parse(value)
        return found if found is None or field.kind != "timestamp" else EPOCH + found * MICROSECOND

    return parse


def columns_from_rows(rows: Sequence[pydantic.BaseModel], fields: Sequence[Field]) -> dict[str, Column]:
    """Return the columns of validated rows."""
    return {field.name: column_of(field.kind, [getattr(row, field.name) for row in rows]) for field in fields}


def validated(
    model: type[pydantic.BaseModel], rows: Sequence[Mapping[str, Any]], what: str, first_number: int = 0
) -> list[pydantic.BaseModel]:
    """Return the rows as the model has them; `InputError` names the first that does not fit, as `what` and its number."""
    checked = []
    for number, row in enumerate(rows, first_number):
        if isinstance(row, dict) and len(row) > len(model.model_fields) + MOST_SURPLUS:  # pydantic would name them all
            raise InputError(f"{what} {number}: expected {len(model.model_fields)} fields; got {len(row)}")
        try:
            checked.append(model.model_validate(row))
        except pydantic.ValidationError as error:
            first = error.errors()[0]
            place = "".join(f"{part}: " for part in first["loc"])
            says = first["msg"].removeprefix("Value error, ")
            if first["type"] != "value_error":
                says = f"{says}; got {shown(first['input'])}"
            raise InputError(f"{what} {number}: {place}{says}") from None
    return checked


def validate_rows(features: FeatureSet, rows: Sequence[Mapping[str, Any]]) -> list[pydantic.BaseModel]:
    """Return rows held to what a feature set asks for; `InputError` names the first that does not fit.

    >>> from ringbound.testing.parcels import FEATURES, PROBLEM
    >>> validate_rows(FEATURES, PROBLEM.examples)[0].depot
    'north'
    >>> validate_rows(FEATURES, [dict(PROBLEM.examples[0], depot="North")])
    Traceback (most recent call last):
    ringbound.errors.InputError: row 0: depot: ...
    """
    return validated(row_model(features.asked), rows, "row")


def microseconds(time: datetime) -> int:
    """Return a time with offset in microseconds since 1970."""
    return (time - EPOCH) // MICROSECOND
