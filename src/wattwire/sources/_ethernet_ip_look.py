"""One look at a device, for a person who stands before it: who it is, and what it shows."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from wattwire.formats.assembly_maps import WIDTHS, AssemblyMap, Element, read_numbers
from wattwire.formats.cip import ASSEMBLY_CLASS, ASSEMBLY_DATA, ASSEMBLY_SIZE
from wattwire.formats.encapsulation import Identity
from wattwire.model import RefusedError
from wattwire.sources._ethernet_ip_link import (
    Address,
    Attribute,
    DeniedError,
    Link,
    LinkError,
    LostError,
)

#: What a PowerMonitor 500 offers, by its manual (1420-UM001E).
INSTANCES: Final = range(100, 109)
PRODUCT_INFORMATION: Final = 100
#: Product codes of vendor 1, device type 146.
MODELS: Final = ("V1-ENT", "V1P-ENT", "V1A-ENT", "V2-ENT", "V2P-ENT", "V2A-ENT")
FIRST_MODEL: Final = 4
ROCKWELL: Final = 1
POWER_MONITOR: Final = 146
_WORDS: Final = 10
_KINDS: Final = {ord("A"): "V2", ord("B"): "V1"}


@dataclass(frozen=True, slots=True)
class Assembly:
    """What came of asking for an assembly."""

    size: int | None  #: bytes; None when nobody would say
    data: bytes | None
    fault: str = ""  #: why there are no data


@dataclass(frozen=True, slots=True)
class Value:
    """A quantity under a map, with the bytes it was made of."""

    name: str
    unit: str
    value: float  #: may be infinite or no number: then the source would not take it
    parts: tuple[tuple[Element, bytes], ...]


@dataclass(frozen=True, slots=True)
class Look:
    """Everything that one look tells."""

    identity: Identity | None
    identity_fault: str
    assemblies: Mapping[int, Assembly]
    values: tuple[Value, ...]
    faults: tuple[str, ...] = field(default=())  #: why the map does not fit


@dataclass(frozen=True, slots=True)
class ProductInformation:
    """Instance 100. The order of the two letters in a word is INFERRED."""

    model: str
    revisions: tuple[str, str, str]  #: base, EtherNet/IP module, analog module; as hexadecimal
    serial: str


async def look(address: Address, found: AssemblyMap, *, exact: bool, seconds: float) -> Look:
    """Ask a device for everything, reading only. Raises LinkError when it cannot be reached."""
    asker = _Asker(address, seconds)
    await asker.begin()
    try:
        identity, fault = await asker.identity()
        instances = sorted({*INSTANCES, *found.sizes})
        assemblies = {instance: await asker.assembly(instance) for instance in instances}
    finally:
        asker.end()
    return _under(found, exact, Look(identity, fault, assemblies, ()))


class _Asker:
    """Goes on after a device hung up: some do, instead of saying no."""

    def __init__(self, address: Address, seconds: float) -> None:
        self._address = address
        self._seconds = seconds
        self._link: Link | None = None

    async def begin(self) -> Link:
        if self._link is None or not self._link.alive:
            self._link = await Link.open(self._address, self._seconds)
        return self._link

    def end(self) -> None:
        if self._link is not None:
            self._link.close()

    async def identity(self) -> tuple[Identity | None, str]:
        try:
            return await (await self.begin()).identity(), ""
        except LinkError as error:
            return None, str(error)

    async def assembly(self, instance: int) -> Assembly:
        try:
            data = await self._read(instance, ASSEMBLY_DATA)
        except LinkError as error:
            return Assembly(None, None, _shortly(error))
        try:
            said = await self._read(instance, ASSEMBLY_SIZE)
        except LinkError:
            return Assembly(len(data), data)
        size = int.from_bytes(said, "little") if said else len(data)
        return Assembly(size, data)

    async def _read(self, instance: int, attribute: int) -> bytes:
        link = await self.begin()
        return await link.read(Attribute(ASSEMBLY_CLASS, instance, attribute))


def _shortly(error: LinkError) -> str:
    if isinstance(error, DeniedError):
        return error.text
    return f"it hung up: {error}" if isinstance(error, LostError) else str(error)


def _under(found: AssemblyMap, exact: bool, seen: Look) -> Look:  # noqa: FBT001 - as in `look`
    """Return what was seen with the values that it has under a map."""
    values: list[Value] = []
    faults: list[str] = []
    for instance, size in found.sizes.items():
        assembly = seen.assemblies[instance]
        if assembly.data is None:
            faults.append(f"instance {instance}: {assembly.fault}")
            continue
        data = assembly.data if exact else assembly.data[:size]
        try:
            values += _values(found, instance, data)
        except RefusedError as error:
            faults.append(str(error))
    return Look(seen.identity, seen.identity_fault, seen.assemblies, tuple(values), tuple(faults))


def _values(found: AssemblyMap, instance: int, data: bytes) -> list[Value]:
    numbers = read_numbers(found, {instance: data})
    values: dict[str, float] = {}
    for element, number in numbers.items():
        values[element.name] = values.get(element.name, 0.0) + number * element.scale
    parts: dict[str, list[tuple[Element, bytes]]] = {}
    for element in numbers:
        raw = data[element.offset : element.offset + WIDTHS[element.type]]
        parts.setdefault(element.name, []).append((element, raw))
    return [
        Value(name, several[0][0].unit, values[name], tuple(several))
        for name, several in parts.items()
    ]


def product_information(data: bytes) -> ProductInformation | None:
    """Return what instance 100 says, or None when it is not ten words."""
    if len(data) != 2 * _WORDS:
        return None
    words = [int.from_bytes(data[at : at + 2], "little") for at in range(0, len(data), 2)]
    letters = b"".join(word.to_bytes(2, "big") for word in words[3:])
    serial = "".join(c if c.isprintable() else "?" for c in letters.rstrip(b"\0").decode("latin-1"))
    base, network, analog = (f"0x{word:04X}" for word in words[:3])
    return ProductInformation(_KINDS.get(words[0] >> 8, "?"), (base, network, analog), serial)


def model_of(identity: Identity) -> str:
    """Return the model by its product code, '' for what is no PowerMonitor 500."""
    number = identity.product_code - FIRST_MODEL
    known = (identity.vendor, identity.device_type) == (ROCKWELL, POWER_MONITOR)
    return f"1420-{MODELS[number]}" if known and 0 <= number < len(MODELS) else ""
