"""What a simulated PowerMonitor 500 does wrong when it is told to, and its command."""

import asyncio
import json
import signal
import socket
import subprocess
import sys
from contextlib import suppress

import pytest
from ethernet_ip_by_hand import LIMIT_SECONDS, client_of, forward_open
from hypothesis import given, settings
from hypothesis import strategies as st
from pycomm3 import CIPDriver

from wattwire.formats import cip
from wattwire.formats.cip import Request, Response
from wattwire.formats.encapsulation import Command
from wattwire.simulate.cip_objects import Connections, Objects
from wattwire.simulate.ethernet_ip import Faults, SimulatedPowerMonitor, power_monitors
from wattwire.simulate.power_monitor_500 import PowerMonitor500, model_of


@pytest.fixture
async def monitor():
    """A device whose values stand still."""
    async with power_monitors(1, frozen=True) as (only,):
        yield only


async def test_silence_and_slowness(monitor):
    """A request during silence stays unanswered for ever; a delayed answer comes, in its order."""
    async with client_of(monitor) as client:
        monitor.faults.silent = True
        await client.send(Command.SEND_RR_DATA, context=b"never---")
        async with asyncio.timeout(LIMIT_SECONDS):
            while monitor.counts.requests < 1:
                await asyncio.sleep(0.005)
        monitor.faults.silent = False
        monitor.faults.delay_seconds = 0.05
        header, _ = await client.exchange(Command.SEND_RR_DATA, context=b"delayed-")

    assert b"delayed-" == header.context


async def test_a_cut_connection(monitor):
    """The connection ends instead of an answer; a new one works when the fault is over."""
    async with client_of(monitor) as client:
        monitor.faults.cut = True
        await client.send(Command.SEND_RR_DATA)
        assert await client.ended()
    monitor.faults.cut = False
    async with client_of(monitor) as client:
        assert 0 == (await client.read(101)).status


async def test_faults_of_sessions(monitor):
    """A wrong session in the answer, a status in its header, and sessions that are forgotten."""
    async with client_of(monitor) as client:
        await client.ask(forward_open())
        monitor.faults.wrong_session = True
        await client.send(Command.SEND_RR_DATA)
        header, _ = await client.receive()
        assert client.session != header.session
        monitor.faults.wrong_session = False

        monitor.faults.encapsulation_status = 2
        assert 2 == await client.read(101)
        monitor.faults.encapsulation_status = 0

        monitor.forget_sessions()
        assert 0x64 == await client.read(101)
        await client.register()
        assert 0 == (await client.read(101)).status
        assert 0 == (await client.ask(forward_open())).status  # the old one is forgotten, too


async def test_faults_of_answers(monitor):
    """A status for one instance alone, with words of extended status, and data that are short."""
    monitor.faults.cip_status, monitor.faults.cip_extended = 0x10, (0x2105,)
    monitor.faults.instance = 102
    async with client_of(monitor) as client:
        assert Response(0x0E, 0x10, (0x2105,)) == await client.read(102)
        assert 0 == (await client.read(101)).status
        monitor.faults.instance = None
        assert 0x10 == (await client.read(101)).status
        monitor.faults.cip_status = 0
        monitor.faults.short_by = 4
        assert monitor.device.assembly(101)[:44] == (await client.read(101)).data


async def test_faults_from_the_start_and_a_pulled_plug():
    """Faults may be given when it is made; it stops, and comes back on the same port."""
    monitor = SimulatedPowerMonitor(PowerMonitor500(model_of(0)), faults=Faults(cip_status=0x16))
    await monitor.start()
    try:
        async with client_of(monitor) as client:
            assert 0x16 == (await client.read(101)).status
            port = monitor.port
            await monitor.stop()
            assert await client.ended()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(monitor.host, port)
        await monitor.start()
        assert port == monitor.port
        async with client_of(monitor) as client:
            monitor.cut_connections()
            assert await client.ended()
    finally:
        await monitor.stop()


async def test_a_taken_port_is_an_error():
    """Whether TCP or UDP has it: OSError, and nothing is left listening."""
    async with power_monitors(1) as (only,):
        with pytest.raises(OSError, match="in use"):
            async with power_monitors(1, port=only.port):
                pass
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 0))
        monitor = SimulatedPowerMonitor(PowerMonitor500(model_of(0)), port=other.getsockname()[1])
        with pytest.raises(OSError, match="in use"):
            await monitor.start()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(monitor.host, monitor.port)


async def test_values_change_unless_frozen():
    """The same device twice: one goes on, the other shows what it showed."""
    async with power_monitors(1) as (running,), power_monitors(1, frozen=True) as (frozen,):
        first, held = running.device.assembly(107), frozen.device.assembly(107)
        async with asyncio.timeout(LIMIT_SECONDS):
            while first == running.device.assembly(107):
                await asyncio.sleep(0.01)
        assert held == frozen.device.assembly(107)


async def test_ports_follow_the_first():
    """Given a port, devices listen on it and those behind it."""
    async with asyncio.timeout(LIMIT_SECONDS):
        while True:
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                port = probe.getsockname()[1]
            with suppress(OSError):  # somebody has one of them: try others
                async with power_monitors(3, port=port) as monitors:
                    listening = [monitor.port for monitor in monitors]
                    break
    assert [port, port + 1, port + 2] == listening


async def test_devices_do_not_wait_for_each_other():
    """A silent one and a slow one beside a third that answers; each has its own identity."""
    async with power_monitors(3) as (silent, slow, sound):
        silent.faults.silent = True
        slow.faults.delay_seconds = 60.0
        async with client_of(silent) as one, client_of(slow) as two, client_of(sound) as three:
            await one.send(Command.SEND_RR_DATA)
            await two.send(Command.SEND_RR_DATA)
            assert 0 == (await three.read(101)).status
        assert 3 == len({monitor.description()["serial"] for monitor in (silent, slow, sound)})


REQUESTS = st.builds(
    Request,
    st.sampled_from([0x01, 0x0E, 0x10, 0x4E, 0x54, 0x5B]) | st.integers(0, 0x7F),
    st.sampled_from([1, 4, 6]) | st.integers(0, 0xFFFF),
    st.sampled_from([0, 1, 101]) | st.integers(0, 0xFFFF),
    st.none() | st.integers(0, 0xFFFF),
    st.binary(max_size=60),
)

CONNECTING = st.builds(
    Request,
    st.sampled_from([0x4E, 0x54, 0x5B]),
    st.just(6),
    st.just(1),
    st.none(),
    st.binary(max_size=60),
)


@settings(max_examples=200, deadline=None)
@given(st.lists(REQUESTS | CONNECTING, max_size=5))
def test_any_request_has_an_answer(requests):
    """Whatever is asked, with whatever data, the objects answer for the service that was asked."""
    objects = Objects(PowerMonitor500(model_of(0)), Connections())
    for request in requests:
        answer = objects.answer(request)
        assert answer == cip.decode_response(cip.encode_response(answer))
        assert request.service == answer.service


async def test_noise_ends_one_connection_and_no_other(monitor):
    """Bytes that are no EtherNet/IP, of many kinds, while another client goes on reading."""
    noises = [b"GET / HTTP/1.1\r\n\r\n" * 9, b"\xff" * 64, bytes(24), b"\x6f\0\x04\0" + bytes(24)]
    async with client_of(monitor) as sound:
        for noise in noises:
            async with client_of(monitor) as client:
                client.writer.write(noise)
                client.writer.write_eof()
                async with asyncio.timeout(LIMIT_SECONDS):
                    await client.reader.read()
            assert 0 == (await sound.read(101)).status


# --- the command


def command(*arguments):
    code = "from wattwire.simulate import simulate_app; simulate_app()"
    return subprocess.Popen(
        [sys.executable, "-c", code, "powermonitors", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def read_101(device):
    with CIPDriver(f"{device['host']}:{device['port']}") as driver:
        return driver.generic_message(
            service=0x0E, class_code=4, instance=101, attribute=3, connected=False, route_path=False
        ).value


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_command_runs_until_stopped(number):
    """One line of JSON with each device's address; each answers; Ctrl-C and SIGTERM end it."""
    process = command("--count", "3", "--port", "0", "--frozen", "--json")
    try:
        devices = json.loads(process.stdout.readline())["devices"]
        first = [read_101(device) for device in devices]
        assert (3, 3) == (len(set(first)), len({device["serial"] for device in devices}))
        assert first == [read_101(device) for device in devices]
        process.send_signal(number)
        out, err = process.communicate(timeout=30)
    finally:
        process.kill()
        process.wait()

    assert (0, "", "") == (process.returncode, out, err)


def test_the_command_says_which_port_is_taken():
    """One sentence and exit code 1; ports that do not exist are a usage error."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        process = command("--port", str(port))
        _, err = process.communicate(timeout=30)
    assert 1 == process.returncode
    assert err.startswith(f"127.0.0.1:{port}: ")
    assert 1 == len(err.splitlines())

    process = command("--count", "10", "--port", "65530")
    _, err = process.communicate(timeout=30)
    assert 2 == process.returncode
    assert "10 ports from 65530" in err
