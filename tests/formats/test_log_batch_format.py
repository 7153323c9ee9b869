"""The batch of the intake log: everything comes back, shapes as one object, damage is noticed."""

from uuid import UUID
from zlib import crc32

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wattwire.formats import log_batch
from wattwire.formats.log_batch import LogBatch, QuarantineEntry
from wattwire.model import Channel, ChannelKind, RefusedError, Shape

ORG = UUID(int=7)
OTHER = UUID(int=8)
POWER = Shape(
    "d-1",
    "/power/1",
    (
        Channel("active_power_w", ChannelKind.INSTANTANEOUS, "W"),
        Channel("state", ChannelKind.STATUS),
    ),
)
ENERGY = Shape("d-2", "/consumption", (Channel("energy_import_wh", ChannelKind.INTERVAL, "Wh"),))


def example():
    return LogBatch(
        shapes=[(ORG, POWER), (OTHER, ENERGY)],
        rows=[
            (0, 1_700_000_000_000_000, 1_700_000_000_100_000, 192, [1.5, None], [None, "on"]),
            (1, 1_700_000_000_000_001, 1_700_000_000_100_000, 0, (2.0,), None),
        ],
        statuses=[(ORG, "d-1", "online", 1_700_000_000_000_000, "")],
        quarantine=[
            QuarantineEntry(
                organization_id=ORG,
                received_at=1_700_000_000_000_002,
                source="mqtt",
                format="smart_meter",
                topic="meters/1",
                raw=b"\x00\xff{",
                reason="not JSON",
                where="",
                device_key="d-1",
                credential_id=None,
            ),
            QuarantineEntry(
                organization_id=OTHER,
                received_at=1,
                source="http",
                format="json",
                raw=b"",
                reason="x",
                credential_id=5,
            ),
        ],
    )


def reframed(body):
    """A body with a version and a checksum that fit, as a faulty program would write it."""
    return b"\x01" + crc32(body).to_bytes(4, "big") + body


def decoded_or_refused(body):
    try:
        return isinstance(log_batch.decode(body), LogBatch)
    except RefusedError as error:
        return bool(error.reason)


def refusal(body):
    with pytest.raises(RefusedError) as caught:
        log_batch.decode(body)
    return caught.value.reason


def test_everything_comes_back():
    """Shapes with their organization, rows, statuses and quarantine entries survive the log."""
    batch = log_batch.decode(log_batch.encode(example()))

    assert batch.shapes == [(ORG, POWER), (OTHER, ENERGY)]
    assert batch.shapes[0][1].channels[0].kind is ChannelKind.INSTANTANEOUS
    assert batch.rows == [
        (0, 1_700_000_000_000_000, 1_700_000_000_100_000, 192, [1.5, None], [None, "on"]),
        (1, 1_700_000_000_000_001, 1_700_000_000_100_000, 0, [2.0], None),
    ]
    assert batch.statuses == example().statuses
    assert batch.quarantine == example().quarantine
    assert log_batch.decode(log_batch.encode(LogBatch())) == LogBatch()


def test_a_shape_is_one_object_over_all_batches():
    """Decoding two batches yields the identical shape, to remember things by."""
    one, two = (log_batch.decode(log_batch.encode(example())) for _ in range(2))
    assert one.shapes[0][1] is two.shapes[0][1]


def test_equal_shapes_that_are_different_objects_pack_alike():
    """What is remembered by an object's id never stands in for another object."""
    for index in range(3000):
        shape = Shape(f"d-{index}", "/s", (Channel("x_w"),))
        batch = LogBatch(shapes=[(ORG, shape)])
        del shape
        assert log_batch.decode(log_batch.encode(batch)).shapes[0][1].device == f"d-{index}"


def test_a_flipped_bit_anywhere_is_noticed():
    """Each byte of a batch is covered by the version or the checksum."""
    body = log_batch.encode(example())
    for at in range(len(body)):
        damaged = bytearray(body)
        damaged[at] ^= 0x10
        assert refusal(bytes(damaged))


@pytest.mark.parametrize("cut", [0, 1, 4, 5, 6, -1])
def test_a_cut_batch_is_noticed(cut):
    """A batch that ends early is refused at any length."""
    assert refusal(log_batch.encode(example())[:cut])


def test_another_version_is_refused():
    """A batch of a later version is not guessed at."""
    body = log_batch.encode(example())
    assert refusal(b"\x02" + body[1:]) == "not a batch of version 1"


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ([(1, 0, 0, 192, [1.0], None)], "there is no shape 1"),
        ([(-1, 0, 0, 192, [1.0], None)], "there is no shape -1"),
        ([(0, 0, 0, 192, [], None)], "1 channels, the row 0 values"),
        ([(0, 0, 0, 192, [1.0], ["a", "b"])], "1 channels"),
        ([(0, 0, 0, 192, ["x"], None)], "not as it should be"),
        ([(0, 0, 0, 192)], "not as it should be"),
    ],
)
def test_rows_that_do_not_fit_their_shape_are_refused(rows, reason):
    """A checksum that fits proves nothing about the content, so that is looked at, too."""
    body = log_batch.encode(LogBatch(shapes=[(ORG, ENERGY)], rows=rows))
    assert reason in refusal(body)


@pytest.mark.parametrize("body", [b"", b"\xdd\xff\xff\xff\xff", b"\x94" * 3000, b"\x90", b"\xc1"])
def test_msgpack_that_is_no_batch_is_refused(body):
    """Lengths that lie, depth without end, wrong structure."""
    assert refusal(reframed(body))


def test_a_shape_that_is_none_is_refused():
    """The packed shapes inside are checked like the rest."""
    body = msgspec.msgpack.encode([[[ORG.bytes, b"\xc1"]], [], [], []])
    assert refusal(reframed(body))


@given(st.binary(max_size=200))
def test_any_bytes_are_a_batch_or_refused(body):
    """Nothing but a batch or a refusal, with and without a fitting checksum."""
    for attempt in (body, reframed(body)):
        assert decoded_or_refused(attempt)


@given(st.data())
def test_any_mutation_of_a_batch_is_a_batch_or_refused(data):
    """The same for a valid body with bytes changed and its checksum made to fit again."""
    body = bytearray(log_batch.encode(example())[5:])
    for _ in range(data.draw(st.integers(1, 5))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    assert decoded_or_refused(reframed(bytes(body)))
