"""Kinds of fields that several resources share: their bounds, help and examples, said once."""

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Annotated, Any, Final, Literal
from zoneinfo import available_timezones

import msgspec
from fastapi import Path, Query
from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field

BIGINT: Final = 2**63 - 1
INTEGER: Final = 2**31 - 1
END_OF_TIME: Final = datetime(9999, 1, 1, tzinfo=UTC)
MAX_METADATA_BYTES: Final = 16 * 1024


class Body(BaseModel):
    """What a client sends: unknown fields are an error, not a surprise later."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class View(BaseModel):
    """What a client gets: read from a row of the store."""

    model_config = ConfigDict(from_attributes=True)


def _storable(text: str) -> str:
    if "\x00" in text:
        raise ValueError("must not contain the NUL character")
    return text


def _known_zone(name: str) -> str:
    if name not in _zones():
        raise ValueError("must be an IANA time zone such as Europe/Berlin")
    return name


@cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())


def _small(metadata: Mapping[str, Any]) -> Mapping[str, Any]:
    encoded = msgspec.json.encode(metadata)
    if len(encoded) > MAX_METADATA_BYTES:
        raise ValueError(f"must be at most {MAX_METADATA_BYTES} bytes as JSON")
    if b"\\u0000" in encoded:
        raise ValueError("must not contain the NUL character")
    return metadata


Text = AfterValidator(_storable)
Name = Annotated[str, Field(min_length=1, max_length=200), Text]
DeviceKey = Annotated[str, Field(min_length=1, max_length=255), Text]
Email = Annotated[str, Field(max_length=320, pattern=r"^[^@\s\x00]+@[^@\s\x00]+$"), Text]
Password = Annotated[str, Field(min_length=12, max_length=1024)]
RoleName = Literal["owner", "editor", "viewer"]
TimeZone = Annotated[str, Field(max_length=64), AfterValidator(_known_zone)]
Metadata = Annotated[dict[str, Any], AfterValidator(_small)]

DeviceId = Annotated[int, Path(ge=1, le=BIGINT, description="The device's number.")]
RowId = Annotated[int, Path(ge=1, le=BIGINT, description="Its number.")]
IntegrationId = Annotated[int, Path(ge=1, le=INTEGER, description="The integration's number.")]

OptionalFrom = Annotated[
    AwareDatetime | None,
    Query(alias="from", description="At or after this instant, with its offset."),
]
OptionalTo = Annotated[
    AwareDatetime | None, Query(alias="to", description="Before this instant, with its offset.")
]
From = Annotated[
    AwareDatetime,
    Query(
        alias="from",
        description="At or after this instant, with its offset.",
        examples=["2025-06-01T00:00:00Z"],
    ),
]
To = Annotated[
    AwareDatetime,
    Query(
        alias="to",
        description="Before this instant, with its offset.",
        examples=["2025-07-01T00:00:00Z"],
    ),
]
Search = Annotated[str | None, Query(max_length=255)]

Timestamp = Annotated[datetime, Field(examples=["2025-06-01T12:00:00Z"])]
EXAMPLE_UUID: Final = "6f1c3a52-4b1e-4d0e-9a53-0d2c5b7f9e10"
EXAMPLE_TOKEN: Final = "k3v7q2m5x4n6p8r9s2t3.V0lnZ2tHZ0p3bVJ2c1Z4Q2h0bU9sZ0d4Y0FqWmR0UQ"  # noqa: S105 - an example
