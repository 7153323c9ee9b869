"""A Sparkplug host application: births, data, deaths, order, rebirths, bounds."""

import json

import pytest

from wattwire.formats.sparkplug_b import Metric, Payload, decode_payload, encode_payload, metric_of
from wattwire.formats.sparkplug_state import SparkplugHost, rebirth_command, state_payload
from wattwire.formats.sparkplug_topics import command_topic, parse_topic, state_topic
from wattwire.formats.sparkplug_values import DataType as T
from wattwire.model import Channel, ChannelKind, RefusedError, StatusChange

MS = 1713897600000
NOW = MS * 1000
SECOND = 1_000_000
EDGE = ("plant", "edge-1")


def message(seq, *metrics, timestamp=MS):
    return encode_payload(Payload(metrics, timestamp, seq))


def bd(number):
    return metric_of(T.INT64, number, name="bdSeq", timestamp=MS)


def node_birth(*metrics, bd_seq=0, seq=0):
    rebirth = metric_of(T.BOOLEAN, value=False, name="Node Control/Rebirth", timestamp=MS)
    return message(seq, bd(bd_seq), rebirth, *metrics)


def death(bd_seq):
    return encode_payload(Payload((bd(bd_seq),), MS))


POWER = metric_of(T.DOUBLE, 1.5, name="power", alias=1, timestamp=MS, properties={"engUnit": "kW"})
ENERGY = metric_of(T.UINT64, 7, name="energy", alias=2, timestamp=MS, properties={"unit": "kWh"})
MODE = metric_of(T.STRING, "auto", name="mode", alias=3, timestamp=MS)


def data(seq, *values, timestamp=MS):
    metrics = [metric_of(d, v, alias=a, timestamp=timestamp, typed=False) for a, d, v in values]
    return message(seq, *metrics, timestamp=timestamp)


class Broker:
    """A host, and short words for what is published to it."""

    def __init__(self, **options):
        self.host = SparkplugHost(**options)
        self.now = NOW

    def take(self, message_type, payload, device="", edge="edge-1"):
        topic = f"spBv1.0/plant/{message_type}/{edge}" + (f"/{device}" if device else "")
        return self.host.take(topic, payload, self.now)

    def born(self, *metrics):
        assert self.take("NBIRTH", node_birth()).refused is None
        step = self.take("DBIRTH", message(1, *(metrics or (POWER, ENERGY, MODE))), "pm-7")
        assert step.refused is None, step.refused
        return step

    def due(self, seconds):
        self.now += int(seconds * SECOND)
        return self.host.due(self.now)


@pytest.fixture
def broker():
    return Broker()


def only(step):
    assert step.refused is None, step.refused
    (reading,) = step.decoded.readings
    return reading


def test_a_birth_brings_a_device_online_with_its_first_values(broker):
    """Names, units, kinds: registers by unit, text as status; control metrics are no channels."""
    assert broker.take("NBIRTH", node_birth()).decoded.statuses == (
        StatusChange("plant/edge-1", "online", NOW, "NBIRTH"),
    )
    assert broker.take("NBIRTH", node_birth()).decoded.readings == []
    step = broker.take("DBIRTH", message(1, POWER, ENERGY, MODE), "pm-7")
    assert step.decoded.statuses == (StatusChange("plant/edge-1/pm-7", "online", NOW, "DBIRTH"),)
    reading = only(step)
    assert reading.shape == (
        "plant/edge-1/pm-7",
        "/metrics",
        (
            Channel("power", ChannelKind.INSTANTANEOUS, "kW"),
            Channel("energy", ChannelKind.ACCUMULATING, "kWh"),
            Channel("mode", ChannelKind.STATUS),
        ),
    )
    assert (reading.values, reading.texts) == ([1.5, 7.0, None], (None, None, "auto"))
    assert reading.time == NOW


def test_data_by_alias_carries_only_what_changed(broker):
    """An alias stands for the birth's name, type and unit; the shape holds these metrics alone."""
    broker.born()
    reading = only(broker.take("DDATA", data(2, (2, T.UINT64, 8), timestamp=MS + 1000), "pm-7"))
    assert reading.shape.channels == (Channel("energy", ChannelKind.ACCUMULATING, "kWh"),)
    assert (reading.values, reading.time) == ([8.0], NOW + SECOND)


def test_the_same_metrics_have_the_same_shape_object(broker):
    """Over messages, and over a rebirth."""
    broker.born()
    first = only(broker.take("DDATA", data(2, (1, T.DOUBLE, 2.0)), "pm-7")).shape
    assert only(broker.take("DDATA", data(3, (1, T.DOUBLE, 3.0)), "pm-7")).shape is first
    broker.born()
    assert only(broker.take("DDATA", data(2, (1, T.DOUBLE, 2.0)), "pm-7")).shape is first


def test_the_short_way_and_the_long_way_agree(broker):
    """Plain numbers of one instant are read on a shorter way, with the same outcome."""
    broker.born()
    plain = data(2, (1, T.DOUBLE, 2.5), (2, T.UINT64, 9))
    long = message(
        3,
        *(
            Metric(alias=m.alias, timestamp=MS, carrier=m.carrier, raw=m.raw, properties={"x": 1})
            for m in decode_payload(plain).metrics
        ),
    )
    readings = [only(broker.take("DDATA", p, "pm-7")) for p in (plain, plain, long)]
    assert readings[0] == readings[1] == readings[2]
    assert readings[0].values == [2.5, 9.0]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"properties": {"Quality": 0}}, ([(NOW, [2.0, 9.0], 0)])),
        ({"timestamp": MS + 1}, ([(NOW, [2.0], 192), (NOW + 1000, [9.0], 192)])),
        ({"is_null": True}, ([(NOW, [2.0, None], 192)])),
        ({"is_transient": True}, ([(NOW, [2.0], 192)])),
    ],
)
def test_the_short_way_is_left_for_anything_special(broker, changes, expected):
    """After plain messages with the same metrics, one metric with more to it is still seen so."""
    broker.born()
    plain = data(2, (1, T.DOUBLE, 2.0), (2, T.UINT64, 9))
    for _ in range(2):
        broker.take("DDATA", plain, "pm-7")
    power, energy = decode_payload(plain).metrics
    fields = {name: getattr(energy, name) for name in energy.__struct_fields__} | changes
    payload = message(3, power, Metric(**fields))
    if "is_null" in changes:  # some publishers send a value beside is_null
        payload = payload.replace(b"\x38\x01", b"\x38\x01\x58\x09").replace(
            b"\x12\x0b", b"\x12\x0d"
        )
    readings = broker.take("DDATA", payload, "pm-7").decoded.readings
    assert [(r.time, list(r.values), r.quality) for r in readings] == expected


def test_one_reading_for_each_timestamp(broker):
    """Metrics of one message are taken together by their time; without one the payload's counts."""
    broker.born()
    metrics = (
        metric_of(T.DOUBLE, 1.0, alias=1, timestamp=MS - 5000, historical=True),
        metric_of(T.UINT64, 5, alias=2, timestamp=MS - 5000, historical=True),
        metric_of(T.DOUBLE, 2.0, alias=1),
    )
    readings = broker.take("DDATA", message(2, *metrics), "pm-7").decoded.readings
    assert [(r.time, list(r.values)) for r in readings] == [
        (NOW - 5 * SECOND, [1.0, 5.0]),
        (NOW, [2.0]),
    ]


def test_without_any_timestamp_it_is_the_moment_of_receipt(broker):
    """Short way and long way."""
    broker.born()
    payload = encode_payload(Payload((metric_of(T.DOUBLE, 1.0, alias=1),), None, 2))
    broker.now += 5
    assert [only(broker.take("DDATA", payload, "pm-7")).time for _ in range(2)] == [NOW + 5] * 2


def test_null_values_keep_their_kind(broker):
    """A null number is None; a null text is None in a status channel."""
    broker.born()
    reading = only(broker.take("DDATA", data(2, (1, T.DOUBLE, None), (3, T.STRING, None)), "pm-7"))
    assert reading.values == [None, None]
    assert [channel.kind for channel in reading.shape.channels] == [
        ChannelKind.INSTANTANEOUS,
        ChannelKind.STATUS,
    ]


def test_numbers_that_are_none_become_null_with_a_note(broker):
    """A sensor's NaN does not cost the other values of its message."""
    broker.born()
    for seq in (2, 3):
        payload = data(seq, (1, T.DOUBLE, float("nan")), (2, T.UINT64, 9))
        step = broker.take("DDATA", payload, "pm-7")
        assert only(step).values == [None, 9.0]
        assert step.decoded.notes == ["'power' is nan and kept as null"]


@pytest.mark.parametrize(
    ("qualities", "quality"),
    [
        ((192, 192), 192),
        ((192, 500), 500),
        ((500, 0), 0),
        ((0, 192), 0),
        ((None, 500), 500),
        ((70000, 192), 192),
        ((-1, 192), 192),
        ((216, 192), 192),
        ((64, 192), 64),
    ],
)
def test_quality_is_that_of_the_worst_metric(qualities, quality):
    """Bad before stale before good; a code that is none is passed over."""
    broker = Broker()
    metrics = [
        metric_of(
            T.DOUBLE,
            1.0,
            name=f"m{at}",
            timestamp=MS,
            properties={} if q is None else {"quality": q},
        )
        for at, q in enumerate(qualities)
    ]
    assert only(broker.born(*metrics)).quality == quality


def test_what_is_no_channel_is_noted(broker):
    """DataSets, templates, bytes, files, later types, transient metrics: left out, and said so."""
    metrics = [
        Metric(name="ds", datatype=T.DATASET, carrier=17, raw=b"", timestamp=MS),
        Metric(name="tp", datatype=T.TEMPLATE, carrier=18, raw=b"", timestamp=MS),
        metric_of(T.BYTES, b"1", name="by"),
        metric_of(T.FILE, b"1", name="fi"),
        Metric(name="new", datatype=99, carrier=10, raw=1),
        Metric(name="tr", datatype=T.DOUBLE, carrier=13, raw=1.0, is_transient=True),
        metric_of(T.INT64_ARRAY, list(range(65)), name="wave"),
        metric_of(T.DOUBLE, 1.0, name="x"),
    ]
    step = broker.born(*metrics)
    assert [channel.name for channel in only(step).shape.channels] == ["x"]
    assert step.decoded.notes == [
        "left out: 'ds', a DATASET",
        "left out: 'tp', a TEMPLATE",
        "left out: 'by', a BYTES",
        "left out: 'fi', a FILE",
        "left out: 'new', of the unknown data type 99",
        "left out: 'tr', transient",
        "left out: 'wave', an array of 65 items",
    ]


def test_short_arrays_booleans_and_dates_become_channels(broker):
    """An array is a channel for each item, true is 1, a point in time is text."""
    reading = only(
        broker.born(
            metric_of(T.FLOAT_ARRAY, [1.5, 2.5], name="v", properties={"unit": "V"}),
            metric_of(T.BOOLEAN_ARRAY, [True], name="b"),
            metric_of(T.STRING_ARRAY, ["a"], name="s"),
            metric_of(T.BOOLEAN, value=True, name="on"),
            metric_of(T.DATETIME, MS, name="at"),
        )
    )
    names = [channel.name for channel in reading.shape.channels]
    assert dict(zip(names, zip(reading.values, reading.texts, strict=True), strict=True)) == {
        "v[0]": (1.5, None),
        "v[1]": (2.5, None),
        "b[0]": (1.0, None),
        "s[0]": (None, "a"),
        "on": (1.0, None),
        "at": (None, "2024-04-23T18:40:00Z"),
    }
    assert reading.shape.channels[0].unit == "V"


def test_data_before_a_birth_are_refused_and_a_rebirth_requested(broker):
    """Of a node, of a device, and of an alias that the birth did not announce; once per 10 s."""
    step = broker.take("NDATA", data(5, (1, T.DOUBLE, 1.0)))
    assert step.rebirth == (EDGE,)
    assert step.refused.reason == "no birth of plant/edge-1 was received; a rebirth is requested"
    assert not step.decoded.readings
    assert broker.take("NDATA", data(6, (1, T.DOUBLE, 1.0))).rebirth == ()
    broker.take("NBIRTH", node_birth())
    broker.now += 10 * SECOND
    step = broker.take("DDATA", data(1, (1, T.DOUBLE, 1.0)), "pm-7")
    assert (step.rebirth, "plant/edge-1/pm-7" in step.refused.reason) == ((EDGE,), True)
    broker.born()
    broker.now += 10 * SECOND
    step = broker.take("DDATA", data(2, (1, T.DOUBLE, 1.0), (9, T.DOUBLE, 1.0)), "pm-7")
    assert (step.rebirth, "alias 9" in step.refused.reason) == ((EDGE,), True)
    assert not step.decoded.readings


def test_a_named_metric_that_was_not_announced_needs_its_type(broker):
    """With a data type it can be understood, without one it cannot."""
    broker.born()
    typed = message(2, metric_of(T.INT32, 5, name="new"))
    assert only(broker.take("DDATA", typed, "pm-7")).values == [5.0]
    untyped = message(3, metric_of(T.INT32, 5, name="new", typed=False))
    assert broker.take("DDATA", untyped, "pm-7").rebirth == (EDGE,)


def test_a_device_birth_before_its_nodes_is_refused(broker):
    """The order of births is the specification's."""
    step = broker.take("DBIRTH", message(1, POWER), "pm-7")
    assert (step.refused is not None, step.rebirth) == (True, (EDGE,))


def test_a_gap_that_stays_open_asks_for_a_rebirth(broker):
    """Data behind the gap are read at once; after 2 s the missing birth is asked for, once."""
    broker.born()
    assert only(broker.take("DDATA", data(4, (1, T.DOUBLE, 2.0)), "pm-7")).values == [2.0]
    assert broker.due(1.9).rebirth == ()
    assert broker.due(0.1).rebirth == (EDGE,)
    assert broker.due(60).rebirth == ()


def test_a_gap_that_closes_asks_for_nothing(broker):
    """Messages that overtook each other are all there after all."""
    broker.born()
    for seq in (4, 3, 2, 5):
        assert broker.take("DDATA", data(seq, (1, T.DOUBLE, 2.0)), "pm-7").refused is None
    assert broker.due(3).rebirth == ()


def test_a_gap_while_a_request_is_out_is_asked_for_later(broker):
    """The pause between two requests delays the second one, and does not lose it."""
    broker.born()
    broker.take("DDATA", data(4, (1, T.DOUBLE, 2.0)), "pm-7")
    assert broker.due(2).rebirth == (EDGE,)
    broker.take("DDATA", data(6, (1, T.DOUBLE, 2.0)), "pm-7")
    assert broker.due(2).rebirth == ()
    assert broker.due(8).rebirth == (EDGE,)


def test_a_rebirth_closes_every_gap(broker):
    """What was missing before a birth is of no interest after it."""
    broker.born()
    broker.take("DDATA", data(7, (1, T.DOUBLE, 2.0)), "pm-7")
    broker.born()
    assert broker.due(60).rebirth == ()


def test_seq_wraps_and_repeats_are_no_gaps(broker):
    """255 is followed by 0; a message that comes twice is read twice and no gap."""
    broker.born()
    for seq in [*range(2, 256), 0, 1, 1, 2]:
        assert broker.take("DDATA", data(seq, (1, T.DOUBLE, 2.0)), "pm-7").refused is None
    assert broker.due(3).rebirth == ()


def test_a_seq_above_255_is_refused(broker):
    """The specification counts to 255."""
    broker.born()
    assert broker.take("DDATA", data(256, (1, T.DOUBLE, 2.0)), "pm-7").refused.where == "seq"


def test_the_death_of_a_node_takes_its_devices_along(broker):
    """All are offline at the time of receipt; their data then need a new birth."""
    broker.born()
    broker.now += 7
    statuses = broker.take("NDEATH", death(0)).decoded.statuses
    assert list(statuses) == [
        StatusChange("plant/edge-1", "offline", NOW + 7, "NDEATH"),
        StatusChange("plant/edge-1/pm-7", "offline", NOW + 7, "NDEATH"),
    ]
    assert broker.take("DDATA", data(2, (1, T.DOUBLE, 1.0)), "pm-7").rebirth == (EDGE,)


def test_the_death_of_an_earlier_session_is_ignored(broker):
    """The broker may send an old will after the new birth: bdSeq tells them apart."""
    broker.take("NBIRTH", node_birth(bd_seq=5))
    step = broker.take("NDEATH", death(4))
    assert step.decoded.statuses == ()
    assert step.decoded.notes == ("the death of an earlier session (bdSeq 4, alive is 5)",)
    assert broker.take("NDEATH", death(5)).decoded.statuses


def test_the_death_of_a_node_never_seen_alive(broker):
    """After a restart of the hub it is still news that the node is gone."""
    statuses = broker.take("NDEATH", death(3)).decoded.statuses
    assert statuses == (StatusChange("plant/edge-1", "offline", NOW, "NDEATH"),)


def test_the_death_of_a_device(broker):
    """That device alone is offline; its data then need a new birth."""
    broker.born()
    statuses = broker.take("DDEATH", message(2), "pm-7").decoded.statuses
    assert statuses == (StatusChange("plant/edge-1/pm-7", "offline", NOW, "DDEATH"),)
    assert broker.take("DDATA", data(3, (1, T.DOUBLE, 1.0)), "pm-7").refused is not None


def test_a_death_that_was_overtaken_by_the_next_birth(broker):
    """DDEATH 2 and DBIRTH 3 in the wrong order leave the device alive."""
    broker.born()
    broker.take("DBIRTH", message(3, POWER), "pm-7")
    assert broker.take("DDEATH", message(2), "pm-7").decoded.statuses == ()
    assert only(broker.take("DDATA", data(4, (1, T.DOUBLE, 1.0)), "pm-7"))


def test_a_device_that_a_rebirth_does_not_name_goes_offline(broker):
    """A new node birth ends all devices; those not born again are offline after a while."""
    broker.born()
    broker.take("DBIRTH", message(2, POWER), "pm-8")
    broker.take("NBIRTH", node_birth())
    broker.take("DBIRTH", message(1, POWER), "pm-7")
    assert broker.due(29).decoded.statuses == []
    assert broker.due(1).decoded.statuses == [
        StatusChange("plant/edge-1/pm-8", "offline", NOW + 30 * SECOND, "not named by the rebirth")
    ]
    assert broker.due(60).decoded.statuses == []


def test_a_name_announced_with_two_types_is_refused(broker):
    """Nobody could say which of the two later data have."""
    broker.take("NBIRTH", node_birth())
    twice = [POWER, metric_of(T.INT8, None, name="power", alias=1)]
    assert "announced twice" in broker.take("DBIRTH", message(1, *twice), "pm-7").refused.reason


@pytest.mark.parametrize(
    ("metrics", "where"),
    [
        ([metric_of(T.DOUBLE, 1.0, alias=1)], "metrics[0]"),
        ([metric_of(T.DOUBLE, 1.0, name="")], "metrics[0]"),
        ([metric_of(T.DOUBLE, 1.0, name="a", typed=False)], "metrics[0]"),
        ([POWER, metric_of(T.DOUBLE, 1.0, name="b", alias=1)], "metrics[1]"),
        ([POWER, metric_of(T.INT8, 1, name="power", alias=1)], "metrics[1]"),
        ([metric_of(T.DOUBLE, 1.0, name=f"m{i}") for i in range(1001)], "metrics"),
        ([Metric(name="a", datatype=T.DOUBLE, carrier=15, raw="x")], "metrics[0]"),
        ([metric_of(T.DOUBLE, 1.0, name="a", timestamp=2**63)], "metrics[0].timestamp"),
        ([metric_of(T.STRING, "\0", name="a")], "a"),
    ],
)
def test_births_that_are_refused_leave_no_trace(metrics, where):
    """A birth that is not understood is no birth: the device's data are not, either."""
    broker = Broker()
    broker.take("NBIRTH", node_birth())
    step = broker.take("DBIRTH", message(1, *metrics), "pm-7")
    assert step.refused.where == where
    assert step.decoded.statuses == ()
    assert broker.take("DDATA", data(2, (1, T.DOUBLE, 1.0)), "pm-7").refused is not None


def test_everything_is_bounded():
    """Edge nodes, devices of a node, and metrics in all; a place becomes free by a death."""
    broker = Broker(max_edges=1, max_devices=1, max_metrics=6)
    broker.born(POWER)
    assert "1 edge nodes" in broker.take("NBIRTH", node_birth(), edge="e2").refused.reason
    assert "1 devices" in broker.take("DBIRTH", message(2, POWER), "pm-8").refused.reason
    many = [metric_of(T.DOUBLE, 1.0, name=f"m{i}") for i in range(5)]
    assert "6 metrics" in broker.take("DBIRTH", message(3, *many), "pm-7").refused.reason
    assert broker.take("DBIRTH", message(4, *many[:4]), "pm-7").refused is None
    for edge in ("e3", "e4", "e5"):
        assert broker.take("NDATA", message(1, POWER), edge=edge).rebirth == (("plant", edge),)
    assert len(broker.host._asked) == 1
    broker.take("NDEATH", death(0))
    assert broker.take("NBIRTH", node_birth(), edge="e2").refused is None
    assert broker.host._metrics == 2


def test_metrics_are_counted_through_births_and_deaths(broker):
    """The count of metrics alive is right after every kind of birth and death."""
    for _ in range(3):
        broker.born()
        broker.take("DDEATH", message(2), "pm-7")
        broker.born(POWER)
    assert broker.host._metrics == 3
    broker.take("NDEATH", death(0))
    assert broker.host._metrics == 0


def test_the_json_of_the_seed_needs_no_birth(broker):
    """The first byte tells the two payloads apart."""
    body = json.dumps({"metrics": [{"name": "a", "value": 1}], "uuid": "asset", "seq": 1024})
    reading = only(broker.host.take("spBv1.0/pm500/DDATA/e/x/y", body.encode(), NOW))
    assert reading.shape.device == "asset"


@pytest.mark.parametrize("topic", ["spBv1.0/STATE/host", "STATE/host", "spBv1.0/plant/NCMD/edge-1"])
def test_state_and_commands_hold_no_readings(broker, topic):
    """They are understood and say nothing of readings; the note says so."""
    payload = b'{"online":true,"timestamp":1}' if "STATE" in topic else rebirth_command(NOW)
    step = broker.host.take(topic, payload, NOW)
    assert (step.refused, step.decoded.readings, len(step.decoded.notes)) == (None, (), 1)


@pytest.mark.parametrize(
    "topic",
    [
        "",
        "spBv1.0",
        "spBv1.0/g/NDATA",
        "spBv1.0/g/NDATA/e/d",
        "spBv1.0/g/DDATA/e",
        "spBv1.0/g/XDATA/e",
        "spBv1.0//NDATA/e",
        "spBv1.0/g/DDATA/e/d/x",
        "spAv1.0/g/NDATA/e",
        "spBv1.0/g/NDATA/" + "e" * 300,
    ],
)
def test_topics_that_are_refused(broker, topic):
    """Exactly the specification's levels."""
    assert broker.host.take(topic, message(0), NOW).refused.where == "topic"
    with pytest.raises(RefusedError):
        parse_topic(topic)


def test_what_a_host_publishes():
    """NCMD with Node Control/Rebirth true and without seq; STATE as 3.0 has it; their topics."""
    payload = decode_payload(rebirth_command(NOW))
    (metric,) = payload.metrics
    assert (payload.timestamp, payload.seq) == (MS, None)
    assert (metric.name, metric.alias, metric.value(metric.datatype, "")) == (
        "Node Control/Rebirth",
        None,
        True,
    )
    # npm sparkplug-payload 1.0.3 writes the same bytes for it.
    assert rebirth_command(NOW).hex() == (
        "0880e887e2f03112210a144e6f646520436f6e74726f6c2f526562697274681880e887e2f031200b7001"
    )
    assert state_payload(online=True, timestamp=MS) == b'{"online":true,"timestamp":1713897600000}'
    assert command_topic("g", "e") == "spBv1.0/g/NCMD/e"
    assert state_topic("hub") == "spBv1.0/STATE/hub"
