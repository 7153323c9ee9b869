"""From CONNECT to CONNACK: who is it, may it come in, and which session does it get."""

import asyncio
import secrets
from typing import Final

import structlog

from wattwire.mqtt.connection import Connection
from wattwire.mqtt.contract import Principal, SessionKey
from wattwire.mqtt.floor import Floor
from wattwire.mqtt.inbox import check_topic
from wattwire.mqtt.packets import Connect, ConnectCode, ForbiddenTopicError

#: "meter?SDK=IoTDeviceSDK/Python&Platform=Unix&…": AWS' own broker cuts it off as well.
_AWS_METRICS: Final = "?SDK="

log = structlog.get_logger()


class Handshake:
    """Admits clients; a bounded number of verifications runs at once."""

    def __init__(self, floor: Floor) -> None:
        self._floor = floor
        self._verifying = asyncio.Semaphore(floor.desk.limits.verifications)

    def admit(self, connection: Connection, connect: Connect) -> None:
        """Decide about a client in a task of its own; the connection learns the answer."""
        task = self._floor.desk.loop.create_task(self._admit_or_refuse(connection, connect))
        self._floor.desk.spawn(task)

    async def _admit_or_refuse(self, connection: Connection, connect: Connect) -> None:
        try:
            await self._admit(connection, connect)
        except Exception:  # the edge of a task: the client is told to come again
            log.exception("mqtt.handshake_failed", peer=connection.peer)
            connection.refuse(ConnectCode.UNAVAILABLE, "the hub could not answer")

    async def _admit(self, connection: Connection, connect: Connect) -> None:
        client_id = _choose_client_id(connect, self._floor.desk.limits.client_id_chars)
        if client_id is None:
            connection.refuse(ConnectCode.IDENTIFIER_REFUSED, "client id refused")
            return
        turn = self._floor.roster.turn
        principal = await self._verify(connection, connect, client_id)
        if principal is None:
            await self._turn_away(connection, connect)
        elif not self._may_leave(principal, connect):
            connection.refuse(ConnectCode.NOT_AUTHORIZED, "forbidden topic of the will")
        elif not connection.ended:
            await self._open(connection, connect._replace(client_id=client_id), principal, turn)

    async def _verify(
        self, connection: Connection, connect: Connect, client_id: str
    ) -> Principal | None:
        hub, seconds = self._floor.desk.hub, self._floor.desk.limits.verification_seconds
        async with asyncio.timeout(seconds), self._verifying:
            if connection.ended:
                return None
            name = _without_metrics(connect.username)
            certificate = connection.certificate_sha256()
            return await hub.authenticate(name, connect.password, client_id, certificate)

    async def _turn_away(self, connection: Connection, connect: Connect) -> None:
        """Refuse unknown users after a moment, so that guessing is slow."""
        self._floor.desk.counters.credentials_refused += 1
        await asyncio.sleep(self._floor.desk.limits.refusal_seconds)
        has_tried = connect.username is not None
        code = ConnectCode.BAD_CREDENTIALS if has_tried else ConnectCode.NOT_AUTHORIZED
        connection.refuse(code, "unknown user or wrong password")

    def _may_leave(self, principal: Principal, connect: Connect) -> bool:
        """Tell whether the user may publish its will."""
        if connect.will is None:
            return True
        try:
            check_topic(self._floor.desk, principal, connect.will.topic)
        except ForbiddenTopicError:
            return False
        return True

    async def _open(
        self, connection: Connection, connect: Connect, principal: Principal, turn: int
    ) -> None:
        roster, key = self._floor.roster, SessionKey(principal.credential_id, connect.client_id)
        earlier = roster.find(key)
        if earlier is not None:
            self._floor.desk.counters.connections_displaced += 1
            earlier.close("the same client connected again")
        roster.enter(key, connection)
        try:
            session, present = await self._floor.sessions.open(
                principal, connect.client_id, clean=connect.clean_session
            )
            if roster.is_withdrawn(principal.credential_id, turn):
                connection.refuse(ConnectCode.UNAVAILABLE, "the credential was just changed")
            connection.open(principal, session, connect, present=present)
        finally:
            if connection.session is None:
                roster.leave(key, connection)


def _without_metrics(username: str | None) -> str | None:
    """Return a user name without what the AWS IoT device SDK appends to it by default."""
    return None if username is None else username.partition(_AWS_METRICS)[0]


def _choose_client_id(connect: Connect, longest: int) -> str | None:
    """Return the client's id, one made up for a clean session without, or None [3.1.3-8]."""
    if connect.client_id:
        return connect.client_id if len(connect.client_id) <= longest else None
    return f"auto-{secrets.token_hex(12)}" if connect.clean_session else None
