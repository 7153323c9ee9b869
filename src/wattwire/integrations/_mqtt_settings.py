"""What an MQTT integration is told, and the broker that follows from it."""

import ssl
import tempfile
from pathlib import Path
from typing import Final, Literal, Self
from uuid import uuid4

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator
from yarl import URL

from wattwire.brokers import Version, Will
from wattwire.integrations._paho import Broker
from wattwire.integrations._topics import TopicTemplate
from wattwire.integrations.contract import IntegrationSettings, Surroundings

DEFAULT_TOPIC: Final = "netneural/{organization_id}/devices/{device_key}/telemetry"
#: Whether a scheme means TLS, and its usual port.
SCHEMES: Final = {
    "mqtt": (False, 1883),
    "mqtts": (True, 8883),
    "ws": (False, 80),
    "wss": (True, 443),
}
_ID: Final = r"^[^/+#\x00-\x1f\x7f]+$"


class LastWill(BaseModel):
    """What the broker publishes when the connection is lost."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    topic: str = Field(max_length=1000, description="Topic of the will; no template.")
    payload: str = Field(default="", max_length=65_535, description="What it says.")
    qos: Literal[0, 1, 2] = Field(default=1, description="QoS of the will.")
    retain: bool = Field(default=False, description="Whether the broker keeps it.")

    @field_validator("topic")
    @classmethod
    def _is_plain(cls, value: str) -> str:
        if TopicTemplate.parse(value).names:
            raise ValueError("a will belongs to no device: its topic has no places to fill")
        return value


class Sparkplug(BaseModel):
    """The edge node that the integration is."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    group: str = Field(pattern=_ID, max_length=200, description="Group id.", examples=["pm500"])
    edge_node: str = Field(
        pattern=_ID, max_length=200, description="Edge node id, unique in its group."
    )
    historical_after_seconds: int = Field(
        default=300, ge=1, le=86_400, description="Older data are marked as history."
    )
    typed_data: bool = Field(
        default=False,
        description="Repeat data types in DDATA, which the specification advises against: for "
        "readers that forget births, such as the npm package sparkplug-payload.",
    )


class Settings(IntegrationSettings):
    """Fields of the form, the API schema and the reference table."""

    type: Literal["mqtt"] = "mqtt"
    broker_url: str = Field(
        max_length=2048,
        description="Broker address: mqtt://, mqtts://, ws:// or wss://.",
        examples=["mqtts://broker.example.com"],
    )
    port: int | None = Field(
        default=None, ge=1, le=65_535, description="Port; unset: the URL's, or 1883, 8883, 80, 443."
    )
    tls: bool | None = Field(
        default=None, description="Encrypt the connection; unset: as the URL says."
    )
    ca_pem: str | None = Field(
        default=None,
        max_length=100_000,
        description="CA that signed the broker's certificate, PEM; unset: the system's.",
    )
    client_cert_pem: str | None = Field(
        default=None, max_length=100_000, description="Client certificate, PEM."
    )
    client_key_pem: SecretStr | None = Field(
        default=None, max_length=100_000, description="Its private key, PEM, without a passphrase."
    )
    version: Version = Field(
        default="5", description="MQTT version; with 5 the broker answers for each message."
    )
    username: str | None = Field(default=None, max_length=1000, description="User, if asked for.")
    password: SecretStr | None = Field(
        default=None, max_length=10_000, description="Password, if asked for."
    )
    client_id: str | None = Field(
        default=None,
        min_length=1,
        max_length=200,
        description="Unique at the broker; unset: a new one for each connection.",
    )
    topic: str = Field(
        default=DEFAULT_TOPIC, max_length=1000, description="Topic, with places to fill."
    )
    qos: Literal[0, 1, 2] = Field(default=1, description="QoS of the messages.")
    retain: bool = Field(default=False, description="Whether the broker keeps the last message.")
    will: LastWill | None = Field(default=None, description="Published when we are cut off.")
    message_expiry_seconds: int | None = Field(
        default=None, ge=1, le=0xFFFFFFFF, description="MQTT 5: for how long a message is of use."
    )
    keepalive_seconds: int = Field(
        default=30, ge=5, le=3600, description="Silence after which the broker is asked for a sign."
    )
    max_in_flight: int = Field(
        default=20, ge=1, le=1000, description="Messages sent and not yet acknowledged."
    )
    sparkplug: Sparkplug | None = Field(
        default=None, description="Be a Sparkplug edge node; for the format sparkplug_b."
    )

    @field_validator("broker_url")
    @classmethod
    def _is_a_broker(cls, value: str) -> str:
        url = URL(value.strip())
        if url.scheme not in SCHEMES or not url.host:
            raise ValueError("must be an address such as mqtts://broker.example.com")
        if url.user is not None or url.password is not None:
            raise ValueError("must not hold a password: use username and password")
        if url.scheme in {"mqtt", "mqtts"} and url.path not in {"", "/"}:
            raise ValueError("has no path: the topic is a field of its own")
        return str(url.with_fragment(None))

    @field_validator("topic")
    @classmethod
    def _is_a_template(cls, value: str) -> str:
        TopicTemplate.parse(value, reserved=True)  # of some brokers the way in: $aws/rules/…
        return value

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if (self.client_cert_pem is None) != (self.client_key_pem is None):
            raise ValueError("client_cert_pem and client_key_pem belong together")
        if self.password is not None and self.username is None and self.version != "5":
            raise ValueError("MQTT 3.1.1 knows no password without a username")
        if self.message_expiry_seconds is not None and self.version != "5":
            raise ValueError("message_expiry_seconds needs version 5")
        if self.sparkplug is not None and (self.will is not None or self.retain):
            raise ValueError("with sparkplug the will is its own, and nothing is retained")
        if self.encrypted:
            tls_context(self, None)
        elif self.ca_pem is not None or self.client_cert_pem is not None:
            raise ValueError("certificates need TLS: use mqtts:// or wss://")
        return self

    @property
    def encrypted(self) -> bool:
        """Return whether the connection is TLS."""
        return SCHEMES[URL(self.broker_url).scheme][0] if self.tls is None else self.tls

    @property
    def place(self) -> tuple[str, int]:
        """Return host and port."""
        url = URL(self.broker_url)
        usual = SCHEMES[url.scheme][1]
        if self.encrypted != SCHEMES[url.scheme][0]:
            usual = {"mqtt": 8883, "mqtts": 1883, "ws": 443, "wss": 80}[url.scheme]
        return url.host or "", self.port or url.explicit_port or usual


def tls_context(settings: Settings, trusted: ssl.SSLContext | None) -> ssl.SSLContext:
    """Return the TLS settings of a connection. Raises ValueError for what is not a certificate.

    `trusted` is whom the operator of the hub trusts, unless the settings have a CA of their own.
    """
    if settings.ca_pem is None and settings.client_cert_pem is None and trusted is not None:
        return trusted
    try:
        context = ssl.create_default_context(cadata=settings.ca_pem)
        if settings.ca_pem is None and trusted is not None:
            context.load_verify_locations(cadata=b"".join(trusted.get_ca_certs(binary_form=True)))
        if settings.client_cert_pem and settings.client_key_pem:
            key = settings.client_key_pem.get_secret_value()
            with tempfile.TemporaryDirectory(prefix="wattwire-") as folder:  # 0700
                pair = Path(folder) / "pair.pem"
                pair.write_text(f"{settings.client_cert_pem}\n{key}\n", encoding="ascii")
                context.load_cert_chain(pair, password=_no_passphrase)
    except (ssl.SSLError, UnicodeError) as error:
        raise ValueError(f"certificate or key cannot be used: {error}") from error
    return context


def _no_passphrase() -> str:
    """Refuse a key with a passphrase, for which OpenSSL would ask at the terminal."""
    raise ValueError("client_key_pem must not have a passphrase")


def broker_of(settings: Settings, surroundings: Surroundings) -> Broker:
    """Return the broker of the settings."""
    url = URL(settings.broker_url)
    host, port = settings.place
    will = settings.will
    return Broker(
        host=host,
        port=port,
        client_id=settings.client_id or f"wattwire-{uuid4().hex[:12]}",
        version=settings.version,
        tls=tls_context(settings, surroundings.tls) if settings.encrypted else None,
        username=settings.username,
        password=settings.password.get_secret_value() if settings.password else None,
        keepalive_seconds=settings.keepalive_seconds,
        max_in_flight=settings.max_in_flight,
        websocket_path=url.path_qs if url.scheme in {"ws", "wss"} else None,
        will=Will(will.topic, will.payload.encode(), will.qos, will.retain) if will else None,
    )


def address(settings: Settings) -> str:
    """Return the broker's address for the ledger, without a query, which may hold a token."""
    host, port = settings.place
    url = URL(settings.broker_url).with_query(None)
    return str(url.with_host(host).with_port(port)).rstrip("/")
