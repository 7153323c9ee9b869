"""What the flow does when a device, the broker or InfluxDB does not do its part."""

import asyncio
import json
import time

import pytest
from ethernet_ip_world import passing
from node_red_world import until

HEADER = 24
#: SendRRData of Get_Attribute_Single (0x0E), class 4, an instance, attribute 3.
READ = "000000000a000200" + "00000000" + "b2000800" + "0e03200424{:02x}3003"
REGISTER_SESSION, SEND_RR_DATA = 0x65, 0x6F


async def test_only_reads_are_sent(world):
    """All that a device is sent: a session, and reads. Answers may come in bits."""
    async with world() as running, passing(running.monitors[0].port, size=1) as (way, sent):
        await running.node_red.deploy({"DEVICE_PORT": way, "INFLUXDB_URL": ""})
        await running.messages(2)
        stream = b"".join(sent)
    asked = set()
    while stream:
        end = HEADER + int.from_bytes(stream[2:4], "little")
        asked.add((int.from_bytes(stream[:2], "little"), stream[HEADER:end].hex()))
        stream = stream[end:]

    reads = {(SEND_RR_DATA, READ.format(instance)) for instance in (101, 102, 107)}
    assert {(REGISTER_SESSION, "01000000"), *reads} == asked


async def test_a_device_comes_back(world):
    """After cut connections, a lost session and an absence, readings come again by themselves."""
    async with world() as running:
        (monitor,) = running.monitors
        await running.messages(2)
        monitor.cut_connections()
        await running.messages(2)
        monitor.forget_sessions()
        await running.messages(2)
        await monitor.stop()
        await running.watch.until("pm500-poll", "0 of 1 answering: Press#4 offline")
        await monitor.start()
        await running.messages(2)
        await running.watch.now("pm500-poll", "1 of 1 answering")
        polls = await figure(running, "polls", lambda polls: polls["reconnects"] >= 3)

    assert 0 < polls["offline"] <= polls["polls"] - polls["answered"]


async def figure(running, key, condition):
    """Wait until what the flow shows in Context Data is so."""
    for _ in range(300):
        if (shown := await running.node_red.context(key)) and condition(shown):
            return shown
        await asyncio.sleep(0.1)
    raise AssertionError(f"{key}: {shown}")


@pytest.mark.parametrize(
    ("fault", "kind", "words"),
    [
        ({"cip_status": 0x16, "instance": 102}, "denied", "instance 102: CIP status 22"),
        ({"short_by": 4}, "unreadable", "instance 101: 44 bytes, not 48"),
        ({"silent": True}, "silent", "silent: no answer in 500 ms"),
        ({"encapsulation_status": 1}, "lost", "offline: encapsulation status 1"),
        ({"wrong_session": True}, "lost", "an answer to something that was not asked"),
        ({"cut": True}, "lost", "the device closed the connection"),
    ],
)
async def test_a_device_that_answers_wrongly(world, fault, kind, words):
    """It is said what is wrong, nothing half-read is passed on, and it goes on when that ends."""
    async with world() as running:
        (monitor,) = running.monitors
        await running.messages(1)
        for name, value in fault.items():
            setattr(monitor.faults, name, value)
        await running.watch.until("pm500-errors", words)
        for name in fault:
            setattr(monitor.faults, name, type(monitor.faults).__dataclass_fields__[name].default)
        messages = await running.messages(3)
        polls = await figure(running, "polls", lambda polls: polls[kind])

    assert polls[kind] > 0
    assert {39} == {len(body["metrics"]) for _, body in messages}


async def test_a_value_that_is_no_number(world):
    """Of a poll with a value that is not finite nothing is passed on, and the place is said."""
    async with world() as running:
        running.monitors[0].device.hold({"realPower": float("nan")})
        await running.watch.until("pm500-errors", "instance 102, byte 12 (realPower): NaN")
        before = len(running.onlooker.messages())
        running.monitors[0].device.hold({"realPower": 1.0})
        topics = await running.messages(1)

    assert [1.0] == [
        metric["value"] for metric in topics[0][1]["metrics"] if metric["name"] == "realPower"
    ]
    assert before <= 2


async def test_a_silent_device_delays_no_other(world):
    """Of two devices one never answers: the other is read on, under its own name and tags."""
    async with world(2) as running:
        first, second = running.monitors
        first.faults.silent = True
        devices = [
            {"port": first.port, "name": "pm-1"},
            {"port": second.port, "name": "pm-2", "uuid": "u-2", "breaker": "Q9", "edge": "e2"},
        ]
        settings = {"DEVICES": json.dumps(devices), "INFLUXDB_URL": running.influx.url}
        await running.node_red.deploy(settings)
        await running.watch.until("pm500-poll", "1 of 2 answering: pm-1 silent")
        messages = await running.messages(5)
        lines = await running.lines()

    assert {("spBv1.0/pm500/DDATA/e2/pm-2", "u-2")} == {
        (topic, body["uuid"]) for topic, body in messages
    }
    assert all(",breaker=Q9," in line for line in lines)


async def test_the_button_polls_at_once(world):
    """With a period of a day, the button brings a reading without waiting for it."""
    async with world(POLL_MS=86_400_000) as running:
        await running.watch.now("pm500-mqtt", "common.status.connected")
        await figure(running, "polls", lambda polls: polls["answered"] == 1)
        before = len(running.onlooker.messages())
        await running.node_red.press("pm500-now")
        await running.messages(1)
        polls = await figure(running, "polls", lambda polls: polls["answered"] == 2)

    assert before <= 1
    assert (2, 0) == (polls["polls"], polls["missed"])


@pytest.mark.parametrize(
    ("settings", "node", "words"),
    [
        ({"DEVICES": "[{"}, "pm500-poll", "JSON"),
        ({"DEVICE_HOST": ""}, "pm500-poll", "no host: set DEVICE_HOST"),
        ({"POLL_MS": "often"}, "pm500-errors", "POLL_MS: often is no number; 1000 is taken"),
        ({"INFLUXDB_URL": "nowhere"}, "pm500-buffer", "INFLUXDB_URL is not set"),
    ],
)
async def test_settings_that_make_no_sense(world, settings, node, words):
    """The node that needs the variable says so, and Node-RED runs on."""
    async with world(**settings) as running:
        await running.watch.until(node, words)

        assert running.node_red.alive()


async def test_never_asked_more_often_than_every_100_ms(world):
    """However short the period is said to be, a device gets at most ten polls in a second."""
    async with world(POLL_MS=1) as running:
        await running.messages(1)
        begin, before = time.monotonic(), running.monitors[0].counts.requests
        await running.messages(12)
        requests = running.monitors[0].counts.requests - before
        elapsed = time.monotonic() - begin

    assert requests <= 3 * (elapsed / 0.1 + 2)


async def test_a_broker_that_refuses_the_login(world):
    """A wrong password: Node-RED runs on, InfluxDB is written, MQTT says it is not connected."""
    async with world() as running:
        await running.node_red.deploy(
            {
                "DEVICE_PORT": running.monitors[0].port,
                "INFLUXDB_URL": running.influx.url,
                "BROKER_PASSWORD": "wrong",
            }
        )
        await running.watch.next("pm500-mqtt", "common.status.connecting")
        before = len(running.onlooker.messages())
        await running.lines()
        await running.lines()

        assert before == len(running.onlooker.messages())
        assert running.node_red.alive()
        assert not running.watch.said["pm500-mqtt"][-1].endswith(".connected")


async def test_a_broker_that_was_away(world):
    """Messages come again when the broker is back; what was read meanwhile it does not get."""
    async with world() as running:
        await running.messages(2)
        broker = running.broker
        broker.stop()
        await running.watch.next("pm500-mqtt", "common.status.disconnected")
        await running.lines()
        await broker.start()
        await running.watch.next("pm500-mqtt", "common.status.connected")
        assert running.node_red.alive()


async def test_a_broker_over_tls(world, broker):
    """With BROKER_TLS=true the flow connects to a broker whose certificate it can verify."""
    async with world(BROKER_TLS="true", BROKER_PORT=broker.tls_port) as running:
        await running.messages(1)
        await running.watch.now("pm500-mqtt", "common.status.connected")


async def test_a_broker_that_cannot_be_verified(world, broker):
    """A broker with a certificate of nobody known gets no login and no message."""
    async with world(BROKER_TLS="true", BROKER_PORT=broker.other_tls_port) as running:
        await running.lines()
        await running.lines()

        assert not running.onlooker.messages()
        assert not any(text.endswith(".connected") for text in running.watch.said["pm500-mqtt"])


async def test_influxdb_without_time_gets_everything_later(world):
    """503 with Retry-After: the same lines come again when it is over, each stored once."""
    async with world(2) as running:
        running.influx.busy = True
        await until(lambda: running.influx.refused, "a refused write")
        await running.watch.until("pm500-buffer", "503; ")
        running.influx.busy = False
        lines = await running.lines()
        shown = await figure(running, "influxdb", lambda shown: shown["written"])

    assert running.influx.refused[0].decode().splitlines()[0] == lines[0]
    assert (0, 0) == (shown["dropped"], shown["refused"])
    assert shown["retries"] > 0


async def test_what_waits_for_influxdb_is_bounded(world):
    """While it has no time the newest are kept, the oldest are given up, and both are told."""
    async with world(INFLUX_BUFFER=10) as running:
        running.influx.busy = True
        await running.watch.until("pm500-buffer", "10 waiting, ")
        running.influx.busy = False
        lines = await running.lines()
        shown = await figure(running, "influxdb", lambda shown: shown["written"])

    assert len(lines) <= 4 * 11
    assert shown["dropped"] > 0
    assert running.influx.refused[0].decode().splitlines()[0] not in lines


async def test_a_wrong_token_is_seen(world):
    """It is in the node's status; nothing is given up, and nothing counts as written."""
    async with world(INFLUXDB_TOKEN="not-this-one") as running:
        await running.watch.until("pm500-buffer", "401: check INFLUXDB_TOKEN; ")
        shown = await figure(running, "influxdb", lambda shown: shown["waiting"] > 1)

    assert (0, 0, 0) == (shown["written"], shown["dropped"], shown["refused"])
    assert not any("not-this-one" in text for text in [running.node_red.log, *running.watch.heard])


async def test_secrets_stay_in_the_environment(world):
    """Flow file, log, statuses and debug messages hold no password or token, even of errors."""
    async with world(INFLUXDB_URL="http://127.0.0.1:1") as running:
        await running.messages(1)
        await running.watch.until("pm500-errors", "ECONNREFUSED")
        await until(lambda: any('"debug"' in f for f in running.watch.heard), "a debug message")
        kept = (running.node_red.folder / "data" / "flows.json").read_text()
        told = [kept, running.node_red.log, *running.watch.heard]

    assert "Format Sparkplug Payload" in kept
    assert not [text for text in told if any(secret in text for secret in running.secrets)]
