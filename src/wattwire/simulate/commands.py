"""`wattwire simulate …`: devices that behave like real ones, for a hub or any other broker."""

import asyncio
import json
import signal
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import typer

from wattwire.simulate import ethernet_ip, power_monitors, smart_meters, sparkplug
from wattwire.simulate.destination import Destination, Tally, tls_context
from wattwire.sources.contract import SourceError

PROGRESS_SECONDS: Final = 1.0
LAST_PORT: Final = 65_535

simulate_app = typer.Typer(
    name="simulate", help="Run simulated devices.", no_args_is_help=True, add_completion=False
)

Count = Annotated[int, typer.Option(min=1, max=100_000, help="How many devices.")]
Speed = Annotated[
    float, typer.Option(min=0.001, help="Simulated seconds per second; 'inf' does not wait.")
]
Days = Annotated[float, typer.Option(min=0, max=3660, help="Days before now to begin with.")]
Seed = Annotated[int, typer.Option(help="The same seed gives the same devices and readings.")]
Host = Annotated[str, typer.Option(help="Broker host name.")]
Port = Annotated[int, typer.Option(min=1, max=65535, help="Broker port.")]
Tls = Annotated[bool, typer.Option("--tls/--no-tls", help="Encrypt the connections.")]
CaFile = Annotated[
    Path | None, typer.Option(exists=True, dir_okay=False, help="CA of the broker, PEM.")
]
Username = Annotated[str | None, typer.Option(help="User name.")]
Password = Annotated[
    str | None, typer.Option(envvar="WATTWIRE_SIMULATE_PASSWORD", help="Password.")
]
Qos = Annotated[int, typer.Option(min=0, max=2, help="Quality of service.")]
Mistakes = Annotated[
    float, typer.Option(min=0, max=1, help="Share of messages that a wrong one comes with.")
]
Forever = Annotated[
    bool, typer.Option("--until-stopped", help="Go on in the present until Ctrl-C.")
]
Group = Annotated[str, typer.Option(help="Sparkplug group id.")]
Period = Annotated[float, typer.Option(min=0.01, help="Seconds between readings.")]
Json = Annotated[bool, typer.Option("--json", help="Print the final figures as JSON.")]


@dataclass(frozen=True, slots=True)
class _Login:
    """The options that every command has."""

    host: str
    port: int
    tls: bool
    ca_file: Path | None
    username: str | None
    password: str | None

    def destination(self) -> Destination:
        tls = tls_context(self.ca_file) if self.tls else None
        return Destination(self.host, self.port, self.username, self.password, tls)


@simulate_app.command("smart-meters")
def smart_meters_command(
    *,
    count: Count = 10,
    topic: Annotated[str, typer.Option(help="Topic of the credential.")] = "smart-meters/readings",
    speed: Speed = 86_400.0,
    days: Annotated[int, typer.Option(min=0, max=3660, help="Days before today.")] = 30,
    zone: Annotated[str, typer.Option(help="IANA zone in which the meters count days.")] = "UTC",
    seed: Seed = 1,
    host: Host = "localhost",
    port: Port = 8883,
    tls: Tls = True,
    ca_file: CaFile = None,
    username: Username = None,
    password: Password = None,
    qos: Qos = 2,
    mistakes: Mistakes = 0.0,
    until_stopped: Forever = False,
    as_json: Json = False,
) -> None:
    """Smart meters that send one message per local day: MQTT 3.1.1, TLS, QoS 2."""
    try:
        found = ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError):
        raise typer.BadParameter(f"{zone} is not an IANA time zone", param_hint="--zone") from None
    plan = smart_meters.Plan(
        count=count,
        topic=topic,
        days=days,
        speed=speed,
        seed=seed,
        zone=found,
        mistakes=mistakes,
        qos=qos,
        until_stopped=until_stopped,
    )
    login = _Login(host, port, tls, ca_file, username, password)
    _carry_out(partial(smart_meters.run, plan=plan), login, as_json=as_json)


@simulate_app.command("sparkplug")
def sparkplug_command(
    *,
    count: Count = 2,
    devices: Annotated[int, typer.Option(min=1, max=100, help="Devices per edge node.")] = 2,
    group: Group = "plant",
    period: Period = 1.0,
    speed: Speed = 1.0,
    days: Days = 0.0,
    seed: Seed = 1,
    host: Host = "localhost",
    port: Port = 8883,
    tls: Tls = True,
    ca_file: CaFile = None,
    username: Username = None,
    password: Password = None,
    mistakes: Mistakes = 0.0,
    until_stopped: Forever = False,
    as_json: Json = False,
) -> None:
    """Sparkplug B edge nodes with births, aliases, rebirth on request and death by will."""
    plan = sparkplug.Plan(
        count=count,
        group=group,
        devices=devices,
        days=days,
        speed=speed,
        period_seconds=period,
        seed=seed,
        mistakes=mistakes,
        until_stopped=_ends_somewhere(days, until_stopped=until_stopped),
    )
    login = _Login(host, port, tls, ca_file, username, password)
    _carry_out(partial(sparkplug.run, plan=plan), login, as_json=as_json)


@simulate_app.command("pm500-json")
def pm500_json_command(
    *,
    count: Count = 10,
    group: Group = "pm500",
    period: Period = 1.0,
    speed: Speed = 1.0,
    days: Days = 0.0,
    seed: Seed = 1,
    host: Host = "localhost",
    port: Port = 8883,
    tls: Tls = True,
    ca_file: CaFile = None,
    username: Username = None,
    password: Password = None,
    qos: Qos = 1,
    mistakes: Mistakes = 0.0,
    until_stopped: Forever = False,
    as_json: Json = False,
) -> None:
    """PowerMonitor 500s behind Node-RED: JSON on Sparkplug topics."""
    plan = power_monitors.Plan(
        count=count,
        group=group,
        days=days,
        speed=speed,
        period_seconds=period,
        seed=seed,
        mistakes=mistakes,
        qos=qos,
        until_stopped=_ends_somewhere(days, until_stopped=until_stopped),
    )
    login = _Login(host, port, tls, ca_file, username, password)
    _carry_out(partial(power_monitors.run, plan=plan), login, as_json=as_json)


@simulate_app.command("powermonitors")
def powermonitors_command(
    *,
    count: Annotated[int, typer.Option(min=1, max=1000, help="How many devices.")] = 1,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int,
        typer.Option(min=0, max=65535, help="Port of the first; the others follow. 0: free ones."),
    ] = 44818,
    seed: Seed = 1,
    frozen: Annotated[bool, typer.Option("--frozen", help="Let no value change.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the addresses as JSON.")] = False,
) -> None:
    """PowerMonitor 500s that are polled over EtherNet/IP, until Ctrl-C."""
    if port and port + count > LAST_PORT + 1:
        raise typer.BadParameter(f"{count} ports from {port} on are not there", param_hint="--port")
    devices = ethernet_ip.power_monitors(count, host=host, port=port, seed=seed, frozen=frozen)
    try:
        asyncio.run(_listen_until_signalled(devices, as_json=as_json))
    except OSError as error:
        typer.echo(f"{host}:{port}: {error.strerror or error}", err=True)
        raise typer.Exit(1) from None


async def _listen_until_signalled(devices: ethernet_ip.Running, *, as_json: bool) -> None:
    stop = _stopped_by_signals()
    async with devices as monitors:
        shown = [monitor.description() for monitor in monitors]
        if as_json:
            typer.echo(json.dumps({"devices": shown}))
        else:
            for device in shown:
                typer.echo("{host}:{port}  {name}, serial number {serial}".format(**device))
        await stop.wait()


def _ends_somewhere(days: float, *, until_stopped: bool) -> bool:
    """Without days to catch up on there is nothing but the present."""
    return until_stopped or days == 0


Run = Callable[..., Awaitable[None]]


def _carry_out(run: Run, login: _Login, *, as_json: bool) -> None:
    tally = Tally()
    started = time.monotonic()
    try:
        asyncio.run(_until_signalled(run, login.destination(), tally))
    except (SourceError, OSError) as error:
        typer.echo(f"{login.host}:{login.port}: {error}", err=True)
        raise typer.Exit(1) from None
    finally:
        _say_last(tally, time.monotonic() - started, as_json=as_json)


async def _until_signalled(run: Run, destination: Destination, tally: Tally) -> None:
    stop = _stopped_by_signals()
    telling = asyncio.create_task(_tell(tally))
    try:
        await run(destination, tally=tally, stop=stop)
    finally:
        telling.cancel()


def _stopped_by_signals() -> asyncio.Event:
    """Return an event that Ctrl-C and SIGTERM set."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    return stop


async def _tell(tally: Tally) -> None:
    """Print progress once a second, when there is any."""
    before = Tally()
    while True:
        await asyncio.sleep(PROGRESS_SECONDS)
        if tally != before:
            typer.echo(_line(tally), err=True)
            before = Tally(**tally.figures())


def _line(tally: Tally) -> str:
    return (
        f"{tally.sent:,} sent, {tally.confirmed:,} confirmed, {tally.connected:,} connected"
        f" ({tally.connections:,} connections, {tally.lost:,} lost),"
        f" {tally.mistakes:,} mistakes, {tally.births:,} births"
    )


def _say_last(tally: Tally, seconds: float, *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(tally.figures() | {"seconds": round(seconds, 3)}))
    else:
        typer.echo(f"{_line(tally)}, in {seconds:.1f} s", err=True)
