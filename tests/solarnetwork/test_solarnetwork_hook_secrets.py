"""Secrets of event hooks: shown as digests, kept or replaced as SolarNetwork does."""

import base64
import hashlib

import msgspec
import pytest
from hook_cases import HOOK, HOOKS, PROPERTIES, SECRET, SEED, fits, secret_of

from wattwire.integrations import TYPES
from wattwire.solarnetwork.masks import mask, stays
from wattwire.solarnetwork.services import services_of
from wattwire.solarnetwork.specifiers import leaves_of


def test_a_secret_is_masked_as_published():
    """The vectors: with this salt, and with none."""
    salt = bytes.fromhex("6ae3b4c425b8d0b6")

    assert "{SSHA-256}BDHkL7DnK8AOtcT4+GRI++kjOER7Zmr5YcVflkwQ/bhq47TEJbjQtg==" == mask(
        "password", salt
    )
    plain = base64.b64encode(hashlib.sha256(b"password").digest()).decode()
    assert "{SHA-256}" + plain == mask("password", b"")
    assert mask("password") != mask("password")


@pytest.mark.parametrize(
    ("posted", "kept"),
    [
        (None, True),
        ("", True),
        ("{SSHA-256}abc", True),
        ("{x}y", True),
        ("{sha-1}", True),
        ("{x}", True),
        ("plain", False),
        ("a{x}y", False),
        ("{}y", False),
        ("{a b}y", False),
        ("{x-y}z", False),
        (7, False),
    ],
)
def test_what_looks_like_a_digest_leaves_the_secret(posted, kept):
    """Missing, empty, or `{word}` or `{word-digits}` and anything."""
    assert kept == stays(posted)


@pytest.mark.parametrize("left", [None, "", "{SSHA-256}whatever", "missing"])
async def test_a_secret_that_is_left_stays(user, bench, left):
    """And the other properties are replaced."""
    made = (await user.post(HOOKS, SEED)).data
    properties = {**PROPERTIES, "queueName": "other", "secretKey": left}
    if left == "missing":
        del properties["secretKey"]
    again = {**SEED, "id": made["id"], "serviceProperties": properties}
    replaced = (await user.post(HOOKS, again)).data

    assert "other" == replaced["serviceProperties"]["queueName"]
    assert fits(replaced["serviceProperties"]["secretKey"], SECRET)
    assert {"aws": {"secret_access_key": SECRET}} == await secret_of(bench, made["id"])


async def test_a_new_secret_replaces_the_old(user):
    """Any other value does."""
    made = (await user.post(HOOKS, SEED)).data
    again = {**SEED, "id": made["id"], "serviceProperties": {**PROPERTIES, "secretKey": "new"}}

    assert fits((await user.post(HOOKS, again)).data["serviceProperties"]["secretKey"], "new")


@pytest.mark.parametrize("properties", [None, {}, "missing"])
async def test_no_properties_overwrite_everything(user, bench, properties):
    """The documented trap: the secret is gone, too."""
    made = (await user.post(HOOKS, SEED)).data
    again = {**SEED, "id": made["id"], "serviceProperties": properties}
    if properties == "missing":
        del again["serviceProperties"]
    replaced = (await user.post(HOOKS, again)).data

    assert "serviceProperties" not in replaced
    assert {} == await secret_of(bench, made["id"])


async def test_a_secret_does_not_move_to_another_service(user, bench):
    """What was given for one place is not sent to another that has a setting of the same name."""
    mqtt = {
        **HOOK,
        "serviceIdentifier": "influxdb",
        "serviceProperties": {"url": "http://a", "token": "t"},
    }
    made = (await user.post(HOOKS, mqtt)).data
    moved = {
        **mqtt,
        "id": made["id"],
        "serviceIdentifier": "slack",
        "serviceProperties": {"channel": "#x"},
    }
    await user.post(HOOKS, moved)

    assert "token" not in await secret_of(bench, made["id"])


@pytest.mark.parametrize("name", sorted(TYPES))
def test_every_secret_of_every_type_is_masked(name):
    """The keys that are shown as digests are those that the type's model hides."""
    service = next(s for s in services_of(TYPES).values() if s.kind is TYPES[name])
    hidden = {leaf.key for leaf in leaves_of(TYPES[name].settings) if leaf.secret}
    properties = service.masked(service.to_properties(dict.fromkeys(hidden, "hush")))

    assert hidden
    assert all(value.startswith("{SSHA-256}") for value in properties.values())
    assert len(hidden) == len(properties)
    assert b"hush" not in msgspec.json.encode(properties)
