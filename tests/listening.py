"""Servers of the tests that leave nothing behind, whatever was under way when they ended."""

import asyncio
from contextlib import asynccontextmanager, suppress

LIMIT_SECONDS = 20
GONE = (OSError, asyncio.IncompleteReadError)  # ssl.SSLError is an OSError


@asynccontextmanager
async def listening(answer, *, tls=None):
    """A server that answers each connection with a coroutine of (reader, writer); its port.

    A connection ends when its coroutine does. At the end the server hangs up on everybody, also on
    who has just come and was not heard yet, and waits until all coroutines have ended.
    """
    open_now = {}

    async def serve(reader, writer):
        try:
            with suppress(*GONE):
                await answer(reader, writer)
                writer.close()
                await writer.wait_closed()
        finally:
            writer.transport.abort()

    def accept(reader, writer):  # is called at once, while a coroutine would begin later
        task = asyncio.create_task(serve(reader, writer))
        open_now[task] = writer
        task.add_done_callback(open_now.pop)

    server = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await _hang_up(dict(open_now))


async def _hang_up(open_now):
    for task, writer in open_now.items():
        writer.transport.abort()
        task.cancel()
    if open_now:
        done, late = await asyncio.wait(open_now, timeout=LIMIT_SECONDS)
        assert not late, late
        for task in done:
            assert task.cancelled() or task.exception() is None, task
    for _ in range(3):  # transports close their sockets one turn after they are told to
        await asyncio.sleep(0)
