"""What stands around a connection, and what it may subscribe to."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import structlog

from wattwire.mqtt.desk import Desk
from wattwire.mqtt.packets import SUBSCRIPTION_REFUSED, Connect
from wattwire.mqtt.roster import Roster
from wattwire.mqtt.router import Router, may_subscribe
from wattwire.mqtt.session import Session
from wattwire.mqtt.sessions import Sessions

if TYPE_CHECKING:
    from wattwire.mqtt.connection import Connection  # it imports this module

_MAX_GRANTED: Final = 1

log = structlog.get_logger()


@dataclass(slots=True, eq=False)
class Floor:
    """The parts of a door that its connections use; `admit` decides about a CONNECT."""

    desk: Desk
    router: Router
    sessions: Sessions
    roster: Roster
    admit: Callable[["Connection", Connect], None]
    connections: set["Connection"] = field(default_factory=set)


def grant(floor: Floor, session: Session, topic_filter: str, qos: int) -> int:
    """Subscribe a session, if its user may; return the code for the SUBACK."""
    counters, principal = floor.desk.counters, session.principal
    if _may_have(floor, session, topic_filter):
        granted = min(qos, _MAX_GRANTED)
        floor.sessions.subscribe(session, topic_filter, granted)
        counters.subscriptions_granted += 1
        return granted
    counters.subscriptions_refused += 1
    log.warning(
        "mqtt.subscription_refused",
        username=principal.username,
        topic_filter=topic_filter[:200],
        rule=("may subscribe to " + (", ".join(principal.subscribe) or "nothing"))[:500],
    )
    return SUBSCRIPTION_REFUSED


def _may_have(floor: Floor, session: Session, topic_filter: str) -> bool:
    limits, held = floor.desk.limits, session.subscriptions
    return (
        (topic_filter in held or len(held) < limits.subscriptions)
        and len(topic_filter.encode()) <= limits.topic_bytes
        and topic_filter.count("/") < limits.topic_levels
        and may_subscribe(session.principal.subscribe, topic_filter)
    )
