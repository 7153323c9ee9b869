"""A cable between two programs that a test can pull: TCP is passed on, or not, in three ways."""

import asyncio
import socket
import struct

from running_hub import free_port

RESET = object()  #: what a side has to say when it hung up without a goodbye
#: `reset`: connections end with RST, and so does every new one at once. `silence`: nothing gets
#: through, neither bytes nor a FIN, and nobody is told; what was on its way arrives once the cable
#: is back, as TCP sends it again, unless who sent it has thrown it away (RST). `refuse`:
#: connections end, and new ones are refused.
WAYS = ("reset", "silence", "refuse")
#: After a silence a connection that is there already is behind new ones: TCP waits ever longer
#: until it sends again.
LATER_SECONDS = 1.0


def _reset(transport):
    """Hang up with RST: what was not read yet is thrown away."""
    ready = transport.get_extra_info("socket")
    if ready is not None and not transport.is_closing():
        ready.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


class _End(asyncio.Protocol):
    """One of the two ends of a connection; `other` is where what it says goes."""

    def __init__(self, cable):
        self.cable = cable
        self.other = None
        self.transport = None
        self.late = False  #: whether it still waits, although the cable is back
        self.held = []  #: what is to be said to it, and could not be yet

    def connection_made(self, transport):
        self.transport = transport
        if self.other is None:
            self.cable._accepted(self)
        else:
            self.flush()

    def data_received(self, data):
        self.other.hear(data)

    def connection_lost(self, error):
        if self.other is not None:
            self.other.hear(RESET if error else None)

    def hear(self, what):
        if what is RESET:
            self.held = []  # nobody is left to send it again
        self.held.append(what)
        self.flush()

    def flush(self):
        if self.cable.way == "silence" or self.late or self.transport is None:
            return
        held, self.held = self.held, []
        for what in held:
            if what is RESET:
                _reset(self.transport)
            elif what is None:
                self.transport.close()
            elif not self.transport.is_closing():
                self.transport.write(what)


class Cable:
    """Listens at `port` and passes on to another port of loopback."""

    def __init__(self, target):
        self.target = target
        self.port = free_port()
        self.way = None  #: how it is pulled; None: it is in
        self.connections = 0
        self._pairs = []
        self._server = None
        self._tasks = set()

    async def start(self):
        self._server = await asyncio.get_running_loop().create_server(
            lambda: _End(self), "127.0.0.1", self.port
        )
        return self

    def _accepted(self, near):
        if self.way in ("reset", "refuse"):
            _reset(near.transport)
            return
        self.connections += 1
        near.other = far = _End(self)
        far.other = near
        self._pairs.append((near, far))
        if self.way is None:
            self._go_on(far)

    def _go_on(self, far):
        """Connect onward, unless who came has given up."""
        if RESET not in far.held:
            task = asyncio.create_task(self._connect(far))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _connect(self, far):
        try:
            loop = asyncio.get_running_loop()
            await loop.create_connection(lambda: far, "127.0.0.1", self.target)
        except OSError:
            _reset(far.other.transport)

    def pull(self, way):
        """Pull it out, in one of the WAYS."""
        self.way = way
        if way == "refuse":
            self._server.close()
        if way != "silence":
            self._cut()

    async def plug(self):
        """Put it back in."""
        way, self.way = self.way, None
        if way == "refuse":
            await self.start()
        later = [end for pair in self._pairs if pair[1].transport for end in pair]
        for end in later:
            end.late = True
        asyncio.get_running_loop().call_later(LATER_SECONDS, self._catch_up, later)
        for near, far in self._pairs:
            if far.transport is None:
                near.flush()
                self._go_on(far)

    @property
    def at_rest(self):
        """Whether nothing is held any more."""
        return not any(end.held for pair in self._pairs for end in pair)

    def _catch_up(self, ends):
        for end in ends:
            end.late = False
            end.flush()

    def _cut(self):
        pairs, self._pairs = self._pairs, []
        for end in (end for pair in pairs for end in pair if end.transport is not None):
            _reset(end.transport)

    async def close(self):
        self.way = "refuse"
        self._server.close()
        self._cut()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
