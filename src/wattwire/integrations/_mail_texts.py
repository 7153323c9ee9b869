"""What mails say: the templates that come with the hub, and what templates see.

A template sees plain data: `event` (title, what, topic, severity, colour, device,
stream, site, time, values as pairs of label and text), `data` (the event's own), `id`, and in a
digest `events` (at most 200, the worst first), `more` (how many are left out), `title`, `counts`,
`first`, `last`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from wattwire.formats.templates import Rules, Template, TemplateError
from wattwire.integrations._http import printable
from wattwire.integrations._telling import Told, clock, digest_of, tell
from wattwire.model import Message

MOST_LISTED: Final = 200
_PLAIN: Final = Rules(longest_text=1_000_000)
LONGEST_SOURCE: Final = _PLAIN.longest_source
_RULES: Final = {"subject": _PLAIN, "text": _PLAIN, "html": replace(_PLAIN, html=True)}
_LONGEST_SUBJECT: Final = 200
_LONGEST_UNCUT: Final = 4000  #: of a subject, before it is made one line

SUBJECT: Final = "{{ event.emoji }} {{ event.title }}"
TEXT: Final = """\
{{ event.title }}

Severity: {{ event.severity }}
{% if event.device %}
Device: {{ event.device }}
{% endif %}
{% if event.site %}
Site: {{ event.site }}
{% endif %}
{% if event.stream %}
Stream: {{ event.stream }}
{% endif %}
Time: {{ event.time }}
{% for label, value in event["values"] %}
{{ label }}: {{ value }}
{% endfor %}

-- {{ "" }}
{{ event.topic }}, message {{ id }}
"""
_PAGE: Final = (
    '<!DOCTYPE html><html><head><meta charset="utf-8"></head><body style="margin:0;padding:16px;'
    'font-family:sans-serif;color:#222">'
)
_CELL: Final = 'style="padding:4px 16px 4px 0;text-align:left;vertical-align:top"'
HTML: Final = f"""\
{_PAGE}
<h2 style="border-left:6px solid {{{{ event.colour }}}};padding-left:12px">\
{{{{ event.title }}}}</h2>
<table style="border-collapse:collapse">
<tr><th {_CELL}>Severity</th><td>{{{{ event.severity }}}}</td></tr>
{{% if event.device %}}
<tr><th {_CELL}>Device</th><td>{{{{ event.device }}}}</td></tr>
{{% endif %}}
{{% if event.site %}}
<tr><th {_CELL}>Site</th><td>{{{{ event.site }}}}</td></tr>
{{% endif %}}
{{% if event.stream %}}
<tr><th {_CELL}>Stream</th><td>{{{{ event.stream }}}}</td></tr>
{{% endif %}}
<tr><th {_CELL}>Time</th><td>{{{{ event.time }}}}</td></tr>
{{% for label, value in event["values"] %}}
<tr><th {_CELL}>{{{{ label }}}}</th><td>{{{{ value }}}}</td></tr>
{{% endfor %}}
</table>
<p style="color:#777;font-size:12px">{{{{ event.topic }}}}, message {{{{ id }}}}</p>
</body></html>
"""
DIGEST_SUBJECT: Final = "{{ event.emoji }} {{ title }}"
DIGEST_TEXT: Final = """\
{{ title }}
{{ first }} to {{ last }}

{% for what, count in counts %}
{{ count }} x {{ what }}
{% endfor %}

{% for one in events %}
{{ one.time }}  {{ one.severity }}  {{ one.line }}
{% endfor %}
{% if more %}

... and {{ more }} more.
{% endif %}
"""
DIGEST_HTML: Final = f"""\
{_PAGE}
<h2 style="border-left:6px solid {{{{ event.colour }}}};padding-left:12px">{{{{ title }}}}</h2>
<p>{{{{ first }}}} to {{{{ last }}}}</p>
<p>{{% for what, count in counts %}}{{{{ count }}}} x {{{{ what }}}}<br>{{% endfor %}}</p>
<table style="border-collapse:collapse">
{{% for one in events %}}
<tr><td {_CELL}>{{{{ one.time }}}}</td>\
<td style="padding:4px 16px 4px 0;color:{{{{ one.colour }}}}">{{{{ one.severity }}}}</td>\
<td {_CELL}>{{{{ one.line }}}}</td></tr>
{{% endfor %}}
</table>
{{% if more %}}
<p>… and {{{{ more }}}} more.</p>
{{% endif %}}
</body></html>
"""


class Templates(BaseModel):
    """The three texts of a mail."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    subject: str = Field(
        default=SUBJECT, max_length=500, description="Template of the subject, one line."
    )
    text: str = Field(
        default=TEXT, max_length=LONGEST_SOURCE, description="Template of the plain text."
    )
    html: str = Field(
        default=HTML, max_length=LONGEST_SOURCE, description="Template of the HTML; escapes."
    )

    @field_validator("subject", "text", "html")
    @classmethod
    def _can_be_read(cls, source: str, info: ValidationInfo) -> str:
        Template(source, _RULES[str(info.field_name)])
        return source


class DigestTemplates(Templates):
    """The three texts of a mail about many events."""

    subject: str = Field(
        default=DIGEST_SUBJECT, max_length=500, description="Template of a digest's subject."
    )
    text: str = Field(
        default=DIGEST_TEXT,
        max_length=LONGEST_SOURCE,
        description="Template of a digest's plain text.",
    )
    html: str = Field(
        default=DIGEST_HTML, max_length=LONGEST_SOURCE, description="Template of a digest's HTML."
    )


@dataclass(frozen=True, slots=True)
class Written:
    """A mail's texts, and what its headers need to know."""

    subject: str  #: one line
    text: str
    html: str
    told: Sequence[Told]  #: the worst first


class Writer:
    """Templates, read once. Raises TemplateError for one that cannot be read."""

    def __init__(self, templates: Templates) -> None:
        self._templates = {
            name: Template(getattr(templates, name), rules) for name, rules in _RULES.items()
        }

    def write(self, batch: Sequence[Message]) -> Written:
        """Return the mail about at least one message.

        Raises TemplateError that has the name of the text which failed, and the line.
        """
        data, told = _about_one(batch[0]) if len(batch) == 1 else _about_many(batch)
        return Written(
            subject=printable(self._text("subject", data, _LONGEST_UNCUT), _LONGEST_SUBJECT),
            text=self._text("text", data),
            html=self._text("html", data),
            told=told,
        )

    def _text(self, name: str, data: Mapping[str, Any], longest: int | None = None) -> str:
        try:
            return self._templates[name].render(data, longest)
        except TemplateError as error:
            raise TemplateError(error.reason, error.line, name) from None


def _about_one(message: Message) -> tuple[Mapping[str, Any], Sequence[Told]]:
    told = tell(message)
    data = message.event.data if message.event else {}
    return {"event": _shown(told), "data": data, "id": message.id}, [told]


def _about_many(batch: Sequence[Message]) -> tuple[Mapping[str, Any], Sequence[Told]]:
    digest = digest_of(batch)
    data = {
        "event": _shown(digest.told[0]),
        "events": [_shown(one) for one in digest.told[:MOST_LISTED]],
        "more": max(0, len(digest.told) - MOST_LISTED),
        "title": digest.title,
        "counts": digest.counts,
        "first": clock(digest.first),
        "last": clock(digest.last),
    }
    return data, digest.told


def _shown(told: Told) -> Mapping[str, Any]:
    return {
        "title": told.title,
        "line": told.line,
        "what": told.what,
        "topic": told.topic,
        "severity": told.severity.word,
        "colour": told.severity.colour,
        "emoji": told.severity.emoji,
        "device": told.device,
        "stream": told.stream,
        "site": told.site,
        "time": clock(told.time),
        "values": told.values,
    }
