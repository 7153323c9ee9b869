"""A broker, and how to log in to it."""

import secrets
import ssl
from dataclasses import dataclass, field
from os import PathLike
from typing import Final, Literal, TypeAlias
from urllib.parse import urlsplit

Version: TypeAlias = Literal["3.1.1", "5"]
_PORTS: Final = {"mqtt": 1883, "mqtts": 8883}


def _new_client_id() -> str:
    return f"wattwire-client-{secrets.token_hex(6)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Broker:
    """A hub's door or any other broker of MQTT 3.1.1 or 5. The door speaks 3.1.1.

    Raises ValueError for a URL other than `mqtt://HOST[:PORT]` and `mqtts://HOST[:PORT]`; a
    password belongs into `password`, where nobody prints it.
    """

    url: str
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    ca_file: str | PathLike[str] | None = None  #: for TLS; else what the system trusts
    certificate_file: str | PathLike[str] | None = None  #: of this client, with its chain
    key_file: str | PathLike[str] | None = None
    version: Version = "3.1.1"
    client_id: str = field(default_factory=_new_client_id)
    keepalive_seconds: int = 30

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        rest = (parts.path.strip("/"), parts.query, parts.fragment, parts.username, parts.password)
        if parts.scheme not in _PORTS or not parts.hostname or any(rest):
            raise ValueError("a broker's URL is mqtt://HOST[:PORT] or mqtts://HOST[:PORT]")
        parts.port  # noqa: B018 - raises ValueError for a port that is none

    @property
    def address(self) -> tuple[str, int]:
        """Return host and port."""
        parts = urlsplit(self.url)
        return parts.hostname or "", parts.port or _PORTS[parts.scheme]

    def tls(self) -> ssl.SSLContext | None:
        """Return what TLS needs; None without TLS. Raises OSError for files that do not serve."""
        if urlsplit(self.url).scheme == "mqtt":
            return None
        context = ssl.create_default_context(cafile=self.ca_file)
        if self.certificate_file is not None:
            context.load_cert_chain(self.certificate_file, self.key_file)
        return context
