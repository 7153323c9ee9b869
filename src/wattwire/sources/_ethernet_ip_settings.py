"""What an EtherNet/IP source is told: its devices, and which bytes of them mean what."""

from collections.abc import Iterable
from typing import Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from wattwire.formats.assembly_maps import (
    DEFAULT_MAP,
    MAPS,
    WIDTHS,
    AssemblyMap,
    Element,
    ElementType,
)
from wattwire.formats.encapsulation import DEFAULT_PORT
from wattwire.formats.shapes import check_key, shape_of
from wattwire.model import Shape
from wattwire.sources.contract import SourceSettings

LEAST_PERIOD_MS: Final = 100
MAX_DEVICES: Final = 1000


class MapElement(BaseModel):
    """A number in an assembly."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    instance: int = Field(ge=0, le=65_535, description="Number of the assembly.")
    offset: int = Field(ge=0, le=4000, description="First byte of it, counted from 0.")
    type: ElementType = Field(description="What stands there, little-endian.")
    name: str = Field(min_length=1, max_length=200, description="Name of the channel.")
    unit: str = Field(default="", max_length=40, description="Unit of the channel.")
    scale: float = Field(default=1.0, description="What the number is multiplied with.")


class PolledDevice(BaseModel):
    """A device that is polled."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    host: str = Field(
        min_length=1, max_length=253, description="Host name or address.", examples=["10.0.5.17"]
    )
    port: int = Field(default=DEFAULT_PORT, ge=1, le=65_535, description="TCP port.")
    key: str = Field(
        min_length=1, max_length=255, description="Key of the device in the hub, unique."
    )
    name: str | None = Field(
        default=None, min_length=1, max_length=200, description="Name, where it has none yet."
    )
    site: str | None = Field(default=None, max_length=200, description="Tag: where it is.")
    asset: str | None = Field(default=None, max_length=200, description="Tag: what it measures.")
    phase: str | None = Field(default=None, max_length=200, description="Tag: which phases.")
    breaker: str | None = Field(default=None, max_length=200, description="Tag: which breaker.")
    map: str | None = Field(default=None, description="Its map, instead of the source's.")
    enabled: bool = Field(default=True, description="Whether it is polled.")

    def tags(self) -> dict[str, str]:
        """Return the tags that are given."""
        all_four = {name: getattr(self, name) for name in ("site", "asset", "phase", "breaker")}
        return {name: value for name, value in all_four.items() if value is not None}


class Settings(SourceSettings):
    """Fields of the form, the API schema and the reference table."""

    type: Literal["ethernet_ip"] = "ethernet_ip"
    devices: tuple[PolledDevice, ...] = Field(
        min_length=1, max_length=MAX_DEVICES, description="The devices."
    )
    map: str = Field(
        default=DEFAULT_MAP, description="Which bytes mean what: a map's name.", examples=[*MAPS]
    )
    maps: dict[str, tuple[MapElement, ...]] = Field(
        default_factory=dict, max_length=100, description="Maps of your own, by name; see above."
    )
    period_ms: int = Field(
        default=1000,
        ge=LEAST_PERIOD_MS,
        le=86_400_000,
        description="Milliseconds from one poll of a device to the next.",
    )
    timeout_ms: int = Field(
        default=1000, ge=50, le=60_000, description="Milliseconds to wait for each answer."
    )
    align_to_clock: bool = Field(
        default=False,
        description="Poll at whole periods of the wall clock, all devices at once, and stamp "
        "readings with them; else devices are spread over the period.",
    )
    stream: str = Field(
        default="/metrics", pattern=r"^/", max_length=255, description="Path of the stream."
    )

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        for number, device in enumerate(self.devices):
            check_key(device.key, f"devices[{number}].key")
        _check_unlike((device.key for device in self.devices), "the key")
        polled = (f"{d.host.lower()}:{d.port}" for d in self.devices if d.enabled)
        _check_unlike(polled, "the address")
        if shipped := self.maps.keys() & MAPS.keys():
            raise ValueError(f"maps: {min(shipped)} is a map that is shipped")
        used = {self.map, *(device.map for device in self.devices if device.map)}
        found = {name: self.find_map(name) for name in sorted(used | self.maps.keys())}
        self.shape_of(self.devices[0], found[self.map])
        return self

    def find_map(self, name: str) -> AssemblyMap:
        """Return a map. Raises ValueError for one that is not there or makes no sense."""
        if name in MAPS:
            return MAPS[name]
        if name not in self.maps:
            known = ", ".join([*MAPS, *self.maps])
            raise ValueError(f"there is no map {name!r}: there are {known}")
        try:
            return map_of(name, self.maps[name])
        except ValueError as error:
            raise ValueError(f"maps.{name}: {error}") from error

    def shape_of(self, device: PolledDevice, found: AssemblyMap) -> Shape:
        """Return what the readings of a device look like under a map. Raises ValueError."""
        units = tuple((name, unit) for name, unit in found.units.items() if unit)
        return shape_of(device.key, self.stream, tuple(found.units), units=units)


def map_of(name: str, elements: Iterable[MapElement]) -> AssemblyMap:
    """Return a map that somebody wrote: its assemblies reach to the end of their last element.

    Raises ValueError with the place and the reason.
    """
    found = tuple(Element(**element.model_dump()) for element in elements)
    sizes: dict[int, int] = {}
    for element in found:
        end = element.offset + WIDTHS[element.type]
        sizes[element.instance] = max(sizes.get(element.instance, 0), end)
    return AssemblyMap(name, "written by the owner of this hub", sizes, found)


def is_exact(found: AssemblyMap) -> bool:
    """Return whether the sizes of a map are the device's: of shipped ones, not of others."""
    return MAPS.get(found.name) is found


def _check_unlike(values: Iterable[str], what: str) -> None:
    seen = set()
    for value in values:
        if value in seen:
            raise ValueError(f"devices: {what} {value} is there twice")
        seen.add(value)
