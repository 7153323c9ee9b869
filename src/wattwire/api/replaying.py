"""Which stored events an integration asks for: what the pipeline matches, looked up afterwards."""

from datetime import datetime
from typing import Any

from wattwire.formats.ant_patterns import compile_pattern
from wattwire.formats.object_patterns import compile_objects
from wattwire.store import replays
from wattwire.store.integrations import IntegrationRow


async def replay_events(db: Any, row: IntegrationRow, start: datetime, end: datetime) -> int:
    """Queue the events of [start, end) that the integration asks for, again; return how many."""
    objects = None if row.objects is None else compile_objects(row.objects)
    return await replays.replay_events(
        db, row.id, row.organization_id, start, end, wanted_by(row), objects=objects
    )


def wanted_by(row: IntegrationRow) -> replays.Wanted:
    """Return whether an integration asks for an event, by its topic, device and stream.

    No devices or no patterns means every one, as where events are matched when they happen.
    """
    topics = frozenset(row.topics)
    devices = frozenset(row.device_ids or ())
    patterns = [compile_pattern(pattern) for pattern in row.stream_patterns or ()]

    def wanted(topic: str, device_id: int | None, stream: str) -> bool:
        return (
            topic in topics
            and (not devices or device_id in devices)
            and (not patterns or any(pattern.matches(stream) for pattern in patterns))
        )

    return wanted
