"""Hooks to post, and what is seen of their secrets."""

import base64
import hashlib

from solarnetwork_bench import BASE

from wattwire.solarnetwork.services import SQS

HOOKS = f"{BASE}/hooks"
UPDATE = "datum/agg/update"
#: The account 123456789012 is in this key.
KEY = "AKIARZPUZDIKAAAAAAAA"
SECRET = "super.secret.key.here"
PROPERTIES = {
    "region": "us-west-2",
    "queueName": "node-event-dest-test",
    "accessKey": KEY,
    "secretKey": SECRET,
}
SEED = {
    "name": "SQS Test",
    "topic": UPDATE,
    "nodeIds": [234],
    "sourceIds": ["/power/1"],
    "serviceIdentifier": SQS,
    "serviceProperties": PROPERTIES,
}
HOOK = {
    "name": "a",
    "topic": UPDATE,
    "serviceIdentifier": "webhook",
    "serviceProperties": {"url": "https://example.com/x", "secret_key": "hush"},
}


def fits(digest, secret):
    """Whether a shown digest is that of a secret."""
    raw = base64.b64decode(digest.removeprefix("{SSHA-256}"))
    return raw[:32] == hashlib.sha256(secret.encode() + raw[32:]).digest() and 40 == len(raw)


async def secret_of(bench, hook_id):
    from wattwire.store.sealing import SEALING, open_tree

    sealed = await bench.pool.fetchval("SELECT secrets FROM integration WHERE id = $1", hook_id)
    return open_tree(sealed, bench.hub.sealer.bound(SEALING))
