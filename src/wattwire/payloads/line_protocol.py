"""# Format `line_protocol`

InfluxDB's line protocol: one point per line. `tags` and `fields` say what goes where; `lines` makes
several points of one event, such as one for each phase, and leaves out those without a field.
Numbers are always written as floats, since the first type of a field is pinned; empty tags and
values that are no numbers are left out. An event that leaves no line becomes a dead letter.

The preset `powermonitor_500` writes the measurement `powermonitor_500` with the tags `site`,
`asset`, `phase`, `breaker` and the fields `kWh`, `kW`, `kVAR`, `kVA`, `voltage`, `current` and
`power_factor`: a line for each phase `A`, `B`, `C`, and one for the `total`. `site`, `asset` and
`breaker` are entries of the device's metadata.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Annotated, Any, Final, Literal, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from wattwire.model import Event, to_micros
from wattwire.payloads._facts import FACTS, Fact, text_of, values_of
from wattwire.payloads.contract import Format, FormatSettings, FormatType, RenderError

CONTENT_TYPE: Final = "text/plain; charset=utf-8"
MAX_STRING: Final = 64_000
#: Nanoseconds as microseconds times this, or microseconds divided by it.
_PRECISIONS: Final[Mapping[str, int]] = {"us": 1, "ms": 1000, "s": 1_000_000}

_MEASUREMENT: Final = ", "
_KEY: Final = ",= "
_ESCAPES: Final = {
    special: str.maketrans(
        {"\n": "\\n", "\r": "\\r", "\t": "\\t"} | {letter: "\\" + letter for letter in special}
    )
    for special in (_MEASUREMENT, _KEY)
}

_Key = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^_\x00-\x1f]")]
_Tags = Annotated[dict[_Key, Fact], Field(max_length=50)]
_Fields = Annotated[
    dict[_Key, Annotated[str, Field(min_length=1, max_length=200)]],
    Field(max_length=1000),
]


class Line(BaseModel):
    """One of several points of an event."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    tags: _Tags = Field(default={}, description="Tags beside those of all lines.")
    fields: _Fields = Field(min_length=1, description="Fields: their keys, each with its channel.")


class LineProtocolSettings(FormatSettings):
    """What goes where."""

    preset: Literal["powermonitor_500"] | None = Field(
        default=None, description="Settings that are shipped; what you give beside it wins."
    )
    measurement: _Key = Field(
        default="wattwire", description="The measurement.", examples=["powermonitor_500"]
    )
    tags: _Tags = Field(
        default={"device": "device.id", "stream": "stream"},
        description=f"Tags: their keys, each with where its value comes from: {FACTS}.",
        examples=['{"site": "metadata.site", "unit": "=north"}'],
    )
    fields: _Fields = Field(
        default={},
        description="Fields: their keys, each with its channel; by default every channel under its "
        "own name. Not beside `lines`.",
        examples=['{"kW": "realPower"}'],
    )
    lines: list[Line] = Field(
        default=[], max_length=100, description="Several points of one event."
    )
    precision: Literal["ns", "us", "ms", "s"] = Field(
        default="ns",
        description="Unit of the timestamps. Tell the receiver the same, as it cannot see it.",
    )

    @model_validator(mode="after")
    def _either(self) -> Self:
        if self.fields and self.lines:
            raise ValueError("fields and lines: give one of them")
        return self


def _phase(letter: str) -> Line:
    fields = {
        "voltage": f"voltage{letter}N", "current": f"current{letter}", "kW": f"realPower{letter}",
        "kVAR": f"reactivePower{letter}", "kVA": f"apparentPower{letter}",
        "power_factor": f"powerFactor{letter}",
    }  # fmt: skip
    return Line(tags={"phase": f"={letter}"}, fields=fields)


_TOTAL: Final = Line(
    tags={"phase": "=total"},
    fields={
        "kWh": "realEnergy", "kW": "realPower", "kVAR": "reactivePower", "kVA": "apparentPower",
        "voltage": "voltageAverage", "current": "currentAverage", "power_factor": "powerFactor",
    },
)  # fmt: skip

PRESETS: Final[Mapping[str, Mapping[str, Any]]] = MappingProxyType(
    {
        "powermonitor_500": {
            "measurement": "powermonitor_500",
            "tags": {
                "site": "metadata.site",
                "asset": "metadata.asset",
                "breaker": "metadata.breaker",
            },
            "lines": [*map(_phase, "ABC"), _TOTAL],
        }
    }
)


class _Point(NamedTuple):
    """How one line is written: what never changes is escaped already."""

    head: str  #: the measurement
    tags: tuple[tuple[str, str], ...]  #: (",key=", fact)
    fields: tuple[tuple[str, str], ...] | None  #: ("key=", channel); None: every channel


def _make(settings: LineProtocolSettings, _integration_id: int) -> Format:
    settings = _with_preset(settings)
    lines: Sequence[Line | None] = settings.lines or [None]
    points = [_point(settings, line) for line in lines]

    def render(event: Event) -> bytes:
        values = values_of(event)
        stamp = _timestamp(event, settings.precision)
        shown = []
        for head, tags, wanted in points:
            if fields := ",".join(_fields(wanted, values)):
                shown.append(f"{head}{_tags(event, tags)} {fields} {stamp}\n")
        if not shown:
            raise RenderError("the event has none of the fields")
        return "".join(shown).encode()

    named = {channel: 0.0 for point in points for _, channel in point.fields or ()}
    # The unit travels along: who writes to a database can see whether it is the one expected there.
    return Format(render, f"{CONTENT_TYPE}; precision={settings.precision}", named)


def _point(settings: LineProtocolSettings, line: Line | None) -> _Point:
    tags = settings.tags | line.tags if line else settings.tags
    fields = line.fields if line else settings.fields
    return _Point(
        _escaped(settings.measurement, _MEASUREMENT),
        tuple((f",{_escaped(key)}=", fact) for key, fact in sorted(tags.items())),
        tuple((f"{_escaped(k)}=", c) for k, c in fields.items()) if fields else None,
    )


def _with_preset(settings: LineProtocolSettings) -> LineProtocolSettings:
    if settings.preset is None:
        return settings
    given = {name: getattr(settings, name) for name in settings.model_fields_set}
    preset = dict(PRESETS[settings.preset])
    if given.get("fields"):
        preset.pop("lines")
    return LineProtocolSettings.model_construct(
        **{**LineProtocolSettings().model_dump(), **preset, **given}
    )


def _tags(event: Event, tags: Iterable[tuple[str, str]]) -> str:
    texts = ((key, text_of(event, fact)) for key, fact in tags)
    return "".join(f"{key}{_escaped(text)}" for key, text in texts if text)


def _fields(
    wanted: Iterable[tuple[str, str]] | None, values: Mapping[str, float | bool | str]
) -> Iterator[str]:
    if wanted is None:
        wanted = ((f"{_escaped(name)}=", name) for name in values if not name.startswith("_"))
    for key, channel in wanted:
        if channel in values:
            yield f"{key}{_value(values[channel])}"


def _value(value: float | bool | str) -> str:  # noqa: FBT001 - a value, not a flag
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        text = value[:MAX_STRING].replace("\\", "\\\\").replace('"', '\\"')
        return f'"{text}"'
    return repr(float(value))


def _escaped(text: str, special: str = _KEY) -> str:
    """Return a name or a tag's value; what cannot stand on a line is replaced.

    A backslash at the end would escape what follows it.
    """
    text = text.translate(_ESCAPES[special])
    return text[:-1] + "/" if text.endswith("\\") else text


def _timestamp(event: Event, precision: str) -> int:
    micros = to_micros(event.time)
    return micros * 1000 if precision == "ns" else micros // _PRECISIONS[precision]


FORMAT: Final = FormatType("line_protocol", __doc__, LineProtocolSettings, _make)
