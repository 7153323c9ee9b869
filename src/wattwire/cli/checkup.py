"""What `doctor` looks at. Each look is a function that returns findings and never raises."""

import asyncio
import os
import shutil
import socket
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

import aiohttp
import asyncpg
from cryptography import x509

from wattwire.engines.datadir import read_hub_info
from wattwire.engines.errors import EngineError, user_name
from wattwire.settings import Settings
from wattwire.store import database, diagnosis

LOW_BYTES: Final = 2 * 1024**3
NO_BYTES: Final = 200 * 1024**2
OLDEST_POSTGRES: Final = 150_000
SKEW_SECONDS: Final = 5.0
EXPIRY_DAYS: Final = 14
_SECONDS: Final = 5.0


class Level(StrEnum):
    """How bad a finding is."""

    OK = "ok"
    WARNING = "warning"
    FAULT = "fault"


class Finding(NamedTuple):
    """One thing looked at."""

    level: Level
    name: str
    detail: str
    advice: str = ""


async def examine(settings: Settings) -> list[Finding]:
    """Look at everything, from the folder up to the integrations."""
    folder = settings.data_dir.absolute()
    findings = [*_look_at_folder(folder), *_look_at_disk(folder)]
    info, hub = _look_at_hub(settings, folder)
    findings += hub
    url = (
        settings.database_url.get_secret_value()
        if settings.database_url
        else info.get("database_url")
    )
    nats_url = settings.nats_url.get_secret_value() if settings.nats_url else info.get("nats_url")
    if url:
        findings += await _look_at_database(url)
    if nats_url:
        findings += await _look_at_nats(nats_url)
    if info:
        findings += await _look_at_doors(info)
        findings += await _look_at_api(info)
        findings += _look_at_certificate(info)
    else:
        findings += _look_at_ports(settings)
    return findings


def _look_at_folder(folder: Path) -> list[Finding]:
    if not folder.exists():
        advice = "`wattwire serve` makes it; or give --data-dir"
        return [Finding(Level.WARNING, "data folder", f"{folder} is not there yet", advice)]
    owner = folder.stat().st_uid
    me = os.geteuid()
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        detail = f"{folder} belongs to {user_name(owner)}, and {user_name(me)} may not use it"
        return [Finding(Level.FAULT, "data folder", detail, f"run this as {user_name(owner)}")]
    if me not in {owner, 0}:
        detail = f"{folder} belongs to {user_name(owner)}"
        advice = f"run the hub as {user_name(owner)}, or chown -R {user_name(me)} {folder}"
        return [Finding(Level.WARNING, "data folder", detail, advice)]
    return [Finding(Level.OK, "data folder", str(folder))]


def _look_at_disk(folder: Path) -> list[Finding]:
    there = next(p for p in (folder, *folder.parents) if p.exists())
    free = shutil.disk_usage(there).free
    detail = f"{free / 1024**3:.1f} GiB free"
    if free < NO_BYTES:
        return [
            Finding(Level.FAULT, "disk", detail, "free some space: the hub cannot keep readings")
        ]
    if free < LOW_BYTES:
        return [Finding(Level.WARNING, "disk", detail, "free some space, or shorten the retention")]
    return [Finding(Level.OK, "disk", detail)]


def _look_at_hub(settings: Settings, folder: Path) -> tuple[dict[str, Any], list[Finding]]:
    try:
        info = read_hub_info(folder) if folder.exists() else None
    except EngineError as error:
        return {}, [Finding(Level.FAULT, "hub", str(error))]
    if info is not None:
        return info, [Finding(Level.OK, "hub", f"runs as process {info.get('pid')}")]
    level = Level.WARNING if settings.database_url else Level.FAULT
    detail = f"no hub runs on {folder}"
    return {}, [Finding(level, "hub", detail, "start it with `wattwire serve`, or give --data-dir")]


async def _look_at_database(url: str) -> list[Finding]:
    try:
        async with asyncio.timeout(2 * _SECONDS):
            connection = await asyncpg.connect(url, timeout=_SECONDS)
            try:
                await database.prepare_connection(connection)
                return await _examine_database(connection)
            finally:
                await connection.close(timeout=1)
    except (
        OSError,
        asyncpg.PostgresError,
        asyncpg.InterfaceError,
        TimeoutError,
        ValueError,
    ) as error:
        detail = f"does not answer: {error or type(error).__name__}"
        advice = "check WATTWIRE_DATABASE_URL, or the log of the hub"
        return [Finding(Level.FAULT, "database", detail, advice)]


async def _examine_database(connection: Any) -> list[Finding]:
    version = connection.get_server_version()
    number = version.major * 10_000 + version.minor
    shown = f"PostgreSQL {version.major}.{version.minor}"
    if number < OLDEST_POSTGRES:
        return [Finding(Level.FAULT, "database", shown, "use PostgreSQL 15 or later")]
    missing = await diagnosis.list_missing_migrations(connection)
    if missing:
        detail = f"{shown}, {len(missing)} migrations are missing"
        return [Finding(Level.FAULT, "database", detail, "run `wattwire migrate`")]
    state = await diagnosis.diagnose(connection)
    return [Finding(Level.OK, "database", shown), *_judge(state)]


def _judge(state: diagnosis.Diagnosis) -> list[Finding]:
    findings = [_judge_clock(state.now), _judge_quarantine(state.quarantine)]
    for name, reason in state.sick_integrations:
        advice = "`wattwire integration test` shows what it says"
        findings.append(Finding(Level.WARNING, f"integration {name}", reason or "in error", advice))
    if state.organizations == 0:
        advice = "`wattwire organization create NAME`"
        findings.append(Finding(Level.FAULT, "organizations", "there is none", advice))
    return findings


def _judge_clock(now: datetime) -> Finding:
    skew = abs((datetime.now(UTC) - now).total_seconds())
    if skew > SKEW_SECONDS:
        detail = f"this machine and the database differ by {skew:.0f} s"
        return Finding(Level.FAULT, "clock", detail, "synchronize the clocks (NTP)")
    return Finding(Level.OK, "clock", "agrees with the database")


def _judge_quarantine(count: int) -> Finding:
    if count:
        advice = "`wattwire quarantine list` shows what, and why"
        return Finding(Level.WARNING, "quarantine", f"{count} entries wait", advice)
    return Finding(Level.OK, "quarantine", "empty")


async def _look_at_nats(url: str) -> list[Finding]:
    """Listen for INFO, which a NATS server says to whoever connects."""
    parts = urlsplit(url.split(",", maxsplit=1)[0])
    try:
        async with asyncio.timeout(_SECONDS):
            reader, writer = await asyncio.open_connection(parts.hostname, parts.port or 4222)
            line = await reader.readline()
            writer.close()
            await writer.wait_closed()
    except (OSError, TimeoutError, ValueError) as error:
        detail = f"does not answer: {error or type(error).__name__}"
        return [
            Finding(Level.FAULT, "NATS", detail, "check WATTWIRE_NATS_URL, or the log of the hub")
        ]
    if not line.startswith(b"INFO "):
        return [Finding(Level.FAULT, "NATS", "something else answers", "check WATTWIRE_NATS_URL")]
    if b'"jetstream":true' not in line.replace(b" ", b""):
        return [Finding(Level.FAULT, "NATS", "has no JetStream", "start it with --jetstream")]
    return [Finding(Level.OK, "NATS", "answers, with JetStream")]


async def _look_at_doors(info: Mapping[str, Any]) -> list[Finding]:
    findings = []
    for name, port in (
        ("MQTT door", info.get("mqtt_port")),
        ("MQTT door (TLS)", info.get("mqtts_port")),
    ):
        if port:
            findings.append(await _look_at_port(name, port))
    return findings


async def _look_at_port(name: str, port: int) -> Finding:
    try:
        async with asyncio.timeout(_SECONDS):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.close()
            await writer.wait_closed()
    except (OSError, TimeoutError):
        detail = f"port {port} does not answer on loopback"
        return Finding(
            Level.WARNING, name, detail, "see the log of the hub, and WATTWIRE_MQTT_HOST"
        )
    return Finding(Level.OK, name, f"port {port}")


async def _look_at_api(info: Mapping[str, Any]) -> list[Finding]:
    if not info.get("http_url"):
        return [Finding(Level.WARNING, "API", "this hub does not play the role api")]
    try:
        timeout = aiohttp.ClientTimeout(total=_SECONDS)
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.get(f"{info['http_url']}/readyz") as response,
        ):
            body = await response.json()
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        detail = f"does not answer: {error or type(error).__name__}"
        return [Finding(Level.FAULT, "API", detail, "see the log of the hub")]
    return _judge_readiness(body["checks"])


def _judge_readiness(checks: Sequence[Mapping[str, Any]]) -> list[Finding]:
    bad = [
        Finding(Level.FAULT, f"hub, {c['name']}", c["detail"] or "fails", "see the log of the hub")
        for c in checks
        if not c["ok"]
    ]
    return bad or [Finding(Level.OK, "API", "every part of the hub works")]


def _look_at_certificate(info: Mapping[str, Any]) -> list[Finding]:
    try:
        certificate = x509.load_pem_x509_certificate(Path(info["ca_file"]).read_bytes())
    except (OSError, ValueError, KeyError, TypeError) as error:
        return [Finding(Level.WARNING, "certificate", f"cannot be read: {error}")]
    days = (certificate.not_valid_after_utc - datetime.now(UTC)).days
    if days < EXPIRY_DAYS:
        return [
            Finding(Level.FAULT, "certificate", f"ends in {days} days", "replace it, then restart")
        ]
    return [Finding(Level.OK, "certificate", f"valid for {days} days")]


def _look_at_ports(settings: Settings) -> list[Finding]:
    """Say which ports the hub would not get."""
    wanted = {
        "API": (settings.http_host, settings.http_port, "WATTWIRE_HTTP_PORT"),
        "API (TLS)": (settings.https_host, settings.https_port, "WATTWIRE_HTTPS_PORT"),
        "MQTT door": (settings.mqtt_host, settings.mqtt_port, "WATTWIRE_MQTT_PORT"),
        "MQTT door (TLS)": (settings.mqtt_host, settings.mqtts_port, "WATTWIRE_MQTTS_PORT"),
    }
    return [
        Finding(
            Level.WARNING, name, f"port {port} is taken by another program",
            f"stop it, or set {variable}=0 to have one picked",
        )
        for name, (host, port, variable) in wanted.items()
        if port and not _is_free(host, port)
    ]  # fmt: skip


def _is_free(host: str, port: int) -> bool:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((host, port))
        except OSError:
            return False
    return True
