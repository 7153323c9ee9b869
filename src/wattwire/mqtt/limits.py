"""What the door bounds, and what it counts."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds of one door. Sizes are bytes of payload unless said otherwise."""

    connections: int = 20_000
    packet_bytes: int = 1024 * 1024  #: remaining length of a packet
    connect_bytes: int = 64 * 1024  #: the same for a CONNECT: nobody is known yet
    packets_per_second: int = 20_000  #: of one connection, before it is read more slowly
    handshake_seconds: float = 10.0  #: from accept to a complete CONNECT, TLS included
    verifications: int = 8  #: authentications under way at once
    verification_seconds: float = 30.0  #: waiting for one included
    refusal_seconds: float = 0.5  #: delay of the answer to bad credentials
    store_seconds: float = 10.0  #: one call of the hub that loads or saves
    unreleased_messages: int = 2_048  #: of one connection, not yet durable
    unreleased_bytes: int = 8 * 1024**2
    unreleased_bytes_total: int = 128 * 1024**2  #: of all connections
    window: int = 64  #: QoS 1 messages sent to one client and not acknowledged
    queued_messages: int = 1_000  #: waiting for one client
    queued_bytes: int = 8 * 1024**2
    queued_bytes_total: int = 256 * 1024**2
    write_bytes: int = 256 * 1024  #: written and not taken by the network: the client is slow
    stall_seconds: float = 30.0  #: a slow client that takes nothing for so long is closed
    topic_bytes: int = 1_024
    topic_levels: int = 64
    client_id_chars: int = 512
    subscriptions: int = 1_000  #: of one session
    sessions: int = 50_000  #: lasting ones kept in memory, connected or not
    session_seconds: float = 7 * 86_400.0  #: a lasting session nobody came back to is dropped
    retained_messages: int = 100_000  #: of one organization
    retained_bytes: int = 64 * 1024**2
    stop_seconds: float = 5.0  #: each step of an orderly stop


@dataclass(slots=True)
class Counters:
    """What has happened since the start; only ever rises."""

    connections_opened: int = 0
    connections_refused: int = 0  #: over the limit, bad credentials, no session, bad CONNECT
    connections_displaced: int = 0  #: the same client connected again
    connections_expired: int = 0  #: keep-alive
    connections_stalled: int = 0  #: slow readers closed
    handshakes_expired: int = 0
    credentials_refused: int = 0
    packets_malformed: int = 0
    packets_received: int = 0
    bytes_received: int = 0
    bytes_sent: int = 0
    messages_received: int = 0
    messages_repeated: int = 0  #: QoS 2 duplicates that were not committed twice
    messages_refused: int = 0  #: the hub could not make them durable
    messages_forbidden: int = 0
    messages_sent: int = 0
    messages_dropped: int = 0  #: for subscribers whose queue was full
    acknowledgements_sent: int = 0
    subscriptions_granted: int = 0
    subscriptions_refused: int = 0
    wills_published: int = 0
    wills_lost: int = 0
    retained_refused: int = 0
    writes_failed: int = 0  #: calls of the hub that save, given up


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistics:
    """A snapshot: what has happened so far, and how many of what there are now."""

    totals: Counters  #: a copy: it does not rise any more
    connections: int
    sessions: int
    subscriptions: int
    retained_messages: int
    unreleased_bytes: int
    queued_bytes: int
