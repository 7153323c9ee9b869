"""What stands beside the hub's figures: each part by itself, or a peer with the same job."""

from functools import partial

from benchmarks.yardsticks import (
    bare_aiohttp,
    bare_sqs,
    jetstream,
    mosquitto,
    node_red,
    postgres_copy,
)

#: Names under which each can be measured alone.
YARDSTICKS = {
    "copy": postgres_copy.rows,
    "jetstream": jetstream.fsynced_batches,
    "mosquitto": partial(mosquitto.acknowledged, qos=1),
    "aiohttp": partial(bare_aiohttp.posts, concurrent=64),
    "sqs": partial(bare_sqs.events, concurrent=64),
    "node_red": node_red.forwarded,
}
