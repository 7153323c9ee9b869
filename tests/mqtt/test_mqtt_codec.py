"""Bytes on the wire: MQTT 3.1.1, complete, strict, incremental, in linear time."""

from itertools import pairwise

import pytest
from hypothesis import Phase, example, find, given, settings
from hypothesis import strategies as st

from wattwire.mqtt import packets as p
from wattwire.mqtt.codec import MAX_SIZE, Framer, encode
from wattwire.mqtt.packets import MalformedPacketError, MqttError, PacketTooLargeError

TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), max_size=40)
LEVEL = st.text(st.characters(exclude_characters="\0+#/", exclude_categories=("Cs",)), max_size=5)
TOPIC = st.lists(LEVEL, min_size=1, max_size=5).map("/".join).filter(bool)
FILTER = (
    st.tuples(
        st.lists(LEVEL | st.just("+"), max_size=4),
        st.sampled_from([(), ("#",), ("+",)]) | LEVEL.map(lambda level: (level,)),
    )
    .map(lambda parts: "/".join((*parts[0], *parts[1])))
    .filter(bool)
)
BINARY = st.binary(max_size=60)
PACKET_ID = st.integers(1, 65_535)
QOS = st.integers(0, 2)
WILL = st.builds(p.Will, TOPIC, BINARY, QOS, st.booleans())


def _connect(client_id, clean, keep_alive, user, will):
    return p.Connect(client_id, clean, keep_alive, user[0], user[1], will)


def _publish(topic, payload, qos, flags, packet_id):
    retain, dup = flags
    return p.Publish(topic, payload, qos, retain, dup and qos > 0, packet_id if qos else 0)


PACKETS = st.one_of(
    st.builds(
        _connect,
        TEXT,
        st.booleans(),
        st.integers(0, 65_535),
        st.just((None, None)) | st.tuples(TEXT, st.none() | BINARY),
        st.none() | WILL,
    ),
    st.booleans().map(lambda present: p.Connack(0, present)),
    st.integers(1, 5).map(p.Connack),
    st.builds(
        _publish, TOPIC, st.binary(max_size=400), QOS, st.tuples(*[st.booleans()] * 2), PACKET_ID
    ),
    *(PACKET_ID.map(kind) for kind in (p.Puback, p.Pubrec, p.Pubrel, p.Pubcomp, p.Unsuback)),
    st.builds(p.Subscribe, PACKET_ID, st.lists(st.tuples(FILTER, QOS), min_size=1).map(tuple)),
    st.builds(
        p.Suback, PACKET_ID, st.lists(st.sampled_from([0, 1, 2, 0x80]), min_size=1).map(tuple)
    ),
    st.builds(p.Unsubscribe, PACKET_ID, st.lists(FILTER, min_size=1).map(tuple)),
    st.sampled_from([p.Pingreq(), p.Pingresp(), p.Disconnect()]),
)


def read(*chunks, limit=MAX_SIZE):
    """Return all packets in the chunks, and the error they end with."""
    framer, packets = Framer(limit), []
    try:
        for chunk in chunks:
            framer.feed(chunk)
            while (packet := framer.next_packet()) is not None:
                packets.append((type(packet), packet))
    except MqttError as error:
        return packets, type(error)
    return packets, None


def singles(data):
    return [data[i : i + 1] for i in range(len(data))]


@given(st.lists(PACKETS, max_size=5))
def test_every_packet_survives_the_wire(packets):
    """Each of the 14 kinds, encoded and decoded, is what it was."""
    data = b"".join(map(encode, packets))
    assert read(data) == ([(type(packet), packet) for packet in packets], None)


#: Any example will do: the simplest one takes long to find.
AS_FOUND = settings(phases=[Phase.generate], max_examples=20_000)


def test_all_fourteen_kinds_are_covered():
    """The round trip above leaves out no kind of packet."""
    assert len(p.Packet.__args__) == 14
    for kind in p.Packet.__args__:
        find(PACKETS, lambda packet, kind=kind: type(packet) is kind, settings=AS_FOUND)


WRITTEN_DOWN = [  # by hand, from the tables of the specification
    (
        "10 20 0004 4d515454 04 ce 003c 0002 6331 0001 77 0002 6279 0004 75736572 0003 707764",
        p.Connect("c1", True, 60, "user", b"pwd", p.Will("w", b"by", 1)),
    ),
    ("10 0c 0004 4d515454 04 00 0000 0000", p.Connect("", False)),
    ("20 02 01 00", p.Connack(0, True)),
    ("20 02 00 05", p.Connack(5)),
    ("30 05 0003 612f62", p.Publish("a/b", b"")),
    ("3b 08 0003 612f62 000a ff", p.Publish("a/b", b"\xff", 1, True, True, 10)),
    ("34 07 0001 61 ffff 6869", p.Publish("a", b"hi", 2, packet_id=65_535)),
    ("40 02 0001", p.Puback(1)),
    ("50 02 0102", p.Pubrec(258)),
    ("62 02 0001", p.Pubrel(1)),
    ("70 02 0001", p.Pubcomp(1)),
    ("82 08 0005 0003 612f2b 01", p.Subscribe(5, (("a/+", 1),))),
    ("90 04 0005 01 80", p.Suback(5, (1, 0x80))),
    ("a2 07 0006 0003 612f23", p.Unsubscribe(6, ("a/#",))),
    ("b0 02 0006", p.Unsuback(6)),
    ("c0 00", p.Pingreq()),
    ("d0 00", p.Pingresp()),
    ("e0 00", p.Disconnect()),
]


@pytest.mark.parametrize(("data", "packet"), WRITTEN_DOWN)
def test_bytes_are_those_of_the_specification(data, packet):
    """Encoder and decoder agree with bytes that were put together by hand."""
    data = bytes.fromhex(data)
    assert encode(packet) == data
    assert read(data) == ([(type(packet), packet)], None)


MALFORMED = {
    "type 0": "00 00",
    "type 15": "f0 00",
    "flags of CONNECT": "11 0c 0004 4d515454 04 00 0000 0000",
    "flags of PUBREL": "60 02 0001",
    "flags of SUBSCRIBE": "80 06 0001 0001 61 00",
    "flags of UNSUBSCRIBE": "a0 05 0001 0001 61",
    "flags of PINGREQ": "c1 00",
    "length of PINGREQ": "c0 01 00",
    "length of DISCONNECT": "e0 01 00",
    "length of PUBACK": "40 03 0001 00",
    "short PUBACK": "40 01 01",
    "remaining length of five bytes": "30 ff ff ff ff 01",
    "QoS 3": "36 06 0001 61 0001 00",
    "DUP at QoS 0": "38 03 0001 61",
    "PUBLISH id 0": "32 05 0001 61 0000",
    "PUBLISH without topic": "30 01 00",
    "PUBLISH with an empty topic": "30 02 0000",
    "PUBLISH whose topic is too short": "30 03 0005 61",
    "PUBLISH whose id is cut": "32 04 0001 61 00",
    "wildcard + in a topic": "30 05 0003 612f2b",
    "wildcard # in a topic": "30 03 0001 23",
    "U+0000 in a topic": "30 03 0001 00",
    "topic that is not UTF-8": "30 03 0001 ff",
    "topic with a surrogate": "30 05 0003 eda080",
    "topic with overlong UTF-8": "30 04 0002 c0af",
    "PUBACK id 0": "40 02 0000",
    "SUBSCRIBE id 0": "82 06 0000 0001 61 00",
    "SUBSCRIBE without filters": "82 02 0001",
    "SUBSCRIBE with QoS 3": "82 06 0001 0001 61 03",
    "SUBSCRIBE with reserved QoS bits": "82 06 0001 0001 61 41",
    "SUBSCRIBE without QoS": "82 05 0001 0001 61",
    "SUBSCRIBE to nothing": "82 05 0001 0000 00",
    "SUBSCRIBE to a+": "82 07 0001 0002 612b 00",
    "SUBSCRIBE to #/a": "82 08 0001 0003 232f61 00",
    "UNSUBSCRIBE without filters": "a2 02 0001",
    "UNSUBSCRIBE of a#": "a2 06 0001 0002 6123",
    "SUBACK with a reserved code": "90 03 0001 03",
    "SUBACK without codes": "90 02 0001",
    "CONNACK with reserved flags": "20 02 02 00",
    "CONNACK with a reserved code": "20 02 00 06",
    "CONNACK refused with a session": "20 02 01 05",
    "CONNECT of another protocol": "10 0c 0004 4d515458 04 00 0000 0000",
    "CONNECT with the reserved flag": "10 0c 0004 4d515454 04 01 0000 0000",
    "CONNECT with a will's QoS and no will": "10 0c 0004 4d515454 04 08 0000 0000",
    "CONNECT with a will's retain and no will": "10 0c 0004 4d515454 04 20 0000 0000",
    "CONNECT with a will at QoS 3": "10 11 0004 4d515454 04 1e 0000 0000 0001 61 0000",
    "CONNECT with a will on a wildcard": "10 11 0004 4d515454 04 06 0000 0000 0001 23 0000",
    "CONNECT with a password alone": "10 0e 0004 4d515454 04 42 0000 0000 0000",
    "CONNECT that is cut": "10 0a 0004 4d515454 04 02 0000",
    "CONNECT with more than its fields": "10 0d 0004 4d515454 04 02 0000 0000 00",
}


@pytest.mark.parametrize("data", MALFORMED.values(), ids=MALFORMED)
def test_what_the_specification_forbids_is_refused(data):
    """Each rule that a receiver must enforce is enforced."""
    assert read(bytes.fromhex(data)) == ([], MalformedPacketError)


@pytest.mark.parametrize(
    "data",
    ["10 0c 0004 4d515454 05 02 0000 0000", "10 0e 0006 4d5149736470 03 02 0000 0000"],
    ids=["MQTT 5", "MQTT 3.1"],
)
def test_another_level_is_told_apart_from_garbage(data):
    """A client of another version can be told so, instead of being cut off."""
    assert read(bytes.fromhex(data)) == ([], p.UnsupportedLevelError)


@settings(max_examples=500)
@given(st.binary(max_size=200))
@example(b"\x30\xff\xff\xff\x7f")
@example(b"\x82\x80\x80\x80\x00")
def test_any_bytes_are_packets_or_malformed(data):
    """Nothing but packets or an MqttError comes out, and cutting the bytes changes nothing."""
    whole = read(data, limit=1000)
    assert read(*singles(data), limit=1000) == whole


@settings(max_examples=300)
@given(
    st.lists(PACKETS, min_size=1, max_size=4),
    st.lists(st.tuples(st.integers(0), st.integers(0, 255)), max_size=3),
    st.lists(st.integers(0, 500), max_size=6),
)
def test_damaged_packets_are_packets_or_malformed(packets, damages, cuts):
    """Valid packets with some bytes changed, cut anywhere, end the same way as uncut."""
    data = bytearray(b"".join(map(encode, packets)))
    for place, value in damages:
        data[place % len(data)] = value
    data = bytes(data)
    places = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    pieces = [data[a:b] for a, b in pairwise(places)]
    assert read(*pieces, limit=2000) == read(data, limit=2000)


@pytest.mark.timeout(20)
def test_a_megabyte_byte_by_byte_takes_linear_time():
    """Copying what has gathered for each byte would take a minute; this takes a second."""
    packet = p.Publish("a", bytes(2**20))
    assert read(*singles(encode(packet))) == ([(p.Publish, packet)], None)


def test_a_large_packet_is_refused_by_its_length_alone():
    """The body is neither awaited nor kept."""
    framer = Framer(limit=1000)
    framer.feed(bytes.fromhex("30 e9 07"))  # 1001
    with pytest.raises(PacketTooLargeError):
        framer.next_packet()
    framer = Framer(limit=1000)
    framer.feed(bytes.fromhex("30 e8 07"))  # 1000
    assert framer.next_packet() is None


@pytest.mark.parametrize("size", [0, 1, 120, 127, 128, 16_383, 16_384, 2_097_151, 2_097_152])
def test_remaining_lengths_at_the_edges(size):
    """One, two, three and four bytes of remaining length, table 2.4."""
    packet = p.Publish("a", bytes(max(size - 3, 0)))
    data = encode(packet)
    assert read(data) == ([(p.Publish, packet)], None)
    assert read(data[:-1])[0] == []


@pytest.mark.parametrize(
    "packet",
    [
        p.Publish("", b""),
        p.Publish("a/#", b""),
        p.Publish("a", b"", 1),
        p.Publish("a", b"", 3, packet_id=1),
        p.Publish("a", b"", 0, dup=True),
        p.Publish("a", b"", 1, packet_id=65_536),
        p.Publish("a" * 65_536, b""),
        p.Puback(0),
        p.Connect("a\0"),
        p.Connect("a", password=b"x"),
        p.Connect("a", will=p.Will("+", b"")),
        p.Subscribe(1, ()),
        p.Subscribe(1, (("a", 3),)),
        p.Unsubscribe(1, ("a#",)),
        p.Connack(6),
    ],
)
def test_what_has_no_valid_form_is_not_encoded(packet):
    """The encoder never puts on the wire what the decoder would refuse."""
    with pytest.raises(ValueError):
        encode(packet)
