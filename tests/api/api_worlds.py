"""One request for every operation, with the ids of a world, and worlds to try them on."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from uuid import UUID

import trustme

from wattwire.api.application import routes
from wattwire.model import Channel, ChannelKind, Event, Shape
from wattwire.store import (
    accounts,
    audit,
    credentials,
    devices,
    integrations,
    quarantine,
    readings,
    registry,
    resets,
    sources,
    tokens,
)
from wattwire.store.events import record_events
from wattwire.store.resets import ResetRow

FROM_TO = "from=2025-01-01T00:00:00Z&to=2099-01-01T00:00:00Z"
WEBHOOK = {"url": "https://example.com/hooks", "secret_key": "a-secret-of-the-hook"}

NOON = "2025-06-01T12:00:00Z"
BROKER = {"host": "broker.example.com", "topics": [{"filter": "a/#"}], "client_id": "hub"}

#: Query strings that operations need.
QUERIES = {
    "list_rollups": f"aggregation=h&{FROM_TO}",
    "delete_readings": FROM_TO,
    "delete_integration": "discard=true",
    "delete_reset": f"stream=/power/1&channel=energy_import_wh&time={NOON}",
}

#: Bodies that fit. `{x}` stands for the id of x in the world.
BODIES = {
    "update_organization": {"detect_resets": True},
    "create_user": {"email": "new@example.com", "role": "viewer", "password": "correct horse b"},
    "update_user": {"name": "Changed"},
    "create_token": {"role": "viewer", "name": "new"},
    "create_solarnetwork_token": {"kind": "ReadNodeData", "name": "new"},
    "create_solarnetwork_certificate": {"certificate": "{client_certificate}"},
    "create_session": {"email": "nobody@example.com", "password": "wrong wrong wrong"},
    "create_device": {"key": "new-device"},
    "update_device": {"name": "Changed"},
    "update_stream": {"path": "/power/1", "stamp": "end"},
    "put_reset": {
        "stream": "/power/1",
        "channel": "energy_import_wh",
        "time": "2025-06-01T12:00:00Z",
        "final": 5.0,
        "start": 0.0,
    },
    "send_readings": {
        "readings": [
            {"device": "new-meter", "stream": "/p", "time": NOON, "values": {"x_w": 1}}
        ]
    },
    "replay_quarantine": {"ids": ["{quarantine}"]},
    "purge_quarantine": {"ids": ["{quarantine}"]},
    "create_mqtt_credential": {"username": "new-user", "format": "json", "publish_topics": ["a/b"]},
    "update_mqtt_credential": {"publish_topics": ["changed"]},
    "create_integration": {
        "type": "webhook", "name": "New", "topics": ["device.telemetry"], "settings": WEBHOOK,
    },
    "update_integration": {"name": "Changed"},
    "preview_payload": {"format": "wattwire", "event_id": "{event}"},
    "preview_integration_type": {"event_id": "{event}"},
    "preview_integration": {"event_id": "{event}"},
    "replay_integration": {"dead_letter_ids": ["{dead_letter}"]},
    "create_source": {
        "type": "mqtt", "name": "New", "settings": BROKER,
    },
    "update_source": {"name": "Changed"},
    "apply_configuration": {"document": {"wattwire": 1, "devices": [{"key": "applied"}]}},
}  # fmt: skip

PATH_IDS = {
    "device_id": "device",
    "integration_id": "integration",
    "credential_id": "credential",
    "source_id": "source",
    "entry_id": "quarantine",
    "user_id": "user",
    "token_id": "token",
    "certificate_id": "certificate",
    "event_id": "event",
    "type_name": "type",
}


@dataclass(frozen=True)
class World:
    """An organization with one of everything; `mark` is in every name."""

    organization_id: UUID
    mark: str
    ids: dict

    def request(self, route):
        """Return (method, path with query, arguments) of an operation on this world."""
        ids = {name: self.ids[thing] for name, thing in PATH_IDS.items() if thing in self.ids}
        if "/solarnetwork-tokens/" in route.path:
            ids["token_id"] = self.ids["solarnetwork_token"]
        if route.name.startswith("preview_integration"):  # only what people read has a preview
            ids |= {"integration_id": self.ids["mail"], "type_name": "email"}
        path = route.path.format(**ids)
        query = QUERIES.get(route.name)
        arguments = {}
        if route.name in {"write_lines", "write_lines_v2"}:
            arguments["data"] = b"power,device=line-meter x_w=1 1748779200000000000"
        elif route.name in BODIES:
            arguments["json"] = self._filled(BODIES[route.name])
        return next(iter(route.methods)), path + (f"?{query}" if query else ""), arguments

    def _filled(self, value):
        if isinstance(value, dict):
            return {k: self._filled(v) for k, v in value.items()}
        if isinstance(value, list):
            return [self._filled(v) for v in value]
        if isinstance(value, str) and value.startswith("{"):
            return self.ids[value.strip("{}")]
        return value


async def make_world(pool, organization_id, mark):
    """Fill an organization with one of everything."""
    ids = {"type": "webhook"}
    register = Channel("energy_import_wh", ChannelKind.ACCUMULATING, "Wh")
    shape = Shape(f"{mark}-meter", "/power/1", (Channel("active_power_w"), register))
    at = datetime(2025, 6, 1, 12, tzinfo=UTC)
    async with pool.acquire() as db:
        account = await accounts.create(
            db,
            organization_id,
            email=f"{mark}@example.com",
            name=mark,
            role="editor",
            password_hash="x",
        )
        token, _ = await tokens.create(db, organization_id, name=mark, role="viewer")
        await registry.register_devices(db, [(organization_id, shape)])
        found = await registry.register_streams(db, [(organization_id, shape)])
        stream = found[organization_id, shape]
        await readings.ensure_months(db, {(2025, 6)})
        reset = ResetRow("/power/1", register.name, at, 5.0, 0.0, "")
        await resets.put_reset(db, stream.stream_id, reset)
        await readings.append(db, [readings.Row(stream.stream_id, at, at, 192, [1.5], None)])
        await db.execute(
            "INSERT INTO rollup VALUES ($1, 'h', $2::timestamptz, '2025-06-01T13:00Z',"
            " '{1}', '{1.5}', '{1.5}', '{1.5}', '{NULL}', '{NULL}', '{NULL}', '{NULL}',"
            " '{NULL}', 1, 1)",
            stream.stream_id,
            at,
        )
        entry = readings.Refused(
            organization_id,
            at,
            "http",
            "json",
            "",
            b'{"readings":[]}',
            f"{mark} reason",
            "",
            mark,
            None,
        )
        ids["quarantine"] = (await readings.insert_quarantine(db, [entry]))[0]
        credential = await credentials.create(
            db,
            organization_id,
            credentials.CredentialFields(f"{mark}-user", "json", [f"{mark}/t"], [], {}, "hash"),
        )
        integration = await integrations.create(db, organization_id, "webhook", _fields(mark))
        mail = await integrations.create(db, organization_id, "email", _mail_fields(mark))
        source = await sources.create(
            db,
            organization_id,
            name=f"{mark} source",
            type="mqtt",
            settings={
                "host": f"{mark}.example.com",
                "topics": [{"filter": "#"}],
                "client_id": "hub",
            },
            secrets=None,
            enabled=True,
        )
        event = await _make_event(db, organization_id, mark, stream.device_id)
        ids["dead_letter"] = await _make_ledger(db, organization_id, integration.id, event, mark)
        ids["solarnetwork_token"] = await db.fetchval(
            "INSERT INTO solarnetwork_token (id, organization_id, name, kind, secret, policy)"
            " VALUES ($1, $2, $3, 'User', 'sealed', '{}') RETURNING id",
            f"{hash(mark) % 10**20:020}", organization_id, mark,
        )  # fmt: skip
        ids["certificate"] = await db.fetchval(
            "INSERT INTO solarnetwork_certificate"
            " (organization_id, device_id, sha256, subject, expires_at)"
            " VALUES ($1, $2, sha256($3::text::bytea), $3, now() + interval '1 day') RETURNING id",
            organization_id, stream.device_id, mark,
        )  # fmt: skip
        await audit.record(db, organization_id, actor=mark, action="test.made", object=1)
    ids |= {
        "user": account.id,
        "token": token.id,
        "device": stream.device_id,
        "credential": credential.id,
        "integration": integration.id,
        "mail": mail.id,
        "source": source.id,
        "event": str(event),
        "client_certificate": _client_certificate(),
    }
    return World(organization_id, mark, ids)


def _client_certificate():
    """A certificate of another authority than the hub's, PEM."""
    issued = trustme.CA().issue_cert("node@example.com")
    return issued.cert_chain_pems[0].bytes().decode()


def _fields(mark):
    return integrations.IntegrationFields(
        name=f"{mark} integration",
        topics=["device.telemetry"],
        device_ids=None,
        stream_patterns=None,
        objects=None,
        format=None,
        format_settings={},
        settings={"url": f"https://{mark}.example.com/"},
        secrets=None,
        rate_per_minute=50,
        max_concurrent=10,
        max_payload_bytes=None,
        outcomes={},
        schedule_seconds=None,
        max_age_seconds=600,
        enabled=True,
    )


def _mail_fields(mark):
    settings = {"host": "h.example", "from_address": f"{mark}@a.example", "to": ["b@a.example"]}
    return replace(_fields(mark), name=f"{mark} mail", topics=[], settings=settings)


async def _make_event(db, organization_id, mark, device_id):
    event = Event(
        id=UUID(int=(hash(mark) & (2**60 - 1)) + 1),
        topic="device.telemetry",
        organization_id=organization_id,
        time=datetime.now(UTC),
        data={"secret": f"{mark} data"},
        device_id=device_id,
        device_key=f"{mark}-meter",
        stream="/power/1",
    )
    await record_events(db, [event], [])
    return event.id


async def _make_ledger(db, organization_id, integration_id, event_id, mark):
    at = await db.fetchval("SELECT created_at FROM event WHERE id = $1", event_id)
    await db.execute(
        "INSERT INTO attempt (integration_id, organization_id, message_id, event_id, number,"
        " started_at, duration_ms, outcome, reason)"
        " VALUES ($1, $2, $3, $4, 1, now(), 5, 'rejected', $5)",
        integration_id, organization_id, f"{mark}-message", event_id, f"{mark} said no",
    )  # fmt: skip
    await db.execute(
        "INSERT INTO ledger (integration_id, matched, dead) VALUES ($1, 1, 1)", integration_id
    )
    return await db.fetchval(
        "INSERT INTO dead_letter (integration_id, event_id, event_created_at, message_id, attempts,"
        " reason) VALUES ($1, $2, $3, $4, 1, $5) RETURNING id",
        integration_id, event_id, at, f"{mark}-message", f"{mark} said no",
    )  # fmt: skip


OPERATIONS = [r for r in routes() if r.name != "get_docs"]
__all__ = ["BODIES", "OPERATIONS", "QUERIES", "World", "devices", "make_world", "quarantine"]
