"""What an integration promises the delivery engine."""

import ssl
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network
from typing import Any, Final, Generic, Protocol, TypeAlias, TypeVar

from pydantic import BaseModel, ConfigDict

from wattwire.model import Message

Network: TypeAlias = IPv4Network | IPv6Network

#: Delays before each attempt of a message, in seconds.
STANDARD_SCHEDULE: Final = (0.0, 5.0, 300.0, 1800.0, 7200.0, 18000.0, 36000.0, 36000.0)

#: The code of an answer that never came: refused, cut off, no name, no trust.
UNREACHABLE: Final = "unreachable"
#: The code of an answer that did not come in time. Whether the message arrived is not known.
TIMED_OUT: Final = "timeout"
#: The code of an exception that says nothing about the service: most likely a fault of ours.
FAULT: Final = "fault"


class UnreachableError(Exception):
    """The service could not be spoken to. The engine retries, and looks for an outage."""


class ConfigurationError(Exception):
    """The settings cannot work, whatever the service says; the message tells what to change."""


@dataclass(frozen=True, slots=True)
class Delivered:
    """The service took the message: it leaves the queue."""

    receipt: str = ""  #: the service's own name for it: MessageId, sequence number, HTTP status
    status: int | None = None  #: HTTP status, where there is one


@dataclass(frozen=True, slots=True)
class Retry:
    """The service did not take it, but may later, unless the table of verdicts says more."""

    reason: str
    after: timedelta | None = None  #: how long the service asked to be left alone
    status: int | None = None  #: HTTP status, where there is one
    code: str = ""  #: the service's word for it: AccessDenied, ThrottlingException, unreachable


@dataclass(frozen=True, slots=True)
class Rejected:
    """The service never will take it: it becomes a dead letter."""

    reason: str
    status: int | None = None
    code: str = ""


Outcome: TypeAlias = Delivered | Retry | Rejected
Outcomes: TypeAlias = Mapping[str, Outcome]


class Verdict(StrEnum):
    """What an answer means for the message and for its integration."""

    OK = "ok"  #: delivered
    RETRY = "retry"  #: again, as scheduled
    REJECT = "reject"  #: a dead letter
    PARK = "park"  #: credentials are wrong: everything waits until somebody changes something
    DISABLE = "disable"  #: the receiver wants no more: the integration is switched off
    THROTTLE = "throttle"  #: too fast: everything waits a while
    DOWN = "down"  #: the receiver is not there: nothing is counted against the message


#: What every type begins with. Keys are looked up from the special to the general: the service's
#: code, the HTTP status, its class. What is in no table is as the outcome says.
HTTP_VERDICTS: Final[Mapping[str, Verdict]] = {
    UNREACHABLE: Verdict.DOWN,
    TIMED_OUT: Verdict.DOWN,
    "401": Verdict.PARK,
    "403": Verdict.PARK,
    "410": Verdict.DISABLE,
    "413": Verdict.REJECT,
    "429": Verdict.THROTTLE,
    "502": Verdict.THROTTLE,
    "503": Verdict.DOWN,
    "504": Verdict.THROTTLE,
}


@dataclass(frozen=True, slots=True)
class Limits:
    """What the service accepts in one call. The engine cuts every batch to fit."""

    max_messages: int
    max_bytes: int  #: of all bodies together, and so of each
    overhead_bytes: int = 0  #: what the service counts for each message beside its body


@dataclass(frozen=True, slots=True)
class Presets:
    """What a new integration of the type is limited to, unless somebody says otherwise."""

    rate_per_minute: int | None = None  #: messages; None: no limit
    max_concurrent: int | None = 10  #: calls under way; None: no limit
    max_payload_bytes: int | None = 262_144  #: of one message; None: no limit


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the operator of the hub lets integrations reach."""

    allowed_networks: tuple[Network, ...] = ()  #: may be reached although they are private
    aws_profiles: frozenset[str] = frozenset()  #: of the hub's own AWS configuration
    tls: ssl.SSLContext | None = None  #: whom to trust; None: the system's authorities


class IntegrationSettings(BaseModel):
    """Shared configuration only: no fields, no behaviour. Errors hold nothing that was given."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class Integration(Protocol):
    """An open integration, ready to deliver."""

    async def deliver(self, batch: Sequence[Message], /) -> Outcomes:
        """Send one batch that fits the limits; return one outcome per message id.

        An exception means nothing is known: the engine retries the whole batch.
        A message id missing from the outcomes is retried.
        """

    async def test(self, probe: Message, /) -> Outcome:
        """Send one message marked as a test, the way deliver() would send it."""


S = TypeVar("S", bound=IntegrationSettings)


@dataclass(frozen=True, slots=True)
class Part:
    """One piece of what people will see: a subject, a text, blocks."""

    name: str
    content_type: str
    content: str


class PreviewError(ValueError):
    """A message that cannot be written: `setting` names the template that fails.

    `line` is where in it, if that is known; `reason` is one line for a person.
    """

    def __init__(self, setting: str, reason: str, line: int | None = None) -> None:
        where = setting if line is None else f"{setting}, line {line}"
        super().__init__(f"{where}: {reason}")
        self.setting, self.reason, self.line = setting, reason, line


@dataclass(frozen=True, slots=True)
class Preview(Generic[S]):
    """How messages look to the people who read them. Pure: no network, and no secrets needed."""

    #: One message alone, or a digest of several. Raises PreviewError.
    parts: Callable[[S, Sequence[Message]], Sequence[Part]]
    #: Settings that are not looked at: secrets, and what is only right together with one.
    unseen: frozenset[str]
    #: What stands for settings that are required and were not given, or are not looked at.
    stand_ins: Mapping[str, Any]


def _standard(_settings: Any) -> Sequence[float]:
    return STANDARD_SCHEDULE


def _unordered(_settings: Any) -> bool:
    return False


def _at_once(_settings: Any) -> float:
    return 0.0


def _a_minutes_rest(_settings: Any) -> float:
    return 60.0


def _a_minute(_settings: Any) -> float:
    return 60.0


@dataclass(frozen=True, slots=True)
class IntegrationType(Generic[S]):
    """One row of the registry: everything the rest of the hub knows about a type."""

    docs: str | None
    settings: type[S]
    limits: Limits
    connect: Callable[[S, Surroundings], AbstractAsyncContextManager[Integration]]
    #: Where messages go, for the ledger: a URL, a topic ARN. Never a secret.
    address: Callable[[S], str]
    presets: Presets = Presets()
    verdicts: Mapping[str, Verdict] = field(default_factory=lambda: HTTP_VERDICTS)
    #: Seconds before each attempt, the first included; its length is the number of attempts.
    schedule: Callable[[S], Sequence[float]] = _standard
    #: Longer than this no call takes; the engine then gives up waiting for its answer.
    timeout_seconds: Callable[[S], float] = _a_minute
    #: Whether messages must leave one call at a time to keep their order.
    ordered: Callable[[S], bool] = _unordered
    #: How long messages wait for others to travel with: a batch leaves when it is full, or when its
    #: first message was queued in an earlier period of so many seconds.
    linger_seconds: Callable[[S], float] = _at_once
    #: How long an open connection is kept that nothing is sent on.
    rest_seconds: Callable[[S], float] = _a_minutes_rest
    #: Whether many messages become one (a digest): a limited rate then counts calls.
    folds: bool = False
    format: str = "wattwire"  #: how events are written unless the integration says otherwise
    preview: Preview[S] | None = None  #: None: its messages are for programs

    @property
    def name(self) -> str:
        """Return the value of the settings' `type` field, the only place it is spelled."""
        return str(self.settings.model_fields["type"].default)
