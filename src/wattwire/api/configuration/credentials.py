"""MQTT credentials in a configuration, matched by user name.

Neither passwords nor their hashes are exported: a hash could be tried offline, and belongs to one
hub. Applied to the same hub, passwords stay; applied to another, they are given.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from pydantic import ValidatorFunctionWrapHandler, field_validator

from wattwire.api.configuration.items import Item, Step
from wattwire.api.configuration.references import Kept, escape
from wattwire.api.configuration.section import MOST, At, read_entries, refuse_twice
from wattwire.api.mqtt_credentials import CredentialCreate
from wattwire.api.mqtt_filters import find_faults
from wattwire.store import configuration as stored
from wattwire.store import credentials
from wattwire.store.passwords import hash_password, verify_password

#: Stands for the password that is set already; no password is as short.
_SET: Final = "(set)"
_TOPICS: Final = ("publish_topics", "subscribe_topics")
_OWN: Final = "{organization_id}"


class CredentialEntry(CredentialCreate):
    """A user name of the MQTT door. In topics, `{organization_id}` stands for the hub's own."""

    disabled: bool = False

    @field_validator("password", mode="wrap")
    @classmethod
    def _may_be_kept(cls, value: Any, check: ValidatorFunctionWrapHandler) -> Any:
        return value if isinstance(value, Kept) else check(value)


class CredentialSection:
    """Implements `Section`."""

    name: Final = "mqtt_credentials"
    kind: Final = "mqtt_credential"
    pruned: Final = True

    async def load(self, at: At) -> list[Item]:
        """Return all of them."""
        rows = await stored.credentials(at.db, at.organization_id, MOST[self.name])
        return [_item(at, row) for row in rows]

    def dump(self, at: At, item: Item) -> dict[str, Any]:
        """Return the entry."""
        marks = at.namer.mark(item.secrets, "mqtt", item.name)
        entry: dict[str, Any] = {**escape(item.fields), "password": None, **marks}
        return entry

    async def read(self, at: At, current: Sequence[Item]) -> list[Item]:
        """Return what the document wants."""
        there = {item.name: item for item in current}
        entries = read_entries(at, self.name, CredentialEntry)
        names = [entry.username for _, entry in entries]
        taken = await stored.taken_usernames(at.db, at.organization_id, names)
        given = [e.username for _, e in entries if isinstance(e.password, str)]
        hashes = await stored.password_hashes(at.db, at.organization_id, given)
        items = [
            await _wanted(at, where, entry, there.get(entry.username), hashes)
            for where, entry in entries
        ]
        for item in items:
            if item.name in taken:
                at.faults.add(f"{item.where}.username", "another organization has it")
        refuse_twice(at, items, "username")
        return items

    async def write(self, at: At, step: Step) -> object:
        """Carry out a step."""
        if step.new is None:
            assert step.old is not None  # noqa: S101 - a deletion has something to delete
            await credentials.delete(at.db, at.organization_id, step.old.row.id)
            return step.old.row.id
        fields = await _fields(at, step.new)
        if step.old is None:
            return (await credentials.create(at.db, at.organization_id, fields)).id
        number = step.old.row.id
        if "password" not in step.new.secrets:
            await stored.drop_password(at.db, at.organization_id, number)
        return (await credentials.replace(at.db, at.organization_id, number, fields)).id


def _item(at: At, row: credentials.Credential) -> Item:
    own = str(at.organization_id)
    certificate = row.certificate_sha256
    fields = {
        "username": row.username,
        "format": row.format,
        **{name: [t.replace(own, _OWN) for t in getattr(row, name)] for name in _TOPICS},
        "certificate_sha256": certificate.hex() if certificate else None,
        "settings": row.settings,
        "disabled": row.disabled_at is not None,
    }
    return Item(row.username, fields, {"password": _SET} if row.has_password else {}, row)


async def _wanted(
    at: At,
    where: str,
    entry: CredentialEntry,
    old: Item | None,
    hashes: Mapping[str, str | None],
) -> Item:
    """Return a credential as it shall be."""
    own = str(at.organization_id)
    topics = {name: [t.replace(own, _OWN) for t in getattr(entry, name)] for name in _TOPICS}
    publish, subscribe = ([t.replace(_OWN, own) for t in topics[name]] for name in _TOPICS)
    for field, message in find_faults(publish, subscribe, entry.format, at.organization_id):
        at.faults.add(f"{where}.{field}", message, "topic")
    certificate = entry.certificate_sha256
    fields = {
        "username": entry.username,
        "format": entry.format,
        **topics,
        "certificate_sha256": certificate.lower() if certificate else None,
        "settings": entry.settings,
        "disabled": entry.disabled,
    }
    password = await _password(at, where, entry, old, hashes)
    return Item(entry.username, fields, {"password": password} if password else {}, where=where)


async def _password(
    at: At,
    where: str,
    entry: CredentialEntry,
    old: Item | None,
    hashes: Mapping[str, str | None],
) -> str | None:
    """Return the password given, or what stands for the one that is set and stays."""
    is_set = old is not None and bool(old.secrets)
    password: object = entry.password
    if isinstance(password, Kept):
        if not is_set:
            name = password.name
            at.faults.add(
                f"{where}.password", f"nothing is kept here: give a value for {name}", "missing"
            )
        return _SET
    if entry.password is None:
        if entry.certificate_sha256 is None and (old is None or old.secrets):
            at.faults.add(f"{where}.password", "is needed where no certificate is", "missing")
        return None
    stored_hash = hashes.get(entry.username) if is_set else None
    if stored_hash and await verify_password(entry.password, stored_hash):
        return _SET
    return entry.password


async def _fields(at: At, new: Item) -> credentials.CredentialFields:
    fields, own = dict(new.fields), str(at.organization_id)
    password = new.secrets.get("password", _SET)
    certificate = fields.pop("certificate_sha256")
    topics = {name: [t.replace(_OWN, own) for t in fields[name]] for name in _TOPICS}
    return credentials.CredentialFields(
        **(fields | topics),
        password_hash=None if password == _SET else await hash_password(password),
        certificate_sha256=bytes.fromhex(certificate) if certificate else None,
    )
