"""The OpenAPI document of this face, made of its routes and of what `described_*` says of them."""

from collections.abc import Iterator, Sequence
from functools import cache
from http import HTTPStatus
from typing import Any, Final

from fastapi.routing import APIRoute

from wattwire import __version__
from wattwire.api.describe import example_of
from wattwire.solarnetwork import ROUTERS
from wattwire.solarnetwork import described_parameters as known
from wattwire.solarnetwork.described_operations import TAGS, Operation, operation_of
from wattwire.solarnetwork.described_schemas import SCHEMAS, Schema, ref
from wattwire.solarnetwork.envelope import BUSY, MEDIA_TYPE, NOT_FOUND

_ABOUT: Final = (
    "SolarNetwork's own API over this hub, for unmodified SolarNetwork clients. A node is a "
    "device, a source the path of a stream, an event hook an integration. Every answer is an "
    "envelope: success, code, message, errors, data; what is null is left out. Parameters that are "
    "not known are ignored."
)
_SIGNING: Final = (
    "`SNWS2 Credential=TOKEN,SignedHeaders=host;x-sn-date,Signature=HEX`, beside the date of the "
    "request in X-SN-Date. The token is made by `wattwire solarnetwork-token create`; how to sign "
    "is on the page of examples."
)
_CERTIFICATE: Final = (
    "Over HTTPS a node uploads with a client certificate of its own, made or allowed by "
    "`wattwire solarnetwork-certificate`."
)
#: Every call has these.
_STATUSES: Final = (401, 403, 422, 429)
_EXAMPLES: Final[dict[int, dict[str, Any]]] = {
    401: {"success": False, "message": "Expired token"},
    403: {"success": False, "message": "Bad credentials"},
    404: {"success": False, "code": NOT_FOUND[0], "message": NOT_FOUND[1]},
    422: {"success": False, "message": "Malformed date string: 2020-06-31"},
    429: {"success": False, "code": BUSY[0], "message": BUSY[1]},
}
_HEADERS: Final[dict[int, dict[str, str]]] = {
    401: {"WWW-Authenticate": "SNWS2", "X-SN-ErrorMessage": "The message, once more."},
    403: {"X-SN-ErrorMessage": "The message, once more, when the signature is the reason."},
    429: {"Retry-After": "After how many seconds it may work."},
}


@cache
def create_description() -> dict[str, Any]:
    """Return the document, without a hub. Raises KeyError for a route that nothing is said of."""
    paths: dict[str, Any] = {}
    for route in routes():
        for method in sorted(route.methods or ()):
            shown = route.path.replace(":path}", "}")
            paths.setdefault(shown, {})[method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "SolarNetwork's API on Wattwire",
            "version": __version__,
            "description": _ABOUT,
        },
        "tags": [{"name": name, "description": text} for name, text in TAGS.items()],
        "paths": paths,
        "components": {
            "schemas": SCHEMAS,
            "securitySchemes": {
                "SNWS2": {
                    "type": "apiKey",
                    "in": "header",
                    "name": "Authorization",
                    "description": _SIGNING,
                },
                "certificate": {"type": "mutualTLS", "description": _CERTIFICATE},
            },
        },
        "security": [{"SNWS2": []}],
    }


def routes() -> list[APIRoute]:
    """Return every route of this face."""
    return [route for router in ROUTERS for route in router.routes if isinstance(route, APIRoute)]


def _operation(route: APIRoute) -> dict[str, Any]:
    said = operation_of(route.name)
    lines = [line.strip() for line in route.description.splitlines()]
    parameters = [*said.parameters, *_refused_parameters(route, said)]
    found: dict[str, Any] = {
        "tags": [said.tag],
        "operationId": route.name,
        "summary": lines[0].rstrip("."),
        "description": " ".join(line for line in lines if line),
        "parameters": parameters,
        "responses": dict(_responses(said)),
    }
    if said.certificate:
        found["security"] = [{"SNWS2": []}, {"certificate": []}]
    if said.body is not None:
        content = {MEDIA_TYPE: {"schema": ref(said.body), "example": said.body_example}}
        found["requestBody"] = {"required": True, "content": content}
    return found


def _refused_parameters(route: APIRoute, said: Operation) -> list[dict[str, Any]]:
    return [known.in_path(name) for name in route.param_convertors] if said.refused else []


def _responses(said: Operation) -> Iterator[tuple[str, dict[str, Any]]]:
    if not said.refused:
        yield "200", _success(said)
    for status in sorted({*_STATUSES, *said.statuses}):
        yield str(status), _refusal(status)


def _success(said: Operation) -> dict[str, Any]:
    media = {"schema": _envelope(said), "example": _example(said)}
    found: dict[str, Any] = {"description": "It worked.", "content": {MEDIA_TYPE: media}}
    if said.links:
        found["links"] = {
            name: {"operationId": name, "parameters": {"hook_id": value}}
            for name, value in said.links
        }
    return found


def _envelope(said: Operation) -> Schema:
    properties: Schema = {"success": {"const": True, "description": "That it worked."}}
    if said.data is not None:
        properties["data"] = said.data
    needed: Sequence[str] = ["success"] if said.data_optional else list(properties)
    return {
        "type": "object",
        "properties": properties,
        "required": needed,
        "additionalProperties": False,
    }


def _example(said: Operation) -> dict[str, Any]:
    if said.data is None:
        return {"success": True}
    data = example_of(said.data, SCHEMAS) if said.example is None else said.example
    return {"success": True, "data": data}


def _refusal(status: int) -> dict[str, Any]:
    headers = {
        name: {"description": text, "required": False, "schema": {"type": "string"}}
        for name, text in _HEADERS.get(status, {}).items()
    }
    media = {"schema": ref("Refusal"), "example": _EXAMPLES[status]}
    found = {"description": HTTPStatus(status).phrase, "content": {MEDIA_TYPE: media}}
    return {**found, "headers": headers} if headers else found
