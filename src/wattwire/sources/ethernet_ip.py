"""# EtherNet/IP

Polls devices that offer their values as assembly objects over EtherNet/IP, such as the
Allen-Bradley PowerMonitor 500 (1420-V1/V2-ENT). One reading for each device and poll, with all
channels of the map.

**You need** devices that the hub can reach on TCP port 44818. They have no passwords. Before you
configure one, look at it: `wattwire ethernet-ip probe HOST` shows who it is and its values under a
map.

**It only reads.** The hub sends Get_Attribute_Single and nothing else: class 4 (assembly),
attribute 3, in an unconnected message. It opens no input/output connection, owns nothing, and
leaves a controller that does undisturbed.

**The default map is not verified.** Instances, sizes and types of `ab-pm500-manual` are the
manual's; the order of the values in them is INFERRED. Compare the probe with the display first.
Shipped beside it: `ab-pm500-manual-full`, with the highest values and the demand, and
`pm500-seed-legacy`, which contradicts the manual.

**Each device for itself.** A period begins at fixed instants, spread over the period from device to
device, or at whole periods of the clock for all (`align_to_clock`; their readings then bear that
instant, others that of the answer, in whole milliseconds). A device that answers late or not at all
delays no other: its own next polls are left out, and counted as missed. It is never asked more
often than every 100 ms.

**When a device is gone.** A session that got lost is made anew at once. After two failures in a row
the device is `silent` (connected, no answer) or `offline` (no connection), and is tried again after
1 s, then ever later, up to a minute. What it would have said meanwhile nobody knows: a meter keeps
no history. Nothing that was read is given up: when the hub's log takes nothing, up to 20,000
readings wait, and beyond that polls are left out and counted.

**What cannot be read** is kept in quarantine: an answer of a wrong size, a value that is no number,
a status other than success, with the bytes and the reason, once a minute for each device and
reason, and counted each time. A reading that the hub refuses is kept there too, as JSON that can be
fed back.

**Tags.** `site`, `asset`, `phase` and `breaker` become the device's metadata, and stay what the
settings say; other metadata is left alone. A device without a type gets `powermonitor_500`, and one
that is still named by its key gets `name`.

**Maps of your own** go into `maps`: by name, a list of elements. Elements of one name are added up.

    {"maps": {"mine": [
        {"instance": 101, "offset": 0, "type": "REAL", "name": "voltageAN", "unit": "V"},
        {"instance": 102, "offset": 12, "type": "REAL", "name": "realPower", "unit": "kW",
         "scale": 0.001}]},
     "map": "mine",
     "devices": [{"host": "10.0.5.17", "key": "pm-1", "site": "North"}]}

`type` is one of REAL, LREAL, SINT, USINT, INT, UINT, DINT, UDINT, LINT, ULINT, little-endian. A
unit of energy (kWh, kVARh) makes a register.
"""

import asyncio
from collections.abc import Sequence
from typing import Final

import structlog

from wattwire.formats.assembly_maps import AssemblyMap
from wattwire.sources._collector import Collector
from wattwire.sources._ethernet_ip_link import Address
from wattwire.sources._ethernet_ip_poller import Polled, Poller
from wattwire.sources._ethernet_ip_poller import now as this_moment
from wattwire.sources._ethernet_ip_settings import PolledDevice, Settings, is_exact
from wattwire.sources._poll_figures import FAILURES, PollFigures
from wattwire.sources._poll_grid import Grid, spread
from wattwire.sources.contract import DeviceDescription, Intake, SourceContext, SourceType

DEVICE_TYPE: Final = "powermonitor_500"
TELL_SECONDS: Final = 60.0
WORST: Final = 3
#: Until devices that are not there, or a database that is not, are asked for again.
DESCRIBE_SECONDS: Final = 60.0

log = structlog.get_logger()


async def run(settings: Settings, intake: Intake, context: SourceContext) -> None:
    """Poll until cancelled. Raises when any of its tasks fails: the others then end with it."""
    known = context.figures
    figures = known if isinstance(known, PollFigures) else PollFigures()
    collector = Collector(intake, context, figures, settings.type)
    pollers = [Poller(device, collector, figures) for device in polled_by(settings)]
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(collector.run())
            group.create_task(_describe(settings, context))
            group.create_task(_tell_for_ever(context, pollers))
            for poller in pollers:
                group.create_task(poller.run())
    finally:
        await collector.finish()


def polled_by(settings: Settings) -> list[Polled]:
    """Return the devices that are polled, each with its place in the period."""
    enabled = [device for device in settings.devices if device.enabled]
    period = settings.period_ms * 1000
    begin = this_moment().steady
    maps = {name: settings.find_map(name) for name in {d.map or settings.map for d in enabled}}
    grids = [
        Grid(period, begin + phase, settings.align_to_clock)
        for phase in spread(len(enabled), period)
    ]
    return [
        _polled(settings, device, maps[device.map or settings.map], grid)
        for device, grid in zip(enabled, grids, strict=True)
    ]


def _polled(settings: Settings, device: PolledDevice, found: AssemblyMap, grid: Grid) -> Polled:
    return Polled(
        key=device.key,
        address=Address(device.host, device.port),
        map=found,
        exact=is_exact(found),
        shape=settings.shape_of(device, found),
        grid=grid,
        timeout_seconds=settings.timeout_ms / 1000,
    )


async def _describe(settings: Settings, context: SourceContext) -> None:
    """Write down what the settings say of the devices, however long the store cannot."""
    left = [
        DeviceDescription(device.key, device.name or "", DEVICE_TYPE, device.tags())
        for device in settings.devices
        if device.enabled
    ]
    while left:
        try:
            missing = await context.describe(left)
        except Exception as error:  # noqa: BLE001 - polling goes on; the store may come back
            log.warning("sources.devices_not_described", source=context.name, error=repr(error))
        else:
            left = [device for device in left if device.key in missing]
        await asyncio.sleep(DESCRIBE_SECONDS)


async def _tell_for_ever(context: SourceContext, pollers: Sequence[Poller]) -> None:
    """Say once a minute what was counted in it, and of whom the most went wrong."""
    before: dict[str, dict[str, int]] = {}
    while True:
        await asyncio.sleep(TELL_SECONDS)
        counts = {poller.device.key: dict(poller.figures.counts) for poller in pollers}
        gained = {key: _gain(before.get(key, {}), count) for key, count in counts.items()}
        before = counts
        total: dict[str, int] = {}
        for gain in gained.values():
            for word, number in gain.items():
                total[word] = total.get(word, 0) + number
        worst = sorted(gained, key=lambda key: -_trouble(gained[key]))[:WORST]
        log.info(
            "sources.polls_counted",
            source=context.name,
            devices=len(pollers),
            **total,
            worst={key: gained[key] for key in worst if _trouble(gained[key])},
        )


def _gain(before: dict[str, int], now: dict[str, int]) -> dict[str, int]:
    return {word: number - before.get(word, 0) for word, number in now.items()}


def _trouble(gain: dict[str, int]) -> int:
    return sum(gain.get(word, 0) for word in (*FAILURES, "missed"))


TYPE: Final = SourceType(
    docs=__doc__, settings=Settings, run=run, workers=lambda _settings: 1, figures=PollFigures
)
