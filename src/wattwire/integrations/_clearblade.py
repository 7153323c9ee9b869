"""Publishing as a device of ClearBlade IoT Core, which serves what Google's did.

https://docs.clearblade.com/iotcore/publishevent-projects-locations-registries-devices (read
2026-08): one POST for each message, answered with 204 and nothing. The token is the registry's.
"""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from urllib.parse import quote

import aiohttp
import msgspec
from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator
from yarl import URL

from wattwire.integrations import _calls, _http
from wattwire.integrations._endpoints import check_endpoint
from wattwire.integrations.contract import (
    HTTP_VERDICTS,
    Delivered,
    Outcome,
    Rejected,
    Retry,
    Verdict,
)

VERDICTS: Final[Mapping[str, Verdict]] = {**HTTP_VERDICTS, "404": Verdict.RETRY}


class ClearBlade(BaseModel):
    """ClearBlade's service instead of Pub/Sub."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: str = Field(
        max_length=2048,
        description="URL that ClearBlade shows under API Keys of the registry.",
        examples=["https://us-central1.clearblade.com"],
    )
    system_key: str = Field(
        pattern="^[A-Za-z0-9]{8,64}$", description="System key shown beside it."
    )
    token: SecretStr = Field(min_length=1, max_length=8192, description="Token shown beside it.")

    @field_validator("url")
    @classmethod
    def _is_an_endpoint(cls, value: str) -> str:
        return check_endpoint(value)

    @field_validator("token")
    @classmethod
    def _can_be_sent(cls, value: SecretStr) -> SecretStr:
        _http.check_header("ClearBlade-UserToken", value.get_secret_value())
        return value


@dataclass(frozen=True, slots=True)
class Bridge:
    """One registry of ClearBlade."""

    client: aiohttp.ClientSession
    settings: ClearBlade

    async def publish(self, device: str, subfolder: str, body: bytes, message_id: str) -> Outcome:
        """Publish one message as a device."""
        written = {"binaryData": base64.b64encode(body).decode(), "subFolder": subfolder}
        data = msgspec.json.encode({name: value for name, value in written.items() if value})
        return await _calls.outcome_of(self._post(self._url(device), data, message_id))

    def _url(self, device: str) -> URL:
        execute = f"{self.settings.url}/api/v/4/webhook/execute/{self.settings.system_key}"
        where = f"cloudiotdevice_devices?name={quote(device, safe='')}&method=publishEvent"
        return URL(f"{execute}/{where}", encoded=True)

    async def _post(self, url: URL, data: bytes, message_id: str) -> Outcome:
        headers = {
            "Content-Type": "application/json",
            "ClearBlade-UserToken": self.settings.token.get_secret_value(),
        }
        with _http.explained():
            async with self.client.post(
                url, data=data, headers=headers, allow_redirects=False
            ) as response:
                return _read(response, await _http.read_excerpt(response), message_id)


def _read(response: aiohttp.ClientResponse, excerpt: str, message_id: str) -> Outcome:
    status = response.status
    if status in {200, 204}:
        return Delivered(receipt=f"HTTP {status} {message_id}", status=status)
    reason = f"HTTP {status}: {excerpt}".rstrip(": ")
    if status == 400:  # noqa: PLR2004 - one message in a call: it is this one
        return Rejected(reason, status=status)
    wish = _http.retry_after(response.headers.get("Retry-After"), datetime.now(UTC))
    return Retry(reason, after=wish, status=status)
