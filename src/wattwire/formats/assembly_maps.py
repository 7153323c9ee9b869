"""Where in a device's assemblies its quantities are, and how they are read and written.

An assembly is a row of bytes that a device offers under a number, its *instance*. A map says which
number is at which byte of which instance, little-endian, and what to multiply it with. Maps are
data: two are shipped, people write others.
"""

import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import isfinite, trunc
from types import MappingProxyType
from typing import Final, Literal, NamedTuple

from wattwire.formats.refusals import refused

ElementType = Literal[
    "REAL", "LREAL", "SINT", "USINT", "INT", "UINT", "DINT", "UDINT", "LINT", "ULINT"
]
#: CIP's types in the letters of `struct`.
_LETTERS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "REAL": "f", "LREAL": "d", "SINT": "b", "USINT": "B", "INT": "h", "UINT": "H",
        "DINT": "i", "UDINT": "I", "LINT": "q", "ULINT": "Q",
    }
)  # fmt: skip
#: Bytes of each type.
WIDTHS: Final[Mapping[str, int]] = MappingProxyType(
    {kind: struct.calcsize(f"<{letter}") for kind, letter in _LETTERS.items()}
)
_FLOATS: Final = ("REAL", "LREAL")

MAX_ELEMENTS: Final = 1000
MAX_INSTANCES: Final = 64
MAX_SIZE: Final = 4000  #: bytes of an assembly: what a large explicit message can carry
MAX_NAME: Final = 200
_UINT16: Final = 0xFFFF


@dataclass(frozen=True, slots=True)
class Element:
    """One number in an assembly. Its value is the number times `scale`, in `unit`.

    Elements of one name are added up: so a register is put together that a device splits.
    """

    instance: int
    offset: int  #: in bytes
    type: ElementType
    name: str
    unit: str = ""
    scale: float = 1.0


@dataclass(frozen=True)
class AssemblyMap:
    """Where everything is. Raises ValueError as `check_map` does: a map that exists is sound."""

    name: str
    note: str  #: what is known of it, and what is not
    sizes: Mapping[int, int]  #: bytes of each instance that is read
    elements: tuple[Element, ...]

    def __post_init__(self) -> None:
        check_map(self)

    @cached_property
    def units(self) -> Mapping[str, str]:
        """The unit of each name, in the order in which names are read."""
        return MappingProxyType({element.name: element.unit for element in self.elements})

    @cached_property
    def _parts(self) -> Mapping[str, Sequence[Element]]:
        """The elements of each name, those of the largest scale first."""
        parts: dict[str, list[Element]] = {}
        for element in sorted(self.elements, key=lambda element: -abs(element.scale)):
            parts.setdefault(element.name, []).append(element)
        return parts

    @cached_property
    def _layers(self) -> Mapping[int, tuple["_Layer", ...]]:
        return {instance: tuple(_layers(self, instance)) for instance in self.sizes}


class _Layer(NamedTuple):
    """Elements of an assembly that do not overlap: read and written with one format."""

    form: struct.Struct  #: as long as the assembly
    elements: tuple[Element, ...]
    names_and_scales: tuple[tuple[str, float], ...]


def check_map(found: AssemblyMap) -> None:
    """Raise ValueError for a map that makes no sense, with the place and the reason."""
    if not found.sizes or len(found.sizes) > MAX_INSTANCES:
        raise ValueError(f"sizes: between 1 and {MAX_INSTANCES} instances are needed")
    for instance, size in found.sizes.items():
        _require(0 <= instance <= _UINT16, f"sizes[{instance}]: an instance is from 0 to 65535")
        _require(1 <= size <= MAX_SIZE, f"sizes[{instance}]: a size is from 1 to {MAX_SIZE} bytes")
    _require(1 <= len(found.elements) <= MAX_ELEMENTS, f"elements: 1 to {MAX_ELEMENTS} are needed")
    for number, element in enumerate(found.elements):
        _check_element(element, found.sizes, f"elements[{number}]")
    _check_names(found.elements)


def _check_element(element: Element, sizes: Mapping[int, int], where: str) -> None:
    size = sizes.get(element.instance)
    if size is None:
        raise ValueError(f"{where}.instance: {element.instance} has no entry in sizes")
    width = WIDTHS.get(element.type)
    if width is None:
        raise ValueError(f"{where}.type: {element.type!r} is none of {', '.join(_LETTERS)}")
    if not 0 <= element.offset <= size - width:
        reason = f"{element.type} at byte {element.offset} is not inside the {size} bytes"
        raise ValueError(f"{where}.offset: {reason} of instance {element.instance}")
    named = element.name.isprintable() and 1 <= len(element.name) <= MAX_NAME
    _require(named, f"{where}.name: 1 to {MAX_NAME} printable characters are needed")
    _require(
        isfinite(element.scale) and element.scale != 0,
        f"{where}.scale: a number other than 0 is needed",
    )


def _check_names(elements: Sequence[Element]) -> None:
    """Refuse one thing said twice, and parts of one name that cannot be added up."""
    first: dict[str, Element] = {}
    seen: dict[tuple[str, int, int], int] = {}
    for number, element in enumerate(elements):
        place = (element.name, element.instance, element.offset)
        if place in seen:
            raise ValueError(f"elements[{number}]: the same as elements[{seen[place]}]")
        seen[place] = number
        other = first.setdefault(element.name, element)
        if (other.instance, other.unit) != (element.instance, element.unit):
            raise ValueError(
                f"elements[{number}].name: the parts of {element.name!r} must be of one instance"
                " and unit"
            )


def _require(condition: object, reason: str) -> None:
    if not condition:
        raise ValueError(reason)


def _layers(found: AssemblyMap, instance: int) -> Iterator[_Layer]:
    """Yield formats that together hold every element of an instance; one, unless some overlap."""
    waiting = [element for element in found.elements if element.instance == instance]
    waiting.sort(key=lambda element: element.offset)
    while waiting:
        taken: list[Element] = []
        left: list[Element] = []
        end, form = 0, "<"
        for element in waiting:
            if element.offset < end:
                left.append(element)
                continue
            form += f"{element.offset - end}x{_LETTERS[element.type]}"
            end = element.offset + WIDTHS[element.type]
            taken.append(element)
        form += f"{found.sizes[instance] - end}x"
        scales = tuple((element.name, element.scale) for element in taken)
        yield _Layer(struct.Struct(form), tuple(taken), scales)
        waiting = left


def read_values(found: AssemblyMap, assemblies: Mapping[int, bytes]) -> dict[str, float]:
    """Return the values by name of the assemblies that were read; others' names are left out.

    Raises RefusedError for an assembly of another size or one that is not in the map, and for a
    number that is not finite, with instance, byte and name. Whole numbers beyond 2^53 lose digits.
    """
    values: dict[str, float] = {}
    for instance, data in assemblies.items():
        _check_size(found, instance, data)
        for layer in found._layers[instance]:  # noqa: SLF001 - formats made once for each map
            numbers = layer.form.unpack(data)
            for (name, scale), number in zip(layer.names_and_scales, numbers, strict=True):
                values[name] = values.get(name, 0.0) + number * scale
    if not all(map(isfinite, values.values())):
        raise _not_finite(found, assemblies, values)
    return values


def read_numbers(found: AssemblyMap, assemblies: Mapping[int, bytes]) -> dict[Element, float]:
    """Return each element's number as it stands there, before it is scaled; for people to look at.

    Raises RefusedError for a size as `read_values` does; numbers may be infinite or none at all.
    """
    numbers: dict[Element, float] = {}
    for instance, data in assemblies.items():
        _check_size(found, instance, data)
        for layer in found._layers[instance]:  # noqa: SLF001 - as above
            numbers.update(zip(layer.elements, layer.form.unpack(data), strict=True))
    return {element: numbers[element] for element in found.elements if element in numbers}


def _check_size(found: AssemblyMap, instance: int, data: bytes) -> None:
    size = found.sizes.get(instance)
    if size is None:
        raise refused(f"map {found.name} has no such instance", f"instance {instance}")
    if len(data) != size:
        reason = f"{len(data)} bytes, where map {found.name} has {size}"
        raise refused(reason, f"instance {instance}")


def _not_finite(
    found: AssemblyMap, assemblies: Mapping[int, bytes], values: Mapping[str, float]
) -> ValueError:
    for element, number in read_numbers(found, assemblies).items():
        if not isfinite(number * element.scale):
            where = f"instance {element.instance}, byte {element.offset} ({element.name})"
            return refused(f"{number} is not a finite number", where)
    name = next(name for name, value in values.items() if not isfinite(value))
    return refused("the sum is not a finite number", name)


def write_values(found: AssemblyMap, values: Mapping[str, float]) -> dict[int, bytes]:
    """Return assemblies that read as `values`; what has no value is 0.

    A value of several elements is split: each takes as many whole units of its scale as there
    are, the last one the rest. Raises ValueError for a value that does not fit its type.
    """
    numbers: dict[Element, float] = {}
    for name, parts in found._parts.items():  # noqa: SLF001 - sorted once for each map
        _split(values.get(name, 0.0), parts, numbers)
    assemblies = {}
    for instance, size in found.sizes.items():
        data = bytearray(size)
        for layer in found._layers[instance]:  # noqa: SLF001 - as above
            for element in layer.elements:
                _put(data, element, numbers[element])
        assemblies[instance] = bytes(data)
    return assemblies


def _split(value: float, parts: Sequence[Element], numbers: dict[Element, float]) -> None:
    """Add the number to write for each part of a value; the coarsest part comes first."""
    for element in parts[:-1]:
        numbers[element] = float(trunc(value / element.scale))
        value -= numbers[element] * element.scale
    numbers[parts[-1]] = value / parts[-1].scale


def _put(data: bytearray, element: Element, number: float) -> None:
    try:
        shown = number if element.type in _FLOATS else round(number)
        struct.pack_into(f"<{_LETTERS[element.type]}", data, element.offset, shown)
    except (struct.error, OverflowError, ValueError) as error:
        raise ValueError(f"{element.name}: {number} is no {element.type}: {error}") from None


_REAL_BYTES: Final = 4
_THOUSANDTH: Final = 0.001  #: W to kW, VA to kVA, var to kVAR
#: The maker's PowerMonitor 1000 and 5000 split registers into giga and kilo.
_GIGA_AND_KILO: Final = (1e6, 1.0)
_HOURS_AND_MINUTES: Final = (1.0, 1 / 60)


def _row(
    instance: int, first: int, names: Iterable[str], unit: str = "", scale: float = 1.0
) -> list[Element]:
    """Return REALs one behind the other; `first` is the place of the first, counted from 0."""
    return [
        Element(instance, _REAL_BYTES * number, "REAL", name, unit, scale)
        for number, name in enumerate(names, first)
    ]


def _voltage_and_current(instance: int, suffix: str = "") -> list[Element]:
    """Return the twelve elements of instances 101, 103 and 105."""
    neutral = [f"voltage{place}{suffix}" for place in ("AN", "BN", "CN", "Average")]
    line = [f"voltage{place}{suffix}" for place in ("AB", "BC", "CA", "LineAverage")]
    current = [f"current{place}{suffix}" for place in "ABCN"]
    return [
        *_row(instance, 0, neutral, "V"),
        *_row(instance, 4, line, "V"),
        *_row(instance, 8, current, "A"),
    ]


def _power(instance: int, suffix: str = "") -> list[Element]:
    """Return the first sixteen elements of instances 102, 104 and 106."""
    elements = []
    for first, what, unit, scale in (
        (0, "realPower", "kW", _THOUSANDTH),
        (4, "apparentPower", "kVA", _THOUSANDTH),
        (8, "reactivePower", "kVAR", _THOUSANDTH),
        (12, "powerFactor", "", 1.0),
    ):
        names = [f"{what}{phase}{suffix}" for phase in ("A", "B", "C", "")]
        elements += _row(instance, first, names, unit, scale)
    return elements


_REGISTERS: Final = (
    ("realEnergy", "kWh", _GIGA_AND_KILO),
    ("reactiveEnergy", "kVARh", _GIGA_AND_KILO),
    ("realEnergyExported", "kWh", _GIGA_AND_KILO),
    ("reactiveEnergyExported", "kVARh", _GIGA_AND_KILO),
    ("partialRealEnergy", "kWh", _GIGA_AND_KILO),
    ("partialReactiveEnergy", "kVARh", _GIGA_AND_KILO),
    ("partialRealEnergyExported", "kWh", _GIGA_AND_KILO),
    ("partialReactiveEnergyExported", "kVARh", _GIGA_AND_KILO),
    ("operatingHours", "h", _HOURS_AND_MINUTES),
)


def _registers(instance: int) -> list[Element]:
    """Return the nine registers of instance 107, each of two REALs."""
    return [
        Element(instance, _REAL_BYTES * (2 * number + part), "REAL", name, unit, scale)
        for number, (name, unit, scales) in enumerate(_REGISTERS)
        for part, scale in enumerate(scales)
    ]


_MANUAL_NOTE: Final = (
    "Instances, sizes and types are the manual's (1420-UM001E). The order of the elements is"
    " INFERRED from their number and from related meters, and so is how the registers of 107 are"
    " split: into giga and kilo, hours and minutes. Compare with the display before you rely on it."
)
_LIVE: Final = (
    *_voltage_and_current(101),
    *_power(102),
    *_row(102, 16, ["phaseSequence"]),
    *_row(102, 17, ["frequency"], "Hz"),
    *_registers(107),
)
_EXTREMES: Final = tuple(
    element
    for suffix, first in (("Max", 103), ("Demand", 105))
    for element in (
        *_voltage_and_current(first, suffix),
        *_power(first + 1, suffix),
        *_row(first + 1, 16, [f"frequency{suffix}"], "Hz"),
    )
)
_LIVE_SIZES: Final = {101: 48, 102: 72, 107: 72}
_EXTREME_SIZES: Final = {103: 48, 104: 68, 105: 48, 106: 68}

AB_PM500_MANUAL: Final = AssemblyMap(
    "ab-pm500-manual", _MANUAL_NOTE, MappingProxyType(_LIVE_SIZES), _LIVE
)
AB_PM500_MANUAL_FULL: Final = AssemblyMap(
    "ab-pm500-manual-full",
    f"As ab-pm500-manual, with the highest values and the demand in 103 to 106. {_MANUAL_NOTE}",
    MappingProxyType({**_LIVE_SIZES, **_EXTREME_SIZES}),
    (*_LIVE, *_EXTREMES),
)
PM500_SEED_LEGACY: Final = AssemblyMap(
    "pm500-seed-legacy",
    "What an older integration took a PowerMonitor 500 for: instance 100 as a REAL in watts, 101 as"
    " four words, powers times ten. Its unit of these powers is not said, and of the energy there"
    " is the high word only. It contradicts the manual, where 100 is product information and 101"
    " has 48 bytes; NOT VERIFIED against any device.",
    MappingProxyType({100: 4, 101: 8}),
    (
        Element(100, 0, "REAL", "realPower", "kW", _THOUSANDTH),
        Element(101, 0, "UINT", "statusFlags"),
        Element(101, 2, "UINT", "activePowerFeedback", "", 0.1),
        Element(101, 4, "UINT", "reactivePowerFeedback", "", 0.1),
        Element(101, 6, "UINT", "energyHighWord"),
    ),
)

DEFAULT_MAP: Final = AB_PM500_MANUAL.name
#: The maps that are shipped, by name.
MAPS: Final[Mapping[str, AssemblyMap]] = MappingProxyType(
    {found.name: found for found in (AB_PM500_MANUAL, AB_PM500_MANUAL_FULL, PM500_SEED_LEGACY)}
)
