"""What a source may ask of the hub, and what it promises in return.

SourceError             a source cannot go on; the supervisor starts it again, with backoff
├── ConnectionLostError     the other side is gone or was never there
└── RefusedByPeerError      the other side said no: credentials, permissions, topics
"""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeAlias, TypeVar
from uuid import UUID
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict

from wattwire.model import Reading, StatusChange


class SourceError(Exception):
    """A source cannot go on."""


class ConnectionLostError(SourceError):
    """The other side is gone, or was never there."""


class RefusedByPeerError(SourceError):
    """The other side said no, and will say so again until its or our settings change."""


class Intake(Protocol):
    """Where a source hands over what it read. Both calls return once it is durable in the log.

    An exception means that nothing is known: the source does not acknowledge, its session ends,
    and what it had read comes again.
    """

    async def accept(
        self,
        organization_id: UUID,
        readings: Sequence[Reading],
        *,
        statuses: Sequence[StatusChange] = (),
    ) -> None:
        """Take readings into the hub. Only after this may the source acknowledge.

        Raises RefusedError when one of them cannot be taken (an implausible time, a device that
        nobody knows); then none of this call was taken.
        """

    async def quarantine(
        self,
        organization_id: UUID,
        raw: bytes,
        *,
        source: str,
        format: str,  # noqa: A002 - the word of the quarantine table
        topic: str,
        reason: str,
        where: str,
        device_key: str = "",
    ) -> None:
        """Keep something that cannot be understood, with the reason, for a person to look at."""


ZoneOf: TypeAlias = Callable[[str], ZoneInfo]
"""Gives the time zone of a device by its external key; UTC for one that does not exist.

Raises LookupError with the key as its first argument when it is not in memory: load it, ask again.
"""


@dataclass(frozen=True, slots=True)
class DeviceDescription:
    """What a source's settings say of a device."""

    key: str
    name: str  #: for a device that is still named by its key
    type: str  #: for a device that has none
    metadata: Mapping[str, str]  #: laid over what is there; what is not named stays


async def describe_nothing(_devices: Sequence[DeviceDescription], /) -> Collection[str]:
    """Stand in where there is no store."""
    return ()


class Figures(Protocol):
    """What sources of one type count, all of a process together."""

    def read(self) -> Mapping[str, float]:
        """Return every figure under the name of its metric, those that are 0 as well."""


class NoFigures:
    """Of a type that counts nothing."""

    def read(self) -> Mapping[str, float]:
        """Return nothing."""
        return {}


@dataclass(frozen=True, slots=True)
class SourceContext:
    """What the hub tells a source when it starts it."""

    organization_id: UUID
    name: str  #: as the person who configured it called it; stands in quarantine entries
    zone_of: ZoneOf
    load_devices: Callable[[Sequence[str]], Awaitable[None]]  #: so that `zone_of` can answer
    worker: int = 0  #: which of the workers of this source this is, counted from 0
    #: Writes what is known of devices, registering them where the organization lets devices
    #: register themselves. Returns the keys of those that are not there then. May raise.
    describe: Callable[[Sequence[DeviceDescription]], Awaitable[Collection[str]]] = describe_nothing
    figures: Figures = field(default_factory=NoFigures)  #: the type's own, see `SourceType`


class SourceSettings(BaseModel):
    """Shared configuration only: no fields, no behaviour."""

    model_config = ConfigDict(extra="forbid", frozen=True)


S = TypeVar("S", bound=SourceSettings)


@dataclass(frozen=True, slots=True)
class SourceType(Generic[S]):
    """One row of the registry: everything the rest of the hub knows about a kind of source.

    `run` reads until it is cancelled. It raises a SourceError when it cannot go on; whoever
    supervises it starts it again, with backoff, in the same way for all sources. `workers` says
    how many of it may run at once, numbered from 0. `figures` makes what all sources of the type
    count in, once for each process: it comes back to `run` in the context.
    """

    docs: str | None
    settings: type[S]
    run: Callable[[S, Intake, SourceContext], Awaitable[None]]
    workers: Callable[[S], int]
    figures: Callable[[], Figures] = NoFigures

    @property
    def name(self) -> str:
        """Return the value of the settings' `type` field, the only place it is spelled."""
        return str(self.settings.model_fields["type"].default)
