"""With what a lane begins: what the database remembers of its receiver. Pure."""

from datetime import datetime

from wattwire.delivery.breaker import on_trial
from wattwire.delivery.settle import CALM, Standing
from wattwire.store.deliveries import LaneRow, StateChange


def standing_of(row: LaneRow, now: datetime, *, edited: bool) -> Standing:
    """Return the standing of an integration that is taken over, or was `edited` meanwhile.

    What was parked stays so until somebody changes its settings (or a test unparks it). What was in
    error begins with a probe: at once after a change, else when the next one was due.
    """
    changed = edited or row.changed_at is None or row.updated_at > row.changed_at
    if row.parked and not changed:
        return Standing(stopped=True)
    if row.status != "error":
        return CALM
    due = row.probe_at if row.probe_at is not None and not changed else now
    return Standing(breaker=on_trial(max(due, now), row.failures))


def state_at_start(row: LaneRow) -> StateChange | None:
    """Return what the database should say of an integration that has a plan again."""
    idle = row.status in {"inactive", "not_configured"}
    return StateChange("active") if idle else None


def state_without_plan(row: LaneRow, reason: str) -> StateChange | None:
    """Return what the database should say of an integration whose settings cannot be used."""
    known = row.status == "not_configured" and row.reason == reason
    return None if known else StateChange("not_configured", reason)
