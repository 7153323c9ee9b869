"""The other side of `app.process`: reads its orders, plays its roles, ends with its parent."""

import asyncio
import gc
import signal
import sys

import msgspec
import structlog

from wattwire.app.logs import configure_logs
from wattwire.app.process import Orders, Report
from wattwire.app.roles import play

log = structlog.get_logger()


def main() -> int:
    """Play the roles until the parent goes or says so; return the exit code."""
    gc.disable()  # until the roles are ready: what is imported lives as long as the process
    line = sys.stdin.buffer.readline()
    if not line:
        return 2
    orders = msgspec.json.decode(line, type=Orders)
    configure_logs(orders.settings.get("log_level", "info"), process=orders.process)
    if sys.platform != "win32":
        import uvloop  # noqa: PLC0415 - not there on Windows

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(_serve(orders))
    return asyncio.run(_serve(orders))


async def _serve(orders: Orders) -> int:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await loop.connect_read_pipe(lambda: _Lifeline(stop), sys.stdin)
    try:
        await play(orders, stop, _report)
    except Exception as error:  # noqa: BLE001 - the edge of the process: told to the parent
        log.error("app.process_stopped", error=f"{type(error).__name__}: {error}")
        _report(Report(error=str(error) or type(error).__name__))
        return 1
    return 0


class _Lifeline(asyncio.Protocol):
    """The parent's pipe: it never says anything more, and closes when the parent is gone."""

    def __init__(self, stop: asyncio.Event) -> None:
        self._stop = stop

    def connection_lost(self, exc: Exception | None) -> None:
        """End with the parent."""
        del exc
        self._stop.set()


def _report(report: Report) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(report) + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    sys.exit(main())
