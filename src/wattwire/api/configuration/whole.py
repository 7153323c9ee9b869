"""The whole configuration: exported, planned, applied. Everything in one transaction."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from wattwire.api.configuration.credentials import CredentialSection
from wattwire.api.configuration.devices import DeviceSection
from wattwire.api.configuration.faults import Faults
from wattwire.api.configuration.integrations import IntegrationSection
from wattwire.api.configuration.items import Item, Step, compare
from wattwire.api.configuration.organization import OrganizationSection
from wattwire.api.configuration.references import Kept, resolve
from wattwire.api.configuration.section import At, Section
from wattwire.api.configuration.sources import SourceSection
from wattwire.api.identity import Call
from wattwire.api.once import Change
from wattwire.api.problems import Problem
from wattwire.store import configuration as stored
from wattwire.store import ledger

VERSION: Final = 1
_ORGANIZATION: Final = OrganizationSection()
#: In the order in which they are written: devices before what names them.
SECTIONS: Final[tuple[Section, ...]] = (
    _ORGANIZATION, DeviceSection(), SourceSection(), IntegrationSection(), CredentialSection(),
)  # fmt: skip
_KNOWN: Final = ("wattwire", *(section.name for section in SECTIONS))
#: Where a secret may stand.
_SECRET_FIELDS: Final = {
    "sources": ("settings",), "integrations": ("settings",), "mqtt_credentials": ("password",),
}  # fmt: skip


async def export(call: Call) -> dict[str, Any]:
    """Return the document, all from one snapshot. Raises Problem 409 for what it cannot hold."""
    async with (
        call.pool.acquire(timeout=10) as db,
        db.transaction(isolation="repeatable_read", readonly=True),
    ):
        at = At(Change(call, db))
        found = {section.name: await section.load(at) for section in SECTIONS}
    document: dict[str, Any] = {"wattwire": VERSION}
    for section in SECTIONS:
        entries = [section.dump(at, item) for item in found[section.name]]
        document[section.name] = entries[0] if section is _ORGANIZATION else entries
    return document


async def plan(
    now: Change, document: Mapping[str, Any], values: Mapping[str, Any], *, prune: bool
) -> tuple[At, list[Step], int]:
    """Return what is to be done, and how much stays as it is. Raises Problem 422 with all faults.

    Locks what may be changed until the transaction ends.
    """
    await stored.lock(now.db, now.call.organization_id)
    faults = Faults()
    at = At(now, _resolved(document, values, faults), faults)
    steps: list[Step] = []
    unchanged = 0
    for section in SECTIONS:
        current = await section.load(at)
        wanted = await section.read(at, current)
        found = _compare(section, current, wanted)
        steps += found
        unchanged += len(wanted) - len(found)
        if prune and section.pruned and section.name in (at.document or {}):
            steps += await _unnamed(at, section, current, wanted)
    faults.check()
    return at, steps, unchanged


def _resolved(
    document: Mapping[str, Any], values: Mapping[str, Any], faults: Faults
) -> Mapping[str, Any]:
    """Return the document with its values. Raises Problem 422 when it is none of ours."""
    if document.get("wattwire") != VERSION:
        faults.add("wattwire", f"must be {VERSION}, the version of the document")
    for name in document:
        if name not in _KNOWN:
            faults.add(str(name), f"is not known; there are {', '.join(_KNOWN)}", "extra_forbidden")
    faults.check()
    resolved: dict[str, Any] = resolve(document, values, "", faults)
    _refuse_secrets_elsewhere(resolved, faults)
    faults.check()
    return resolved


def _refuse_secrets_elsewhere(document: Mapping[str, Any], faults: Faults) -> None:
    """Note references to secrets where nothing is kept."""
    for name, section in document.items():
        entries = enumerate(section) if isinstance(section, list) else ()
        if not isinstance(section, list):
            _refuse_secrets(section, name, faults)
        for n, entry in entries:
            fields = entry.items() if isinstance(entry, Mapping) else (("", entry),)
            for field, value in fields:
                if field not in _SECRET_FIELDS.get(name, ()):
                    _refuse_secrets(value, f"{name}[{n}].{field}", faults)


def _refuse_secrets(value: Any, where: str, faults: Faults) -> None:
    if isinstance(value, Kept):
        faults.add(where, f"no value was given for ${{SECRET:{value.name}}}", "missing")
    elif isinstance(value, Mapping):
        for name, item in value.items():
            _refuse_secrets(item, f"{where}.{name}", faults)
    elif isinstance(value, list):
        for n, item in enumerate(value):
            _refuse_secrets(item, f"{where}[{n}]", faults)


def _compare(section: Section, current: Sequence[Item], wanted: Sequence[Item]) -> list[Step]:
    there = {item.name: item for item in current}
    steps = (compare(section.kind, there.get(item.name), item) for item in wanted)
    return [step for step in steps if step is not None]


async def _unnamed(
    at: At, section: Section, current: Sequence[Item], wanted: Sequence[Item]
) -> list[Step]:
    """Return the deletions of what the document does not name, with what waits for each."""
    named = {item.name for item in wanted}
    gone = [item for item in current if item.name not in named]
    steps = [Step("delete", section.kind, item.name, item) for item in gone]
    if section.kind != IntegrationSection.kind:
        return steps
    counted = await ledger.counters_of(at.db, [item.row.id for item in gone])
    return [replace(s, queued=_queued(counted[i.row.id])) for s, i in zip(steps, gone, strict=True)]


def _queued(counters: ledger.Counters) -> dict[str, int]:
    return {
        "waiting": counters.waiting, "in_flight": counters.in_flight, "dead": counters.dead,
    }  # fmt: skip


def refuse_to_discard(steps: Sequence[Step]) -> None:
    """Raise Problem 409 when deletions would discard messages."""
    waiting = {s.name: s.queued for s in steps if s.queued and _count(s.queued)}
    if not waiting:
        return
    told = "; ".join(
        f"{name}: {queued['waiting']} waiting, {queued['in_flight']} in flight, "
        f"{queued['dead']} dead"
        for name, queued in waiting.items()
    )
    raise Problem(
        409,
        f"Messages are still queued for what would be deleted ({told}): wait until they are "
        "delivered, or repeat with discard.",
        slug="still-queued",
        queued=sum(_count(queued) for queued in waiting.values()),
    )


def _count(queued: Mapping[str, int]) -> int:
    return queued["waiting"] + queued["in_flight"]


async def carry_out(at: At, steps: Sequence[Step]) -> None:
    """Do it, each step with its audit row. Deletions come first: they make room."""
    by_kind = {section.kind: section for section in SECTIONS}
    order = {section.kind: n for n, section in enumerate(SECTIONS)}
    for step in sorted(steps, key=lambda s: (s.action != "delete", order[s.kind])):
        number = await by_kind[step.kind].write(at, step)
        detail: dict[str, Any] = {"name": step.name, "by": "configuration"}
        if step.action == "update":
            detail["changed"] = sorted({c.field for c in step.changes})
        await at.now.record(f"{step.kind}.{step.action}d", number, detail)
