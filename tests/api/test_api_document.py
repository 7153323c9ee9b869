"""The OpenAPI document is complete, and true."""

import jsonschema
import pytest
from api_conformance import DOCUMENT

OPERATIONS = [
    (method, path, operation)
    for path, methods in DOCUMENT["paths"].items()
    for method, operation in methods.items()
]
IDS = [operation["operationId"] for _, _, operation in OPERATIONS]


def media_of(operation):
    """Yield what an operation takes and gives, with its place."""
    for status, response in operation["responses"].items():
        for media_type, media in response.get("content", {}).items():
            yield f"{status} {media_type}", media
    for media_type, media in operation.get("requestBody", {}).get("content", {}).items():
        yield f"body {media_type}", media


@pytest.mark.parametrize(("method", "path", "operation"), OPERATIONS, ids=IDS)
def test_every_operation_is_described(method, path, operation):
    """Summary, description, tag, parameters, bodies and errors."""
    assert operation["summary"]
    assert operation["description"]
    assert operation["tags"]
    assert set(operation["tags"]) <= {tag["name"] for tag in DOCUMENT["tags"]}
    assert [] == [p["name"] for p in operation.get("parameters", []) if not p.get("description")]
    if path.startswith("/api/v1/") and operation["operationId"] != "create_session":
        assert {"401", "403", "422", "503"} <= operation["responses"].keys()
        assert operation["security"]
    if "{" in path:
        assert "404" in operation["responses"]
    for status, response in operation["responses"].items():
        assert response["description"]
        if status >= "400" and path.startswith("/api/"):
            assert ["application/problem+json"] == list(response["content"])


@pytest.mark.parametrize(("method", "path", "operation"), OPERATIONS, ids=IDS)
def test_every_example_fits_its_schema(method, path, operation):
    """Every body and every answer has an example, and it is a valid one."""
    for place, media in media_of(operation):
        assert media.get("example") not in (None, {}, ""), place
        schema = {**media["schema"], "components": DOCUMENT["components"]}
        jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker()).validate(
            media["example"]
        )


def test_every_field_is_explained():
    """Fields of all schemas carry a description: it is the form's help text."""
    unexplained = [
        f"{name}.{field}"
        for name, schema in DOCUMENT["components"]["schemas"].items()
        for field, about in schema.get("properties", {}).items()
        if not about.get("description")
    ]

    assert [] == unexplained


def test_request_examples_work_as_they_stand():
    """The examples of bodies are accepted by the models they are examples of."""
    from wattwire.api import devices, integrations, mqtt_credentials, sources, tokens, users

    for module in (devices, integrations, mqtt_credentials, sources, tokens, users):
        for name, model in vars(module).items():
            if name.endswith("Create"):
                example = DOCUMENT["components"]["schemas"][name]
                from wattwire.api.describe import example_of

                model.model_validate(example_of(example, DOCUMENT["components"]["schemas"]))
