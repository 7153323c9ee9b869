"""The page of the payload formats: each one's words, its settings, and an event written in it."""

from typing import Any

import msgspec

from wattwire.payloads import FORMATS, FormatType
from wattwire.payloads.examples import EXAMPLES, INTEGRATION, body_of
from wattwire.reference.markdown import NOTICE, field_table


def page() -> str:
    """Return the page."""
    listed = ", ".join(f"`{name}`" for name in FORMATS)
    return (
        f"{NOTICE}# Payload formats\n\nHow events are written for those who receive them: "
        f"{listed}. An integration names one as `format`, else it is the type's own, and says in "
        "`format_settings` what is chosen about it. `POST /api/v1/integrations/preview` and "
        "`wattwire integration preview` show what comes of that.\n\n"
        + "\n".join(_section(kind) for kind in FORMATS.values())
    )


def _section(kind: FormatType[Any]) -> str:
    words = kind.docs.strip().removeprefix("# Format ")
    title, _, text = words.partition("\n\n")
    settings = "There are no settings.\n"
    if kind.settings.model_fields:
        settings = field_table(kind.settings)
    return f"## {title}\n\n{text}\n\n{settings}\n{_example(kind)}"


def _example(kind: FormatType[Any]) -> str:
    example = EXAMPLES[kind.name]
    body = body_of(kind.name)
    given = msgspec.json.encode(example.settings).decode()
    said = f" with `{given}`" if example.settings and kind.name != "template" else ""
    if kind.name == "template":
        said = f" with the template\n\n```\n{example.settings['template']}\n```\n\n"
    return (
        f"The event `{example.event.topic}` of `{example.event.device_key}`, for integration "
        f"{INTEGRATION},{said} as `{_content_type(kind)}`:\n\n{_fenced(body)}"
    )


def _content_type(kind: FormatType[Any]) -> str:
    settings = kind.settings.model_validate(dict(EXAMPLES[kind.name].settings))
    return str(kind.make(settings, INTEGRATION).content_type)


def _fenced(body: bytes) -> str:
    try:
        text = body.decode().rstrip("\n")
    except UnicodeDecodeError:
        text = body.hex(" ")
    if text.startswith("{") and "\n" not in text:
        text = msgspec.json.format(body, indent=2).decode()
    return f"```\n{text}\n```\n"
