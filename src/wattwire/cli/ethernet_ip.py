"""`wattwire ethernet-ip`: look at a device before the hub polls it. Needs no hub."""

import asyncio
import math
import textwrap
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from pydantic import TypeAdapter, ValidationError

from wattwire.cli.documents import DocumentError, read_document
from wattwire.cli.output import UNREACHABLE, CommandError, fail, show, show_json
from wattwire.cli.reach import JsonOption
from wattwire.formats.assembly_maps import DEFAULT_MAP, MAPS, AssemblyMap
from wattwire.formats.encapsulation import DEFAULT_PORT
from wattwire.sources._ethernet_ip_link import Address, LinkError, SilentError, UnreachableError
from wattwire.sources._ethernet_ip_look import (
    PRODUCT_INFORMATION,
    Look,
    Value,
    look,
    model_of,
    product_information,
)
from wattwire.sources._ethernet_ip_settings import MapElement, is_exact, map_of

app = typer.Typer(
    name="ethernet-ip", help="Devices that are polled over EtherNet/IP.", no_args_is_help=True
)
_MAPS: Final = TypeAdapter(dict[str, tuple[MapElement, ...]])
_UNREACHABLE: Final = (
    "is this its address, is it on, does a firewall let TCP port {port} through? A PowerMonitor 500"
    " also stops to answer here while somebody uses its Modbus TCP."
)
_SILENT: Final = (
    "something listens there and does not speak EtherNet/IP in time: give a longer --timeout, or"
    " look whether it is the device you mean"
)


@app.callback()
def group() -> None:
    """Devices that are polled over EtherNet/IP."""


@app.command()
def probe(
    host: Annotated[str, typer.Argument(help="Host name or address of the device.")],
    port: Annotated[int, typer.Option(min=1, max=65535, help="TCP port.")] = DEFAULT_PORT,
    map_name: Annotated[
        str, typer.Option("--map", help="Under which map to read the values.")
    ] = DEFAULT_MAP,
    maps_file: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="Your own maps, YAML or JSON."),
    ] = None,
    timeout: Annotated[float, typer.Option(min=0.05, max=60, help="Seconds to wait.")] = 3.0,
    as_json: JsonOption = False,
) -> None:
    """Show who a device is, what it offers, and its values under a map. It only reads.

    Compare the values with the device's display: the order in the default map is not verified.
    """
    try:
        found = _find_map(map_name, maps_file)
        seen = asyncio.run(_look(Address(host, port), found, timeout))
    except CommandError as error:
        fail(error)
    if as_json:
        show_json(_everything(Address(host, port), found, seen))
    else:
        _print(Address(host, port), found, seen)
    if seen.faults:
        raise typer.Exit(1)


def _find_map(name: str, file: Path | None) -> AssemblyMap:
    own: Mapping[str, tuple[MapElement, ...]] = {}
    if file is not None:
        try:
            own = _MAPS.validate_python(read_document(file.read_bytes()))
        except (DocumentError, OSError) as error:
            raise CommandError(f"{file}: {error}") from error
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(map(str, first["loc"]))
            raise CommandError(f"{file}: {where}: {first['msg']}") from error
    if name in own:
        try:
            return map_of(name, own[name])
        except ValueError as error:
            raise CommandError(f"{file}: {name}: {error}") from error
    if name not in MAPS:
        known = ", ".join([*MAPS, *own])
        raise CommandError(f"there is no map {name}: give --maps-file, or one of {known}")
    return MAPS[name]


async def _look(address: Address, found: AssemblyMap, seconds: float) -> Look:
    try:
        return await look(address, found, exact=is_exact(found), seconds=seconds)
    except LinkError as error:
        advice = ""
        if isinstance(error, UnreachableError):
            advice = "\n  " + _UNREACHABLE.format(port=address.port)
        elif isinstance(error, SilentError):
            advice = "\n  " + _SILENT
        raise CommandError(f"{address}: {error}{advice}", UNREACHABLE) from error


def _print(address: Address, found: AssemblyMap, seen: Look) -> None:
    print(f"{address}\n")
    show(_identity(seen), as_json=False)
    print("\nAssemblies (class 4)")
    _table(("instance", "bytes", "the map's", "note"), _sizes(found, seen))
    note = textwrap.fill(found.note, 98, initial_indent="  ", subsequent_indent="  ")
    print(f"\nValues under the map {found.name}\n{note}\n")
    _table(("name", "value", "unit", "instance, byte, type", "raw bytes"), map(_row, seen.values))
    for fault in seen.faults:
        print(f"\nThe map does not fit: {fault}")


def _identity(seen: Look) -> dict[str, Any]:
    """Return who the device is, by what it says of itself."""
    who = seen.identity
    if who is None:
        return {"identity": f"not told: {seen.identity_fault}"}
    told: dict[str, Any] = {
        "product": who.name,
        "model": model_of(who) or "no PowerMonitor 500",
        "vendor": who.vendor,
        "device type": who.device_type,
        "product code": who.product_code,
        "revision": f"{who.revision[0]}.{who.revision[1]}",
        "serial number": f"{who.serial} (0x{who.serial:08X})",
        "status": f"0x{who.status:04X}",
    }
    assembly = seen.assemblies.get(PRODUCT_INFORMATION)
    information = product_information((assembly.data if assembly else None) or b"")
    if information is not None:
        base, network, analog = information.revisions
        told |= {
            "by instance 100": information.model,
            "serial letters": information.serial,
            "firmware": f"base {base}, EtherNet/IP {network}, analog {analog}",
        }
    return told


def _sizes(found: AssemblyMap, seen: Look) -> Iterable[tuple[str, ...]]:
    for instance, assembly in seen.assemblies.items():
        said = "" if assembly.size is None else str(assembly.size)
        note = assembly.fault
        if assembly.data is not None and len(assembly.data) != assembly.size:
            note = f"and yet {len(assembly.data)} bytes came"
        yield str(instance), said, str(found.sizes.get(instance, "")), note


def _row(value: Value) -> tuple[str, ...]:
    places = [f"{e.instance}, {e.offset}, {e.type}" for e, _ in value.parts]
    raw = [data.hex(" ") for _, data in value.parts]
    return value.name, _number(value.value), value.unit, " + ".join(places), " + ".join(raw)


def _number(value: float) -> str:
    """Return a value as a display shows it, with some digits to spare."""
    if not math.isfinite(value):
        return str(value)
    return f"{value:.6g}" if abs(value) < 1e6 else f"{value:.1f}"  # noqa: PLR2004 - seven digits


def _table(heads: Iterable[str], rows: Iterable[tuple[str, ...]]) -> None:
    lines = [tuple(head.upper() for head in heads), *rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        cells = (f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True))
        print("  " + "  ".join(cells).rstrip())


def _everything(address: Address, found: AssemblyMap, seen: Look) -> dict[str, Any]:
    """Return what was seen for programs."""
    return {
        "address": str(address),
        "identity": _identity_facts(seen),
        "assemblies": [
            {
                "instance": instance,
                "bytes": one.size,
                "raw": one.data.hex() if one.data is not None else None,
                "fault": one.fault or None,
            }
            for instance, one in seen.assemblies.items()
        ],
        "map": {"name": found.name, "note": found.note, "faults": list(seen.faults)},
        "values": [
            {
                "name": value.name,
                "unit": value.unit,
                "value": value.value if math.isfinite(value.value) else None,
                "parts": [
                    {"instance": e.instance, "offset": e.offset, "type": e.type, "raw": raw.hex()}
                    for e, raw in value.parts
                ],
            }
            for value in seen.values
        ],
    }


def _identity_facts(seen: Look) -> dict[str, Any] | None:
    who = seen.identity
    if who is None:
        return None
    return {
        "name": who.name,
        "model": model_of(who) or None,
        "vendor": who.vendor,
        "device_type": who.device_type,
        "product_code": who.product_code,
        "revision": f"{who.revision[0]}.{who.revision[1]}",
        "serial": who.serial,
    }
