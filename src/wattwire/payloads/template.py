"""# Format `template`

Whatever you write, as a Jinja template. It knows `topic`, `time` (text, UTC), `timestamp` and
`timestamp_ms` (since the epoch), `severity`, `stream`, `device` (`id`, its key; `number`, `name`,
`type`, `metadata`), `data`, `values` (of a reading, else what the data has of numbers and texts),
`event_id`, `organization_id` and `integration_id`. Texts are written as they are: in JSON, write
`{{ device.name | tojson }}`. What does not exist is an error, unless `default` or `is defined`
says what then; such an event becomes a dead letter that names the line. The message of *Test* has
`data.message` and `data.test`, and no values.

There are `if`, `for` (not `recursive`), `set`, `with`, `range` (up to 1,000) and `namespace`; of
tables the methods `items`, `keys`, `values`, `get`, of texts `upper`, `lower`, `strip`,
`startswith`, `endswith`, `split`; no macros, includes or blocks. A rendering may take 100,000 steps
and write 256 KiB. The filters are
"""

from typing import Any, Final

from pydantic import Field, field_validator

from wattwire.formats.template_filters import FILTERS
from wattwire.formats.templates import Rules, Template, TemplateError
from wattwire.model import Event
from wattwire.payloads._facts import millis, utc_text, values_of
from wattwire.payloads.contract import Format, FormatSettings, FormatType, RenderError

MAX_TEMPLATE: Final = 64 * 1024
_RULES: Final = Rules(code=True, longest_source=MAX_TEMPLATE)


class TemplateSettings(FormatSettings):
    """The template, and what it makes."""

    template: str = Field(
        min_length=1,
        max_length=MAX_TEMPLATE,
        description="The template.",
        examples=['{"meter": "{{ device.id }}", "at": {{ timestamp }}}'],
    )
    content_type: str = Field(
        default="application/json",
        max_length=200,
        pattern=r"^[\w.+-]+/[\w.+-]+(; ?[\w-]+=[\w.+-]+)*$",
        description="The content type of what the template makes.",
        examples=["text/csv; charset=utf-8"],
    )

    @field_validator("template")
    @classmethod
    def _readable(cls, template: str) -> str:
        if len(template.encode("utf-8", "replace")) > MAX_TEMPLATE:
            raise ValueError(f"is larger than {MAX_TEMPLATE:,} bytes")
        Template(template, _RULES)
        return template


def _make(settings: TemplateSettings, integration_id: int) -> Format:
    template = Template(settings.template, _RULES)

    def render(event: Event) -> bytes:
        try:
            return template.render(_known(event, integration_id)).encode()
        except TemplateError as error:
            raise RenderError(error.reason, error.line) from None
        except UnicodeEncodeError:
            raise RenderError("the text has half a character (a lone surrogate)") from None

    return Format(render, settings.content_type)


def _known(event: Event, integration_id: int) -> dict[str, Any]:
    timestamp_ms = millis(event.time)
    return {
        "topic": event.topic,
        "time": utc_text(event.time),
        "timestamp": timestamp_ms // 1000,
        "timestamp_ms": timestamp_ms,
        "severity": event.severity,
        "stream": event.stream,
        "device": {
            "id": event.device_key,
            "number": event.device_id,
            "name": event.device_name,
            "type": event.device_type,
            "metadata": dict(event.metadata),
        },
        "data": dict(event.data),
        "values": values_of(event),
        "event_id": str(event.id),
        "organization_id": str(event.organization_id),
        "integration_id": integration_id,
    }


_DOCS: Final = f"{__doc__.rstrip()} {', '.join(f'`{name}`' for name in sorted(FILTERS))}.\n"
FORMAT: Final = FormatType("template", _DOCS, TemplateSettings, _make)
