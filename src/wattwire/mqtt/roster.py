"""Who is connected, by session and by credential, and which credentials were just withdrawn."""

from collections import OrderedDict
from typing import Final, Protocol

from wattwire.mqtt.contract import SessionKey

_REMEMBERED: Final = 10_000


class Member(Protocol):
    """A connection whose user is known."""

    def close(self, reason: str, /) -> None:
        """Close it, with its will."""


class Roster:
    """At most one connection per session."""

    def __init__(self) -> None:
        self._members: dict[SessionKey, Member] = {}
        self._by_credential: dict[int, dict[SessionKey, Member]] = {}
        self._withdrawn: OrderedDict[int, int] = OrderedDict()
        self.turn = 0  #: rises with each withdrawal

    def __len__(self) -> int:
        return len(self._members)

    def find(self, key: SessionKey) -> Member | None:
        """Return the connection of a session."""
        return self._members.get(key)

    def enter(self, key: SessionKey, member: Member) -> None:
        """Note a connection, in place of an earlier one, which has been closed."""
        self._members[key] = member
        self._by_credential.setdefault(key.credential_id, {})[key] = member

    def leave(self, key: SessionKey, member: Member) -> None:
        """Forget a connection, unless another has taken its place."""
        if self._members.get(key) is not member:
            return
        del self._members[key]
        members = self._by_credential[key.credential_id]
        del members[key]
        if not members:
            del self._by_credential[key.credential_id]

    def of_credential(self, credential_id: int) -> list[Member]:
        """Return the connections of a credential."""
        return list(self._by_credential.get(credential_id, {}).values())

    def withdraw(self, credential_id: int) -> None:
        """Note that what was read of a credential until now holds no longer."""
        self.turn += 1
        self._withdrawn.pop(credential_id, None)
        self._withdrawn[credential_id] = self.turn
        if len(self._withdrawn) > _REMEMBERED:
            self._withdrawn.popitem(last=False)

    def is_withdrawn(self, credential_id: int, since: int) -> bool:
        """Tell whether a credential was withdrawn after turn `since`."""
        return self._withdrawn.get(credential_id, 0) > since
