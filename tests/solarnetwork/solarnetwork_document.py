"""Every answer of SolarNetwork's face is held against the face's own OpenAPI document."""

import re

import jsonschema
import msgspec

from wattwire.solarnetwork.describe import create_description

DOCUMENT = create_description()
OPERATIONS = [
    (method, path, operation)
    for path, methods in DOCUMENT["paths"].items()
    for method, operation in methods.items()
]
_PATTERNS = [
    (method.upper(), re.compile(re.sub(r"\{(\w+)\}", r"[^/]+", path)), operation)
    for method, path, operation in OPERATIONS
]
_VALIDATORS = {}


def find_operation(method, path):
    """The documented operation that answers a request, or None."""
    found = (op for m, pattern, op in _PATTERNS if m == method and pattern.fullmatch(path))
    return next(found, None)


def _validator(operation, status):
    key = operation["operationId"], status
    if key not in _VALIDATORS:
        media = operation["responses"][status]["content"]["application/json"]
        _VALIDATORS[key] = jsonschema.Draft202012Validator(
            {**media["schema"], "components": DOCUMENT["components"]},
            format_checker=jsonschema.FormatChecker(),
        )
    return _VALIDATORS[key]


def check(method, path, status, content_type, body):
    """Fail when an answer is not as documented: its status, its media type, its schema."""
    operation = find_operation(method, path)
    if status == 400:  # no HTTP request: the server itself refuses it
        return
    assert content_type == "application/json", f"{method} {path}: {content_type}"
    if operation is None or status == 500:
        assert status in {401, 403, 404, 405, 422, 500}, f"{method} {path}: {status}"
        assert {"success", "message"} <= msgspec.json.decode(body).keys()
        return
    assert str(status) in operation["responses"], f"{method} {path}: {status} is not documented"
    _validator(operation, str(status)).validate(msgspec.json.decode(body))
