"""Messages kept for MQTT clients that are away: a JetStream stream, a subject per session."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec
from nats.errors import TimeoutError as NatsTimeoutError
from nats.js.api import (
    AckPolicy,
    ConsumerConfig,
    DiscardPolicy,
    RetentionPolicy,
    StorageType,
    StreamConfig,
)
from nats.js.errors import NotFoundError

from wattwire.mqtt.contract import Outgoing
from wattwire.mqtt.topics import to_subject

STREAM: Final = "SESSIONS"
MAX_BYTES: Final = 1024**3
MAX_MESSAGES: Final = 1000
MAX_AGE_SECONDS: Final = 7 * 86_400.0
_FETCH: Final = 100


class OfflineMessages:
    """Appends, reads and forgets the messages of lasting sessions."""

    def __init__(self, client: Any, *, replicas: int) -> None:
        self._js = client.jetstream(timeout=5)
        self._replicas = replicas

    async def open(self) -> None:
        """Make or update the stream."""
        config = StreamConfig(
            name=STREAM,
            subjects=["session.*.>"],
            retention=RetentionPolicy.LIMITS,
            discard=DiscardPolicy.OLD,
            storage=StorageType.FILE,
            max_bytes=MAX_BYTES,
            max_msgs_per_subject=MAX_MESSAGES,
            max_age=MAX_AGE_SECONDS,
            num_replicas=self._replicas,
        )
        try:
            await self._js.stream_info(STREAM)
        except NotFoundError:
            await self._js.add_stream(config)
        else:
            await self._js.update_stream(config)

    async def append(
        self, credential_id: int, client_id: str, messages: Sequence[Outgoing]
    ) -> None:
        """Keep messages after those kept before; returns once they are durable."""
        body = msgspec.msgpack.encode([tuple(message) for message in messages])
        await self._js.publish(_subject(credential_id, client_id), body, stream=STREAM)

    async def read(self, credential_id: int, client_id: str) -> list[Outgoing]:
        """Return the messages kept, oldest first, without forgetting them."""
        subscription = await self._js.pull_subscribe(
            _subject(credential_id, client_id),
            stream=STREAM,
            config=ConsumerConfig(
                ack_policy=AckPolicy.NONE, inactive_threshold=10.0, mem_storage=True
            ),
        )
        try:
            bodies: list[bytes] = []
            pending = (await subscription.consumer_info()).num_pending or 0
            while len(bodies) < pending:
                bodies += [m.data for m in await subscription.fetch(_FETCH, timeout=2)]
        except NatsTimeoutError:
            pass  # what was counted has been dropped meanwhile, being too old or too much
        finally:
            await subscription.unsubscribe()
        decode = msgspec.msgpack.Decoder(list[tuple[str, bytes, int, bool]]).decode
        return [Outgoing(*fields) for body in bodies for fields in decode(body)]

    async def forget(self, credential_id: int, client_id: str) -> None:
        """Forget the messages kept for a session."""
        await self._js.purge_stream(STREAM, subject=_subject(credential_id, client_id))


def _subject(credential_id: int, client_id: str) -> str:
    return f"session.{credential_id}.{to_subject(client_id)}"
