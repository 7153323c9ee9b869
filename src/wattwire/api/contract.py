"""What the API asks of the rest of the hub. `app.py` hands it over as one `Hub`."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol
from uuid import UUID

from wattwire.model import Decoded, Reading, RefusedError, StatusChange
from wattwire.settings import Settings
from wattwire.store.sealing import Sealers


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


#: Really sends one message marked as a test through an integration, by its id.
TestIntegration = Callable[[int], Awaitable[TestResult]]


@dataclass(frozen=True, slots=True)
class Hub:
    """Everything that the API needs, opened by `app.py`."""

    pool: Any
    settings: Settings
    sealer: Sealers
    intake: Intake
    decode: Decode
    test_integration: TestIntegration
    status: "HubStatus"
    integration_types: Mapping[str, Any]
    source_types: Mapping[str, Any] = field(default_factory=dict)
    intake_errors: tuple[
        type[Exception], ...
    ] = ()  #: what `intake` raises when the log is full or gone


class HubStatus(Protocol):
    """How the hub is doing."""

    async def readiness(self) -> Sequence[Check]:
        """Look at each part now, within 2 s."""

    async def metrics(self) -> bytes:
        """Return the metrics in the Prometheus text format."""
