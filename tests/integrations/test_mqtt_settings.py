"""MQTT: which settings can work."""

import pytest
from mqtt_sending import KIND
from pydantic import ValidationError


@pytest.mark.parametrize(
    ("url", "more", "place"),
    [
        ("mqtt://b", {}, ("b", 1883)),
        ("mqtts://b", {}, ("b", 8883)),
        ("mqtt://b", {"tls": True}, ("b", 8883)),
        ("mqtts://b:99", {}, ("b", 99)),
        ("mqtts://b:99", {"port": 100}, ("b", 100)),
        ("ws://b/mqtt", {}, ("b", 80)),
        ("wss://[::1]/mqtt", {}, ("::1", 443)),
    ],
)
def test_where_a_broker_is(url, more, place):
    """Scheme, port in the URL, port of its own; TLS moves the usual one."""
    assert place == KIND.settings(broker_url=url, **more).place


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"broker_url": "http://b"}, "must be an address"),
        ({"broker_url": "mqtt://u:p@b"}, "not hold a password"),
        ({"broker_url": "mqtt://b/topic"}, "no path"),
        ({"topic": "a/#"}, "wildcards"),
        ({"topic": "a/{nothing}"}, "is none of"),
        ({"qos": 3}, "qos"),
        ({"client_cert_pem": "x"}, "belong together"),
        ({"ca_pem": "nonsense", "tls": True}, "cannot be used"),
        ({"ca_pem": "x"}, "need TLS"),
        ({"version": "3.1.1", "message_expiry_seconds": 5}, "needs version 5"),
        ({"version": "3.1.1", "password": "p"}, "without a username"),
        ({"sparkplug": {"group": "a/b", "edge_node": "e"}}, "group"),
        ({"sparkplug": {"group": "g", "edge_node": "e"}, "retain": True}, "nothing is retained"),
        ({"will": {"topic": "{device_key}"}}, "no places"),
    ],
)
def test_mqtt_settings_that_cannot_work(changes, why):
    """What is wrong is said before the network is used."""
    with pytest.raises(ValidationError, match=why):
        KIND.settings(**{"broker_url": "mqtt://b", **changes})
