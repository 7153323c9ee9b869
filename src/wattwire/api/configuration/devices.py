"""Devices and what was decided about their streams, matched by key and path.

A document never deletes a device: its readings would go with it, and it would register again.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, Literal

from pydantic import Field

from wattwire.api.configuration.items import Item, Step
from wattwire.api.configuration.references import escape
from wattwire.api.configuration.section import MOST, At, read_entries, refuse_twice
from wattwire.api.devices import DeviceCreate
from wattwire.api.fields import END_OF_TIME, Body, Text
from wattwire.model import EPOCH
from wattwire.store import configuration as stored
from wattwire.store import devices, rollups

_MOST_STREAMS: Final = 100_000
_COLUMNS: Final = ("name", "type", "time_zone", "metadata")
Path = Annotated[str, Field(min_length=1, max_length=255), Text]


class StreamEntry(Body):
    """How the readings of a stream are to be understood."""

    path: Path
    stamp: Literal["start", "end"] = "start"
    interval_seconds: Annotated[int, Field(ge=1, le=86_400)] | None = None
    detect_resets: bool | None = None


class DeviceEntry(DeviceCreate):
    """A device, and those of its streams about which something was decided."""

    streams: list[StreamEntry] = Field(default=[], max_length=1000)


class DeviceSection:
    """Implements `Section`."""

    name: Final = "devices"
    kind: Final = "device"
    pruned: Final = False

    async def load(self, at: At) -> list[Item]:
        """Return all of them, or those that the document names."""
        keys = at.named(self.name, "key")
        limit = MOST[self.name]
        rows = await stored.devices(at.db, at.organization_id, keys, limit)
        streams = await stored.streams(at.db, at.organization_id, keys, _MOST_STREAMS)
        by_key: dict[str, dict[str, Any]] = {}
        for s in streams:
            by_key.setdefault(s.key, {})[s.path] = _settings_of(s)
        return [_item(row, by_key.get(row.key, {})) for row in rows]

    def dump(self, at: At, item: Item) -> dict[str, Any]:  # noqa: ARG002 - devices have no secrets
        """Return the entry."""
        fields = dict(item.fields)
        streams = fields.pop("streams")
        listed = [{"path": path, **settings} for path, settings in streams.items()]
        entry: dict[str, Any] = escape(fields | ({"streams": listed} if listed else {}))
        return entry

    async def read(self, at: At, current: Sequence[Item]) -> list[Item]:
        """Return what the document wants."""
        there = {item.name: item for item in current}
        entries = read_entries(at, self.name, DeviceEntry)
        items = [_wanted(at, where, entry, there.get(entry.key)) for where, entry in entries]
        refuse_twice(at, items, "key")
        return items

    async def write(self, at: At, step: Step) -> object:
        """Carry out a step."""
        assert step.new is not None  # noqa: S101 - devices are never deleted
        columns = {name: step.new.fields[name] for name in _COLUMNS}
        if step.old is None:
            row = await devices.create(at.db, at.organization_id, key=step.new.name, **columns)
            device_id, zone = row.id, row.time_zone
        else:
            device_id, zone = step.old.row.id, step.old.row.time_zone
            await devices.update(at.db, at.organization_id, device_id, **columns)
        await _write_streams(at, device_id, step)
        if columns["time_zone"] != zone:
            await rollups.rezone(at.db, device_id)
        return device_id


def _settings_of(stream: Any) -> dict[str, Any]:
    return {
        "stamp": stream.stamp,
        "interval_seconds": stream.interval_seconds,
        "detect_resets": stream.detect_resets,
    }


def _item(row: devices.DeviceRow, streams: Mapping[str, Any]) -> Item:
    fields = {"key": row.key, **{name: getattr(row, name) for name in _COLUMNS}}
    return Item(row.key, fields | {"streams": dict(streams)}, row=row)


def _wanted(at: At, where: str, entry: DeviceEntry, old: Item | None) -> Item:
    """Return a device as it shall be; streams that are not named stay as they are."""
    streams = {} if old is None else dict(old.fields["streams"])
    named = set()
    for n, stream in enumerate(entry.streams):
        if stream.path in named:
            at.faults.add(f"{where}.streams[{n}].path", "is there twice")
        named.add(stream.path)
        streams[stream.path] = _settings_of(stream)
    fields = {
        "key": entry.key,
        "name": entry.name or entry.key[:200],
        "type": entry.type,
        "time_zone": entry.time_zone,
        "metadata": entry.metadata,
        "streams": streams,
    }
    return Item(entry.key, fields, where=where)


async def _write_streams(at: At, device_id: int, step: Step) -> None:
    """Write the streams that differ, and have their rollups computed again."""
    before = {} if step.old is None else step.old.fields["streams"]
    after = {} if step.new is None else step.new.fields["streams"]
    for path, settings in after.items():
        if before.get(path) == settings:
            continue
        stream_id = await stored.make_stream(at.db, device_id, path)
        await devices.update_stream(at.db, stream_id, **settings)
        await rollups.mark_deleted(at.db, [stream_id], EPOCH, END_OF_TIME)
