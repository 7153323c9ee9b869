"""Subscriptions to a real Mosquitto: both kinds, versions, logins, lost connections, slow readers.

`subscribe` and `listen` share everything but how they wait, so that each is tested with what is its
own, and the rest once.
"""

import asyncio
import re
import ssl
import threading
import time

import paho.mqtt.publish
import pytest
import trustme
from client_messages import DEVICE, NODE, device_birth, device_data, node_birth
from mqtt_counterparts import FaultBroker, MqttReply, Onlooker, free_port

from wattwire.client import (
    Broker,
    ClientError,
    Interrupted,
    Limits,
    Missed,
    Refused,
    RefusedByBrokerError,
    Sample,
    UnreachableError,
    listen,
    subscribe,
)

FILTER = "spBv1.0/pm500/#"
PATIENCE = 20
JSON = b'{"metrics": [{"name": "realPower", "value": %d}], "seq": 1, "uuid": "u"}'


def url(broker):
    return f"mqtt://127.0.0.1:{broker.port}"


def publish(broker, *messages, **more):
    """Publish (topic, payload) pairs, in order; returns when the broker has them."""
    batch = [(topic, payload, 1, False) for topic, payload in messages]
    paho.mqtt.publish.multiple(batch, hostname="127.0.0.1", port=broker.port, **more)


def session(broker, *values):
    """A node and a device are born, and say something."""
    topic = DEVICE.format("DDATA")
    data = [(topic, device_data((2 + n) % 256, value=value)) for n, value in enumerate(values)]
    publish(broker, (NODE.format("NBIRTH"), node_birth()),
            (DEVICE.format("DBIRTH"), device_birth()), *data)  # fmt: skip


async def until(subscriber, condition):
    """What is received, until it fulfils a condition."""
    found = []
    async with asyncio.timeout(PATIENCE):
        while not condition(found):
            found += await subscriber.receive(1)
    return found


def values(found):
    return [r.value for r in found if isinstance(r, Sample) and not r.is_birth]


@pytest.mark.parametrize("version", ["3.1.1", "5"])
async def test_results_as_they_come(mosquitto, version):
    """`async for` gives births, values by their names, in order; both forms on one filter."""
    broker = Broker(url=url(mosquitto), version=version)
    found = []
    async with subscribe(broker, FILTER) as results:
        await asyncio.to_thread(session, mosquitto, 1.0, 2.0)
        publish(mosquitto, (DEVICE.format("DDATA"), JSON % 3))
        async with asyncio.timeout(PATIENCE):
            async for result in results:
                found.append(result)
                if len(values(found)) == 3:
                    break

    assert ["Born", "Born", *["Sample"] * 5] == [type(r).__name__ for r in found]
    assert [("voltageAN", 1.0), ("voltageAN", 2.0), ("realPower", 3)] == [
        (r.name, r.value) for r in found[4:]
    ]


def test_results_without_asyncio(start_broker_blocking):
    """`for` gives the same, and ends after the seconds that were asked for."""
    broker = start_broker_blocking()
    with listen(url(broker), FILTER, "other/#", seconds=1) as results:
        session(broker, 1.0, 2.0)
        found = list(results)

    assert [1.0, 2.0] == values(found)
    assert not [t for t in threading.enumerate() if t.name == "wattwire-client"]


@pytest.fixture
def start_broker_blocking(start_mosquitto):
    """Start a Mosquitto from a test that has no event loop."""
    with asyncio.Runner() as runner:
        yield lambda: runner.run(start_mosquitto())


async def test_tls_and_a_login(start_mosquitto, tmp_path):
    """An own CA, a client certificate, a user and a password."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    issued = authority.issue_cert("127.0.0.1", "localhost")
    issued.private_key_pem.write_to_path(tmp_path / "key.pem")
    issued.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    mosquitto = await start_mosquitto(
        f"cafile {tmp_path}/ca.pem",
        f"certfile {tmp_path}/cert.pem",
        f"keyfile {tmp_path}/key.pem",
        "require_certificate true",
    )
    trusted = {
        "ca_file": tmp_path / "ca.pem",
        "certificate_file": tmp_path / "cert.pem",
        "key_file": tmp_path / "key.pem",
    }
    address = f"mqtts://127.0.0.1:{mosquitto.port}"
    publisher = {
        "tls": {"ca_certs": str(trusted["ca_file"]), "certfile": str(trusted["certificate_file"]),
                "keyfile": str(trusted["key_file"])}
    }  # fmt: skip
    login = {"username": "reader", "password": "s3cr3t"}
    async with subscribe(Broker(url=address, **login, **trusted), FILTER) as results:
        publish(mosquitto, (DEVICE.format("DDATA"), JSON % 3), **publisher)
        assert [3] == values(await until(results, values))

    with pytest.raises(ClientError, match="is not trusted"):
        async with subscribe(Broker(url=address, **login), FILTER):
            pass


async def test_a_refused_login(start_mosquitto, tmp_path):
    """It is said at once, with the broker's words, and the password is nowhere in it."""
    (tmp_path / "passwords").touch()
    mosquitto = await start_mosquitto(f"password_file {tmp_path}/passwords", anonymous=False)
    broker = Broker(url=url(mosquitto), username="u", password="s3cr3t")

    with pytest.raises(RefusedByBrokerError, match=r"(?i)not authori[sz]ed") as caught:
        async with subscribe(broker, FILTER):
            pass
    assert "s3cr3t" not in f"{caught.value!r} {broker!r}"


async def test_a_refused_filter():
    """It is named. (Mosquitto grants what its rules forbid, so this broker is a fake.)"""
    fault = FaultBroker()
    fault.granted = 0x80
    async with fault.serving() as address:
        with pytest.raises(RefusedByBrokerError, match=re.escape(FILTER)):
            async with subscribe(address, FILTER):
                pass


async def test_nobody_answers():
    """It tries for as long as the limits allow, then says who does not answer."""
    port = free_port()
    with pytest.raises(UnreachableError, match=f"127.0.0.1:{port} does not answer"):
        async with subscribe(f"mqtt://127.0.0.1:{port}", FILTER, limits=Limits(connect_seconds=0)):
            pass


async def test_a_broker_that_is_busy_is_asked_again():
    """A refusal that passes is no end: the next try stands. (The broker is a fake.)"""
    fault = FaultBroker()
    fault.reply = MqttReply(connack=0x88)
    async with fault.serving() as address:
        opening = asyncio.create_task(subscribe(address, FILTER).__aenter__())
        async with asyncio.timeout(PATIENCE):
            while not fault.requests:
                await asyncio.sleep(0.01)
        fault.reply = MqttReply()
        subscriber = await asyncio.wait_for(opening, PATIENCE)
        await subscriber.__aexit__(None, None, None)

    assert fault.connections > 1


async def test_a_lost_connection_is_told_and_made_again(mosquitto):
    """The broker dies and comes back: old aliases count no more, new births do."""
    async with subscribe(url(mosquitto), FILTER) as results:
        session(mosquitto, 1.0)
        await until(results, values)
        mosquitto.kill()
        (lost,) = await until(results, lambda found: found)
        await mosquitto.start()
        found = []
        async with asyncio.timeout(PATIENCE):
            while not found:
                message = (DEVICE.format("DDATA"), device_data(9))
                await asyncio.to_thread(publish, mosquitto, message)
                found = await results.receive(0.2)
        await asyncio.to_thread(session, mosquitto, 7.0)
        born_again = await until(results, values)

    assert isinstance(lost, Interrupted)
    assert "the connection was lost" in lost.reason
    assert {Refused} == {type(result) for result in found}
    assert [7.0] == values(born_again)


async def test_away_for_too_long(mosquitto):
    """Without a broker for longer than the limit, the iteration ends with the reason."""
    async with subscribe(url(mosquitto), FILTER, limits=Limits(away_seconds=0)) as results:
        mosquitto.kill()
        found = await results.receive(PATIENCE)
        with pytest.raises(UnreachableError, match="no connection for 0 seconds"):
            await results.receive(PATIENCE)

    assert [Interrupted] == [type(r) for r in found]


async def test_a_slow_reader_is_told_what_it_missed(mosquitto):
    """No more than the limit waits; what did not fit is counted, and aliases are known still."""
    count, limits = 300, Limits(queued=50)
    async with subscribe(url(mosquitto), FILTER, limits=limits) as results:
        session(mosquitto, *range(count))
        publish(mosquitto, (DEVICE.format("DDATA"), JSON % 1))
        mailbox = results._mailbox
        async with asyncio.timeout(PATIENCE):
            while mailbox._missed < count + 5 - limits.queued:
                await asyncio.sleep(0.01)
        found = await results.receive(1)
        publish(mosquitto, (DEVICE.format("DDATA"), device_data((2 + count) % 256, value=-1.0)))
        last = await until(results, values)

    assert 51 == len(found)
    assert Missed(count=count + 5 - limits.queued) == found[-1]
    assert [("voltageAN", -1.0)] == [(r.name, r.value) for r in last]


async def test_the_queue_is_bounded_in_bytes(mosquitto):
    """Few large messages count as well."""
    broken = b'{"' + b"x" * 100_000
    async with subscribe(url(mosquitto), FILTER, limits=Limits(queued_bytes=250_000)) as results:
        publish(mosquitto, *[(DEVICE.format("DDATA"), broken)] * 4)
        async with asyncio.timeout(PATIENCE):
            while results._mailbox._missed < 2:
                await asyncio.sleep(0.01)
        found = await results.receive(1)

    assert [Refused, Refused, Missed] == [type(r) for r in found]


async def test_a_rebirth_is_requested_where_that_is_wished(mosquitto):
    """Data without a birth: whoever may publish asks the edge node, whoever may not is silent."""
    onlooker = Onlooker(mosquitto.port)
    often = Limits(rebirth_seconds=0)
    other = DEVICE.format("DDATA").replace("edge-1", "edge-2")
    mine = DEVICE.format("DDATA")

    def requests(seen):
        return [s.topic for s in seen if "NCMD" in s.topic]

    async with (
        subscribe(url(mosquitto), other) as silent,
        subscribe(url(mosquitto), mine, request_rebirths=True, limits=often) as asking,
    ):
        publish(mosquitto, (other, device_data(9)), (mine, device_data(9)))
        both = [await until(results, lambda found: found) for results in (silent, asking)]
        for times in (1, 2, 3):  # a second lies between two: the silent one had its chance, too
            asked = await onlooker.until(lambda seen, times=times: len(requests(seen)) == times)
            publish(mosquitto, (mine, device_data(9)))
    onlooker.close()

    assert [Refused, Refused] == [type(result) for (result,) in both]
    assert {"spBv1.0/pm500/NCMD/edge-1"} == set(requests(asked))


async def test_an_error_of_the_thread_reaches_the_reader(mosquitto, monkeypatch):
    """A defect in decoding ends the subscription with itself, not with silence."""
    async with subscribe(url(mosquitto), FILTER) as results:
        monkeypatch.setattr(results._link._decoder, "decode", lambda *_: 1 / 0)
        publish(mosquitto, (DEVICE.format("DDATA"), JSON % 1))
        with pytest.raises(ZeroDivisionError):
            await asyncio.wait_for(results.receive(PATIENCE), PATIENCE)


async def test_waiting_has_an_end(mosquitto):
    """receive() returns nothing after its seconds, and leaving does not wait for messages."""
    began = time.monotonic()
    async with subscribe(url(mosquitto), FILTER) as results:
        assert [] == await results.receive(0.05)

    assert time.monotonic() - began < PATIENCE


@pytest.mark.parametrize(
    "wrong",
    ["http://h", "mqtt://", "mqtt://u:p@h", "mqtt://h/path", "mqtt://h:x", "127.0.0.1:1883"],
)
def test_urls_that_are_none(wrong):
    """They are refused before anything is opened."""
    with pytest.raises(ValueError):
        Broker(url=wrong)


def test_addresses():
    """Ports that are not given are those of the protocol; only mqtts has TLS."""
    assert ("h", 1883) == Broker(url="mqtt://h").address
    assert ("::1", 8883) == Broker(url="mqtts://[::1]").address
    assert Broker(url="mqtt://h").tls() is None
    assert isinstance(Broker(url="mqtts://h").tls(), ssl.SSLContext)
    with pytest.raises(ValueError, match="topic filter"):
        listen("mqtt://h")
