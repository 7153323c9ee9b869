"""Which decoder reads what."""

from datetime import UTC, date, datetime
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

from wattwire.formats.smart_meter import encode
from wattwire.model import RefusedError
from wattwire.simulate.curves import day_readings, household
from wattwire.simulate.edge_node import asks_rebirth, make_nodes
from wattwire.sources.routing import FORMATS, Publisher, TopicDecoder

ONE, OTHER = UUID(int=1), UUID(int=2)
NOW = 1_750_000_000_000_000
READING = b'{"device": "m-%d", "stream": "/p", "time": "2025-06-01T12:00:00Z", "values": {"w": 5}}'


def publisher(organization_id=ONE, namespace="", zone="UTC"):
    return Publisher(organization_id, lambda _key: ZoneInfo(zone), namespace)


def devices(decoded):
    return [reading.shape.device for reading in decoded.readings]


def decode(format_name, topic, payload, decoder=None, **who):
    return (decoder or TopicDecoder()).decode(format_name, topic, payload, publisher(**who), NOW)


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (READING % 1, ["m-1"]),
        (b" [" + READING % 1 + b", " + READING % 2 + b"]", ["m-1", "m-2"]),
        (b' {"readings" : [' + READING % 3 + b"]}", ["m-3"]),
        (b"[]", []),
    ],
)
@pytest.mark.parametrize("format_name", ["json", "auto"])
def test_json_in_three_forms(format_name, payload, expected):
    """One reading, a list, or the body of the HTTP call."""
    assert expected == devices(decode(format_name, "any/topic", payload))


@pytest.mark.parametrize(
    "payload",
    [
        READING % 1 + b"," + READING % 2,
        READING % 1 + b"]}",
        b"[" + READING % 1 + b', {"device": "x"}]',
        b"",
        b"[",
        b"null",
        b"\xff",
    ],
)
def test_json_that_is_refused_as_a_whole(payload):
    """Nobody can be told about one item over MQTT, so a message with a wrong one is not taken."""
    with pytest.raises(RefusedError):
        decode("json", "any", payload)


def test_smart_meter_days_are_counted_in_the_meters_zone():
    """The decoder gets the publisher's `zone_of`."""
    zone, day = ZoneInfo("Europe/Berlin"), date(2025, 3, 30)
    rows = day_readings(household("m", 1), day, 15, zone)
    payload = encode("m", day, 15, rows)

    assert 92 == len(decode("smart_meter", "x", payload, zone="Europe/Berlin").readings)
    with pytest.raises(RefusedError):
        decode("smart_meter", "x", payload)


@pytest.mark.parametrize("format_name", ["netneural", "auto"])
def test_netneural_belongs_to_its_organization(format_name):
    """The organization in the topic must be the publisher's own."""
    topic = f"netneural/{ONE}/devices/d-1/telemetry"

    assert ["d-1"] == devices(decode(format_name, topic, b'{"temperature": 1}'))
    with pytest.raises(RefusedError, match="own"):
        decode(format_name, topic, b'{"temperature": 1}', organization_id=OTHER)


@pytest.mark.parametrize("format_name", ["sparkplug_b", "auto"])
def test_json_on_sparkplug_topics(format_name):
    """A payload that begins with a brace is the JSON variant, but for STATE."""
    payload = b'{"metrics": [{"name": "voltageAN", "value": 480.2}], "timestamp": 1713897600000}'

    assert ["pm500/e/d"] == devices(decode(format_name, "spBv1.0/pm500/DDATA/e/d", payload))
    state = decode(format_name, "spBv1.0/STATE/host", b'{"online":true,"timestamp":1}')
    assert ([], []) == (list(state.readings), list(state.statuses))


def test_sparkplug_state_is_kept_apart():
    """A birth is known to its organization and namespace only; elsewhere a rebirth is asked for."""
    asked = []
    decoder = TopicDecoder(lambda *request: asked.append(request))
    (node,) = make_nodes(1, 1, "g", 1)
    node.will(0)
    for topic, payload in node.births(NOW // 1000):
        decode("sparkplug_b", topic, payload, decoder)
    ((topic, payload),) = node.data(NOW // 1000 + 1000)

    assert ["g/edge-1/feeder-1"] == devices(decode("auto", topic, payload, decoder))
    assert [] == asked
    for elsewhere in ({"organization_id": OTHER}, {"namespace": "broker 2"}):
        with pytest.raises(RefusedError, match="rebirth"):
            decode("auto", topic, payload, decoder, **elsewhere)
    assert [OTHER, ONE] == [who.organization_id for who, _topic, _payload in asked]
    assert {node.command_topic} == {topic for _who, topic, _payload in asked}
    assert all(asks_rebirth(payload) for _who, _topic, payload in asked)


def test_due_asks_for_what_did_not_come():
    """A gap in seq that is not filled in time makes due() ask for a rebirth."""
    asked = []
    decoder = TopicDecoder(lambda *request: asked.append(request))
    (node,) = make_nodes(1, 1, "g", 1)
    node.will(0)
    sent = node.births(0) + node.data(1000) + node.data(2000)
    del sent[2]
    for topic, payload in sent:
        decode("sparkplug_b", topic, payload, decoder)

    assert [] == decoder.due(NOW + 1_000_000)
    assert [] == asked
    decoder.due(NOW + 3_000_000)
    assert [node.command_topic] == [topic for _who, topic, _payload in asked]


def test_forgotten_state_needs_a_birth():
    """forget() drops what is known of a namespace."""
    decoder = TopicDecoder()
    (node,) = make_nodes(1, 1, "g", 1)
    node.will(0)
    for topic, payload in node.births(0):
        decode("sparkplug_b", topic, payload, decoder)
    decoder.forget(ONE)

    with pytest.raises(RefusedError, match="birth"):
        decode("sparkplug_b", *node.data(1000)[0], decoder)


def test_an_unknown_format_is_said():
    """A credential with a format of a later version refuses messages, with the name."""
    with pytest.raises(RefusedError, match="'morse'"):
        decode("morse", "t", b"")
    assert {"auto", "json", "netneural", "smart_meter", "sparkplug_b"} == set(FORMATS)
    assert datetime.fromtimestamp(NOW / 1e6, UTC).year == 2025
