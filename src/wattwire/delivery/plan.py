"""How one integration is to be served: its configuration, read once and checked."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from pydantic import ValidationError

from wattwire.delivery.backoff import Policy
from wattwire.delivery.rendering import Format, find_format
from wattwire.delivery.verdicts import merged
from wattwire.integrations.contract import (
    ConfigurationError,
    IntegrationSettings,
    IntegrationType,
    Limits,
    Verdict,
)
from wattwire.store.deliveries import LaneRow
from wattwire.store.sealing import Sealer, join

#: Calls under way of an integration that sets no limit.
WIDEST: Final = 100
#: A wrong number must not turn an outage into an endless loop.
_MOST_ATTEMPTS: Final = 100


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything the engine needs to know of one integration."""

    id: int
    organization_id: UUID
    name: str
    kind: IntegrationType[Any]
    settings: IntegrationSettings
    address: str
    form: Format
    limits: Limits  #: of one call
    max_payload_bytes: int  #: of one message
    rate_per_minute: int | None
    width: int  #: calls under way
    verdicts: Mapping[str, Verdict]
    policy: Policy
    max_age: timedelta
    timeout_seconds: float
    linger_seconds: float  #: how long messages wait for others to travel with
    updated_at: datetime

    @property
    def ordered(self) -> bool:
        """Return whether the messages of a device keep their order."""
        return self.kind.ordered(self.settings)

    @property
    def together(self) -> bool:
        """Return whether messages become one thing, and so fail and are sent again together."""
        return self.kind.folds or self.linger_seconds > 0


def plan_of(row: LaneRow, types: Mapping[str, IntegrationType[Any]], sealer: Sealer) -> Plan:
    """Return the plan of a stored integration.

    Raises ConfigurationError with one sentence that tells what is missing or wrong.
    """
    kind = types.get(row.type)
    if kind is None:
        raise ConfigurationError(f"There is no integration type {row.type}")
    settings = _settings(row, kind, sealer)
    return Plan(
        id=row.id,
        organization_id=row.organization_id,
        name=row.name,
        kind=kind,
        settings=settings,
        address=kind.address(settings),
        form=find_format(row.format or kind.format, row.format_settings, row.id),
        limits=kind.limits,
        max_payload_bytes=_largest(kind.limits, row.max_payload_bytes),
        rate_per_minute=row.rate_per_minute,
        width=1 if kind.ordered(settings) else min(row.max_concurrent or WIDEST, WIDEST),
        verdicts=merged(kind.verdicts, row.outcomes),
        policy=Policy(tuple(row.schedule_seconds or kind.schedule(settings))[:_MOST_ATTEMPTS]),
        max_age=timedelta(seconds=row.max_age_seconds),
        timeout_seconds=kind.timeout_seconds(settings),
        linger_seconds=kind.linger_seconds(settings),
        updated_at=row.updated_at,
    )


def _settings(row: LaneRow, kind: IntegrationType[Any], sealer: Sealer) -> IntegrationSettings:
    try:
        given = join(row.settings, row.secrets, sealer)
    except Exception as error:  # whatever the key's owner raises: the secrets cannot be opened
        raise ConfigurationError(
            "The secrets were sealed with another key: enter them again"
        ) from error
    try:
        settings: IntegrationSettings = kind.settings.model_validate(given)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ConfigurationError(f"{where}: {first['msg']}" if where else first["msg"]) from error
    return settings


def _largest(limits: Limits, allowed: int | None) -> int:
    possible = limits.max_bytes - limits.overhead_bytes
    return possible if allowed is None else min(allowed, possible)
