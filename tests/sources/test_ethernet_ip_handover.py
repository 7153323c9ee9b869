"""From the poll to the intake: what cannot be read or is refused, and a hub that takes nothing."""

import asyncio
import struct
from functools import partial

import pytest
import structlog.testing
from ethernet_ip_world import Taken, polling, settings, until

from listening import listening
from wattwire.formats import cip, json_readings
from wattwire.formats import encapsulation as enip
from wattwire.formats.encapsulation import Command
from wattwire.simulate.ethernet_ip import power_monitors
from wattwire.sources import _collector, _ethernet_ip_poller, ethernet_ip

ONE = [{"instance": 101, "offset": 4, "type": "REAL", "name": "voltageBN", "unit": "V"}]


@pytest.fixture
async def devices():
    async with power_monitors(2, frozen=True) as two:
        yield two


async def test_a_status_is_kept_with_its_reason(devices):
    """An answer that is a refusal: in quarantine with its bytes, counted each time, kept once."""
    devices[0].faults.cip_status, devices[0].faults.instance = 0x16, 107
    intake = Taken()
    async with polling(settings(*devices), intake) as (_, figures):
        await until(lambda: figures.counts["denied"] >= 3)
        await intake.more("pm-1")
    ((raw, facts),) = intake.quarantined

    assert bytes.fromhex("8e001600") == raw
    assert {
        "source": "switchboard",
        "format": "ethernet_ip",
        "topic": f"127.0.0.1:{devices[0].port}",
        "reason": "object does not exist (0x16)",
        "where": "class 4, instance 107, attribute 3",
        "device_key": "pm-0",
    } == facts
    assert [] == intake.of("pm-0")


async def test_it_is_kept_again_after_a_while(devices, monkeypatch):
    """A fault that lasts stays visible in the quarantine."""
    monkeypatch.setattr(_ethernet_ip_poller, "KEEP_SECONDS", 0.0)
    devices[0].faults.cip_status = 0x08
    intake = Taken()
    async with polling(settings(devices[0]), intake):
        await intake.until(lambda taken: len(taken.quarantined) >= 2)


async def test_a_wrong_size(devices):
    """A shipped map knows how long an assembly is; another length is another device."""
    intake = Taken()
    async with polling(settings(devices[0], map="pm500-seed-legacy"), intake) as (_, figures):
        await intake.until(lambda taken: taken.quarantined)
        assert figures.counts["unreadable"] >= 1
        assert 0 == figures.counts["answered"]
    raw, facts = intake.quarantined[0]

    assert devices[0].device.assembly(100) == raw
    assert ("20 bytes, where map pm500-seed-legacy has 4", "instance 100") == (
        facts["reason"],
        facts["where"],
    )


def device_that_says(data):
    """A device whose every assembly holds these bytes."""

    async def answer(reader, writer):
        while True:
            header = enip.decode_header(await reader.readexactly(enip.HEADER_BYTES))
            await reader.readexactly(header.length)
            reply = enip.encode_registration()
            if header.command == Command.SEND_RR_DATA:
                said = cip.encode_response(cip.Response(cip.GET_ATTRIBUTE_SINGLE, data=data))
                reply = enip.encode_unconnected(said)
            writer.write(
                enip.encode_frame(header.command, reply, session=5, context=header.context)
            )

    return listening(answer)


async def test_a_value_that_is_no_number():
    """NaN is no reading: the bytes are kept, with the place."""
    bad = struct.pack("<12f", *range(11), float("nan"))
    intake = Taken()
    async with (
        device_that_says(bad) as port,
        polling(settings({"host": "127.0.0.1", "port": port, "key": "pm"}), intake),
    ):
        await intake.until(lambda taken: taken.quarantined)
    raw, facts = intake.quarantined[0]

    assert bad == raw
    assert "nan is not a finite number" == facts["reason"]
    assert "instance 101, byte 44 (currentN)" == facts["where"]
    assert [] == intake.readings


async def test_a_map_of_ones_own(devices):
    """It needs to know no more than what it reads: the rest of an assembly is left alone."""
    intake = Taken()
    async with polling(settings(devices[0], maps={"mine": ONE}, map="mine"), intake):
        await intake.more("pm-0")
    (channel,) = intake.readings[0].shape.channels

    assert ("voltageBN", "V") == (channel.name, channel.unit)
    shown = devices[0].device.values()["voltageBN"]
    assert [pytest.approx(shown, rel=1e-6)] == list(intake.readings[0].values)


async def test_what_the_hub_refuses_can_be_fed_back(devices):
    """A refused reading is kept as JSON that reads as the same; others are taken meanwhile."""
    intake = Taken(refuse={"pm-0"})
    intake.open.clear()
    async with polling(settings(*devices, align_to_clock=True), intake) as (_, figures):
        await until(lambda: figures.waiting >= 6)  # so that both are in one call
        intake.open.set()
        await intake.until(lambda taken: taken.quarantined and len(taken.of("pm-1")) >= 3)
        assert figures.counts["refused"] >= 1
    assert {"pm-0"} == {facts["device_key"] for _, facts in intake.quarantined}
    raw, facts = intake.quarantined[0]
    (again,) = json_readings.decode(raw, 0)
    other = intake.of("pm-1")[0]

    assert ("json", "pm-0", "this device is not known") == (
        facts["format"],
        facts["device_key"],
        facts["reason"],
    )
    assert other.shape.channels == again.shape.channels
    assert (0, 39) == (again.time % 100_000, len(again.values))


async def test_a_hub_that_takes_nothing_for_a_while(devices):
    """Polls go on; what was read waits and is all there in the end, in order."""
    intake = Taken()
    async with polling(settings(*devices), intake) as (_, figures):
        await intake.more("pm-0")
        intake.failing = True
        before = figures.counts["answered"]
        await until(lambda: figures.counts["answered"] >= before + 6)
        intake.failing = False
        await intake.until(lambda taken: len(taken.readings) >= before + 6)
    times = [reading.time for reading in intake.of("pm-0")]

    assert sorted(set(times)) == times
    assert figures.counts["answered"] == len(intake.readings)
    assert 0 == figures.waiting == figures.counts["dropped"]


async def test_a_full_queue_leaves_polls_out(devices, monkeypatch):
    """When as much waits as may, polls are left out and counted; what waits is not given up."""
    monkeypatch.setattr(_collector, "MAX_WAITING", 4)
    intake = Taken()
    intake.open.clear()
    async with polling(settings(*devices), intake) as (_, figures):
        await until(lambda: figures.counts["missed"] >= 4)
        polled = figures.counts["polls"]
        assert 4 <= polled <= 5  # two may be under way at once
        intake.open.set()
        await intake.until(lambda taken: len(taken.readings) > polled)

    assert figures.counts["answered"] == len(intake.readings)


async def test_the_end_hands_over_what_is_left(devices):
    """A source that is told to end gives what it read to the hub first."""
    intake = Taken()
    intake.open.clear()
    async with polling(settings(*devices), intake) as (task, figures):
        await until(lambda: figures.waiting >= 4)
        task.cancel()
        await until(lambda: figures.devices == 0)
        intake.open.set()
        await asyncio.wait({task}, timeout=10)

    assert figures.counts["answered"] == len(intake.readings) >= 4
    assert 0 == figures.counts["dropped"] == figures.waiting


async def test_an_end_that_cannot_wait(devices, monkeypatch):
    """When the hub takes nothing any more, what is lost with the source is counted."""
    monkeypatch.setattr(_collector, "FINISH_SECONDS", 0.1)
    intake = Taken()
    intake.open.clear()
    async with polling(settings(*devices), intake) as (task, figures):
        await until(lambda: figures.waiting >= 4)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    assert figures.counts["answered"] == figures.counts["dropped"] >= 4
    assert 0 == figures.waiting


async def test_devices_are_described_until_they_are_there(devices, monkeypatch):
    """Tags, name and type are told at the start; again for devices that were not there."""
    monkeypatch.setattr(ethernet_ip, "DESCRIBE_SECONDS", 0.05)
    said = []

    async def describe(some):
        said.append(some)
        if len(said) == 1:
            raise OSError("the database is away")
        return {"pm-b"} if len(said) == 2 else ()

    listed = [
        {"host": "127.0.0.1", "port": devices[0].port, "key": "pm-a", "name": "Feeder",
         "site": "North", "breaker": "Q3"},
        {"host": "127.0.0.1", "port": devices[1].port, "key": "pm-b"},
    ]  # fmt: skip
    intake = Taken()
    async with polling(settings(*listed), intake, describe=describe):
        await until(lambda: len(said) == 3)
        await intake.more("pm-a", 3)

    assert [["pm-a", "pm-b"], ["pm-a", "pm-b"], ["pm-b"]] == [[d.key for d in s] for s in said]
    first, second = said[0]
    assert ("Feeder", "powermonitor_500", {"site": "North", "breaker": "Q3"}) == (
        first.name,
        first.type,
        first.metadata,
    )
    assert ("", {}) == (second.name, second.metadata)


async def test_what_was_counted_is_logged_now_and_then(devices, monkeypatch):
    """One line for the source, with those of whom the most went wrong; not one for each poll."""
    monkeypatch.setattr(ethernet_ip, "TELL_SECONDS", 0.5)
    devices[0].faults.cip_status = 0x08
    intake = Taken()
    with structlog.testing.capture_logs() as lines:
        async with polling(settings(*devices), intake) as (_, figures):
            told = partial(of, lines, "sources.polls_counted")
            await until(lambda: len(told()) >= 2 and figures.counts["denied"] >= 6)
    first, second = told()[:2]

    assert ("switchboard", 2) == (first["source"], first["devices"])
    assert {"pm-0"} == first["worst"].keys() == second["worst"].keys()
    assert second["denied"] < figures.counts["denied"]  # of its time alone
    assert 1 == len(of(lines, "sources.answer_unreadable"))


def of(lines, event):
    return [line for line in lines if line["event"] == event]
