"""Any bytes give readings or a reason, never another exception, never more than linear work."""

import json
import sys
from datetime import date
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wattwire.formats import (
    json_readings,
    line_protocol,
    log_batch,
    smart_meter,
    sparkplug_b,
    sparkplug_json,
    telemetry,
)
from wattwire.formats.days import day_intervals
from wattwire.formats.shapes import MAX_CHANNELS, MAX_NAME
from wattwire.formats.sparkplug_b import Payload, encode_payload, metric_of
from wattwire.formats.sparkplug_state import SparkplugHost
from wattwire.formats.sparkplug_values import DataType as T
from wattwire.formats.times import LAST
from wattwire.model import Decoded, Reading, RefusedError

NOW = 1_713_897_600_000_000
UTC = ZoneInfo("UTC")
DAY = date(2022, 3, 1)
DATA_TOPIC = "spBv1.0/g/DDATA/e/d"

BIRTH = encode_payload(
    Payload(
        [
            metric_of(
                T.DOUBLE,
                1.0,
                name="power",
                alias=1,
                timestamp=NOW // 1000,
                properties={"unit": "W"},
            ),
            metric_of(T.STRING, "on", name="mode", alias=2),
            metric_of(T.INT8_ARRAY, [1, 2], name="v", alias=3),
            metric_of(T.INT64, 3, name="bdSeq"),
        ],
        NOW // 1000,
        1,
    )
)


def smart_meter_decode(payload):
    return smart_meter.decode(payload, lambda _: UTC)


def telemetry_decode(payload):
    return telemetry.decode("netneural/o/devices/d/telemetry", payload, NOW, "o")


def status_decode(payload):
    return telemetry.decode("netneural/o/devices/d/status", payload, NOW, "o")


def sparkplug_json_decode(payload):
    return sparkplug_json.decode(DATA_TOPIC, payload, NOW)


def sparkplug_births(payload):
    """A host takes the bytes as every type of message, one after the other."""
    host = SparkplugHost()
    steps = []
    for message_type in (
        "NBIRTH",
        "DBIRTH",
        "DDATA",
        "NDATA",
        "DDEATH",
        "NDEATH",
        "NCMD",
        "DBIRTH",
    ):
        topic = f"spBv1.0/g/{message_type}/e" + ("/d" if message_type[0] == "D" else "")
        steps.append(host.take(topic, payload, NOW))
    steps.append(host.due(NOW + 10**9))
    return steps


def sparkplug_data(payload):
    """A host that knows the device takes the bytes as its data."""
    host = SparkplugHost()
    host.take("spBv1.0/g/NBIRTH/e", BIRTH, NOW)
    assert host.take("spBv1.0/g/DBIRTH/e/d", BIRTH, NOW).refused is None
    return [host.take(DATA_TOPIC, payload, NOW)]


def json_readings_decode(payload):
    return json_readings.decode(payload, NOW)


def line_protocol_decode(payload):
    return line_protocol.decode(payload, NOW)


VALID = {
    smart_meter_decode: smart_meter.encode(
        "m-1", DAY, 60, [(s, 0.5) for s in day_intervals(DAY, 60, UTC)]
    ),
    telemetry_decode: (
        b'{"timestamp":"2025-10-26T12:00:00Z","stream":"/p","values":{"a_w":1.5,"b":"x","c":null}}'
    ),
    status_decode: b'{"status":"online","timestamp":1713897600000,"detail":"x"}',
    sparkplug_json_decode: (
        b'{"metrics":[{"name":"a","alias":"b","value":1.5,'
        b'"properties":{"unit":"V"},"timestamp":5}],"timestamp":1713897600000,'
        b'"seq":1024,"uuid":"u"}'
    ),
    sparkplug_births: BIRTH,
    sparkplug_data: BIRTH,
    sparkplug_b.decode_payload: BIRTH,
    json_readings_decode: (
        b'{"readings":[{"device":"d","stream":"/s",'
        b'"time":"2025-06-01T12:00:00Z","values":{"a":1},'
        b'"kinds":{"a":"interval"},"units":{"a":"Wh"},"quality":192}]}'
    ),
    line_protocol_decode: (
        b'm\\ x,device=d,t=a\\,b f=1.5,i=2i,s="a \\"q\\"",b=true 1700000000000000000\n# c\nm f=1\n'
    ),
}
DECODERS = pytest.mark.parametrize("decoder", VALID, ids=lambda decoder: decoder.__name__)
QUICK = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def check(decoder, payload):
    """Decode, and check that whatever comes out is something that the store can hold."""
    try:
        result = decoder(payload)
    except RefusedError as error:
        check_refusal(error)
        return
    for item in result if isinstance(result, list) else [result]:
        check_item(item)


def check_item(item):
    if isinstance(item, RefusedError):
        check_refusal(item)
    elif isinstance(item, Reading):
        check_reading(item)
    elif isinstance(item, Decoded):
        for reading in item.readings:
            check_reading(reading)
        assert all(change.status in ("online", "offline") for change in item.statuses)
        assert all(isinstance(note, str) for note in item.notes)
    elif isinstance(item, line_protocol.Line):
        check_item(item.result)
    elif not isinstance(item, Payload):
        check_item(item.decoded)
        if item.refused is not None:
            check_refusal(item.refused)


def check_refusal(error):
    assert 0 < len(error.reason) <= 300
    assert len(error.where) <= 200
    assert (error.reason + error.where).isprintable()


def check_reading(reading):
    channels = reading.shape.channels
    assert 0 < len(channels) == len(reading.values) <= MAX_CHANNELS
    assert reading.texts is None or len(reading.texts) == len(channels)
    assert all(v is None or (type(v) is float and v - v == 0.0) for v in reading.values)
    assert 0 <= reading.time <= LAST
    assert 0 <= reading.quality <= 32767
    assert all(0 < len(channel.name) <= MAX_NAME for channel in channels)
    assert len({channel.name for channel in channels}) == len(channels)
    texts = [reading.shape.device, reading.shape.stream, *(c.name + c.unit for c in channels)]
    assert not any("\0" in (text or "") for text in [*texts, *(reading.texts or ())])


@DECODERS
def test_the_valid_example_is_taken(decoder):
    """The fuzzing below starts from messages that are understood."""
    result = decoder(VALID[decoder])
    items = result if isinstance(result, list) else [result]
    assert not any(isinstance(item, RefusedError) for item in items)


@DECODERS
@QUICK
@given(payload=st.binary(max_size=300))
def test_arbitrary_bytes(decoder, payload):
    """Bytes without any sense."""
    check(decoder, payload)


@DECODERS
@QUICK
@given(data=st.data())
def test_mutated_messages(decoder, data):
    """A valid message with bytes changed, dropped, doubled or inserted."""
    payload = bytearray(VALID[decoder])
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(payload)))
        match data.draw(st.sampled_from("cdirt")):
            case "c" if at < len(payload):
                payload[at] = data.draw(st.integers(0, 255))
            case "d":
                del payload[at : at + data.draw(st.integers(1, 20))]
            case "i":
                payload[at:at] = data.draw(st.binary(max_size=10))
            case "r":
                payload[at:at] = payload[at : at + data.draw(st.integers(1, 60))]
            case _:
                del payload[at:]
    check(decoder, bytes(payload))


SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from([10**400, -(10**30), 1e308]),
)
NAMES = st.sampled_from(
    [
        "deviceId",
        "dataFrequencyMins",
        "date",
        "electricReadings",
        "timestampUtcEpochSecs",
        "consumptionKwh",
        "timestamp",
        "stream",
        "values",
        "quality",
        "status",
        "detail",
        "metrics",
        "name",
        "value",
        "alias",
        "properties",
        "unit",
        "uuid",
        "seq",
        "readings",
        "device",
        "time",
        "kinds",
        "units",
        "a",
        "",
    ]
)
DOCUMENTS = st.recursive(
    SCALARS | st.sampled_from(["2022-03-01", 15, 1646092800, "/p", "accumulating", "online"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(NAMES | st.text(max_size=4), inner, max_size=6)
    ),
    max_leaves=20,
)


@pytest.mark.parametrize(
    "decoder",
    [
        smart_meter_decode,
        telemetry_decode,
        status_decode,
        sparkplug_json_decode,
        json_readings_decode,
    ],
)
@QUICK
@given(document=st.dictionaries(NAMES, DOCUMENTS, max_size=6))
def test_structured_json(decoder, document):
    """JSON with the formats' own words in all the wrong places."""
    check(decoder, json.dumps(document).encode())


@pytest.mark.parametrize(
    "decoder", [smart_meter_decode, telemetry_decode, sparkplug_json_decode, json_readings_decode]
)
@QUICK
@given(data=st.data())
def test_one_field_of_a_valid_message_is_anything(decoder, data):
    """Exactly one value, anywhere in a valid message, replaced by anything."""
    document = json.loads(VALID[decoder])
    place, key = document, data.draw(st.sampled_from(sorted(document)))
    while isinstance(place[key], dict | list) and place[key] and data.draw(st.booleans()):
        place = place[key]
        key = data.draw(
            st.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place)))
        )
    place[key] = data.draw(DOCUMENTS)
    check(decoder, json.dumps(document).encode())


METRICS = st.builds(
    sparkplug_b.Metric,
    name=st.none()
    | st.sampled_from(["power", "mode", "v", "bdSeq", "Node Control/Rebirth", "x", ""])
    | st.text(max_size=5),
    alias=st.none() | st.integers(0, 4),
    timestamp=st.none() | st.sampled_from([0, 1, NOW // 1000, 2**63]),
    datatype=st.none() | st.integers(0, 40),
    is_historical=st.booleans(),
    is_transient=st.booleans(),
    is_null=st.booleans(),
    properties=st.dictionaries(
        st.sampled_from(["unit", "Quality", "engUnit", "x"]),
        st.none() | st.booleans() | st.integers(-5, 1000) | st.floats() | st.text(max_size=50),
        max_size=3,
    ),
    carrier=st.integers(0, 20),
    raw=st.integers(0, 2**64 - 1) | st.binary(max_size=20),
)


def encodable(metric):
    """Give a metric a value of its carrier's wire type, so that its meaning is what is tested."""
    values = {
        12: 1.5,
        13: float("nan"),
        14: True,
        15: "te\0xt",
        16: b"\3\0\0\0\1",
        17: b"",
        18: b"",
        19: b"",
    }
    raw = values.get(metric.carrier, metric.raw if isinstance(metric.raw, int) else 7)
    return sparkplug_b.Metric(
        **{f: getattr(metric, f) for f in metric.__struct_fields__} | {"raw": raw}
    )


@pytest.mark.parametrize("decoder", [sparkplug_births, sparkplug_data])
@QUICK
@given(metrics=st.lists(METRICS.map(encodable), max_size=6), seq=st.none() | st.integers(0, 300))
def test_structured_sparkplug(decoder, metrics, seq):
    """Well-formed payloads with meaningless metrics."""
    check(decoder, encode_payload(Payload(metrics, NOW // 1000, seq)))


def calls(decoder, payload):
    """Count the calls that decoding makes, of Python and of C functions."""
    count = 0

    def note(_frame, event, _arg):
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(note)
    try:
        check(decoder, payload)
    finally:
        sys.setprofile(None)
    return count


def grown(n):
    """Hostile and honest messages whose size is in proportion to n."""
    rows = [
        {"timestampUtcEpochSecs": 1646092800 + 900 * i, "consumptionKwh": i % 7} for i in range(n)
    ]
    day = {"deviceId": "d", "dataFrequencyMins": 15, "date": "2022-03-01", "electricReadings": rows}
    metric = {"name": "a", "value": 1, "timestamp": 1}
    item = {"device": "d", "stream": "/s", "values": {"a": 1}}
    pieces = sparkplug_b.wire.put_bytes(2, sparkplug_b.wire.put_text(1, "a") * 3)
    yield smart_meter_decode, json.dumps(day).encode()
    yield smart_meter_decode, json.dumps(day | {"deviceId": "\\" * n}).encode()
    yield telemetry_decode, json.dumps({f"a{i}": i for i in range(n)}).encode()
    yield telemetry_decode, json.dumps({"values": {f"a{i}": "x" for i in range(n)}}).encode()
    yield telemetry_decode, b'{"a":' * n
    yield (
        sparkplug_json_decode,
        json.dumps({"metrics": [metric | {"timestamp": i} for i in range(n)]}).encode(),
    )
    yield (
        sparkplug_json_decode,
        json.dumps({"metrics": [metric | {"name": f"a{i}"} for i in range(n)]}).encode(),
    )
    yield json_readings_decode, json.dumps({"readings": [item] * n}).encode()
    yield json_readings_decode, json.dumps({"readings": [*[item] * n, 5]}).encode()
    yield line_protocol_decode, b"m a=1\n" * n
    yield line_protocol_decode, b"m " + b",".join(b"a%d=1" % i for i in range(n))
    yield line_protocol_decode, b"m," + b",".join(b"a%d=1" % i for i in range(n)) + b" x=1"
    yield line_protocol_decode, b"\\," * n + b' x="' + b'\\"' * n
    yield sparkplug_b.decode_payload, pieces * n
    yield (
        sparkplug_births,
        encode_payload(
            Payload([metric_of(T.DOUBLE, 1.0, name=f"m{i}", alias=i) for i in range(n)], 1, 1)
        ),
    )
    yield (
        sparkplug_data,
        encode_payload(
            Payload(
                [metric_of(T.DOUBLE, 1.0, name="power", timestamp=i + 1) for i in range(n)], 1, 1
            )
        ),
    )
    yield (
        log_batch_decode,
        log_batch.encode(log_batch.LogBatch(rows=[(0, 0, 0, 0, [1.0], None)] * n)),
    )


def log_batch_decode(payload):
    log_batch.decode(payload)
    return []


def test_work_grows_with_the_message_and_no_faster():
    """Twice the message makes about twice the calls, for the worst messages of every decoder."""
    for (decoder, small), (_, large) in zip(grown(400), grown(800), strict=True):
        few = calls(decoder, small)
        many = calls(decoder, large)
        assert many <= 2.2 * few + 200, (decoder.__name__, small[:60], few, many)


@DECODERS
@pytest.mark.parametrize(
    "unit",
    [
        b"[",
        b"{",
        b'{"a":',
        b'"',
        b"\\",
        b"\x00",
        b"\xff",
        b"\x12\x00",
        b"\x0a\x01a",
        b"\x80",
        b"a=1,",
        b" ",
        b"m a=1\n",
        b",",
        b'"\\u0041',
        b"9",
        b"-",
        b"1e",
        b"\n",
        b"=",
        b'a="',
        b"\\ ",
        b"\x12\x04\x0a\x02ab",
    ],
)
def test_a_mebibyte_of_anything_comes_to_an_end(decoder, unit):
    """The largest payload, of the same few bytes over and over; quadratic work would time out."""
    check(decoder, (unit * (1024 * 1024 // len(unit) + 1))[: 1024 * 1024])
    check(decoder, VALID[decoder][:-3] + unit * 200_000)


@DECODERS
def test_more_than_the_limit_is_refused(decoder):
    """A message over 1 MiB, a body over 16 MiB, is not looked at."""
    bodies = (json_readings_decode, line_protocol_decode)
    payload = b" " * ((16 if decoder in bodies else 1) * 1024 * 1024 + 1)
    if decoder in (sparkplug_births, sparkplug_data):
        assert all(step.refused is not None for step in decoder(payload)[:1])
        return
    with pytest.raises(RefusedError, match="bytes, more than"):
        decoder(payload)
