"""The page of the HTTP API, from its OpenAPI document."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from wattwire.api.permissions import NEEDED
from wattwire.reference.markdown import NOTICE, code, table

Operation = tuple[str, str, Mapping[str, Any]]


def page(document: Mapping[str, Any]) -> str:
    """Return the page: every operation by its tag, with parameters and example bodies."""
    groups = [_group(tag, list(operations(document, tag["name"]))) for tag in document["tags"]]
    return (
        f"{NOTICE}# HTTP API\n\n{document['info']['description']}\n\n"
        "The same as a document for programs: `wattwire openapi`, or `/api/openapi.json` of a "
        "running hub. A call carries `Authorization: Bearer TOKEN`; the role beside each "
        "operation is the least that may do it (viewer, editor, owner).\n\n" + "\n".join(groups)
    )


def operations(document: Mapping[str, Any], tag: str | None = None) -> Iterator[Operation]:
    """Yield (method, path, operation) of a tag, or of all."""
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if tag is None or tag in operation["tags"]:
                yield method.upper(), path, operation


def _group(tag: Mapping[str, str], found: Sequence[Operation]) -> str:
    sections = "\n".join(_section(*one) for one in found)
    return f"## {tag['name'].capitalize()}\n\n{tag['description']}\n\n{sections}"


def _section(method: str, path: str, operation: Mapping[str, Any]) -> str:
    role = NEEDED.get(operation["operationId"])
    who = f"Needs {role.name.lower()}." if role else "Open to anybody."
    parts = [f"### {method} {path}\n", f"{operation['description']} {who}\n"]
    rows = [_parameter(p) for p in operation.get("parameters", ())]
    if rows:
        parts.append(table(("parameter", "in", "meaning"), rows))
    parts += _body(operation.get("requestBody", {}), "Body")
    for status, response in operation["responses"].items():
        if status.startswith("2"):
            parts += _body(response, f"Answer {status}")
    return "\n".join(parts)


def _parameter(parameter: Mapping[str, Any]) -> tuple[str, str, str]:
    needed = "" if parameter.get("required") else " (optional)"
    meaning = parameter.get("description") or parameter["schema"].get("description", "")
    return code(parameter["name"]), f"{parameter['in']}{needed}", meaning


def _body(holder: Mapping[str, Any], title: str) -> list[str]:
    found = []
    for kind, media in holder.get("content", {}).items():
        example = media.get("example")
        if isinstance(example, str):
            found.append(f"{title}, `{kind}`:\n\n```text\n{example.rstrip()}\n```\n")
        elif example is not None:
            found.append(f"{title}:\n\n```json\n{_indented(example)}\n```\n")
    return found


def _indented(value: Any) -> str:
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
