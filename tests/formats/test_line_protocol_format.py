"""InfluxDB line protocol: the grammar with its escapes, verdicts per line, and the way back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wattwire.formats import line_protocol
from wattwire.formats.line_protocol import decode, encode
from wattwire.model import Channel, ChannelKind, Reading, RefusedError

NOW = 1_700_000_000_000_000


def only(text, **options):
    (line,) = decode(text if isinstance(text, bytes) else text.encode(), NOW, **options)
    return line.result


def parts(text, **options):
    reading = only(text, **options)
    assert isinstance(reading, Reading), reading
    names = [channel.name for channel in reading.shape.channels]
    return reading.shape.device, reading.shape.stream, dict(zip(names, reading.values, strict=True))


def test_the_parts_of_a_line():
    """Device from its tag, stream from measurement and the other tags, fields, timestamp."""
    reading = only(
        "powermonitor_500,site=s1,phase=A,device=pm-7 kWh=5,voltage=480.2 1700000000123456789"
    )
    assert reading.shape.device == "pm-7"
    assert reading.shape.stream == "/powermonitor_500/A/s1"  # by the names phase, site
    assert reading.shape.channels == (Channel("kWh"), Channel("voltage"))
    assert reading.values == [5.0, 480.2]
    assert reading.time == 1_700_000_000_123_456


def test_the_order_of_tags_does_not_matter():
    """The same point with its tags in another order is the same stream."""
    assert only("m,b=2,a=1 x=1").shape is only("m,a=1,b=2 x=1").shape


@pytest.mark.parametrize(
    ("text", "device", "stream"),
    [
        ("m x=1", "m", "/m"),
        ("m,host=h x=1", "m", "/m/h"),
        ("m,device=d x=1", "d", "/m"),
        (r"a\ b\,c,device=d\ 1 x=1", "d 1", "/a b,c"),
        (r"m,t\=k=a\,b\ c x=1", "m", "/m/a,b c"),
        (r"m,t=a/b x=1", "m", "/m/a%2Fb"),
        (r"m,t=50% x=1", "m", "/m/50%25"),
        (r"m,t=C:\dir x=1", "m", r"/m/C:\dir"),
        (r"m,t=a\\b x=1", "m", "/m/a\\b"),
        ('m"x,t="q" x=1', 'm"x', '/m"x/"q"'),
        (r"m,device=a\\ x=1", "a\\", "/m"),
        ("m=1 x=1", "m=1", "/m=1"),
        ("größe,ort=köln x=1", "größe", "/größe/köln"),
    ],
)
def test_names_and_their_escapes(text, device, stream):
    """Comma, equals sign, space and backslash, each where it must be escaped and where not."""
    assert parts(text)[:2] == (device, stream)


def test_the_device_may_be_named_by_other_tags():
    """The first tag of the list that is there names the device; all others stay in the stream."""
    tags = ("meter", "host")
    assert parts("m,host=h,meter=x f=1", device_tags=tags)[:2] == ("x", "/m/h")
    assert parts("m,host=h,device=d f=1", device_tags=tags)[:2] == ("h", "/m/d")
    assert parts("m,host=h,device=d f=1")[:2] == ("d", "/m/h")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1.0),
        ("1.0", 1.0),
        ("-1.2e+78", -1.2e78),
        ("+1.5", 1.5),
        (".5", 0.5),
        ("1.", 1.0),
        ("1E3", 1000.0),
        ("1i", 1.0),
        ("-9223372036854775808i", -(2.0**63)),
        ("18446744073709551615u", 2.0**64),
        ("0u", 0.0),
        *[(t, 1.0) for t in ("t", "T", "true", "True", "TRUE")],
        *[(f, 0.0) for f in ("f", "F", "false", "False", "FALSE")],
    ],
)
def test_numbers_and_booleans(text, value):
    """Every way to write one becomes a number."""
    assert parts(f"m x={text}")[2] == {"x": value}


@pytest.mark.parametrize(
    ("quoted", "text"),
    [
        ('"on"', "on"),
        ('""', ""),
        (r'"say \"hi\""', 'say "hi"'),
        (r'"a\\"', "a\\"),
        ('"a, b=c d"', "a, b=c d"),
        (r'"C:\dir"', r"C:\dir"),
        ('"#"', "#"),
        ('"1,y=\\"2"', '1,y="2'),
    ],
)
def test_texts(quoted, text):
    """A quoted text is a status channel; commas, spaces and equals signs inside it are its own."""
    reading = only(f"m s={quoted},x=1 1700000000000000000")
    assert reading.texts == (text, None)
    assert reading.values == [None, 1.0]
    assert [channel.kind for channel in reading.shape.channels] == [
        ChannelKind.STATUS,
        ChannelKind.INSTANTANEOUS,
    ]


@pytest.mark.parametrize(
    ("precision", "stamp", "time"),
    [
        ("ns", "1700000000123456999", 1_700_000_000_123_456),
        ("us", "1700000000123456", 1_700_000_000_123_456),
        ("ms", "1700000000123", 1_700_000_000_123_000),
        ("s", "1700000000", NOW),
    ],
)
def test_precisions(precision, stamp, time):
    """The timestamp's unit is what the request says; without one it is the moment of receipt."""
    assert only(f"m x=1 {stamp}", precision=precision).time == time
    assert only("m x=1", precision=precision).time == NOW


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("m", "not of the form"),
        ("m x=1 1 2", "not of the form"),
        ('m x="open', "not of the form"),
        ("m x", "a field is name=value: 'x'"),
        ("m x=", "a field is name=value"),
        ("m x=1,", "a field is name=value: 'x=1,'"),
        ("m ,x=1", "a field is name=value"),
        ("m =1", "a field is name=value"),
        ('m x="a""b"', "not of the form"),
        ("m,a= x=1", "a tag is name=value: 'a='"),
        ("m,a x=1", "a tag is name=value: 'a'"),
        ("m,,a=b x=1", "a comma too many"),
        (",a=b x=1", "a comma too many"),
        ("m, x=1", "a comma too many"),
        ("m,a=1,a=2 x=1", "the tag 'a' is there twice"),
        ("m x=1,x=2", "the channel 'x' is named twice"),
        ("_m x=1", "reserved: '_m'"),
        ("m _x=1", "reserved: '_x'"),
        ("m time=1", "called time"),
        ("m,time=1 x=1", "called time"),
        ("m x=nan", "neither number, text, true nor false: 'nan'"),
        ("m x=inf", "neither number"),
        ("m x=1_000", "neither number"),
        ("m x='a'", "neither number"),
        ("m x=1e400", "out of range"),
        ("m x=9223372036854775808i", "64 bits"),
        ("m x=-1u", "64 bits"),
        ("m x=1.5i", "neither number"),
        ("m x=tRUE", "neither number"),
        ("m x=1 1.5", "a timestamp is a 64-bit whole number: '1.5'"),
        ("m x=1 9223372036854775808", "a timestamp is a 64-bit"),
        ("m x=1 -1", "between 1970 and 9999"),
        ("m x=٣", "neither number"),
        ("m,device=" + "d" * 256 + " x=1", "a device key has 1 to 255"),
        ("m,t=" + "d" * 256 + " x=1", "a stream is a path"),
        ('m x="' + "a" * 70_000 + '"', "65536 bytes"),
        ("m x=1\x00", "neither number"),
        ("m\x01 x=1", "none of control"),
    ],
)
def test_lines_that_are_refused(text, reason):
    """Each rule of the grammar and of the store, with the offending text in the reason."""
    error = only(text)
    assert isinstance(error, RefusedError), error
    assert reason in error.reason
    assert error.where.startswith("line 1")
    assert len(error.reason) <= 300


def test_each_line_has_its_own_verdict():
    """Good lines are taken beside bad ones; numbers count every line, and raw is kept."""
    body = b"# comment\n\nm x=1\r\nm x\nm \xff=1\n  m x=3  \n"
    lines = decode(body, NOW)
    assert [(line.number, line.raw) for line in lines] == [
        (3, b"m x=1"),
        (4, b"m x"),
        (5, b"m \xff=1"),
        (6, b"m x=3"),
    ]
    assert [isinstance(line.result, Reading) for line in lines] == [True, False, False, True]
    assert [line.result.where for line in lines[1:3]] == ["line 4 fields", "line 5"]
    assert lines[2].result.reason == "the text is not UTF-8"


def test_bodies_that_are_refused():
    """Too large, too many lines, an unknown precision: the whole body, before anything is read."""
    for body, options in (
        (b"#" * (16 * 1024 * 1024 + 1), {}),
        (b"\n" * 100_000, {}),
        (b"m x=1", {"precision": "h"}),
    ):
        with pytest.raises(RefusedError):
            decode(body, NOW, **options)


def test_encode_writes_what_influx_reads():
    """Floats always as floats, tags in order, what has no value left out, syntax escaped."""
    line = encode(
        "power monitor,1",
        {"site": "a b", "phase": "A", "empty": "", "k=1": "x,y"},
        {"kWh": 5, "v 1": 480.2, "on": True, "s": 'q"\\', "none": None, "nan": float("nan")},
        1_700_000_000,
    )
    assert line == (
        r"power\ monitor\,1,k\=1=x\,y,phase=A,site=a\ b "
        r'kWh=5.0,v\ 1=480.2,on=true,s="q\"\\" 1700000000'
    )
    assert encode("m", {}, {"x": None, "y": float("inf")}) == ""
    assert encode("a=b", {"t": "x\\"}, {"f": "a\nb"}) == 'a=b,t=x\\\\ f="a\\\\nb"'


NAMES = st.text(st.sampled_from("ab,= \\\"'é/%#"), min_size=1, max_size=8).filter(
    lambda name: name != "time" and not name.startswith("#")
)


@given(
    NAMES,
    st.dictionaries(NAMES, NAMES, max_size=3),
    st.dictionaries(
        NAMES, st.floats(allow_nan=False, allow_infinity=False) | NAMES, min_size=1, max_size=4
    ),
)
def test_what_encode_writes_decode_reads(measurement, tags, fields):
    """Any names, with every character that is syntax, survive the way out and back in."""
    line = encode(measurement, tags, fields, 5)
    reading = only(line, precision="s", device_tags=())
    assert isinstance(reading, Reading), reading
    channels = reading.shape.channels
    got = {
        channel.name: reading.texts[i] if channel.kind is ChannelKind.STATUS else reading.values[i]
        for i, channel in enumerate(channels)
    }
    assert reading.shape.device == measurement
    assert got == fields


def test_a_line_of_a_mebibyte_is_read_in_proportion():
    """Long lines of every wicked kind come to an end; quadratic time would hit the timeout."""
    n = 500_000
    for body in (
        b"m " + b"x=1," * (n // 4) + b"y=1",
        b'm x="' + b'\\"' * n,
        b"m x=" + b"\\" * n,
        b"m," + b"a=b," * (n // 4) + b" x=1",
        b"\\," * n + b" x=1",
        b"m x=1" + b" " * n + b"1 1",
        b"a " * n,
        b'"' * n,
        b"m " + b'"",' * n,
        b"=" * n,
        b"m " + b"," * n,
        b"," * n + b" x=1",
        b"m " + b"\\=" * n,
    ):
        lines = decode(body, NOW)
        assert all(isinstance(line.result, RefusedError) for line in lines)


def test_the_remembered_series_are_bounded():
    """Never-ending new series do not fill the memory."""
    line_protocol.decode(b"\n".join(b"m,t=%d x=1" % i for i in range(90_000)), NOW)
    assert len(line_protocol._SERIES) < 300_000
