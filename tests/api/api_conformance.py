"""Every answer of the API is held against its own OpenAPI document."""

import re

import jsonschema
import msgspec

from wattwire.api.application import create_description, routes

DOCUMENT = create_description()


def _validator(schema):
    return jsonschema.Draft202012Validator(
        {**schema, "components": DOCUMENT["components"]},
        format_checker=jsonschema.FormatChecker(),
    )


_PATHS = [
    (method, re.compile("^" + re.sub(r"\{\w+\}", "[^/]+", route.path) + "$"), route.path)
    for route in routes()
    if route.include_in_schema
    for method in route.methods
]


def find_operation(method, path):
    """Return the documented operation that answers a request, or None."""
    exact = [p for m, _, p in _PATHS if m == method and p == path]
    matching = exact or [p for m, regex, p in _PATHS if m == method and regex.match(path)]
    return DOCUMENT["paths"][matching[0]][method.lower()] if matching else None


def check(method, path, status, content_type, body):
    """Fail when an answer is not as documented: its status, its media type, its schema."""
    operation = find_operation(method, path)
    if operation is None:
        assert status in {404, 405}
        return
    responses = operation["responses"]
    known = str(status) in responses or status in {408, 413, 500, 504}
    assert known, f"{method} {path}: {status} is not documented"
    documented = responses.get(str(status), responses.get("default")).get("content", {})
    if not documented:
        assert not body
        return
    media_type = content_type.partition(";")[0]
    if path.endswith("/write"):
        media_type = "application/problem+json"  # said as application/json, for InfluxDB's clients
    assert media_type in documented, f"{method} {path}: {media_type} is not documented"
    if media_type.endswith("json"):
        _validator(documented[media_type]["schema"]).validate(msgspec.json.decode(body))
