"""The connection to one device: what it sends, what it makes of answers, and of what are none.

On the loop of the standard library, and on the one that the hub runs on: see conftest.py.
"""

import asyncio
import struct

import pytest
from ethernet_ip_world import passing

from listening import listening
from wattwire.formats import cip
from wattwire.formats.encapsulation import Command, decode_header
from wattwire.simulate.ethernet_ip import power_monitors
from wattwire.sources._ethernet_ip_link import (
    Address,
    Attribute,
    DeniedError,
    Link,
    LostError,
    SilentError,
    UnreachableError,
)

SECONDS = 10.0
VOLTAGES = Attribute(4, 101, 3)
SET_ATTRIBUTE_SINGLE = bytes.fromhex("1003 2004 2465 3003 0000")


@pytest.fixture
async def device():
    async with power_monitors(1, frozen=True) as (only,):
        yield only


@pytest.fixture
async def link(device):
    opened = await Link.open(Address("127.0.0.1", device.port), SECONDS)
    yield opened
    opened.close()


async def test_an_attribute_is_read(device, link):
    """The bytes are those that the device has, its size the one that it says."""
    data = await link.read(VOLTAGES)

    assert device.device.assembly(101) == data
    assert (48).to_bytes(2, "little") == await link.read(Attribute(4, 101, 4))


async def test_who_it_is(device, link):
    """ListIdentity goes over the same connection."""
    assert device.device.model.identity == await link.identity()
    await link.read(VOLTAGES)


async def test_a_status_is_said_in_words(device, link):
    """A refusal names what was asked and why; the connection goes on."""
    with pytest.raises(DeniedError, match=r"instance 150.*path destination unknown") as caught:
        await link.read(Attribute(4, 150, 3))

    assert cip.decode_response(caught.value.answer).status == 0x05
    await link.read(VOLTAGES)


async def test_an_extended_status_is_shown(device, link):
    """What stands beside the general status is part of the reason."""
    device.faults.cip_status, device.faults.cip_extended = 0x1E, (0x1234,)
    with pytest.raises(DeniedError, match=r"embedded service error \(0x1E\): 0x1234"):
        await link.read(VOLTAGES)


@pytest.mark.parametrize(
    ("fault", "error", "said"),
    [
        ({"cut": True}, LostError, "closed the connection|reset"),
        ({"wrong_session": True}, LostError, "for session 0x"),
        ({"encapsulation_status": 0x64}, LostError, "invalid session handle"),
        ({"encapsulation_status": 0x03}, LostError, "faulty data"),
    ],
)
async def test_a_session_that_is_lost(device, link, fault, error, said):
    """Whatever ends a session says so, and closes the link."""
    for name, value in fault.items():
        setattr(device.faults, name, value)
    with pytest.raises(error, match=said):
        await link.read(VOLTAGES)

    assert not link.alive
    with pytest.raises(LostError):
        await link.read(VOLTAGES)


async def test_silence_ends_the_wait_and_the_link(device):
    """What would come too late is not taken for the answer to the next question."""
    link = await Link.open(Address("127.0.0.1", device.port), 0.2)
    device.faults.silent = True
    with pytest.raises(SilentError, match=r"no answer within 0\.2 s"):
        await link.read(VOLTAGES)

    assert not link.alive


async def test_nobody_is_there(unused_tcp_port_of):
    """A port on which nobody listens is told in the system's words."""
    with pytest.raises(UnreachableError, match="connection refused"):
        await Link.open(Address("127.0.0.1", unused_tcp_port_of()), SECONDS)


async def test_a_name_that_is_none():
    """So is a name that nobody knows."""
    with pytest.raises(UnreachableError):
        await Link.open(Address("no-such-host.invalid"), SECONDS)


@pytest.fixture
def unused_tcp_port_of():
    import socket

    def find():
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            return probe.getsockname()[1]

    return find


GARBAGE = {
    "a header that claims too much": struct.pack("<HHII8sI", 0x65, 5000, 1, 0, bytes(8), 0),
    "an answer to something else": struct.pack("<HHII8sI", 0x6F, 0, 1, 0, bytes(8), 0),
    "more than was asked for": bytes(200),
    "text": b"HTTP/1.1 400 Bad Request\r\n\r\n",
}


@pytest.mark.parametrize("garbage", GARBAGE.values(), ids=GARBAGE)
async def test_what_is_no_answer(garbage):
    """Anything else than the answer ends the link, in one kind of error."""

    async def answer(reader, writer):
        await reader.read(100)
        writer.write(garbage)
        await reader.read()

    async with listening(answer) as port:
        with pytest.raises(LostError):
            await Link.open(Address("127.0.0.1", port), SECONDS)


async def test_an_answer_in_pieces(device):
    """A frame may come byte by byte."""

    async with passing(device.port, size=1) as (port, _):
        link = await Link.open(Address("127.0.0.1", port), SECONDS)
        assert device.device.assembly(101) == await link.read(VOLTAGES)
        link.close()


async def test_what_does_not_only_read_is_not_sent(device):
    """No service but the two that read leaves a link, and no command that could carry another."""
    async with passing(device.port) as (port, sent):
        link = await Link.open(Address("127.0.0.1", port), SECONDS)
        before = len(sent)
        for service in set(range(256)) - {0x01, 0x0E}:
            with pytest.raises(ValueError, match="does not only read"):
                await link._request(bytes((service,)) + SET_ATTRIBUTE_SINGLE[1:])
        with pytest.raises(ValueError, match="none of a reader's"):
            await link._ask(Command.SEND_UNIT_DATA, SET_ATTRIBUTE_SINGLE)

        assert len(sent) == before
        link.close()


async def test_closing_says_goodbye(device):
    """The session is ended in words, so that the device has a place for another at once."""
    async with passing(device.port) as (port, sent):
        link = await Link.open(Address("127.0.0.1", port), SECONDS)
        await link.read(VOLTAGES)
        link.close()
        async with asyncio.timeout(SECONDS):
            while decode_header(sent[-1]).command != Command.UNREGISTER_SESSION:
                await asyncio.sleep(0.005)

    assert decode_header(sent[-1]).session == decode_header(sent[-2]).session
