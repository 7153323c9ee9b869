"""The state of one session, pure: what the specification says survives a connection.

Inbound, the identifiers of QoS 2 messages between PUBLISH and PUBREL. Outbound, the QoS 1 messages
that were sent and not acknowledged (the window), and those waiting behind them (the queue).
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Final, Protocol

from wattwire.mqtt.contract import Outgoing, Principal, SessionKey

_MAX_ID: Final = 65_535
_OVERHEAD: Final = 200  #: what a waiting message costs beside its payload, about


class Link(Protocol):
    """The way to the client while it is connected."""

    def deliver(self, message: Outgoing, /) -> None:
        """Send a message, or let it wait in the session."""


class Budget:
    """Bytes that the queues of all sessions may hold together."""

    __slots__ = ("limit", "used")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0


class Session:
    """One client's session. `lasting` is clean session 0: it outlives the connection."""

    __slots__ = (
        "_bytes",
        "_last_id",
        "_max_bytes",
        "_max_messages",
        "_max_window",
        "_queue",
        "budget",
        "dropped",
        "incoming",
        "key",
        "lasting",
        "left_at",
        "link",
        "principal",
        "retained",
        "stored",
        "subscriptions",
        "unread",
        "unsaved",
        "window",
    )

    def __init__(
        self,
        principal: Principal,
        client_id: str,
        budget: Budget,
        *,
        lasting: bool,
        window: int,
        queued_messages: int,
        queued_bytes: int,
    ) -> None:
        self.principal = principal
        self.key = SessionKey(principal.credential_id, client_id)
        self.lasting = lasting
        self.budget = budget
        self.link: Link | None = None
        self.subscriptions: dict[str, int] = {}
        self.incoming: dict[int, object | None] = {}  #: QoS 2 id -> its commit; None when durable
        self.window: dict[int, Outgoing] = {}  #: packet id -> sent and not acknowledged, in order
        self.retained: deque[str] = deque()  #: topics whose retained message is still to be sent
        self.dropped = 0  #: messages dropped since the client was last connected
        self.stored = False  #: whether the hub holds offline messages of this session
        self.unsaved: list[Outgoing] = []  #: to be handed to the hub
        self.unread = False  #: whether the hub may hold messages from before this process
        self.left_at = 0.0  #: when the client left, on the loop's clock
        self._queue: deque[Outgoing] = deque()
        self._bytes = 0
        self._last_id = 0
        self._max_window = window
        self._max_messages = queued_messages
        self._max_bytes = queued_bytes

    @property
    def queued(self) -> int:
        """How many messages wait."""
        return len(self._queue)

    def push(self, message: Outgoing) -> int:
        """Let a message wait; return how many of the oldest had to be dropped for it."""
        self._queue.append(message)
        self._count(message, 1)
        dropped = 0
        while self._queue and self._is_full():
            self._count(self._queue.popleft(), -1)
            dropped += 1
        self.dropped += dropped
        return dropped

    def _is_full(self) -> bool:
        return (
            len(self._queue) > self._max_messages
            or self._bytes > self._max_bytes
            or self.budget.used > self.budget.limit
        )

    def _count(self, message: Outgoing, sign: int) -> None:
        size = sign * (len(message.payload) + len(message.topic) + _OVERHEAD)
        self._bytes += size
        self.budget.used += size

    def take(self) -> tuple[int, Outgoing] | None:
        """Return the next message to send and its identifier (0 at QoS 0), if one may be sent."""
        if not self._queue or (self._queue[0].qos and len(self.window) >= self._max_window):
            return None
        message = self._queue.popleft()
        self._count(message, -1)
        return (self._admit(message) if message.qos else 0), message

    def _admit(self, message: Outgoing) -> int:
        """Put a message into the window under an identifier that is not in use."""
        number = self._last_id % _MAX_ID + 1
        while number in self.window:
            number = number % _MAX_ID + 1
        self._last_id = number
        self.window[number] = message
        return number

    def acknowledge(self, packet_id: int) -> bool:
        """Take a PUBACK; tell whether it was for a message in the window."""
        return self.window.pop(packet_id, None) is not None

    def outstanding(self) -> Iterator[Outgoing]:
        """Yield all that the client has not acknowledged, in the order it should get it."""
        yield from self.window.values()
        yield from (message for message in self._queue if message.qos)

    def keep_only(self, wanted: Callable[[Outgoing], bool]) -> None:
        """Forget waiting messages that are not wanted any more, without counting them."""
        self.window = {i: message for i, message in self.window.items() if wanted(message)}
        self.replace_queue([message for message in self._queue if wanted(message)])

    def replace_queue(self, messages: Iterable[Outgoing]) -> int:
        """Let these messages wait instead; return how many of them found no room."""
        self.clear_queue()
        return sum(map(self.push, messages))

    def drain(self) -> list[Outgoing]:
        """Take out every message of the queue, oldest first."""
        messages = list(self._queue)
        self.clear_queue()
        return messages

    def clear_queue(self) -> None:
        """Drop every waiting message, without counting it as dropped."""
        while self._queue:
            self._count(self._queue.popleft(), -1)
