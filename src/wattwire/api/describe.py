"""The OpenAPI document: FastAPI's own, with examples and the one error shape filled in."""

import copy
from collections.abc import Mapping
from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from wattwire.api.problems import MEDIA_TYPE, PREFIX, Problem, ProblemBody
from wattwire.api.readings import ReadingsBody

_REFERENCE: Final = "#/components/schemas/{model}"
_ANY_PROBLEM: Final = {
    "description": "Any other problem, such as 408, 413, 500 or 504.",
    "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
}
_TAGS: Final = {
    "devices": "The things in the field, and their streams.",
    "readings": "Sent in batches, read back by range.",
    "rollups": "Hours, local days and calendar months.",
    "quarantine": "What could not be understood, with the reason.",
    "mqtt credentials": "Who may connect to the MQTT door.",
    "sources": "Other places that readings come from.",
    "integrations": "Where events go.",
    "deliveries": "The ledger of an integration, and what to do about it.",
    "events": "What happens, as a list and live.",
    "organization": "How readings are treated, and who changed what.",
    "configuration": "Everything that people decided, as one document.",
    "users and tokens": "Who may call this API.",
    "health": "For whoever runs the hub.",
}


def describe(app: FastAPI) -> dict[str, Any]:
    """Return the document, made once."""
    if app.openapi_schema is None:
        document = get_openapi(
            title=app.title,
            version=app.version,
            description="Takes readings from electrical devices and delivers them, provably. "
            "Every error is a problem (RFC 9457); every list is a page with a cursor.",
            routes=app.routes,
            tags=[{"name": name, "description": text} for name, text in _TAGS.items()],
        )
        schemas = document["components"]["schemas"]
        for model in (ProblemBody, ReadingsBody):
            _add_model(schemas, model)
        schemas.pop("HTTPValidationError", None)
        schemas.pop("ValidationError", None)
        for path, operations in document["paths"].items():
            for operation in operations.values():
                if path.startswith("/api/"):
                    operation["responses"]["default"] = copy.deepcopy(_ANY_PROBLEM)
                _fill_examples(operation, schemas)
        app.openapi_schema = document
    return app.openapi_schema


def _add_model(schemas: dict[str, Any], model: Any) -> None:
    schema = model.model_json_schema(ref_template=_REFERENCE)
    schemas.update(schema.pop("$defs", {}))
    schemas[schema["title"]] = schema


def _fill_examples(operation: dict[str, Any], schemas: Mapping[str, Any]) -> None:
    for status, response in operation["responses"].items():
        for media_type, media in response.get("content", {}).items():
            if "example" in media or not media.get("schema"):
                continue
            media["example"] = example_of(media["schema"], schemas)
            if media_type == MEDIA_TYPE:
                media["example"] |= _headline(status, response)
    for media in operation.get("requestBody", {}).get("content", {}).values():
        if "example" not in media:
            media["example"] = example_of(media["schema"], schemas)


def _headline(status: str, response: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a problem of this status has in its first members."""
    if not status.isdigit():
        return {}
    problem = Problem(int(status), "")
    return {
        "type": PREFIX + problem.slug,
        "status": problem.status_code,
        "title": response["description"],
    }


def example_of(  # noqa: PLR0911 - a case for each kind of schema
    schema: Mapping[str, Any], schemas: Mapping[str, Any]
) -> Any:
    """Return an example of a schema, put together from those of its fields."""
    if "examples" in schema:
        return schema["examples"][0]
    if "$ref" in schema:
        return example_of(schemas[schema["$ref"].rpartition("/")[2]], schemas)
    for choices in ("anyOf", "oneOf", "allOf"):
        if choices in schema:
            return example_of(schema[choices][0], schemas)
    if schema.get("type") == "object":
        fields = schema.get("properties", {})
        return {name: example_of(field, schemas) for name, field in fields.items()}
    if schema.get("type") == "array":
        return [example_of(schema["items"], schemas)]
    if "default" in schema:
        return schema["default"]
    if "const" in schema or "enum" in schema:
        return schema.get("const", schema.get("enum", [None])[0])
    return None
