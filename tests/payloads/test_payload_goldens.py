"""Each format's example, held against what the documents that define the formats show."""

import json
from dataclasses import replace
from pathlib import Path
from typing import get_args
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wattwire.api.payload_formats import Format as ApiFormat
from wattwire.formats import sparkplug_b, sparkplug_json
from wattwire.formats.sparkplug_values import DataType
from wattwire.payloads import FORMATS, RenderError
from wattwire.payloads.examples import EXAMPLES, POWER, SAMPLE, body_of

GOLDEN = Path(__file__).parent / "golden"


def golden(name):
    return json.loads((GOLDEN / f"{name}.json").read_text(), object_pairs_hook=list)


def pairs(body):
    return json.loads(body, object_pairs_hook=list)


def render(name, event, integration=1, **settings):
    kind = FORMATS[name]
    return kind.make(kind.settings.model_validate(settings), integration).render(event)


@pytest.mark.parametrize("name", ["connexa", "solarnetwork", "cloudevents"])
def test_json_as_documented(name):
    """Every property of the documented body, with its value, in its order, and no other."""
    assert golden(name) == pairs(body_of(name))


def test_the_envelope_as_documented():
    """All but the organization's id, which is a UUID here."""
    expected = dict(golden("wattwire")) | {
        "organization_id": "0b6d9f2e-6c54-4f7b-9d0a-1f2e3d4c5b6a"
    }

    assert list(expected.items()) == [tuple(pair) for pair in pairs(body_of("wattwire"))]


def test_sparkplug_json_as_documented():
    """Each metric with its name, alias, value and unit; the sequence is a number of our own."""
    values = {"voltageAN": 480.2, "currentA": 12.1, "realPower": 4.2}
    event = replace(POWER, data={"values": values}, metadata={"uuid": "<asset-uuid>"})
    body = render("sparkplug_json", event, aliases={"voltageAN": "PM500/voltage/AN"})
    expected, shown = golden("sparkplug_json"), pairs(body)

    assert [name for name, _ in expected] == [name for name, _ in shown]
    assert {**dict(expected), "seq": 0} == {**dict(shown), "seq": 0}
    assert isinstance(dict(shown)["seq"], int)


def test_all_metrics_of_the_flow_have_its_aliases():
    """Switched on, a PowerMonitor 500's metrics are called as its flow calls them."""
    body = json.loads(render("sparkplug_json", POWER, powermonitor_500_aliases=True))

    aliases = ["PM500/voltage/AN", "PM500/current/A", "PM500/power/real", "PM500/energy/real"]
    assert aliases == [metric["alias"] for metric in body["metrics"]]


def test_what_sparkplug_json_writes_the_hub_reads():
    """Written and read again, the values are the same, of the same device and instant."""
    body = render("sparkplug_json", POWER)
    (reading,) = sparkplug_json.decode("spBv1.0/pm500/DDATA/e/d", body, 0).readings

    names = [channel.name for channel in reading.shape.channels]
    assert POWER.data["values"] == dict(zip(names, reading.values, strict=True))
    assert (POWER.metadata["uuid"], 1_713_897_600_000_000) == (reading.shape.device, reading.time)


@pytest.mark.parametrize("name", ["line_protocol", "template"])
def test_text_as_documented(name):
    """Byte for byte."""
    expected = (GOLDEN / f"{name}.txt").read_bytes()

    assert expected.rstrip() == body_of(name).rstrip()


def test_sparkplug_b_is_read_as_it_was_meant():
    """Names, types, times and values; no alias and no sequence; real, text and truth."""
    values = {"realPower": 4.2, "state": "run", "on": True}
    event = replace(POWER, data={"values": values})
    payload = sparkplug_b.decode_payload(render("sparkplug_b", event, units=True))

    types = [DataType.DOUBLE, DataType.STRING, DataType.BOOLEAN]
    assert [("realPower", 10), ("state", 12), ("on", 11)] == [
        (m.name, m.datatype) for m in payload.metrics
    ]
    shown = [m.value(t, "") for m, t in zip(payload.metrics, types, strict=True)]
    assert list(values.values()) == shown
    assert {(None, 1_713_897_600_000)} == {(m.alias, m.timestamp) for m in payload.metrics}
    assert (None, POWER.metadata["uuid"]) == (payload.seq, payload.uuid)


def test_every_format_is_listed_and_has_an_example():
    """The API's names are those of the room, and each has its example and its words."""
    assert set(FORMATS) == set(get_args(ApiFormat)) == set(EXAMPLES)
    assert all(kind.docs.startswith(f"# Format `{name}`") for name, kind in FORMATS.items())


@pytest.mark.parametrize("name", FORMATS)
def test_a_body_is_the_same_each_time(name):
    """Attempts repeat the body, so nothing in it may depend on the moment of writing."""
    assert body_of(name) == body_of(name)


@pytest.mark.parametrize("name", FORMATS)
def test_unknown_settings_are_refused(name):
    """A misspelt setting is an error, not a surprise later."""
    given = {**EXAMPLES[name].settings, "no_such_setting": 1}
    with pytest.raises(ValueError, match="no_such_setting"):
        FORMATS[name].settings.model_validate(given)


def test_names_of_objects_by_controller():
    """The controller's own names come before those for every other one."""
    event = replace(SAMPLE, data={"values": {"battery_v": 12.5}})
    names = {"PS-PWM-30M": {"battery_v": "adc_vbterm"}, "*": {"battery_v": "other"}}

    assert "adc_vbterm" == json.loads(render("connexa", event, names=names))["object"]
    there = replace(event, stream="/SS-MPPT-15L")
    assert "other" == json.loads(render("connexa", there, names=names))["object"]
    assert "battery_v" == json.loads(render("connexa", event))["object"]


def test_the_slave_may_be_told_by_metadata():
    """Metadata comes before the stream; the integration's number stands where no id is given."""
    event = replace(SAMPLE, metadata={"slave": "TS-MPPT-60"})
    body = json.loads(render("connexa", event, integration=77))

    assert ("TS-MPPT-60", "77", "") == (body["slave"], body["integration_id"], body["fw_version"])


def test_solarnetworks_first_five_are_never_overridden():
    """What an event's data calls nodeId or topic is not what the receiver takes for it."""
    event = replace(POWER, data={"topic": "x", "nodeId": 1, "hookId": 2, "other": 3, "stream": "/"})
    body = render("solarnetwork", event, integration=5)

    assert [
        ("topic", "device.telemetry"), ("userId", 1), ("hookId", 5), ("nodeId", 19),
        ("sourceId", "/metrics"), ("timestamp", 1_713_897_600_000), ("other", 3),
    ] == pairs(body)  # fmt: skip


def test_parts_of_one_event_are_different_cloudevents():
    """The channel is part of the id, as source and id are unique."""
    one, two = (replace(POWER, data={"values": {name: 1.0}, "object": name}) for name in ("a", "b"))
    ids = {json.loads(render("cloudevents", event))["id"] for event in (one, two, POWER)}

    assert 3 == len(ids)


def test_lines_are_escaped():
    """Commas, equals signs, spaces, quotes, newlines and a backslash at the end do no harm."""
    event = replace(
        POWER,
        device_key="a b,c=d\\",
        data={"values": {"x y,=": 1, "text": 'say "hi\\"', "t": True, "_own": 1.0}},
        stream="/l\n1",
    )
    line = render("line_protocol", event, measurement="my, table").decode()

    head = r"my\,\ table,device=a\ b\,c\=d/,stream=/l\n1 "
    assert line.startswith(head)
    assert r'x\ y\,\==1.0,text="say \"hi\\\"",t=true 1713897600000000000' == line[len(head) : -1]


@pytest.mark.parametrize(
    ("precision", "stamp"),
    [
        ("ns", 1713897600000000000),
        ("us", 1713897600000000),
        ("ms", 1713897600000),
        ("s", 1713897600),
    ],
)
def test_precision_of_lines(precision, stamp):
    """The timestamp is in the unit that was chosen."""
    assert str(stamp) == render("line_protocol", POWER, precision=precision).decode().split()[-1]


def test_an_event_without_a_field_is_no_line():
    """It is an error, which makes it a dead letter with a reason."""
    with pytest.raises(RenderError, match="none of the fields"):
        render("line_protocol", replace(POWER, data={"note": None}))


def test_numbers_that_are_none_are_left_out():
    """NaN and infinity have no place in a line, nor in a metric."""
    event = replace(POWER, data={"values": {"a": float("nan"), "b": float("inf"), "c": 1.0}})

    assert b" c=1.0 " in render("line_protocol", event)
    assert ["c"] == [m["name"] for m in json.loads(render("sparkplug_json", event))["metrics"]]


def test_mapping_of_fields_and_tags():
    """A field takes its channel, a tag its fact, and an empty tag is left out."""
    tags = {"site": "metadata.site", "kind": "=main", "nothing": "metadata.none"}
    line = render("line_protocol", POWER, tags=tags, fields={"kW": "realPower"})

    assert rb"wattwire,kind=main,site=Plant\ 2 kW=4.2 1713897600000000000" == line.strip()


def test_what_is_given_beside_a_preset_wins():
    """The measurement and the fields are the person's, the tags the preset's."""
    line = render(
        "line_protocol",
        POWER,
        preset="powermonitor_500",
        measurement="mine",
        fields={"p": "realPower"},
    )
    assert line.startswith(b"mine,asset=compressor-4,breaker=MCC-1/7,site=Plant\\ 2 p=4.2 ")


@given(st.dictionaries(st.text(min_size=1, max_size=8), st.floats() | st.text() | st.booleans()))
def test_whatever_the_values_are(values):
    """No format fails on values that readings can have, but for lines without a field."""
    known = {k: v for k, v in values.items() if "\x00" not in k}
    event = replace(POWER, id=UUID(int=1), data={"values": known})
    for name in ("wattwire", "connexa", "solarnetwork", "sparkplug_json", "sparkplug_b"):
        assert render(name, event)
    try:
        body = render("line_protocol", event).decode()
    except RenderError:
        return
    assert body.endswith(" 1713897600000000000\n")
