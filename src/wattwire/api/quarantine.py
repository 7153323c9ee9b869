"""`/api/v1/quarantine`: what could not be understood, and how it is mended."""

import base64
import binascii
import time
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from pydantic import AwareDatetime, Field

from wattwire.api import ingest
from wattwire.api.contract import Origin, Undecoded
from wattwire.api.fields import (
    BIGINT,
    Body,
    OptionalFrom,
    OptionalTo,
    RowId,
    Search,
    Timestamp,
    View,
)
from wattwire.api.identity import Authorized, Call
from wattwire.api.once import Change, change
from wattwire.api.paging import Cursors, CursorText, Limit, Page, page
from wattwire.api.problems import Problem, documented, invalid, not_found
from wattwire.api.write import LINES
from wattwire.formats import line_protocol
from wattwire.model import Decoded, Reading, RefusedError
from wattwire.store import quarantine

router = APIRouter(prefix="/api/v1/quarantine", tags=["quarantine"])

State = Literal["open", "replayed", "purged"]
EntryId = Annotated[int, Field(ge=1, le=BIGINT)]
Part = Annotated[str, Field(max_length=255)]


class EntryView(View):
    """Something that could not be understood, and why."""

    id: int = Field(description="Number of the entry.", examples=[42])
    received_at: Timestamp = Field(description="When it came.")
    source: str = Field(description="Whence: mqtt, http, a source's name.", examples=["mqtt"])
    format: str = Field(description="As what it was read.", examples=["smart_meter"])
    topic: str = Field(description="MQTT topic, if any.", examples=["meters/1"])
    reason: str = Field(description="What is wrong.", examples=["95 readings, not 96"])
    where: str = Field(description="Where in the message.", examples=["readings"])
    device_key: str = Field(description="Whose, if known.", examples=["meter-1"])
    credential_id: int | None = Field(description="Which MQTT credential sent it.", examples=[3])
    state: State = Field(description="Open, fed back, or purged.", examples=["open"])
    changed_at: Timestamp | None = Field(description="When the state changed.")
    size_bytes: int = Field(description="How large it is.", examples=[512])


class EntryDetail(EntryView):
    """One entry with its bytes."""

    raw_base64: str = Field(description="The bytes.", examples=["eyJhIjoxfQ=="])
    text: str | None = Field(
        description="The same as text; null when not UTF-8.", examples=['{"a":1}']
    )


class EntryReplay(Body):
    """What to feed back instead; nothing: the bytes as they came."""

    text: str | None = Field(default=None, description="As text.", examples=['{"a":2}'])
    raw_base64: str | None = Field(default=None, description="As bytes.", examples=["eyJhIjoyfQ=="])


class EntrySelection(Body):
    """Which entries; what is left out means any."""

    ids: list[EntryId] | None = Field(
        default=None, max_length=1000, description="These.", examples=[[42]]
    )
    state: State | None = Field(default="open", description="In this state.", examples=["open"])
    source: Part | None = Field(default=None, description="From this source.", examples=["mqtt"])
    format: Part | None = Field(default=None, description="Read as this.", examples=["smart_meter"])
    device_key: Part | None = Field(
        default=None, description="Of this device.", examples=["meter-1"]
    )
    reason: Part | None = Field(
        default=None, description="With this in the reason.", examples=["not known"]
    )
    start: AwareDatetime | None = Field(
        default=None,
        alias="from",
        description="Received at or after.",
        examples=["2025-06-01T00:00:00Z"],
    )
    end: AwareDatetime | None = Field(
        default=None, alias="to", description="Received before.", examples=["2025-07-01T00:00:00Z"]
    )


class ReplaySelection(EntrySelection):
    """Which entries to feed back, oldest first."""

    limit: int = Field(default=100, ge=1, le=1000, description="At most so many.", examples=[100])


class EntryVerdict(View):
    """What became of one entry."""

    id: int = Field(description="Number of the entry.", examples=[42])
    accepted: int = Field(description="Readings taken.", examples=[96])
    reason: str = Field(description="Why not, or empty.", examples=[""])
    where: str = Field(description="Where in the message.", examples=[""])


class ReplayView(View):
    """What became of the entries fed back."""

    replayed: int = Field(description="Entries that are understood now.", examples=[1])
    refused: int = Field(description="Entries that stay.", examples=[0])
    items: list[EntryVerdict] = Field(description="Each of them.")


class PurgedView(View):
    """What a purge did."""

    purged: int = Field(description="Entries that are empty now.", examples=[5])


@router.get("", response_model=Page[EntryView], responses=documented())
async def list_quarantine(
    call: Authorized,
    *,
    limit: Limit = 100,
    cursor: CursorText = None,
    state: Annotated[State | None, Query(description="Only entries in this state.")] = None,
    source: Annotated[Search, Query(description="Only from this source.")] = None,
    format: Annotated[Search, Query(description="Only read as this.")] = None,  # noqa: A002 - the parameter's name
    device_key: Annotated[Search, Query(description="Only of this device.")] = None,
    reason: Annotated[Search, Query(description="Only with this in the reason.")] = None,
    start: OptionalFrom = None,
    end: OptionalTo = None,
) -> Any:
    """List entries, newest first, without their bytes."""
    wanted = quarantine.EntryFilter(state, source, format, device_key, reason, start, end)
    cursors = Cursors("quarantine", wanted.columns(), int)
    rows = await quarantine.list_page(
        call.pool, call.organization_id, wanted, before=cursors.decode(cursor), limit=limit + 1
    )
    return page(rows, limit, cursors, lambda row: row.id)


@router.post("/replay", response_model=ReplayView, responses=documented())
async def replay_quarantine(call: Authorized, body: ReplaySelection) -> Any:
    """Feed entries back as they came, for example after a device was registered."""
    chosen = await quarantine.list_ids(
        call.pool, call.organization_id, _filter(body), limit=body.limit
    )
    verdicts = [await _try(call, entry_id) for entry_id in chosen]
    good = sum(not v.reason for v in verdicts)
    return ReplayView(replayed=good, refused=len(verdicts) - good, items=verdicts)


@router.post("/purge", response_model=PurgedView, responses=documented())
async def purge_quarantine(call: Authorized, body: EntrySelection) -> Any:
    """Empty entries of their bytes. That they were there, and why, stays until retention ends."""

    async def work(now: Change) -> PurgedView:
        purged = await quarantine.purge(now.db, call.organization_id, _filter(body))
        await now.record("quarantine.purged", "selection", {"purged": purged})
        return PurgedView(purged=purged)

    return await change(call, work)


def _filter(body: EntrySelection) -> quarantine.EntryFilter:
    return quarantine.EntryFilter(
        body.state,
        body.source,
        body.format,
        body.device_key,
        body.reason,
        body.start,
        body.end,
        body.ids,
    )


@router.get("/{entry_id}", response_model=EntryDetail, responses=documented(404))
async def get_quarantine(call: Authorized, entry_id: RowId) -> Any:
    """Show one entry with its bytes, and as text when it is text."""
    entry, raw = await _find(call, entry_id)
    shown = EntryView.model_validate(entry).model_dump()
    return EntryDetail(**shown, raw_base64=base64.b64encode(raw).decode(), text=_text(raw))


async def _find(call: Call, entry_id: int) -> tuple[quarantine.Entry, bytes]:
    found = await quarantine.find(call.pool, call.organization_id, entry_id)
    if found is None:
        raise not_found("quarantine entry", entry_id)
    return found


def _text(raw: bytes) -> str | None:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return None


@router.post("/{entry_id}/replay", response_model=EntryVerdict, responses=documented(404, 409))
async def replay_quarantine_entry(
    call: Authorized, entry_id: RowId, body: EntryReplay | None = None
) -> Any:
    """Feed an entry back, as it came or mended. If still refused it stays; a 422 says why."""
    entry, raw = await _find(call, entry_id)
    if entry.state == "purged":
        raise Problem(409, "This entry was purged: its bytes are gone.")
    replacement = _replacement(body or EntryReplay())
    try:
        accepted = await _feed(call, entry, raw if replacement is None else replacement)
    except RefusedError as error:
        fault = {"field": error.where or "body", "message": error.reason, "rule": "refused"}
        raise Problem(422, f"Still refused: {error}", errors=[fault]) from error
    return EntryVerdict(id=entry_id, accepted=accepted, reason="", where="")


def _replacement(body: EntryReplay) -> bytes | None:
    if body.text is not None:
        return body.text.encode(errors="surrogatepass")
    if body.raw_base64 is None:
        return None
    try:
        return base64.b64decode(body.raw_base64, validate=True)
    except (binascii.Error, ValueError):
        raise invalid("raw_base64", "must be base64") from None


async def _try(call: Call, entry_id: int) -> EntryVerdict:
    found = await quarantine.find(call.pool, call.organization_id, entry_id)
    if found is None or found[0].state == "purged":
        return EntryVerdict(id=entry_id, accepted=0, reason="it is gone", where="")
    try:
        accepted = await _feed(call, *found)
    except RefusedError as error:
        return EntryVerdict(id=entry_id, accepted=0, reason=error.reason, where=error.where)
    return EntryVerdict(id=entry_id, accepted=accepted, reason="", where="")


async def _feed(call: Call, entry: quarantine.Entry, raw: bytes) -> int:
    """Read bytes again and hand them over; the entry is closed once they are durable.

    Feeding an entry back twice changes nothing: readings replace themselves.
    """
    origin = Origin(entry.source, entry.format, entry.topic, entry.credential_id)
    decoded = await _decode(call, origin, raw)
    await ingest.check(call, decoded.readings)
    await ingest.accept(call, decoded.readings, decoded.statuses)

    async def work(now: Change) -> None:
        await quarantine.mark_replayed(now.db, call.organization_id, entry.id)
        await now.record("quarantine.replayed", entry.id, {"readings": len(decoded.readings)})

    await change(call, work)
    return len(decoded.readings)


async def _decode(call: Call, origin: Origin, raw: bytes) -> Decoded:
    """Read bytes as their source would. Lines come over HTTP alone, so they are read here."""
    if origin.format != LINES.format:
        return await call.hub.decode(Undecoded(call.organization_id, origin, raw))
    results = [line.result for line in line_protocol.decode(raw, time.time_ns() // 1000)]
    for result in results:
        if isinstance(result, RefusedError):
            raise result
    return Decoded([result for result in results if isinstance(result, Reading)])


@router.delete("/{entry_id}", status_code=204, responses=documented(404))
async def delete_quarantine_entry(call: Authorized, entry_id: RowId) -> None:
    """Purge one entry."""
    await _find(call, entry_id)

    async def work(now: Change) -> None:
        await quarantine.purge(now.db, call.organization_id, quarantine.EntryFilter(ids=[entry_id]))
        await now.record("quarantine.purged", entry_id)

    await change(call, work)
