"""A simulated PowerMonitor 500 on the network, read by independent clients and by hand."""

import asyncio
import json
import shutil
import socket
import struct
import subprocess
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from ethernet_ip_by_hand import (
    LIMIT_SECONDS,
    client_of,
    forward_close,
    forward_open,
)
from pycomm3 import CIPDriver

from wattwire.formats import cip, encapsulation
from wattwire.formats.assembly_maps import MAPS, read_values
from wattwire.formats.cip import Request, Response
from wattwire.formats.encapsulation import Command, Connected
from wattwire.simulate.cip_objects import MAX_CONNECTIONS
from wattwire.simulate.ethernet_ip import SimulatedPowerMonitor, power_monitors
from wattwire.simulate.power_monitor_500 import INSTANCES, PowerMonitor500, model_of

MODULES = Path(__file__).parents[1] / "node" / "node_modules"
MANUAL = MAPS["ab-pm500-manual"]


@pytest.fixture
async def monitor():
    """A device whose values stand still."""
    async with power_monitors(1, frozen=True) as (only,):
        yield only


# --- independent clients


def pycomm3_reads(port, *, connected):
    """Instance to attributes 3 and 4, as pycomm3 reads them."""
    with CIPDriver(f"127.0.0.1:{port}") as driver:
        return {
            instance: tuple(
                driver.generic_message(
                    service=0x0E, class_code=4, instance=instance, attribute=attribute,
                    connected=connected, unconnected_send=False, route_path=False,
                )
                for attribute in (3, 4)
            )
            for instance in INSTANCES
        }  # fmt: skip


@pytest.mark.parametrize("connected", [False, True])
async def test_pycomm3_reads_what_it_holds(monitor, connected):
    """All nine assemblies and their sizes, without a connection and over one (Forward Open)."""
    read = await asyncio.to_thread(pycomm3_reads, monitor.port, connected=connected)

    assert {None} == {tag.error for tags in read.values() for tag in tags}
    for instance, (data, size) in read.items():
        assert monitor.device.assembly(instance) == data.value
        assert len(data.value) == int.from_bytes(size.value, "little")
    values = read_values(MANUAL, {i: read[i][0].value for i in MANUAL.sizes})
    held = monitor.device.values()
    assert {n: held.get(n, 0.0) for n in values} == pytest.approx(values, rel=1e-6, abs=0.04)


async def test_pycomm3_knows_the_device(monitor):
    """ListIdentity by TCP, and the identity object's name and attributes together."""

    def look():
        with CIPDriver(f"127.0.0.1:{monitor.port}") as driver:
            asked = {"class_code": 1, "instance": 1, "connected": False, "route_path": False}
            name = driver.generic_message(service=0x0E, attribute=7, **asked)
            return driver._list_identity(), name, driver.generic_message(service=0x01, **asked)

    identity, name, everything = await asyncio.to_thread(look)
    assert ("PowerMonitor 500", f"{monitor.device.model.identity.serial:08x}") == (
        *(identity["product_name"], identity["serial"]),
    )
    assert b"\x10PowerMonitor 500" == name.value
    assert everything.value.endswith(name.value)
    assert 14 + 17 == len(everything.value)


async def test_st_ethernet_ip_reads_what_it_holds(monitor):
    """The npm client reads the same bytes, without a connection and over one."""
    if not (MODULES / "st-ethernet-ip").exists():
        pytest.fail("st-ethernet-ip is missing: npm ci --prefix tests/node")
    script = Path(__file__).with_name("ethernet_ip_client.cjs")
    instances = json.dumps([*INSTANCES, 109])
    process = await asyncio.create_subprocess_exec(
        shutil.which("node"), script, MODULES, "127.0.0.1", str(monitor.port), instances,
        stdout=subprocess.PIPE,
    )  # fmt: skip
    async with asyncio.timeout(60):
        out, _ = await process.communicate()
    *answers, ends = map(json.loads, out.splitlines())

    assert {"opened": 0, "closed": 0} == ends
    assert 2 * 2 * 10 == len(answers)
    for answer in answers:
        data = monitor.device.assembly(answer["instance"])
        size = (len(data or b"")).to_bytes(2, "little")
        expected = b"" if data is None else {3: data, 4: size}[answer["attribute"]]
        assert (5 if data is None else 0, expected.hex()) == (answer["status"], answer["data"])


# --- what it answers


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (Request(0x10, 4, 101, 3, bytes(48)), 0x0E),
        (Request(0x10, 4, 101, 7, b""), 0x14),
        (Request(0x10, 1, 1, 7, b""), 0x0E),
        (Request(0x0E, 4, 99, 3), 0x05),
        (Request(0x0E, 4, 109, 3), 0x05),
        (Request(0x0E, 1, 2, 1), 0x05),
        (Request(0x0E, 0x4F, 1, 1), 0x05),
        (Request(0x0E, 4, 101, 1), 0x14),
        (Request(0x0E, 4, 101, None), 0x14),
        (Request(0x0E, 1, 1, 8), 0x14),
        (Request(0x33, 4, 101, 3), 0x08),
        (Request(0x01, 4, 101, None), 0x08),
        (Request(0x52, 6, 1, None), 0x08),
        (Request(0x54, 6, 1, None, b"short"), 0x13),
        (Request(0x4E, 6, 1, None, b"short"), 0x13),
    ],
)
async def test_refusals_are_those_of_a_device(monitor, request_, status):
    """Unknown instances, attributes and services, and every attempt to set something."""
    async with client_of(monitor) as client:
        assert Response(request_.service, status) == await client.ask(request_)
        assert 0 == (await client.read(101)).status


async def test_classes_say_what_they_hold(monitor):
    """Class attributes: revision, highest instance and number of instances."""
    async with client_of(monitor) as client:
        answers = [(await client.read(0, attribute)).data for attribute in (1, 2, 3)]

    assert [2, 108, 9] == [int.from_bytes(data, "little") for data in answers]


@pytest.mark.parametrize(
    ("command", "data", "status"),
    [
        (Command.SEND_RR_DATA, b"", 0x64),
        (Command.SEND_UNIT_DATA, b"", 0x64),
        (Command.REGISTER_SESSION, b"\1\0", 0x65),
        (Command.REGISTER_SESSION, b"\2\0\0\0", 0x69),
        (0x1234, b"", 0x01),
    ],
)
async def test_frames_that_are_refused(monitor, command, data, status):
    """Without a session, of another version, or unknown: a status, and the context comes back."""
    async with client_of(monitor, register=False) as client:
        header, _ = await client.exchange(command, data)

    assert (status, int(command), b"whatever") == (header.status, header.command, header.context)


async def test_faulty_data_is_refused_and_the_session_goes_on(monitor):
    """Items that cannot be read: status 3. A path that cannot be read: CIP's status 4."""
    async with client_of(monitor) as client:
        header, _ = await client.exchange(Command.SEND_RR_DATA, b"\1\2\3")
        data = encapsulation.encode_unconnected(b"\x0e\x01\x91\x01")
        _, answer = await client.exchange(Command.SEND_RR_DATA, data)
        second = await client.exchange(
            Command.REGISTER_SESSION, encapsulation.encode_registration()
        )

        assert 3 == header.status
        refused = cip.decode_response(encapsulation.decode_unconnected(answer))
        assert Response(0x0E, cip.PATH_SEGMENT_ERROR) == refused
        assert 1 == second[0].status
        assert 0 == (await client.read(101)).status


@pytest.mark.parametrize("service", [cip.FORWARD_OPEN, cip.LARGE_FORWARD_OPEN])
async def test_a_connection_lives_from_open_to_close(monitor, service):
    """Answers go to the client's id with its sequence; after Forward Close nobody answers."""
    request = forward_open(answers_to=0x55AA, service=service)
    if service == cip.LARGE_FORWARD_OPEN:
        head, tail = request.data[:22], request.data[22:]
        out, n1, back, n2, *rest = struct.unpack("<IHIHBB", tail[:14])
        tail = struct.pack("<IIIIBB", out, n1, back, n2, *rest) + tail[14:]
        request = Request(service, 6, 1, None, head + tail)
    message = cip.get_attribute_single(4, 107, 3)
    async with client_of(monitor) as client:
        opened = await client.ask(request)
        assert Response(service, 0, (), opened.data) == opened
        number = int.from_bytes(opened.data[:4], "little")
        sent = encapsulation.encode_connected(Connected(number, 9, message))
        _, data = await client.exchange(Command.SEND_UNIT_DATA, sent)
        got = encapsulation.decode_connected(data)
        assert (0x55AA, 9) == (got.connection_id, got.sequence)
        assert monitor.device.assembly(107) == cip.decode_response(got.message).data

        assert 0 == (await client.ask(forward_close())).status
        assert Response(0x4E, 1, (0x0107,)) == await client.ask(forward_close())
        await client.send(Command.SEND_UNIT_DATA, sent)
        assert 0 == (await client.read(101)).status  # the next answer is that of the next request


async def test_connections_are_eighteen_at_most(monitor):
    """The nineteenth Forward Open is refused, as are a second one alike and implicit I/O."""
    async with client_of(monitor) as client:
        for serial in range(MAX_CONNECTIONS):
            assert 0 == (await client.ask(forward_open(serial))).status
        again, more, implicit = [
            (await client.ask(request)).extended
            for request in (forward_open(3), forward_open(99), forward_open(99, transport=0x01))
        ]
        assert [(0x0100,), (0x0113,), (0x0103,)] == [again, more, implicit]
    async with client_of(monitor) as client:  # they ended with their TCP connection
        assert 0 == (await client.ask(forward_open(3))).status


async def test_tcp_connections_are_eighteen_at_most(monitor):
    """The nineteenth is closed; when one ends, another is taken."""
    async with AsyncExitStack() as stack:
        for _ in range(MAX_CONNECTIONS - 1):
            await stack.enter_async_context(client_of(monitor))
        async with client_of(monitor), client_of(monitor, register=False) as one_too_many:
            assert await one_too_many.ended()
        async with asyncio.timeout(LIMIT_SECONDS):
            while not await is_answered(monitor):
                await asyncio.sleep(0.01)


async def is_answered(monitor):
    """Whether a new connection is taken."""
    async with client_of(monitor, register=False) as client:
        try:
            await client.exchange(Command.LIST_SERVICES)
        except (asyncio.IncompleteReadError, ConnectionError):
            return False
        return True


async def test_discovery_by_udp(monitor):
    """ListIdentity by UDP on the same port says what it says by TCP; other datagrams nothing."""
    by_udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with by_udp:
        by_udp.setblocking(False)
        by_udp.connect((monitor.host, monitor.port))
        by_udp.send(b"noise")
        by_udp.send(encapsulation.encode_frame(Command.SEND_RR_DATA))
        by_udp.send(encapsulation.encode_frame(Command.LIST_IDENTITY, context=b"discover"))
        async with asyncio.timeout(LIMIT_SECONDS):
            data = await asyncio.get_running_loop().sock_recv(by_udp, 4096)

    assert b"discover" == encapsulation.decode_header(data).context
    assert monitor.device.model.identity == encapsulation.decode_identity(data[24:])
    async with client_of(monitor, register=False) as client:
        _, by_tcp = await client.exchange(Command.LIST_IDENTITY)
    assert data[24:] == by_tcp


async def test_a_frame_over_the_limit_ends_the_connection(monitor):
    """More than 4 KiB claimed: closed at once, without waiting for them."""
    async with client_of(monitor) as client:
        client.writer.write(struct.pack("<HH20x", Command.SEND_RR_DATA, 4097))
        assert await client.ended()
    async with client_of(monitor) as client:
        assert 0 == (await client.read(101)).status


async def test_a_session_ends_when_told(monitor):
    """UnRegisterSession closes the connection without an answer."""
    async with client_of(monitor) as client:
        await client.send(Command.UNREGISTER_SESSION)
        assert await client.ended()


async def test_an_idle_connection_ends():
    """Who says nothing for too long, or only half of a frame, is hung up on."""
    monitor = SimulatedPowerMonitor(PowerMonitor500(model_of(0)), idle_seconds=0.05)
    await monitor.start()
    try:
        for said in (b"", b"\x6f\0", struct.pack("<HH20x", Command.SEND_RR_DATA, 8)):
            async with client_of(monitor) as client:
                client.writer.write(said)
                assert await client.ended()
    finally:
        await monitor.stop()
