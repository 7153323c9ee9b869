"""The process' own settings: `WATTWIRE_*` in the environment, or `wattwire.toml`."""

import re
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

Network = IPv4Network | IPv6Network

_ORIGIN: Final = re.compile(r"https?://(?:[a-z0-9_.-]+|\[[0-9a-f:.]+\])(?::\d{1,5})?")
#: Browsers leave it out.
_DEFAULT_PORT: Final = re.compile(r"(http://.*):80|(https://.*):443")


class Durability(StrEnum):
    """What an acknowledgement survives."""

    FSYNC = "fsync"  #: a power cut
    PROCESS = "process"  #: a crash of the hub, not a power cut
    REPLICATED = "replicated"  #: the loss of a machine (a NATS cluster of three)


def _origin(text: str) -> str:
    """Return an origin as browsers send it. Raises ValueError for anything else."""
    found = text.strip().lower().removesuffix("/")
    if found != "*" and not _ORIGIN.fullmatch(found):
        raise ValueError(f"{text.strip()[:100]!r} is no origin: https://HOST or https://HOST:PORT")
    match = _DEFAULT_PORT.fullmatch(found)
    return match[1] or match[2] if match else found


class Settings(BaseSettings):
    """Every field is also an environment variable: `WATTWIRE_` and the name in capitals."""

    model_config = SettingsConfigDict(
        env_prefix="WATTWIRE_", toml_file="wattwire.toml", extra="forbid", frozen=True
    )

    data_dir: Path = Field(
        default=Path("wattwire-data"), description="Folder that holds everything the hub keeps."
    )
    http_host: str = Field(default="127.0.0.1", description="Address the API listens on.")
    http_port: int = Field(default=8080, ge=0, le=65535, description="API port; 0 picks one.")
    https_host: str = Field(default="127.0.0.1", description="Address the API listens on with TLS.")
    https_port: int | None = Field(
        default=None,
        ge=0,
        le=65535,
        description="API port with TLS, beside the one without; 0 picks one, left out: none.",
    )
    mqtt_host: str = Field(default="127.0.0.1", description="Address the MQTT door listens on.")
    mqtt_port: int = Field(
        default=1883,
        ge=0,
        le=65535,
        description="MQTT port without TLS, loopback only; 0 picks one.",
    )
    mqtts_port: int = Field(
        default=8883, ge=0, le=65535, description="MQTT port with TLS; 0 picks one."
    )
    tls_cert_file: Path | None = Field(
        default=None, description="Certificate chain of the door and of HTTPS, PEM."
    )
    tls_key_file: Path | None = Field(default=None, description="Key of that certificate, PEM.")
    tls_client_ca_file: Path | None = Field(
        default=None,
        description="CA whose client certificates the door accepts, PEM; HTTPS as well, beside "
        "those of the hub's own CA.",
    )
    database_url: SecretStr | None = Field(
        default=None,
        description="A PostgreSQL of your own (15 or later) instead of the embedded one.",
    )
    nats_url: SecretStr | None = Field(
        default=None, description="A NATS with JetStream of your own instead of the embedded one."
    )
    durability: Durability = Field(
        default=Durability.FSYNC,
        description="What an acknowledgement survives: fsync, process, replicated.",
    )
    secret_key_file: Path | None = Field(
        default=None,
        description="File of the key that seals secrets; default: DATA_DIR/secret.key.",
    )
    admin_email: str = Field(default="admin@localhost", description="First owner of the hub.")
    admin_password: SecretStr | None = Field(
        default=None, description="Password of that owner; made and printed once when not given."
    )
    partitions: int = Field(default=1, ge=1, le=64, description="Partitions of the log.")
    processes: int = Field(
        default=0, ge=0, le=64, description="1 runs every role in one process; 0 decides by cores."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Least severe log event that is printed."
    )
    log_max_bytes: int = Field(
        default=8 * 1024**3,
        ge=16 * 1024**2,
        description="Bound of the intake log on disk; full means back-pressure.",
    )
    mqtt_max_connections: int = Field(
        default=20_000, ge=1, description="Bound of open MQTT connections."
    )
    mqtt_max_packet_bytes: int = Field(
        default=1024 * 1024, ge=1024, le=268_435_455, description="Largest MQTT packet taken."
    )
    mqtt_max_packets_per_second: int = Field(
        default=20_000,
        ge=1,
        description="Packets per second of one connection before it is slowed.",
    )
    webhook_allow: Annotated[tuple[Network, ...], NoDecode] = Field(
        default=(),
        description="Networks a webhook may reach although they are private, with commas.",
    )
    trusted_proxies: Annotated[tuple[Network, ...], NoDecode] = Field(
        default=(),
        description="Networks of proxies whose X-Forwarded-Host and X-Forwarded-Port are believed "
        "when SolarNetwork's signatures are checked, with commas.",
    )
    solarnetwork_requests_per_second: int = Field(
        default=2000,
        ge=0,
        description="Requests per second of one SolarNetwork token before it is told to wait (429),"
        " in each process of the API; 0: no limit.",
    )
    solarnetwork_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description="Origins of web pages that may call SolarNetwork's API from a browser, with "
        "commas, such as https://app.example.com; * for every page.",
    )
    aws_profiles: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description="Profiles of the hub's own AWS configuration that integrations may use.",
    )
    quiet_seconds: float = Field(
        default=1.0,
        ge=0,
        le=3600,
        description="How long a rollup bucket waits after its last reading.",
    )
    quiet_limit_seconds: float = Field(
        default=30.0,
        ge=0,
        le=3600,
        description="How long a bucket may wait while readings keep coming.",
    )
    retention_readings_months: int = Field(
        default=0, ge=0, le=1200, description="Months that readings are kept; 0 keeps them."
    )
    retention_events_days: int = Field(
        default=90, ge=1, le=3650, description="Days that events are kept."
    )
    retention_attempts_days: int = Field(
        default=30, ge=1, le=3650, description="Days that attempts of deliveries are kept."
    )
    retention_quarantine_days: int = Field(
        default=90, ge=1, le=3650, description="Days that quarantine entries are kept."
    )
    retention_audit_days: int = Field(
        default=730, ge=1, le=36_500, description="Days that the record of changes is kept."
    )

    @field_validator("webhook_allow", "trusted_proxies", mode="before")
    @classmethod
    def _networks(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(ip_network(part.strip()) for part in value.split(",") if part.strip())
        return value

    @field_validator("aws_profiles", mode="before")
    @classmethod
    def _names(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("solarnetwork_origins", mode="before")
    @classmethod
    def _origins(cls, value: object) -> object:
        parts = value.split(",") if isinstance(value, str) else value
        if not isinstance(parts, list | tuple):
            return value
        return tuple(_origin(str(part)) for part in parts if str(part).strip())

    @model_validator(mode="after")
    def _a_certificate_needs_its_key(self) -> Self:
        if (self.tls_cert_file is None) != (self.tls_key_file is None):
            raise ValueError("tls_cert_file and tls_key_file belong together")
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments win over the environment, which wins over the file."""
        del dotenv_settings, file_secret_settings
        return (init_settings, env_settings, TomlConfigSettingsSource(settings_cls))
