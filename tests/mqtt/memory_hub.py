"""A hub in memory: the counterpart of the door in its tests, and nothing the product uses."""

import asyncio
from collections import defaultdict
from uuid import UUID

from wattwire.mqtt.contract import Principal, Retained, StoredSession

ACME = UUID("00000000-0000-0000-0000-00000000000a")
BOLT = UUID("00000000-0000-0000-0000-00000000000b")


def principal(credential_id, username, publish=("#",), subscribe=("#",), organization_id=ACME):
    return Principal(
        credential_id, organization_id, username, tuple(publish), tuple(subscribe), "test", {}
    )


class MemoryHub:
    """Knows users by name and password; releases at once, or when told to (`hold`)."""

    def __init__(self, users=()):
        self.users = {}  # name -> (password or None, principal)
        for user, password in users:
            self.add(user, password)
        self.certificates = {}  # sha256 -> principal
        self.published = []  # (username, topic, payload)
        self.hold = False
        self.refuse = False
        self.waiting = []  # releases held back
        self.sessions = {}  # (credential id, client id) -> (principal, subscriptions)
        self.offline = defaultdict(list)
        self.retained = {}
        self.calls = []
        self.gate = asyncio.Event()  # authenticate() waits for it
        self.gate.set()
        self.verifying = self.most_verifying = 0
        self.store_is_down = False

    def add(self, user, password):
        self.users[user.username] = (password, user)

    async def authenticate(self, username, password, client_id, certificate_sha256):
        self.verifying += 1
        self.most_verifying = max(self.most_verifying, self.verifying)
        known, user = self.users.get(username, (None, None))
        try:
            await self.gate.wait()
        finally:
            self.verifying -= 1
        if certificate_sha256 in self.certificates:
            return self.certificates[certificate_sha256]
        return user if user is not None and known == password else None

    def publish(self, principal, topic, payload, release):
        self.published.append((principal.username, topic, payload))
        if self.hold:
            self.waiting.append(release)
        else:
            asyncio.get_running_loop().call_soon(release, not self.refuse)

    def release(self, count=None, durable=True):
        count = len(self.waiting) if count is None else count
        released, self.waiting = self.waiting[:count], self.waiting[count:]
        for release in released:
            release(durable)

    def _note(self, call, *details):
        self.calls.append((call, *details))
        if self.store_is_down:
            raise ConnectionError("the store is down")

    async def load_sessions(self):
        return [StoredSession(p, c, dict(s)) for (_, c), (p, s) in self.sessions.items()]

    async def load_session(self, principal, client_id):
        self._note("load_session", client_id)
        stored = self.sessions.get((principal.credential_id, client_id))
        return None if stored is None else dict(stored[1])

    async def save_session(self, principal, client_id, subscriptions):
        self._note("save_session", client_id)
        self.sessions[principal.credential_id, client_id] = (principal, dict(subscriptions))

    async def drop_session(self, principal, client_id):
        self._note("drop_session", client_id)
        self.sessions.pop((principal.credential_id, client_id), None)
        self.offline.pop((principal.credential_id, client_id), None)

    async def append_offline(self, principal, client_id, messages):
        self._note("append_offline", client_id)
        self.offline[principal.credential_id, client_id] += messages

    async def read_offline(self, principal, client_id):
        self._note("read_offline", client_id)
        return list(self.offline[principal.credential_id, client_id])

    async def forget_offline(self, principal, client_id):
        self._note("forget_offline", client_id)
        self.offline.pop((principal.credential_id, client_id), None)

    async def load_retained(self):
        return [Retained(o, t, p, q) for (o, t), (p, q) in self.retained.items()]

    async def save_retained(self, organization_id, topic, payload, qos):
        self._note("save_retained", topic)
        if payload:
            self.retained[organization_id, topic] = (payload, qos)
        else:
            self.retained.pop((organization_id, topic), None)
