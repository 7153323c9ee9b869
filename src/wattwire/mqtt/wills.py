"""What is published for clients that went without saying goodbye."""

from typing import Final

import structlog

from wattwire.mqtt.contract import Principal
from wattwire.mqtt.desk import Desk
from wattwire.mqtt.inbox import check_topic
from wattwire.mqtt.packets import ForbiddenTopicError, Will
from wattwire.mqtt.router import Router

TRIES: Final = 4
DELAY: Final = 0.5  #: seconds before the second try, doubled before each further one

log = structlog.get_logger()


def publish_will(desk: Desk, router: Router, principal: Principal, will: Will) -> None:
    """Publish a will like any message of its user: checked, durable, then passed on."""
    try:
        check_topic(desk, principal, will.topic)
    except ForbiddenTopicError:
        desk.counters.wills_lost += 1
    else:
        desk.wills += 1
        _try(desk, router, principal, will, 1)


def _try(desk: Desk, router: Router, principal: Principal, will: Will, number: int) -> None:
    realm, has_ended = router.realm(principal.organization_id), False

    def release(durable: bool) -> None:  # noqa: FBT001 - the hub's contract
        nonlocal has_ended
        if has_ended:
            return
        has_ended = True
        if durable:
            desk.wills -= 1
            desk.counters.wills_published += 1
            router.publish(realm, will.topic, will.payload, will.qos, retain=will.retain)
        elif number < TRIES:
            delay = DELAY * 2 ** (number - 1)
            desk.loop.call_later(delay, _try, desk, router, principal, will, number + 1)
        else:
            desk.wills -= 1
            desk.counters.wills_lost += 1
            log.error("mqtt.will_lost", username=principal.username, topic=will.topic[:200])

    try:
        desk.hub.publish(principal, will.topic, will.payload, release)
    except Exception:
        log.exception("mqtt.will_refused", username=principal.username)
        release(False)
