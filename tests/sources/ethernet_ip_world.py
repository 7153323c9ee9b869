"""What the tests of the EtherNet/IP source share: an intake that remembers, a source that runs."""

import asyncio
import itertools
import sys
from contextlib import asynccontextmanager, suppress
from uuid import UUID
from zoneinfo import ZoneInfo

from listening import LIMIT_SECONDS, listening
from wattwire.model import RefusedError
from wattwire.sources import ethernet_ip
from wattwire.sources._poll_figures import PollFigures
from wattwire.sources.contract import SourceContext

ORGANIZATION = UUID(int=7)


class Taken:
    """An intake that remembers; fails, hangs or refuses when told to."""

    def __init__(self, *, refuse=()):
        self.readings = []
        self._known = {}
        self.statuses = []
        self.quarantined = []
        self.calls = []
        self.failing = False
        self.open = asyncio.Event()
        self.open.set()
        self._refuse = refuse
        self._changed = asyncio.Condition()

    async def accept(self, organization_id, readings, *, statuses=()):
        assert organization_id == ORGANIZATION
        await self._ready()
        if any(reading.shape.device in self._refuse for reading in readings):
            raise RefusedError("this device is not known", "device")
        async with self._changed:
            self.calls.append(len(readings))
            for reading in readings:  # as in the store: what comes again replaces itself
                if self._known.get(key := (reading.shape.device, reading.time)) is None:
                    self.readings.append(reading)
                self._known[key] = reading
            self.statuses += statuses
            self._changed.notify_all()

    async def quarantine(self, organization_id, raw, **facts):
        assert organization_id == ORGANIZATION
        await self._ready()
        async with self._changed:
            self.quarantined.append((raw, facts))
            self._changed.notify_all()

    async def _ready(self):
        await self.open.wait()
        if self.failing:
            raise OSError("the log takes nothing")

    async def until(self, condition):
        async with asyncio.timeout(LIMIT_SECONDS), self._changed:
            await self._changed.wait_for(lambda: condition(self))

    async def more(self, device, count=1):
        """Wait for so many more readings of a device than there are."""
        wanted = len(self.of(device)) + count
        await self.until(lambda taken: len(taken.of(device)) >= wanted)

    def of(self, device):
        return [reading for reading in self.readings if reading.shape.device == device]

    def said_of(self, device):
        """What was said of a device's link, in order."""
        said = [change.status for change in self.statuses if change.device == device]
        return [status for status, _ in itertools.groupby(said)]


async def until(condition, what=""):
    """Wait for something that nobody tells of."""
    try:
        async with asyncio.timeout(LIMIT_SECONDS):
            while not condition():
                await asyncio.sleep(0.005)
    except TimeoutError:
        raise AssertionError(f"did not become true: {what}") from None


def settings(*devices, period_ms=100, **changes):
    """Settings for devices: simulated ones as `pm-0`, `pm-1`, …; others as mappings."""
    listed = [
        d if isinstance(d, dict) else {"host": "127.0.0.1", "port": d.port, "key": f"pm-{n}"}
        for n, d in enumerate(devices)
    ]
    return ethernet_ip.Settings(devices=listed, period_ms=period_ms, **changes)


@asynccontextmanager
async def polling(configured, intake, **context):
    """The source in the background until the end of the context; yields (task, figures)."""
    figures = PollFigures()
    where = SourceContext(
        ORGANIZATION, "switchboard", lambda _key: ZoneInfo("UTC"), None, figures=figures, **context
    )
    task = asyncio.create_task(ethernet_ip.run(configured, intake, where))
    try:
        yield task, figures
    finally:
        if not task.done():
            task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def pump(source, target, *, size=65536, kept=None):
    """Pass on until one side ends; then end the other."""
    with suppress(OSError):
        while data := await source.read(size):
            if kept is not None:
                kept.append(data)
            target.write(data)
            await target.drain()
    target.transport.abort()


@asynccontextmanager
async def passing(port, *, size=65536):
    """A way to a device that keeps what is sent to it; yields (port, list of chunks)."""
    sent = []

    async def pass_on(reader, writer):
        out, back = await asyncio.open_connection("127.0.0.1", port)
        try:
            await asyncio.gather(pump(reader, back, kept=sent), pump(out, writer, size=size))
        finally:
            back.transport.abort()

    async with listening(pass_on) as way:
        yield way, sent


_numbers = itertools.count()


@asynccontextmanager
async def cpppo_device(folder, *tags, writes=()):
    """cpppo's simulator, which shares no code with us, in a process of its own; its port."""
    out = folder / f"cpppo-{next(_numbers)}.out"
    with out.open("wb") as file:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "cpppo.server.enip", "--no-config", "-S", "-U", "-A",
            "-a", "127.0.0.1:0", *tags, stdout=file, stderr=asyncio.subprocess.DEVNULL, cwd=folder,
        )  # fmt: skip
    try:
        await until(lambda: b")" in out.read_bytes(), "cpppo listens")
        port = int(out.read_text().rpartition(",")[2].strip(" )\n"))
        if writes:
            writing = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "cpppo.server.enip.client", "-S",
                "-a", f"127.0.0.1:{port}", *writes, cwd=folder,
            )  # fmt: skip
            async with asyncio.timeout(LIMIT_SECONDS):
                assert await writing.wait() == 0
        yield port
    finally:
        process.terminate()
        await process.wait()
