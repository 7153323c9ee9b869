"""MQTT over TLS: whom the hub trusts, and as whom it comes."""

import asyncio
import ssl
from dataclasses import replace

import pytest
import trustme
from cryptography import x509
from integrations_counterparts import LOCAL
from mqtt_counterparts import FaultBroker
from mqtt_sending import (
    KIND,
    deliver,
    delivered,
    messages,
)
from pydantic import ValidationError

from wattwire.integrations.contract import (
    UnreachableError,
)


@pytest.fixture
def authority():
    return trustme.CA()


@pytest.fixture
async def tls_broker(start_broker, authority, tmp_path):
    """A Mosquitto that wants a client certificate of the same authority."""
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    pair = authority.issue_cert("127.0.0.1", "localhost")
    pair.cert_chain_pems[0].write_to_path(str(tmp_path / "server.pem"))
    pair.private_key_pem.write_to_path(str(tmp_path / "server.key"))
    listener = "\n".join(
        (
            f"cafile {tmp_path / 'ca.pem'}",
            f"certfile {tmp_path / 'server.pem'}",
            f"keyfile {tmp_path / 'server.key'}",
            "require_certificate true",
            "use_identity_as_username true",
        )
    )
    return await start_broker(listener=listener)


def pair_of(authority, name="hub"):
    pair = authority.issue_cert(name, common_name=name)
    return {
        "client_cert_pem": pair.cert_chain_pems[0].bytes().decode(),
        "client_key_pem": pair.private_key_pem.bytes().decode(),
    }


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_own_authority_and_client_certificate(tls_broker, authority, host):
    """Both ends prove who they are, by name and by address."""
    given = KIND.settings(
        broker_url=f"mqtts://{host}:{tls_broker.port}",
        ca_pem=authority.cert_pem.bytes().decode(),
        **pair_of(authority),
    )

    assert 200 == sum([len(delivered(await deliver(given, messages(100)))) for _ in range(2)])


async def test_the_operators_authority_goes_with_a_client_certificate(tls_broker, authority):
    """Whom the hub trusts is trusted beside a certificate of the integration's own."""
    trusted = ssl.create_default_context()
    authority.configure_trust(trusted)
    given = KIND.settings(broker_url=f"mqtts://127.0.0.1:{tls_broker.port}", **pair_of(authority))
    outcomes = await deliver(given, messages(1), replace(LOCAL, tls=trusted))

    assert {"m-0"} == delivered(outcomes)


async def test_certificates_that_are_not_trusted(tls_broker, authority):
    """Neither a broker of another authority nor one of another name is spoken to."""
    other = trustme.CA().cert_pem.bytes().decode()
    given = {"broker_url": f"mqtts://127.0.0.1:{tls_broker.port}", **pair_of(authority)}
    with pytest.raises(UnreachableError, match=r"certificate of 127\.0\.0\.1 not trusted"):
        await deliver(KIND.settings(**given, ca_pem=other), messages(1))


async def test_a_client_certificate_that_is_missing(tls_broker, authority):
    """The broker hangs up; nothing is delivered."""
    given = KIND.settings(
        broker_url=f"mqtts://127.0.0.1:{tls_broker.port}",
        ca_pem=authority.cert_pem.bytes().decode(),
    )
    with pytest.raises(UnreachableError):
        await deliver(given, messages(1))


async def test_answers_in_one_piece_of_tls(authority):
    """Several packets in one record: none is left in the buffer until something else arrives."""
    fault = FaultBroker()
    fault.pong = b"\x30\x04\x00\x01t\x00" * 5 + b"\xd0\x00"
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    async with fault.serving(tls) as url:
        given = KIND.settings(broker_url=url, qos=0, ca_pem=authority.cert_pem.bytes().decode())
        async with asyncio.timeout(10):
            outcomes = await deliver(given, messages(3))

    assert {"m-0", "m-1", "m-2"} == delivered(outcomes)


def test_a_key_with_a_passphrase_is_refused(authority):
    """Nobody is there to type it."""
    from cryptography.hazmat.primitives import serialization as s

    pair = pair_of(authority)
    key = s.load_pem_private_key(pair["client_key_pem"].encode(), None)
    sealed = key.private_bytes(
        s.Encoding.PEM, s.PrivateFormat.PKCS8, s.BestAvailableEncryption(b"secret")
    )
    with pytest.raises(ValidationError, match="passphrase"):
        KIND.settings(broker_url="mqtts://b", **{**pair, "client_key_pem": sealed.decode()})
    assert x509.load_pem_x509_certificate(pair["client_cert_pem"].encode())
