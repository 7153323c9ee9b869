"""The source that polls: what readings say, and that nobody waits for anybody else."""

import asyncio
from itertools import pairwise

import pytest
from ethernet_ip_world import Taken, cpppo_device, passing, polling, settings, until

from wattwire.formats import cip
from wattwire.formats.encapsulation import HEADER_BYTES, Command, decode_header, decode_unconnected
from wattwire.model import ChannelKind
from wattwire.simulate.ethernet_ip import power_monitors
from wattwire.sources import _ethernet_ip_poller, ethernet_ip


@pytest.fixture
async def devices():
    async with power_monitors(3, frozen=True) as three:
        yield three


def values_of(reading):
    names = [channel.name for channel in reading.shape.channels]
    return dict(zip(names, reading.values, strict=True))


async def test_a_reading_holds_what_the_device_shows(devices):
    """All channels of the map in one reading, with units and kinds, as precise as REALs are."""
    intake = Taken()
    async with polling(settings(devices[0]), intake):
        await intake.more("pm-0")
    reading = intake.readings[0]
    shown = devices[0].device.values()
    units = {channel.name: channel.unit for channel in reading.shape.channels}
    kinds = {channel.name: channel.kind for channel in reading.shape.channels}

    assert "/metrics" == reading.shape.stream
    assert len(units) == 39
    assert {name: shown.get(name, 0.0) for name in units} == pytest.approx(
        values_of(reading), rel=1e-6
    )
    assert ("V", "kW", "kVAR", "kWh") == tuple(
        units[name] for name in ("voltageAN", "realPower", "reactivePower", "realEnergy")
    )
    assert ChannelKind.ACCUMULATING == kinds["realEnergy"] == kinds["reactiveEnergyExported"]
    assert ChannelKind.INSTANTANEOUS == kinds["realPower"]
    assert 0 == reading.time % 1000


async def test_an_independent_device(tmp_path):
    """What cpppo's simulator holds, set by cpppo's client, is what is read."""
    numbers = [100 + n / 2 for n in range(12)]
    writes = ("RT[0-11]=(REAL)" + ",".join(map(str, numbers)), "EN[0-1]=(REAL)2,3.5")
    tags = ("RT@4/101/3=REAL[12]", "PW@4/102/3=REAL[18]", "EN@4/107/3=REAL[18]")
    intake = Taken()
    async with (
        cpppo_device(tmp_path, *tags, writes=writes) as port,
        polling(settings({"host": "127.0.0.1", "port": port, "key": "theirs"}), intake),
    ):
        await intake.more("theirs", 3)
    found = values_of(intake.readings[0])

    assert numbers == list(found.values())[:12]
    assert 2_000_003.5 == found["realEnergy"]


async def test_aligned_polls(devices):
    """Readings bear whole periods of the wall clock, and those of an instant go in together."""
    intake = Taken()
    async with polling(settings(*devices, period_ms=200, align_to_clock=True), intake) as (_, seen):
        await intake.until(lambda taken: len(taken.readings) >= 9)
    times = [reading.time for reading in intake.of("pm-1")]

    assert [0] * len(times) == [time % 200_000 for time in times]
    assert sorted(set(times)) == times
    assert max(intake.calls) == 3
    assert seen.counts["polls"] == seen.counts["answered"] == len(intake.readings)


async def test_silence_of_one_delays_no_other(devices):
    """While one device lets its first answer wait, another is polled again and again."""
    devices[0].faults.silent = True
    intake = Taken()
    async with polling(settings(*devices, timeout_ms=15_000), intake) as (_, figures):
        await intake.more("pm-1", 5)
        await intake.more("pm-2", 5)

        assert figures.counts["silent"] == 0
        assert [] == intake.of("pm-0")


async def test_a_slow_device_skips_its_own_polls(devices):
    """Answers that take longer than the period: slots are left out and counted, none is made up."""
    devices[0].faults.delay_seconds = 0.1
    intake = Taken()
    async with polling(settings(*devices[:2]), intake) as (_, figures):
        await intake.more("pm-0", 2)
        first, second = (reading.time for reading in intake.of("pm-0")[:2])

        assert second - first > 250_000
        assert figures.counts["missed"] >= 2
        assert len(intake.of("pm-1")) > len(intake.of("pm-0"))
        assert ["online"] == intake.said_of("pm-0")


async def test_a_connection_that_is_cut(devices):
    """The poll that finds it gone makes a new one: it is answered, and nobody is told."""
    intake = Taken()
    async with polling(settings(*devices), intake) as (_, figures):
        for _ in range(3):
            await intake.more("pm-0", 2)
            devices[0].cut_connections()
        await intake.more("pm-0", 2)

        assert figures.counts["reconnects"] == 3
        assert 0 == figures.counts["lost"]
    assert ["online"] == intake.said_of("pm-0")


async def test_a_session_that_is_lost(devices):
    """Status 0x64 on a connection that still stands makes a new session, within the same poll."""
    intake = Taken()
    async with polling(settings(devices[0]), intake) as (_, figures):
        await intake.more("pm-0")
        devices[0].forget_sessions()
        await intake.more("pm-0", 2)

        assert figures.counts["reconnects"] == 1
        assert 0 == figures.counts["lost"]
    assert 2 == devices[0].counts.sessions


async def test_a_device_that_goes_and_comes(devices, monkeypatch):
    """Off: offline, tried again after a pause, slots counted as missed. On again: online."""
    monkeypatch.setattr(_ethernet_ip_poller, "FIRST_PAUSE_SECONDS", 0.3)
    intake = Taken()
    async with polling(settings(*devices), intake) as (_, figures):
        await intake.more("pm-0")
        await devices[0].stop()
        await intake.until(lambda taken: "offline" in taken.said_of("pm-0"))
        assert 2 == figures.answering
        await devices[0].start()
        await intake.until(lambda taken: taken.said_of("pm-0")[-1] == "online")
        await intake.more("pm-0")

        assert figures.counts["missed"] > 0
        assert (3, 3) == (figures.devices, figures.answering)
    assert ["online", "offline", "online"] == intake.said_of("pm-0")
    offline = intake.statuses[[s.status for s in intake.statuses].index("offline")]
    assert "connection refused" == offline.detail


async def test_a_device_that_says_nothing(devices):
    """Connected and mute is silent, not offline; one mute poll alone is told to nobody."""
    intake = Taken()
    async with polling(settings(*devices, period_ms=600, timeout_ms=300), intake) as (_, figures):
        await intake.more("pm-0")
        devices[0].faults.silent = True
        await until(lambda: figures.counts["silent"] == 1, "one poll failed")
        devices[0].faults.silent = False
        await intake.more("pm-0", 2)
        assert ["online"] == intake.said_of("pm-0")
        devices[0].faults.silent = True
        await intake.until(lambda taken: "silent" in taken.said_of("pm-0"))

    assert ["online", "silent"] == intake.said_of("pm-0")


async def test_a_period_under_the_clock_of_another(devices):
    """Devices are polled at instants of their own, spread over the period."""
    period = 60_000
    polled = ethernet_ip.polled_by(settings(*devices, period_ms=period))
    phases = [one.grid.phase for one in polled]

    assert [period * 1000] * 3 == [one.grid.period for one in polled]
    gaps = [second - first for first, second in pairwise(phases)]
    assert all(0 < gap < 40_000_000 for gap in gaps)
    assert phases[2] - phases[0] < period * 1000


async def test_a_device_that_is_not_enabled(devices):
    """It is not polled, nor described."""
    listed = [
        {"host": "127.0.0.1", "port": d.port, "key": f"pm-{n}", "enabled": n == 1}
        for n, d in enumerate(devices)
    ]
    said = []

    async def describe(devices):
        said.extend(devices)
        return ()

    intake = Taken()
    async with polling(settings(*listed), intake, describe=describe):
        await intake.more("pm-1", 2)

    assert {"pm-1"} == {r.shape.device for r in intake.readings} == {d.key for d in said}
    assert [0, 0] == [devices[n].counts.connections for n in (0, 2)]


async def test_it_only_reads(devices):
    """Everything that leaves for a device, sessions lost and devices gone included, only reads."""
    async with passing(devices[0].port) as (way, sent):
        intake = Taken()
        configured = settings({"host": "127.0.0.1", "port": way, "key": "pm-0"})
        async with polling(configured, intake):
            await intake.more("pm-0", 2)
            devices[0].forget_sessions()
            await intake.more("pm-0")
            devices[0].cut_connections()
            await intake.more("pm-0")
        await until(lambda: decode_header(sent[-1]).command == Command.UNREGISTER_SESSION)
    frames = list(split(b"".join(sent)))
    asked = [
        cip.decode_request(decode_unconnected(data))
        for header, data in frames
        if header.command == Command.SEND_RR_DATA
    ]

    assert {Command.REGISTER_SESSION, Command.SEND_RR_DATA, Command.UNREGISTER_SESSION} == {
        header.command for header, _ in frames
    }
    assert {(cip.GET_ATTRIBUTE_SINGLE, 4, n, 3, b"") for n in (101, 102, 107)} == {
        (a.service, a.class_id, a.instance, a.attribute, a.data) for a in asked
    }


def split(stream):
    while stream:
        header = decode_header(stream)
        end = HEADER_BYTES + header.length
        yield header, stream[HEADER_BYTES:end]
        stream = stream[end:]


async def test_a_task_that_fails_fails_the_source(devices, monkeypatch):
    """No device is silently given up: the supervisor is told, and starts the source again."""
    intake = Taken()
    async with polling(settings(*devices), intake) as (task, figures):
        await intake.more("pm-0")
        monkeypatch.setattr(_ethernet_ip_poller, "read_values", None)
        async with asyncio.timeout(10):
            with pytest.raises(ExceptionGroup):
                await task

    assert (0, 0) == (figures.devices, figures.answering)
