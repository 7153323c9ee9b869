r"""InfluxDB line protocol, both ways.

    measurement[,tag=value…] field=value[,field=value…] [timestamp]

A backslash keeps comma and space (in a measurement), comma, equals sign and space (in a tag or a
field key), quote and backslash (in a quoted text) from being read as syntax; two backslashes are
one; before anything else it is itself. Lines that are empty or begin with `#` are comments.
https://docs.influxdata.com/influxdb/v2/reference/syntax/line-protocol/

A point becomes a reading of the device that the tag `device` names (or the first of the tags given
that is there; else the measurement is the device's key). Its stream is `/measurement`, followed by
`/value` of each other tag in the order of the tags' names; `/` and `%` inside them become `%2F` and
`%25`. Fields become channels: numbers, true and false as 1 and 0, texts as status.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from math import isfinite
from typing import Final, NamedTuple

from wattwire.formats.columns import Value, reading_of
from wattwire.formats.refusals import check_size, refused, shown
from wattwire.formats.remembering import Memory
from wattwire.formats.times import checked
from wattwire.model import Reading, RefusedError

MAX_BODY_BYTES: Final = 16 * 1024 * 1024
MAX_LINES: Final = 100_000
MAX_TEXT_BYTES: Final = 65_536
MAX_TAGS: Final = 255
MAX_SHOWN: Final = 100
INT64: Final = range(-(2**63), 2**63)
UINT64: Final = range(2**64)
#: How many of a precision's units make a microsecond, or microseconds one unit.
PRECISIONS: Final = {"ns": (1, 1000), "us": (1, 1), "ms": (1000, 1), "s": (1_000_000, 1)}
DEVICE_TAGS: Final = ("device",)

_BOOLS: Final = dict.fromkeys(("t", "T", "true", "True", "TRUE"), True) | dict.fromkeys(
    ("f", "F", "false", "False", "FALSE"), False
)
# Every repetition below is possessive or has alternatives that begin differently: no backtracking.
_PLAIN: Final = re.compile(r"([^\\\" ]++) ++([^\\\" ]++)(?: ++([^ ]++))? *+")
_LINE: Final = re.compile(
    r"""((?:[^\\ ]++|\\.|\\$)++)[ ]++"""  # measurement and tags
    r"""((?:(?:[^\\= ]++|\\.)++=(?:"(?:[^"\\]++|\\.)*+"|[^", ]*+),?+)++)"""  # fields
    r"""(?:[ ]++([^ ]++))?[ ]*+""",  # timestamp
    re.DOTALL,
)
_PART: Final = re.compile(r"(?:[^\\,]++|\\.|\\$)++", re.DOTALL)
_PAIR: Final = re.compile(r"((?:[^\\,= ]++|\\.|\\$)++)=((?:[^\\,= ]++|\\.|\\$)++)", re.DOTALL)
_FIELD: Final = re.compile(
    r"""((?:[^\\,= ]++|\\.|\\$)++)=("(?:[^"\\]++|\\.)*+"|[^", ]++)(?:,(?!$)|$)""", re.DOTALL
)
_NUMBER: Final = re.compile(r"[+-]?(?:[0-9]++\.?[0-9]*+|\.[0-9]++)(?:[eE][+-]?[0-9]++)?+")
_INTEGER: Final = re.compile(r"-?[0-9]{1,20}")
_ESCAPED_NAME: Final = re.compile(r"\\([,= \\])")
_ESCAPED_TEXT: Final = re.compile(r"\\([\"\\])")
_TO_ESCAPE: Final = re.compile(r"([,= ])|(\\)(?=[,= \\]|$)")
_BREAKS: Final = str.maketrans({"\n": "\\n", "\r": "\\r", "\t": "\\t"})

_SERIES: Final[Memory[tuple[str, Sequence[str]], tuple[str, str]]] = Memory(32 * 1024 * 1024)


class Line(NamedTuple):
    """One line and what became of it."""

    number: int  #: counted from 1, comments included
    raw: bytes
    result: Reading | RefusedError


def decode(
    body: bytes, now: int, *, precision: str = "ns", device_tags: tuple[str, ...] = DEVICE_TAGS
) -> list[Line]:
    """Return each line with its reading or the reason against it; comments are left out.

    `precision` (ns, us, ms or s) is the unit of the timestamps; nanoseconds are cut to whole
    microseconds. `now`, in microseconds, is the time of lines without one. Raises RefusedError when
    the body as a whole is not taken: too large, more than 100,000 lines, an unknown precision.
    """
    if precision not in PRECISIONS:
        raise refused(f"the precision must be ns, us, ms or s: {shown(precision)}", "precision")
    check_size(body, MAX_BODY_BYTES)
    if body.count(b"\n") >= MAX_LINES:
        raise refused(f"a body has at most {MAX_LINES} lines")
    return [
        Line(number, raw, _verdict(raw, number, now, precision, device_tags))
        for number, raw in _lines(body)
    ]


def encode(
    measurement: str,
    tags: Mapping[str, str],
    fields: Mapping[str, float | str | None],
    time: int | None = None,
) -> str:
    """Return one point as a line without its end, or '' when no field has a value.

    `time` is in the precision that the caller tells the server. Numbers are written as floats, so
    that a field keeps one type; what is None or not finite is left out, and so is an empty tag.
    """
    pairs = [f"{_escaped(k)}={text}" for k, v in fields.items() if (text := _field_text(v))]
    if not pairs:
        return ""
    ordered = [f",{_escaped(k)}={_escaped(v)}" for k, v in sorted(tags.items()) if v]
    name = _escaped(measurement).replace("\\=", "=")
    return f"{name}{''.join(ordered)} {','.join(pairs)}" + ("" if time is None else f" {time}")


def _lines(body: bytes) -> Iterator[tuple[int, bytes]]:
    for number, raw in enumerate(body.split(b"\n"), 1):
        line = raw.strip(b" \t\r")
        if line and not line.startswith(b"#"):
            yield number, line


def _verdict(
    raw: bytes, number: int, now: int, precision: str, device_tags: tuple[str, ...]
) -> Reading | RefusedError:
    try:
        return _reading(raw.decode(), now, precision, device_tags)
    except UnicodeDecodeError:
        return refused("the text is not UTF-8", f"line {number}")
    except RefusedError as error:
        return refused(error.reason, f"line {number} {error.where}".rstrip())


def _reading(line: str, now: int, precision: str, device_tags: tuple[str, ...]) -> Reading:
    match = _PLAIN.fullmatch(line) or _LINE.fullmatch(line)
    if match is None:
        raise refused(f"not of the form 'measurement,tags fields timestamp': {shown(line)}")
    head, fields, stamp = match.groups()
    key = (head, device_tags)
    series = _SERIES.get(key)
    if series is None:
        series = _series(head, device_tags)
        _SERIES.put(key, series, 2 * len(head))
    names, values = _fields(fields)
    return reading_of(*series, names, values, now if stamp is None else _time(stamp, precision))


def _time(stamp: str, precision: str) -> int:
    if not _INTEGER.fullmatch(stamp) or int(stamp) not in INT64:
        raise refused(f"a timestamp is a 64-bit whole number: {shown(stamp)}", "timestamp")
    times, parts = PRECISIONS[precision]
    return checked(int(stamp) * times // parts, "timestamp", stamp)


def _series(head: str, device_tags: tuple[str, ...]) -> tuple[str, str]:
    """Return the device's key and the stream that a measurement with its tags stands for."""
    parts = _PART.findall(head)
    if ",".join(parts) != head:
        raise refused(f"a comma too many: {shown(head)}", "tags")
    measurement = _name(parts[0], "measurement")
    tags: dict[str, str] = {}
    for part in parts[1:]:
        match = _PAIR.fullmatch(part)
        if match is None:
            raise refused(f"a tag is name=value: {shown(part)}", "tags")
        name = _name(match[1], "tags")
        if name in tags:
            raise refused(f"the tag {shown(name)} is there twice", "tags")
        tags[name] = _unescaped(match[2])
    if len(tags) > MAX_TAGS:
        raise refused(f"a point has at most {MAX_TAGS} tags, not {len(tags)}", "tags")
    named = next((tag for tag in device_tags if tag in tags), None)
    device = measurement if named is None else tags.pop(named)
    return device, "".join(map(_level, (measurement, *(tags[name] for name in sorted(tags)))))


def _level(text: str) -> str:
    return "/" + text.replace("%", "%25").replace("/", "%2F")


def _name(escaped: str, where: str) -> str:
    name = _unescaped(escaped)
    if name.startswith("_"):
        raise refused(f"names that begin with an underscore are reserved: {shown(name)}", where)
    if name == "time" and where != "measurement":
        raise refused("a tag or a field must not be called time", where)
    return name


def _unescaped(text: str) -> str:
    return _ESCAPED_NAME.sub(r"\1", text) if "\\" in text else text


def _fields(text: str) -> tuple[tuple[str, ...], list[Value]]:
    names, values, end = [], [], 0
    while end < len(text):
        match = _FIELD.match(text, end)  # only here: a search would try every place behind it
        if match is None:
            raise refused(f"a field is name=value: {shown(text[end : end + MAX_SHOWN])}", "fields")
        end = match.end()
        names.append(_name(match[1], "fields"))
        values.append(_value(match[2]))
    return tuple(names), values


def _value(text: str) -> Value:
    if text[0] == '"':
        if len(text) > MAX_TEXT_BYTES:
            raise refused(f"a text has at most {MAX_TEXT_BYTES} bytes", "fields")
        return _ESCAPED_TEXT.sub(r"\1", text[1:-1]) if "\\" in text else text[1:-1]
    if _NUMBER.fullmatch(text):
        return _finite(text)
    if text[-1] in "iu" and _INTEGER.fullmatch(text, 0, len(text) - 1):
        number = int(text[:-1])
        if number in (INT64 if text[-1] == "i" else UINT64):
            return float(number)
        raise refused(f"the whole number does not fit into 64 bits: {shown(text)}", "fields")
    if text in _BOOLS:
        return _BOOLS[text]
    raise refused(f"neither number, text, true nor false: {shown(text)}", "fields")


def _finite(text: str) -> float:
    number = float(text)
    if isfinite(number):
        return number
    raise refused(f"the number is out of range: {shown(text)}", "fields")


def _escaped(name: str) -> str:
    """Escape what is syntax, and a backslash where it would be read as an escape."""
    return _TO_ESCAPE.sub(r"\\\1\2", name.translate(_BREAKS))


def _field_text(value: float | str | None) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        text = value.translate(_BREAKS)
        return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(float(value)) if isfinite(value) else ""
