"""The three NATS nodes of the compose file as real servers on loopback."""

import asyncio
import os
import re
import signal
import subprocess

from compose_files import STACKS, loaded
from running_hub import free_port

from wattwire.engines.nats import find_program

NODES = ("nats-1", "nats-2", "nats-3")
PATIENCE = 30


class Cluster:
    """Each node has the shipped configuration, with another address, port and folder."""

    def __init__(self, folder):
        self.folder = folder
        self.ports = {name: (free_port(), free_port(), free_port()) for name in NODES}
        self._processes = {}

    @property
    def url(self):
        """Where clients come in, as the compose file says: here the first node."""
        given = loaded("hub")["services"]["api"]["environment"]["WATTWIRE_NATS_URL"]
        return given.replace("@nats:4222", f"@127.0.0.1:{self.ports['nats-1'][0]}")

    def start(self):
        for name in NODES:
            self._start(name)

    def _start(self, name):
        service = loaded("hub")["services"][name]
        environment = {key: str(value) for key, value in service["environment"].items()}
        for other in NODES:
            environment["NATS_ROUTES"] = environment["NATS_ROUTES"].replace(
                f"@{other}:6222", f"@127.0.0.1:{self.ports[other][1]}"
            )
        config = self.folder / f"{name}.conf"
        config.write_text(self._config(name))
        with (self.folder / f"{name}.log").open("wb") as log:
            self._processes[name] = subprocess.Popen(
                [str(find_program()), *service["command"][:-1], str(config)],
                env={**os.environ, **environment},
                stdout=log,
                stderr=log,
            )

    def _config(self, name):
        client, route, monitor = self.ports[name]
        text = (STACKS["hub"] / "nats" / "nats.conf").read_text()
        for old, new in (
            ("0.0.0.0:4222", f"127.0.0.1:{client}"),
            ("0.0.0.0:6222", f"127.0.0.1:{route}"),
            ("127.0.0.1:8222", f"127.0.0.1:{monitor}"),
            ("store_dir: /data", f'store_dir: "{self.folder / name}"'),
        ):
            assert 1 == text.count(old), old
            text = text.replace(old, new)
        return text

    def health_address(self, name):
        """What the health check of the compose file asks."""
        test = loaded("hub")["services"][name]["healthcheck"]["test"]
        return re.sub(r":8222/", f":{self.ports[name][2]}/", test[-1])

    def kill(self, name):
        self._processes[name].send_signal(signal.SIGKILL)
        self._processes[name].wait(timeout=PATIENCE)

    def stop(self):
        for process in self._processes.values():
            if process.poll() is None:
                process.terminate()
        for process in self._processes.values():
            process.wait(timeout=PATIENCE)


async def until(true, what, patience=PATIENCE):
    """Wait for a condition."""
    async with asyncio.timeout(patience):
        while not await true():
            await asyncio.sleep(0.3)
    return what
