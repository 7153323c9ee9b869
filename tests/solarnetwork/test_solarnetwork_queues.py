"""SolarNetwork's queue by its name, and the hub's settings of it."""

import pytest
from hook_cases import KEY, PROPERTIES

from wattwire.solarnetwork import queues


@pytest.mark.parametrize(
    "key",
    ["", "AKIAQ", "AKIAI52OM4KFAAAAAAAA", "AKIA552OM4KFAAAAAAAA", "AKIAQ52OM4KFAAAA!AAA", "Ä" * 20],
)
def test_an_access_key_may_not_tell_its_account(key):
    """Old ones, and what is none."""
    assert queues.account_of(key) is None
    settings = queues.to_settings({**PROPERTIES, "accessKey": key})
    assert "node-event-dest-test" == settings["queue_name"]


def test_an_access_key_tells_its_account():
    """A key whose account was published with it."""
    assert "029608264753" == queues.account_of("ASIAQNZGKIQY56JQ7WML")


def test_a_queue_can_be_given_by_its_address():
    """Which then is the property's value in both directions; in China the domain has an ending."""
    url = "http://127.0.0.1:4566/1/q"
    settings = queues.to_settings({**PROPERTIES, "queueName": url, "aws.endpoint_url": "http://x"})

    assert url == settings["queue_url"]
    assert {**PROPERTIES, "queueName": url, "aws.endpoint_url": "http://x"} == queues.to_properties(
        settings
    )
    assert "https://sqs.cn-north-1.amazonaws.com.cn/123456789012/q" == queues.queue_url(
        "cn-north-1", KEY, "q"
    )
