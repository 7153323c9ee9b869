"""Which integrations asked for an event. Pure; callers remember the answer per stream and topic."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple
from uuid import UUID

from wattwire.formats.ant_patterns import Matcher as Pattern
from wattwire.formats.ant_patterns import compile_pattern
from wattwire.formats.object_patterns import compile_objects
from wattwire.store.events import Interest


class Asked(NamedTuple):
    """Who asked for the readings of a stream."""

    whole: tuple[int, ...] = ()  #: integrations that get each reading as one message
    parts: tuple[tuple[int, frozenset[str]], ...] = ()  #: and those that get these channels alone


NOBODY: Final = Asked()


class Matcher:
    """What all integrations asked for, arranged by organization and topic."""

    def __init__(self, interests: Iterable[Interest], version: int) -> None:
        self.version = version
        self._asked: dict[tuple[UUID, str], list[tuple[Interest, tuple[Pattern, ...] | None]]] = {}
        for interest in interests:
            patterns = _compiled(interest.stream_patterns)
            for topic in interest.topics:
                self._asked.setdefault((interest.organization_id, topic), []).append(
                    (interest, patterns)
                )

    def asks(self, topic: str, *, repeated: bool = False) -> bool:
        """Return whether anybody asks for events of this topic, or for repeated ones."""
        return any(
            asked == topic and (not repeated or any(interest.repeats for interest, _ in some))
            for (_, asked), some in self._asked.items()
        )

    def integrations_for(
        self,
        organization_id: UUID,
        topic: str,
        device_id: int | None,
        stream: str,
        *,
        repeated: bool = False,
    ) -> tuple[int, ...]:
        """Return the ids of the integrations that asked for such an event.

        No devices or no patterns means every one; an event of no device matches only those
        integrations that name no devices. What is `repeated` only those get that want repeats.
        """
        return tuple(
            interest.integration_id
            for interest in self._interested(organization_id, topic, device_id, stream)
            if interest.repeats or not repeated
        )

    def readings_for(
        self, organization_id: UUID, topic: str, device_id: int, stream: str, names: Sequence[str]
    ) -> Asked:
        """Return who asked for the readings of a stream with channels of these names."""
        whole, parts = [], []
        for interest in self._interested(organization_id, topic, device_id, stream):
            if interest.objects is None:
                whole.append(interest.integration_id)
            elif chosen := frozenset(filter(compile_objects(interest.objects), names)):
                parts.append((interest.integration_id, chosen))
        return Asked(tuple(whole), tuple(parts))

    def _interested(
        self, organization_id: UUID, topic: str, device_id: int | None, stream: str
    ) -> Iterator[Interest]:
        for interest, patterns in self._asked.get((organization_id, topic), ()):
            if (not interest.device_ids or device_id in interest.device_ids) and (
                not patterns or any(pattern.matches(stream) for pattern in patterns)
            ):
                yield interest


def _compiled(patterns: tuple[str, ...] | None) -> tuple[Pattern, ...] | None:
    return tuple(map(compile_pattern, patterns)) if patterns else None
