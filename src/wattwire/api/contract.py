"""What the API asks of the rest of the hub. `app.py` hands it over as one `Hub`."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from wattwire.model import Decoded, Reading, RefusedError, StatusChange
from wattwire.settings import Settings
from wattwire.store.sealing import Sealer


class IntakeUnavailableError(Exception):
    """The log takes nothing at the moment; the client keeps what it has and sends it again."""


@dataclass(frozen=True, slots=True)
class Check:
    """One part of the hub, as `/readyz` names it."""

    name: str
    ok: bool
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where something refused came from, for the quarantine."""

    source: str
    format: str
    topic: str = ""
    credential_id: int | None = None


class Intake(Protocol):
    """Where readings from HTTP are handed over; `wattwire.intake.Intake` is one."""

    async def check_loading(
        self, organization_id: UUID, readings: Sequence[Reading], now: int
    ) -> None:
        """Raise RefusedError for the first reading that cannot be taken; `now` in microseconds."""

    async def accept(
        self,
        organization_id: UUID,
        readings: Sequence[Reading],
        *,
        statuses: Sequence[StatusChange] = (),
    ) -> None:
        """Return once everything is durable in the log; else raise one of `Hub.intake_errors`."""

    async def keep(
        self,
        organization_id: UUID,
        origin: Origin,
        raw: bytes,
        error: RefusedError,
        *,
        device: str = "",
    ) -> None:
        """Keep in quarantine what cannot be taken; return once it is durable."""


@dataclass(frozen=True, slots=True)
class Undecoded:
    """The bytes of a quarantine entry, and what is needed to read them."""

    organization_id: UUID
    origin: Origin
    raw: bytes


#: Reads bytes again as the source would. Raises RefusedError.
Decode = Callable[[Undecoded], Awaitable[Decoded]]


@dataclass(frozen=True, slots=True)
class TestResult:
    """What came of the message that Test sent."""

    __test__ = False  # not a test case, whatever its name suggests to pytest

    outcome: str  #: delivered, retry or rejected
    reason: str
    receipt: str
    duration_ms: float
    message_id: str
    address: str = ""


@dataclass(frozen=True, slots=True)
class Counters:
    """The ledger of one integration: matched = delivered + waiting + in_flight + dead + discarded."""

    matched: int
    delivered: int
    waiting: int
    in_flight: int
    dead: int
    discarded: int
    discarded_reasons: Mapping[str, int] = field(default_factory=dict)


class Deliveries(Protocol):
    """What a person may ask of the delivery engine; it only changes the store."""

    async def counters(self, db: Any, integration_id: int) -> Counters:
        """Return the counters, which add up exactly."""

    async def replay_dead(
        self, db: Any, integration_id: int, *, ids: Sequence[int] | None, since: datetime | None
    ) -> int:
        """Queue dead letters again, some or all that died since; return how many."""

    async def replay_events(
        self, db: Any, integration_id: int, start: datetime, end: datetime
    ) -> int:
        """Queue the events of [start, end) that match, again; return how many."""

    async def purge(self, db: Any, integration_id: int, *, reason: str) -> int:
        """Discard what waits, counted under the reason; return how many."""

    async def test(self, integration_id: int) -> TestResult:
        """Really send one message marked as a test."""


class IntegrationType(Protocol):
    """One kind of integration, as the registry has it."""

    @property
    def name(self) -> str:
        """Return its name, as in `aws_sqs`."""

    @property
    def docs(self) -> str | None:
        """Return its page, in Markdown."""

    @property
    def settings(self) -> Any:
        """Return its settings model."""


@dataclass(frozen=True, slots=True)
class Hub:
    """Everything that the API needs, opened by `app.py`."""

    pool: Any
    settings: Settings
    sealer: Sealer
    intake: Intake
    decode: Decode
    deliveries: Deliveries
    status: "HubStatus"
    integration_types: Mapping[str, Any]
    source_types: Mapping[str, Any] = field(default_factory=dict)
    intake_errors: tuple[type[Exception], ...] = ()  #: what `intake` raises when the log is full or gone


class HubStatus(Protocol):
    """How the hub is doing."""

    async def readiness(self) -> Sequence[Check]:
        """Look at each part now, within 2 s."""

    def metrics(self) -> bytes:
        """Return the metrics in the Prometheus text format."""
