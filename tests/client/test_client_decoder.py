"""Sparkplug B into samples: births, aliases, order, deaths, and what cannot be understood."""

from datetime import UTC, datetime, timedelta

import pytest
from client_messages import (
    DEVICE,
    MILLIS,
    NODE,
    NOW,
    device_birth,
    device_data,
    node_birth,
    node_death,
    number,
    payload,
)

from wattwire.client import Born, Decoder, Died, Gap, Limits, Refused, Sample
from wattwire.formats.sparkplug_b import metric_of
from wattwire.formats.sparkplug_state import state_payload
from wattwire.formats.sparkplug_values import DataType as T

SECOND = timedelta(seconds=1)


def born(limits=None):
    """A decoder that knows edge-1 and its device pm-7."""
    decoder = Decoder(limits)
    decoder.decode(NODE.format("NBIRTH"), node_birth(), NOW)
    decoder.decode(DEVICE.format("DBIRTH"), device_birth(), NOW)
    return decoder


def data(decoder, seq, *, now=NOW, **more):
    return decoder.decode(DEVICE.format("DDATA"), device_data(seq, **more), now)


def only(results):
    (result,) = results
    return result


# --- what is understood ---


def test_births_announce_and_tell_values():
    """A node and a device are born; its metrics have name, alias, type and unit; values follow."""
    decoder = Decoder()
    node = only(decoder.decode(NODE.format("NBIRTH"), node_birth(7), NOW))
    device, *samples = decoder.decode(DEVICE.format("DBIRTH"), device_birth(), NOW)

    assert isinstance(node, Born)
    assert ("pm500", "edge-1", "", 7, ()) == (
        node.group, node.edge_node, node.device, node.bd_seq, node.metrics,
    )  # fmt: skip
    assert [("voltageAN", 1, "DOUBLE", "V"), ("realPower", 2, "DOUBLE", "kW")] == [
        (m.name, m.alias, m.datatype, m.unit) for m in device.metrics
    ]
    assert [("voltageAN", 480.2, True), ("realPower", 4.2, True)] == [
        (s.name, s.value, s.is_birth) for s in samples
    ]


def test_data_by_alias():
    """An alias gets the name and the unit of the birth; time, seq and uuid are the message's."""
    later = MILLIS + 500
    sample = only(data(born(), 2, value=481.5, at=later))

    assert sample == Sample(
        group="pm500", edge_node="edge-1", device="pm-7", uuid="asset-7",
        name="voltageAN", alias=1, value=481.5, unit="V",
        time=datetime.fromtimestamp(later / 1000, UTC), is_historical=False, is_birth=False,
        quality=192, seq=2,
    )  # fmt: skip
    assert "pm500/edge-1/pm-7" == sample.key


def test_late_data_are_marked():
    """What was sent after an outage carries the flag and its own time."""
    then = MILLIS - 3_600_000
    sample = only(data(born(), 2, historical=True, at=then))

    assert (True, NOW - timedelta(hours=1)) == (sample.is_historical, sample.time)


VALUES = [
    (T.INT8, -5, -5),
    (T.INT64, -(2**60), -(2**60)),
    (T.UINT64, 2**64 - 1, 2**64 - 1),
    (T.FLOAT, 1.5, 1.5),
    (T.BOOLEAN, True, True),
    (T.STRING, "run", "run"),
    (T.DATETIME, MILLIS, NOW),
    (T.BYTES, b"\x00\xff", b"\x00\xff"),
    (T.INT16_ARRAY, [1, -2], (1, -2)),
    (T.DATETIME_ARRAY, [MILLIS], (NOW,)),
    (T.STRING_ARRAY, ["a", "b"], ("a", "b")),
    (T.DOUBLE, None, None),
]


@pytest.mark.parametrize(("datatype", "said", "value"), VALUES)
def test_values_of_every_type(datatype, said, value):
    """Each data type gives a Python value of its own kind; null gives None."""
    metric = metric_of(datatype, said, name="x", timestamp=MILLIS)
    sample = only(Decoder().samples(NODE.format("NBIRTH"), payload(metric, seq=0), NOW))

    assert (value, type(value)) == (sample.value, type(sample.value))


def test_what_steers_and_what_is_a_table_is_no_sample():
    """bdSeq and Node Control are the protocol's; a DataSet is announced, and not read."""
    table = metric_of(T.DATASET, b"", name="table", alias=9, timestamp=MILLIS)
    message = payload(
        metric_of(T.BOOLEAN, False, name="Device Control/Reboot"), table, number(1.0, name="x"),
        seq=0,
    )  # fmt: skip
    birth, sample = Decoder().decode(NODE.format("NBIRTH"), message, NOW)

    assert [("table", "DATASET"), ("x", "DOUBLE")] == [(m.name, m.datatype) for m in birth.metrics]
    assert "x" == sample.name


def test_quality_and_unit_of_a_message():
    """The property Quality is read, and a unit in data comes before the birth's."""
    message = payload(number(1.0, name="realPower", properties={"Quality": 0, "unit": "W"}), seq=2)
    sample = only(born().decode(DEVICE.format("DDATA"), message, NOW))

    assert (0, "W", 2) == (sample.quality, sample.unit, sample.alias)


def test_metrics_in_full_need_no_birth():
    """With name and type a metric speaks for itself, as in the hub's format `sparkplug_b`."""
    message = payload(number(1.0, name="power"), number(2.0, name="energy"))
    samples = Decoder().decode(DEVICE.format("DDATA"), message, NOW)

    assert [("power", 1.0), ("energy", 2.0)] == [(s.name, s.value) for s in samples]


def test_time_of_receipt_where_there_is_no_other():
    """Without any timestamp, now."""
    message = payload(metric_of(T.DOUBLE, 1.0, name="x"), timestamp=None)

    assert NOW == only(Decoder().decode(DEVICE.format("DDATA"), message, NOW)).time


def test_what_is_not_for_consumers():
    """Commands and the state of a host lead to nothing."""
    decoder = Decoder()
    state = state_payload(online=True, timestamp=MILLIS)

    assert [] == decoder.decode(NODE.format("NCMD"), payload(number(1.0, name="x")), NOW)
    assert [] == decoder.decode("spBv1.0/STATE/host", state, NOW)
    assert [] == decoder.decode("STATE/host", b"ONLINE", NOW)


# --- what is not ---


def test_an_alias_of_nobody():
    """Without a birth: refused with the reason, and a rebirth is due, once per interval."""
    decoder = Decoder()
    refused = only(data(decoder, 5))
    (command,) = decoder.commands(NOW)

    assert isinstance(refused, Refused)
    assert "no birth of pm500/edge-1/pm-7 is known, and so not what alias 1 means" == refused.reason
    assert ("metrics[0]", DEVICE.format("DDATA"), device_data(5)) == (
        refused.where, refused.topic, refused.payload,
    )  # fmt: skip
    assert "spBv1.0/pm500/NCMD/edge-1" == command.topic
    data(decoder, 6)
    assert [] == decoder.commands(NOW + SECOND)
    assert [command.topic] == [c.topic for c in decoder.commands(NOW + 10 * SECOND)]


def test_what_can_be_read_beside_it_is():
    """One unknown alias costs neither the other metrics nor their order."""
    message = payload(
        number(1.0, alias=1), number(2.0, alias=77), number(3.0, alias=2), number(4.0, alias=78),
        seq=2,
    )  # fmt: skip
    *samples, refused = born().decode(DEVICE.format("DDATA"), message, NOW)

    assert [("voltageAN", 1.0), ("realPower", 3.0)] == [(s.name, s.value) for s in samples]
    assert "the birth of pm500/edge-1/pm-7 announced no metric alias 77 and 1 more" == (
        refused.reason
    )


def test_a_value_that_does_not_fit_its_type():
    """It is refused, with its place; the others are read."""
    message = payload(
        metric_of(T.STRING, "high", alias=1, typed=False), number(3.0, alias=2), seq=2
    )
    sample, refused = born().decode(DEVICE.format("DDATA"), message, NOW)

    assert ("realPower", "metrics[0]") == (sample.name, refused.where)
    assert "does not fit the data type" in refused.reason


@pytest.mark.parametrize(
    ("topic", "message", "reason"),
    [
        ("meters/1", b"\x08\x01", "not a Sparkplug topic"),
        (NODE.format("DDATA"), b"\x08\x01", "the message type"),
        (DEVICE.format("DDATA"), b"\xff\xff", ""),
        (DEVICE.format("DDATA"), payload(seq=256), ""),
        (NODE.format("NBIRTH"), payload(number(1.0), seq=0), "has a name"),
        (NODE.format("NBIRTH"), payload(metric_of(T.DOUBLE, 1.0, name="x", typed=False)), "type"),
        (
            NODE.format("NBIRTH"),
            payload(number(1.0, name="a", alias=1), number(1.0, name="b", alias=1), seq=0),
            "the alias 1 is given to two metrics",
        ),
        (NODE.format("NBIRTH"), payload(number(1.0, name="x" * 1001), seq=0), "1000 characters"),
    ],
)
def test_what_is_refused(topic, message, reason):
    """Each with a reason, the topic and the bytes; never an exception."""
    decoder = born()
    refused = only(decoder.decode(topic, message, NOW))

    assert isinstance(refused, Refused)
    assert reason in refused.reason
    assert refused.reason
    assert (topic, message) == (refused.topic, refused.payload)


@pytest.mark.parametrize(
    ("topic", "seq"), [(DEVICE.format("DBIRTH"), 2), (NODE.format("NBIRTH"), 0)]
)
def test_a_refused_birth_ends_the_aliases_before_it(topic, seq):
    """Whoever was born anew in a way that is not understood has no names any more."""
    decoder = born()
    assert isinstance(only(decoder.decode(topic, payload(number(1.0), seq=seq), NOW)), Refused)

    assert isinstance(only(data(decoder, seq + 1)), Refused)
    assert isinstance(only(data(decoder, seq + 2)), Refused)


# --- order ---


def test_messages_in_order_leave_no_gap():
    """Over the wrap from 255 to 0, too."""
    decoder = born()
    results = [only(data(decoder, seq % 256)) for seq in range(2, 600)]

    assert {Sample} == {type(result) for result in results}
    assert [] == decoder.commands(NOW + 60 * SECOND)


def test_a_gap_is_told_and_data_go_on():
    """The gap comes before the values; a rebirth is due when it does not close in time."""
    decoder = born()
    gap, sample = data(decoder, 5)

    assert Gap(
        group="pm500", edge_node="edge-1", expected=2, seq=5, missing=3, time=NOW
    ) == gap  # fmt: skip
    assert "voltageAN" == sample.name
    assert [] == decoder.commands(NOW + SECOND)
    assert 1 == len(decoder.commands(NOW + 2 * SECOND))
    assert [] == decoder.commands(NOW + 60 * SECOND)


def test_a_gap_that_closes_asks_for_nothing():
    """What comes late is read, and no rebirth is due."""
    decoder = born()
    data(decoder, 4)
    late = [only(data(decoder, seq)) for seq in (3, 2)]
    following = only(data(decoder, 5))

    assert [3, 2, 5] == [s.seq for s in (*late, following)]
    assert [] == decoder.commands(NOW + 60 * SECOND)


def test_one_gap_that_closes_is_not_both():
    """What the first gap lacks is still missing when the second has closed."""
    decoder = born()
    data(decoder, 4)
    data(decoder, 6)
    data(decoder, 5)

    assert 1 == len(decoder.commands(NOW + 60 * SECOND))


def test_gap_after_gap_asks_again():
    """A second gap long after the first leads to a second request."""
    decoder = born()
    data(decoder, 5)
    assert 1 == len(decoder.commands(NOW + 5 * SECOND))
    later = NOW + 60 * SECOND
    assert isinstance(data(decoder, 9, now=later)[0], Gap)

    assert 1 == len(decoder.commands(later + 5 * SECOND))


def test_numbers_that_went_missing_long_ago_count_again():
    """A full round after a gap, its numbers are ordinary ones."""
    decoder = born()
    data(decoder, 5)
    results = [data(decoder, seq % 256) for seq in range(6, 6 + 600)]

    assert {1} == {len(found) for found in results}


def test_a_rebirth_takes_the_wish_back():
    """Born again, nothing is due, and aliases are the new ones."""
    decoder = born()
    data(decoder, 5)
    decoder.decode(NODE.format("NBIRTH"), node_birth(), NOW)
    decoder.decode(DEVICE.format("DBIRTH"), device_birth(first_alias=2), NOW)

    assert ("voltageAN", 2) == (only(data(decoder, 2, alias=2)).name, 2)
    assert [] == decoder.commands(NOW + 60 * SECOND)


# --- deaths ---


def test_a_node_takes_its_devices_along():
    """One NDEATH: the node and each device; what comes afterwards needs a birth."""
    decoder = born()
    results = decoder.decode(NODE.format("NDEATH"), node_death(), NOW + SECOND)

    assert [("", "NDEATH"), ("pm-7", "NDEATH")] == [(r.device, r.said_by) for r in results]
    assert {Died, NOW + SECOND} == {*map(type, results), *(r.time for r in results)}
    assert isinstance(only(data(decoder, 2)), Refused)


def test_the_death_of_an_earlier_session():
    """Its bdSeq is another: nobody dies."""
    decoder = born()

    assert [] == decoder.decode(NODE.format("NDEATH"), node_death(2), NOW)
    assert isinstance(only(data(decoder, 2)), Sample)


def test_a_device_dies():
    """Its aliases are gone, the node stays."""
    decoder = born()
    died = only(decoder.decode(DEVICE.format("DDEATH"), payload(seq=100), NOW)[1:])

    assert ("pm-7", "DDEATH") == (died.device, died.said_by)
    assert isinstance(data(decoder, 101)[-1], Refused)


def test_a_device_dies_long_after_its_birth():
    """However many messages lie between the two, a death in order counts."""
    decoder = born()
    for seq in range(2, 152):
        data(decoder, seq)

    assert isinstance(only(decoder.decode(DEVICE.format("DDEATH"), payload(seq=152), NOW)), Died)


def test_a_death_that_its_birth_has_overtaken():
    """A DDEATH from before the DBIRTH that followed it changes nothing."""
    decoder = Decoder()
    decoder.decode(NODE.format("NBIRTH"), node_birth(), NOW)
    decoder.decode(DEVICE.format("DBIRTH"), device_birth(seq=3), NOW)

    assert [] == decoder.decode(DEVICE.format("DDEATH"), payload(seq=2), NOW)
    assert "voltageAN" == only(data(decoder, 4)).name


# --- interruptions and bounds ---


def test_after_an_interruption_the_next_number_is_trusted():
    """Nothing was missed of an edge node whose next message follows on the last one."""
    decoder = born()
    decoder.interrupted()

    assert "voltageAN" == only(data(decoder, 2)).name
    assert [Gap, Sample] == [type(result) for result in data(decoder, 4)]


def test_after_an_interruption_aliases_may_be_others():
    """With messages missing nobody knows whether a birth was among them: no wrong names."""
    decoder = born()
    decoder.interrupted()

    assert isinstance(only(data(decoder, 3)), Refused)
    assert 1 == len(decoder.commands(NOW))


def test_a_death_after_an_interruption_is_believed():
    """The session that ended may be one whose birth was missed."""
    decoder = born()
    decoder.interrupted()

    assert 2 == len(decoder.decode(NODE.format("NDEATH"), node_death(9), NOW))


def test_memory_is_bounded():
    """Edge nodes, devices and metrics beyond the limits are refused; deaths make room."""
    decoder = Decoder(Limits(edge_nodes=2, devices=1, metrics=6))

    def bear(edge):
        return decoder.decode(f"spBv1.0/g/NBIRTH/{edge}", node_birth(), NOW)[0]

    def bear_device(edge, device, seq):
        topic = f"spBv1.0/g/DBIRTH/{edge}/{device}"
        return decoder.decode(topic, device_birth(seq=seq), NOW)[0]

    assert [Born, Born, Refused] == [type(bear(edge)) for edge in ("a", "b", "c")]
    assert isinstance(bear_device("a", "x", 1), Born)
    assert "an edge node has at most 1 devices" == bear_device("a", "y", 2).reason
    assert "more than 6 metrics are announced" == bear_device("b", "x", 1).reason
    decoder.decode("spBv1.0/g/NDEATH/a", node_death(), NOW)
    assert [Born, Born] == [type(bear("c")), type(bear_device("b", "x", 2))]


def test_wishes_are_bounded():
    """Unheard-of edge nodes do not fill the memory."""
    decoder = Decoder(Limits(edge_nodes=3))
    for number_ in range(10):
        decoder.decode(f"spBv1.0/g/DDATA/e{number_}/d", device_data(1), NOW)

    assert [f"spBv1.0/g/NCMD/e{n}" for n in (7, 8, 9)] == [c.topic for c in decoder.commands(NOW)]
