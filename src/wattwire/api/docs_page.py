"""`/api/docs`: the OpenAPI document as a page, made here, so that it works without the internet."""

from collections.abc import Iterator, Sequence
from html import escape
from itertools import chain
from typing import Any, Final

import msgspec
from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, Response

from wattwire.solarnetwork import page as solarnetwork
from wattwire.solarnetwork.describe import create_description

router = APIRouter(tags=["health"])
_SOLARNETWORK: Final = "/api/docs/solarnetwork"
_METHODS: Final = ("get", "post", "put", "patch", "delete")
_STYLE: Final = """
:root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif }
body { margin: 0 auto; max-width: 60rem; padding: 1rem }
h2 { border-bottom: 1px solid; margin-top: 2.5rem } summary { cursor: pointer; padding: .3rem 0 }
code, pre { font: 13px/1.45 ui-monospace, monospace }
pre { overflow: auto; padding: .6rem; border: 1px solid #8886 }
table { border-collapse: collapse }
td, th { text-align: left; padding: .15rem .8rem .15rem 0; vertical-align: top }
.m { display: inline-block; min-width: 4.5rem; font-weight: 700 }
"""


@router.get("/api/docs", include_in_schema=False)
async def get_docs(request: Request) -> HTMLResponse:
    """Show every operation with its parameters and examples."""
    return _answer(_page(request.app.openapi()))


async def get_solarnetwork_docs(_: Request) -> HTMLResponse:
    """Show SolarNetwork's calls, with commands that can be run."""
    return _answer(chain(_head(solarnetwork.TITLE), map(_part, solarnetwork.parts())))


async def get_solarnetwork_document(_: Request) -> Response:
    """Return the OpenAPI document of SolarNetwork's calls."""
    return Response(msgspec.json.encode(create_description()), media_type="application/json")


# Not operations of the API, so none of its routes: nothing to describe, nothing to permit.
router.add_route(_SOLARNETWORK, get_solarnetwork_docs, include_in_schema=False)
router.add_route(solarnetwork.DOCUMENT, get_solarnetwork_document, include_in_schema=False)


def _answer(page: Iterator[str]) -> HTMLResponse:
    policy = "default-src 'none'; style-src 'unsafe-inline'"
    return HTMLResponse("".join(page), headers={"Content-Security-Policy": policy})


def _head(title: str) -> Iterator[str]:
    yield f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(title)}</title>'
    yield f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style>'


def _page(document: dict[str, Any]) -> Iterator[str]:
    title = f"{document['info']['title']} API"
    yield from _head(title)
    yield f"<h1>{escape(title)}</h1><p>{escape(document['info']['description'])}</p>"
    yield '<p>For programs: <a href="/api/openapi.json">openapi.json</a>. For clients of '
    yield f'SolarNetwork: <a href="{_SOLARNETWORK}">{escape(solarnetwork.TITLE)}</a>.</p>'
    for tag in document["tags"]:
        yield f"<h2>{escape(tag['name'])}</h2><p>{escape(tag['description'])}</p>"
        yield from _operations(document, tag["name"])


def _operations(document: dict[str, Any], tag: str) -> Iterator[str]:
    for path, methods in document["paths"].items():
        for method in _METHODS:
            operation = methods.get(method)
            if operation and tag in operation["tags"]:
                yield from _operation(path, method, operation)


def _operation(path: str, method: str, operation: dict[str, Any]) -> Iterator[str]:
    name = escape(operation["operationId"])
    yield f'<details id="{name}"><summary><span class="m">{method.upper()}</span>'
    yield f"<code>{escape(path)}</code> {escape(operation['summary'])}</summary>"
    yield f"<p>{escape(operation.get('description', ''))}</p>"
    if operation.get("parameters"):
        yield "<table>" + "".join(map(_parameter, operation["parameters"])) + "</table>"
    for media in operation.get("requestBody", {}).get("content", {}).values():
        yield f"<p>Body</p>{_example(media)}"
    for status, response in operation["responses"].items():
        yield f"<p>{escape(status)} {escape(response['description'])}</p>"
        if status < "300":
            yield from map(_example, response.get("content", {}).values())
    yield "</details>"


def _parameter(parameter: dict[str, Any]) -> str:
    name = escape(parameter["name"])
    needed = "required" if parameter.get("required") else "optional"
    text = escape(parameter.get("description", ""))
    return (
        f"<tr><td><code>{name}</code></td><td>{parameter['in']}, {needed}</td><td>{text}</td></tr>"
    )


def _example(media: dict[str, Any]) -> str:
    example = media.get("example")
    if not isinstance(example, str):
        example = msgspec.json.format(msgspec.json.encode(example)).decode()
    return f"<pre>{escape(example)}</pre>"


def _part(part: solarnetwork.Part) -> str:
    """Return a part of SolarNetwork's page."""
    match part:
        case solarnetwork.Heading(level, text):
            return f"<h{level}>{_marked(text)}</h{level}>"
        case solarnetwork.Text(text):
            return f"<p>{_marked(text)}</p>"
        case solarnetwork.Items(items):
            return "<ul>" + "".join(f"<li>{_marked(item)}</li>" for item in items) + "</ul>"
        case solarnetwork.Table(heads, rows):
            return f"<table>{_row(heads, 'th')}{''.join(_row(row, 'td') for row in rows)}</table>"
        case solarnetwork.Code(_, kind, text):
            return f'<pre class="{kind}">{escape(text)}</pre>'


def _row(cells: Sequence[str], tag: str) -> str:
    return "<tr>" + "".join(f"<{tag}>{_marked(cell)}</{tag}>" for cell in cells) + "</tr>"


def _marked(text: str) -> str:
    """Return text with what stands between backticks as code."""
    parts = map(escape, text.split("`"))
    return "".join(f"<code>{p}</code>" if n % 2 else p for n, p in enumerate(parts))
