"""How much a consumer keeps, and how long it waits."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds. What would exceed one is refused, or counted as missed."""

    edge_nodes: int = 10_000  #: known at a time
    devices: int = 1_000  #: of one edge node
    metrics: int = 200_000  #: announced by all births together
    queued: int = 100_000  #: results that wait for the reader
    queued_bytes: int = 64 * 1024 * 1024  #: of the messages that they came from
    reorder_seconds: float = 2.0  #: how late a missing message may come
    rebirth_seconds: float = 10.0  #: an edge node is asked for a rebirth no more often
    connect_seconds: float = 30.0  #: until the first connection and subscription stand
    away_seconds: float = 3600.0  #: without a connection, then a subscription ends with an error
