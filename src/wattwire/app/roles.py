"""The roles a process of the hub can play, and how each is put together."""

import asyncio
import gc
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path

import structlog

from wattwire.app import pulse
from wattwire.app.keeping import keep
from wattwire.app.kit import Kit, open_kit
from wattwire.app.process import Orders, Report
from wattwire.endings import end
from wattwire.engines.secrets import Sealer
from wattwire.settings import Settings

log = structlog.get_logger()


class Stage:
    """Where the roles of one process put what runs, what counts and what must be closed."""

    def __init__(self, kit: Kit, orders: Orders, stack: AsyncExitStack) -> None:
        self.kit = kit
        self.orders = orders
        self.stack = stack
        self.ports: dict[str, int] = {}
        self._figures: list[Callable[[], Mapping[str, float]]] = []
        self._tasks: list[asyncio.Task[None]] = []
        self.died = asyncio.Event()
        self.ending = False

    def keep(self, name: str, run: Callable[[], Awaitable[None]]) -> None:
        """Run a background task for as long as the process plays its roles."""

        async def run_until_ending() -> None:
            await run()
            if self.ending:  # asked to end, and cancelled soon
                await asyncio.Event().wait()

        self._tasks.append(
            asyncio.create_task(keep(name, run_until_ending, self.kit.health), name=name)
        )

    def watch(self, name: str, task: "asyncio.Task[None]") -> None:
        """Notice the death of a task that somebody else started: the process then ends, too."""

        def died(done: "asyncio.Task[None]") -> None:
            if not done.cancelled() and not self.ending:
                log.error("app.task_died", task=name, error=repr(done.exception()))
                self.died.set()

        task.add_done_callback(died)

    def count(self, figures: Callable[[], Mapping[str, float]]) -> None:
        """Show figures in the pulse of this process; names are those of the metrics."""
        self._figures.append(figures)

    def at_end(self, close: Callable[[], Awaitable[None]]) -> None:
        """Call this when the process stops, before what was opened earlier is closed."""
        self.stack.push_async_callback(close)

    def figures(self) -> dict[str, float]:
        """Return everything that this process counted."""
        merged: dict[str, float] = {}
        for part in self._figures:
            merged.update(part())
        return merged

    async def cancel(self) -> None:
        """End the background tasks."""
        await end(*self._tasks)


async def play(orders: Orders, stop: asyncio.Event, report: Callable[[Report], None]) -> None:
    """Open what is needed, play the roles until `stop`, close in the opposite order."""
    settings = Settings(**orders.settings)
    async with AsyncExitStack() as stack:
        kit = await stack.enter_async_context(
            open_kit(
                settings,
                database_url=orders.database_url,
                nats_url=orders.nats_url,
                sealer=Sealer.open(Path(orders.secret_key_file)),
                role=orders.process,
            )
        )
        stage = Stage(kit, orders, stack)
        stack.push_async_callback(stage.cancel)
        stack.push_async_callback(kit.leases.release_all)
        stage.keep("config_watch", kit.watch.run)
        stage.keep("leases", kit.leases.run)
        for role in orders.roles:
            await _starter(role)(stage)
        stage.keep("pulse", lambda: _tell(stage))
        _calm_collector()
        report(Report(ports=stage.ports))
        log.info("app.process_ready", roles=orders.roles, ports=stage.ports)
        await _either(stop, stage.died)
        stage.ending = True
        log.info("app.process_stopping")


def _calm_collector() -> None:
    """Spare the garbage collector what lives as long as the process: it pauses everything."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    gc.enable()


async def _either(*events: asyncio.Event) -> None:
    waits = [asyncio.create_task(event.wait()) for event in events]
    await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    for wait in waits:
        wait.cancel()


async def _tell(stage: Stage) -> None:
    kit = stage.kit
    await pulse.tell_for_ever(
        kit.nats,
        process=stage.orders.process,
        owner=kit.owner,
        roles=list(stage.orders.roles),
        health=kit.health,
        figures=stage.figures,
    )


def _starter(role: str) -> Callable[[Stage], Awaitable[None]]:
    """Import a role only where it is played: each costs memory."""
    match role:
        case "door":
            from wattwire.app.role_door import start
        case "sources":
            from wattwire.app.role_sources import start
        case "pipeline":
            from wattwire.app.role_pipeline import start
        case "delivery":
            from wattwire.app.role_delivery import start
        case "api":
            from wattwire.app.role_api import start
        case _:
            raise ValueError(f"there is no role {role}")
    return start
