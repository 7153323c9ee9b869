"""# MQTT

Reads topics of any MQTT 3.1.1 or 5 broker: Mosquitto, EMQX, HiveMQ, RabbitMQ, AWS IoT Core, others.

**You need** a user (or client certificate) of that broker that may connect under `client_id` and
subscribe to the topics; for Sparkplug also publish to `spBv1.0/+/NCMD/+`, and to
`spBv1.0/STATE/{host_id}` if the hub is to be a host application.

**Nothing is lost on a restart.** Topics are read with QoS 1 in a lasting session, and messages are
acknowledged only after their readings are durable in the hub's log. What was published at QoS 0 the
broker does not keep for anybody. A message that cannot be understood is acknowledged too, and kept
in quarantine with the reason.

**Several workers** share the work with a shared subscription (`$share/{group}/…`), each in a
lasting session of its own (`{client_id}-0`, `{client_id}-1`, …). Sparkplug needs its messages in
order, so there is one worker for it.

**Sparkplug host application.** With `host_id` the hub publishes STATE, retained, and leaves a will
that takes it back. As the specification asks, its session is then a clean one.
"""

import ssl
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Literal, NamedTuple, Self

import structlog
from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from wattwire.brokers import Version, Will
from wattwire.formats.sparkplug_state import state_payload
from wattwire.formats.sparkplug_topics import state_topic
from wattwire.model import Decoded, RefusedError
from wattwire.sources._mqtt_client import Incoming, Session, open_session
from wattwire.sources._mqtt_peer import Peer, matches, shared
from wattwire.sources.contract import Intake, SourceContext, SourceSettings, SourceType
from wattwire.sources.routing import Format, Publisher, TopicDecoder

MESSAGES_PER_ACCEPT: Final = 512
TICK_SECONDS: Final = 1.0
REMEMBERED_TOPICS: Final = 100_000

log = structlog.get_logger()


class Topic(BaseModel):
    """A topic filter and how what arrives there is read."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    filter: str = Field(
        min_length=1, max_length=65535, description="Topic filter; + and # as in MQTT."
    )
    format: Format = Field(default="auto", description="How the messages are read.")


class Settings(SourceSettings):
    """Fields of the form, the API schema and the reference table."""

    type: Literal["mqtt"] = "mqtt"
    host: str = Field(
        min_length=1, description="Broker host name.", examples=["broker.example.com"]
    )
    port: int = Field(default=8883, ge=1, le=65535, description="Broker port.")
    version: Version = Field(default="3.1.1", description="MQTT version.")
    client_id: str = Field(
        min_length=1, max_length=200, description="Names the lasting session; unique at the broker."
    )
    username: str | None = Field(default=None, description="User name, if asked for.")
    password: SecretStr | None = Field(default=None, description="Password, if asked for.")
    tls: bool = Field(default=True, description="Encrypt the connection.")
    ca_pem: str | None = Field(
        default=None, description="CA that signed the broker's certificate, PEM; else the system's."
    )
    client_cert_pem: str | None = Field(default=None, description="Client certificate, PEM.")
    client_key_pem: SecretStr | None = Field(default=None, description="Its private key, PEM.")
    topics: tuple[Topic, ...] = Field(
        min_length=1, max_length=1000, description="Topic filters to read."
    )
    workers: int = Field(default=1, ge=1, le=64, description="Workers that share the messages.")
    group: str = Field(
        default="wattwire", pattern=r"^[^/+#]+$", description="Name of the shared subscription."
    )
    host_id: str | None = Field(
        default=None,
        pattern=r"^[^/+#]+$",
        description="Sparkplug host application id, to publish STATE.",
    )
    keepalive_seconds: int = Field(
        default=30, ge=5, le=3600, description="Silence after which the broker is asked for a sign."
    )
    session_expiry_seconds: int = Field(
        default=7 * 86400,
        ge=0,
        le=0xFFFFFFFF,
        description="MQTT 5: how long the broker keeps the session.",
    )
    max_in_flight: int = Field(
        default=1000, ge=1, le=65535, description="Messages read and not yet acknowledged."
    )

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        formats = {topic.format for topic in self.topics}
        if self.workers > 1 and formats & {"sparkplug_b", "auto"}:
            raise ValueError("Sparkplug needs its messages in order: workers must be 1")
        if self.host_id is not None and formats != {"sparkplug_b"}:
            raise ValueError("a host application reads only topics of the format sparkplug_b")
        if (self.client_cert_pem is None) != (self.client_key_pem is None):
            raise ValueError("client_cert_pem and client_key_pem belong together")
        if self.tls:
            tls_context(self)
        return self


def tls_context(settings: Settings) -> ssl.SSLContext:
    """Return the TLS settings of a connection. Raises ValueError for what is not a certificate."""
    try:
        context = ssl.create_default_context(cadata=settings.ca_pem)
        if settings.client_cert_pem and settings.client_key_pem:
            key = settings.client_key_pem.get_secret_value()
            with tempfile.TemporaryDirectory(prefix="wattwire-") as folder:  # 0700
                pair = Path(folder) / "pair.pem"
                pair.write_text(f"{settings.client_cert_pem}\n{key}\n", encoding="ascii")
                context.load_cert_chain(pair)
    except (ssl.SSLError, UnicodeError) as error:
        raise ValueError(f"certificate or key cannot be used: {error}") from error
    return context


def _peer(settings: Settings, worker: int, started_at_ms: int) -> Peer:
    several = settings.workers > 1
    will = None
    if settings.host_id is not None:
        will = Will(*_state(settings.host_id, started_at_ms, online=False), qos=1, retain=True)
    return Peer(
        host=settings.host,
        port=settings.port,
        client_id=f"{settings.client_id}-{worker}" if several else settings.client_id,
        version=settings.version,
        tls=tls_context(settings) if settings.tls else None,
        username=settings.username,
        password=settings.password.get_secret_value() if settings.password else None,
        lasting=settings.host_id is None,
        session_expiry_seconds=settings.session_expiry_seconds,
        keepalive_seconds=settings.keepalive_seconds,
        max_in_flight=settings.max_in_flight,
        will=will,
    )


def _state(host_id: str, timestamp_ms: int, *, online: bool) -> tuple[str, bytes]:
    """Return topic and payload of a host application's STATE."""
    return state_topic(host_id), state_payload(online=online, timestamp=timestamp_ms)


async def run(settings: Settings, intake: Intake, context: SourceContext) -> None:
    """Read until cancelled. Raises a SourceError when the broker goes away or says no."""
    started_at_ms = time.time_ns() // 1_000_000
    async with open_session(_peer(settings, context.worker, started_at_ms)) as session:
        reader = _Reader(settings, intake, context)
        await _subscribe(session, settings)
        if settings.host_id is None:
            await reader.read(session)
        else:
            await _read_as_host(reader, session, settings.host_id, started_at_ms)


async def _subscribe(session: Session, settings: Settings) -> None:
    filters = [topic.filter for topic in settings.topics]
    if settings.workers > 1:
        filters = shared(filters, settings.group)
    await session.subscribe(filters, qos=1)
    log.info("sources.session_opened", host=settings.host, client_id=session.peer.client_id)


async def _read_as_host(
    reader: "_Reader", session: Session, host_id: str, started_at_ms: int
) -> None:
    """Announce the host application, read, and take the announcement back in the end."""
    topic, payload = _state(host_id, started_at_ms, online=True)
    try:
        await session.publish(topic, payload, qos=1, retain=True)
        await reader.read(session)
    finally:
        if session.alive:
            now_ms = time.time_ns() // 1_000_000
            topic, payload = _state(host_id, now_ms, online=False)
            await session.publish(topic, payload, qos=0, retain=True)


class _Taken(NamedTuple):
    """A message that was understood."""

    message: Incoming
    decoded: Decoded


class _Reader:
    """Takes messages from a session to the intake; owns the Sparkplug state of that session."""

    def __init__(self, settings: Settings, intake: Intake, context: SourceContext) -> None:
        self._intake = intake
        self._context = context
        self._topics = settings.topics
        self._formats: dict[str, Format] = {}
        self._publisher = Publisher(context.organization_id, context.zone_of)
        self._requests: list[tuple[str, bytes]] = []
        self._decoder = TopicDecoder(self._request)
        self._ticked_at = 0

    def _request(self, _publisher: Publisher, topic: str, payload: bytes) -> None:
        self._requests.append((topic, payload))

    async def read(self, session: Session) -> None:
        """Hand over, then acknowledge, for ever."""
        while True:
            messages = await session.receive(MESSAGES_PER_ACCEPT, TICK_SECONDS)
            await self._hand_over(messages)
            session.acknowledge(messages)
            await self._tick()
            requests, self._requests = self._requests, []
            for topic, payload in requests:
                await session.publish(topic, payload)

    async def _tick(self) -> None:
        """Once a second, let Sparkplug's waiting times run out."""
        now = time.time_ns() // 1000
        if now - self._ticked_at < TICK_SECONDS * 1_000_000:
            return
        self._ticked_at = now
        for publisher, decoded in self._decoder.due(now):
            await self._intake.accept(publisher.organization_id, (), statuses=decoded.statuses)

    async def _hand_over(self, messages: Sequence[Incoming]) -> None:
        """Return once each message is durable, as readings or in quarantine."""
        now = time.time_ns() // 1000
        taken: list[_Taken] = []
        refused: list[tuple[Incoming, RefusedError]] = []
        for message in messages:
            try:
                taken.append(_Taken(message, await self._decode(message, now)))
            except RefusedError as error:
                refused.append((message, error))
        refused += await self._accept(taken)
        for message, reason in refused:
            await self._quarantine(message, reason)

    async def _decode(self, message: Incoming, now: int) -> Decoded:
        """Decode; when a device's zone is not in memory, load it and decode again."""
        name = self._format_of(message.topic)
        try:
            return self._decoder.decode(name, *message[:2], self._publisher, now)
        except LookupError as missing:
            await self._context.load_devices([str(missing.args[0])])
            return self._decoder.decode(name, *message[:2], self._publisher, now)

    async def _accept(self, taken: Sequence[_Taken]) -> list[tuple[Incoming, RefusedError]]:
        """Hand over all at once; where one is refused, one by one, and return those refused."""
        try:
            await self._accept_together(taken)
        except RefusedError as error:
            if len(taken) == 1:
                return [(taken[0].message, error)]
            return [refusal for one in taken for refusal in await self._accept([one])]
        return []

    async def _accept_together(self, taken: Sequence[_Taken]) -> None:
        readings = [reading for one in taken for reading in one.decoded.readings]
        statuses = [status for one in taken for status in one.decoded.statuses]
        if readings or statuses:
            await self._intake.accept(self._context.organization_id, readings, statuses=statuses)

    async def _quarantine(self, message: Incoming, error: RefusedError) -> None:
        await self._intake.quarantine(
            self._context.organization_id,
            message.payload,
            source=self._context.name,
            format=self._format_of(message.topic),
            topic=message.topic,
            reason=error.reason,
            where=error.where,
        )

    def _format_of(self, topic: str) -> Format:
        """Return the format of the first filter that matches; remembered per topic."""
        known = self._formats.get(topic)
        if known is None:
            if len(self._formats) >= REMEMBERED_TOPICS:
                self._formats.clear()
            fitting = (t.format for t in self._topics if matches(t.filter, topic))
            known = self._formats[topic] = next(fitting, "auto")
        return known


TYPE: Final = SourceType(
    docs=__doc__, settings=Settings, run=run, workers=lambda settings: settings.workers
)
