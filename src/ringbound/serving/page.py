"""What the API's page says: each source's events with their fields, what is refused how, and the routes asked by GET."""

from collections.abc import Mapping, Sequence
from typing import Any

import pydantic

from ringbound.serving.intake import MOST_EVENTS

REFUSED = {
    "400": "something does not fit; the line says what and where",
    "401": "no key that holds came with it; where there are no keys, none is needed",
    "403": "the key that came with it is for something else",
    "413": "more bytes than a request may have",
    "415": "not JSON, or compressed",
    "429": "more is asked than can be answered; try again after Retry-After",
    "500": "the service has failed; the line has an id that its log has too",
    "503": "the store does not answer now; nothing is lost, send the same again after Retry-After",
}
NOT_THERE = "nothing of this id is in the store"
RECEIPT = "Return what an answer was made of, why it is what it is, and the proof of its record."
_TAGS = ["Service APIs"]


def describe(
    plain: Mapping[str, Any],
    *,
    says: str,
    sources: Mapping[str, type[pydantic.BaseModel]],
) -> dict[str, Any]:
    """Return BentoML's OpenAPI description of a service with what it does not know of ours put in.

    `says` is the service's description, `sources` are the models of each source's events.
    """
    paths = {path: dict(item) for path, item in plain["paths"].items()}
    for path, item in paths.items():
        if item.get("post", {}).get("tags") == _TAGS:
            answered, body = item["post"]["responses"]["200"], item["post"]["requestBody"]
            body["required"] = True
            body["content"]["application/json"]["schema"]["additionalProperties"] = False
            item["post"] = {**item["post"], "responses": {"200": answered, **_refused(["404"] * (path == "/receipts"))}}
    content = paths["/events"]["post"]["requestBody"]["content"]["application/json"]
    content |= {
        "schema": {"oneOf": [_batch(name, model) for name, model in sources.items()]},
        "examples": {name: {"value": {"source": name, "events": [example(model)]}} for name, model in sources.items()},
    }
    receipts = paths["/receipts"]["post"]
    paths["/receipts/{prediction_id}"] = {
        "get": {
            "tags": _TAGS,
            "description": RECEIPT,
            "operationId": "receipt",
            "parameters": [{"name": "prediction_id", "in": "path", "required": True, "schema": {"type": "string"}}],
            "responses": {"200": receipts["responses"]["200"], **_refused(["404"])},
        }
    }
    schemas = {**plain["components"]["schemas"]}
    for name in ("TaskStatusResponse", "InvalidArgument", "NotFound", "InternalServerError"):
        schemas.pop(name, None)
    info = {"title": "ringbound", "version": plain["info"]["version"], "description": says}
    return {**plain, "info": info, "paths": paths, "components": {"schemas": schemas}}


def example(model: type[pydantic.BaseModel]) -> dict[str, Any]:
    """Return an example of a model, made of those of its fields."""
    return {name: field.examples[0] for name, field in model.model_fields.items() if field.examples}


def _refused(more: Sequence[str]) -> dict[str, Any]:
    line = {"type": "object", "properties": {"error": {"type": "string"}}, "required": ["error"]}
    says = REFUSED | dict.fromkeys(more, NOT_THERE)
    return {
        status: {"description": says[status], "content": {"application/json": {"schema": line}}}
        for status in sorted(says)
    }


def _batch(name: str, model: type[pydantic.BaseModel]) -> dict[str, Any]:
    """Return the schema of a batch of one source's events."""
    event = model.model_json_schema()
    return {
        "type": "object",
        "title": name,
        "required": ["source", "events"],
        "additionalProperties": False,
        "properties": {
            "source": {"type": "string", "enum": [name]},
            "events": {"type": "array", "minItems": 1, "maxItems": MOST_EVENTS, "items": event},
        },
    }
