"""The OpenAPI document of SolarNetwork's face, and the page beside it."""

import ast
import re
from pathlib import Path

import jsonschema
import msgspec
import pytest
from solarnetwork_document import DOCUMENT, OPERATIONS, find_operation

from wattwire.api.application import create_description
from wattwire.reference import solarnetwork as reference
from wattwire.solarnetwork import page, query_parameters
from wattwire.solarnetwork.describe import routes

IDS = [operation["operationId"] for _, _, operation in OPERATIONS]


def validated(schema, example):
    schema = {**schema, "components": DOCUMENT["components"]}
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker()).validate(
        example
    )


def test_every_route_is_described_once():
    """Neither more nor fewer operations than routes, and none of them in the native document."""
    served = {
        (method.lower(), r.path.replace(":path}", "}")) for r in routes() for method in r.methods
    }

    assert {(method, path) for method, path, _ in OPERATIONS} == served
    assert len(IDS) == len(set(IDS))
    assert not [p for p in create_description()["paths"] if p.startswith("/solar")]


@pytest.mark.parametrize(("method", "path", "operation"), OPERATIONS, ids=IDS)
def test_an_operation_is_described(method, path, operation):
    """Summary, tag, explained parameters, errors in the envelope; every example fits its schema."""
    responses = operation["responses"]
    assert operation["summary"]
    assert operation["tags"][0] in {tag["name"] for tag in DOCUMENT["tags"]}
    assert {"401", "403", "422", "429"} <= responses.keys()
    for parameter in operation["parameters"]:
        assert parameter["description"]
        if "example" in parameter:
            validated(parameter["schema"], parameter["example"])
    assert set(re.findall(r"\{(\w+)\}", path)) == {
        p["name"] for p in operation["parameters"] if p["in"] == "path"
    }
    bodies = [operation.get("requestBody", {}), *responses.values()]
    for media in [m for body in bodies for m in body.get("content", {}).values()]:
        validated(media["schema"], media["example"])
    for status, response in responses.items():
        assert ["application/json"] == list(response["content"])
        success = response["content"]["application/json"]["example"]["success"]
        assert success is (status == "200")
    assert ("requestBody" in operation) == (method == "post")


def test_every_member_is_explained():
    """Whoever reads the document learns what each is."""
    assert [] == [
        f"{name}.{member}"
        for name, schema in DOCUMENT["components"]["schemas"].items()
        for member, about in schema.get("properties", {}).items()
        if not about.get("description")
    ]


def test_described_parameters_are_those_that_are_read():
    """Each name in the document is one that the parser asks for, alone or in the plural."""
    tree = ast.parse(Path(query_parameters.__file__).read_text())
    read = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}
    kinds = ("instantaneous", "accumulating", "status")
    read |= {f"{kind}PropertyName" for kind in kinds}
    read |= {"sorts[0].sortKey", "sorts[0].descending"}
    described = {
        parameter["name"]
        for _, _, operation in OPERATIONS
        for parameter in operation["parameters"]
        if parameter["in"] == "query"
    }

    assert set() == {name for name in described if not {name, name.removesuffix("s")} & read}


def test_links_lead_to_operations():
    """What is created can be read and deleted by the id in the answer."""
    operation = find_operation("POST", "/solaruser/api/v1/sec/user/event/node/hooks")
    links = operation["responses"]["200"]["links"]

    assert {link["operationId"] for link in links.values()} == {
        "solaruser_get_hook", "solaruser_delete_hook"
    }  # fmt: skip
    assert set(IDS) >= links.keys()


async def test_the_page_and_the_document_are_served(bench):
    """Without a signature, found from the API's own page; the page has every command."""

    async def get(path):
        async with bench.session.get(bench.url + path) as response:
            assert 200 == response.status
            return response.headers, await response.text()

    _, front = await get("/api/docs")
    headers, shown = await get("/api/docs/solarnetwork")
    document_headers, document = await get(page.DOCUMENT)

    assert 'href="/api/docs/solarnetwork"' in front
    assert headers["Content-Type"].startswith("text/html")
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert shown.count('<pre class="run">') == reference.page().count("\n```bash run\n") > 10
    assert "<code>ACCESS_DENIED</code>" in shown
    assert "hmac() {" in shown
    assert document_headers["Content-Type"] == "application/json"
    assert msgspec.json.decode(document) == msgspec.to_builtins(DOCUMENT)
