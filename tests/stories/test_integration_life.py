"""The life of an integration on a running hub, and a new key for its secrets meanwhile."""

import asyncio
import contextlib
import hashlib
import hmac
import json
import signal
import sys
import time
from datetime import UTC, datetime

import pytest
from aiohttp import web
from running_hub import until

KEY = "s3cr3t-of-the-hook"


class SignedReceiver:
    """A webhook that takes only what is signed with the secret."""

    def __init__(self):
        self.taken, self.refused, self.runner, self.port = [], 0, None, 0

    async def start(self):
        app = web.Application()
        app.router.add_post("/", self._take)
        self.runner = web.AppRunner(app, access_log=None)
        await self.runner.setup()
        await web.TCPSite(self.runner, "127.0.0.1", self.port).start()
        self.port = self.runner.addresses[0][1]

    async def stop(self):
        await self.runner.cleanup()

    async def _take(self, request):
        body = await request.read()
        signature = hmac.new(KEY.encode(), body, hashlib.sha256).hexdigest()
        if signature not in request.headers.get("X-Signature", ""):
            self.refused += 1
            return web.Response(status=401)
        self.taken.append(json.loads(body))
        return web.Response()

    @property
    def settings(self):
        return {"url": f"http://127.0.0.1:{self.port}/", "secret_key": KEY, "retry_attempts": 3}


@pytest.fixture
async def signed():
    made = SignedReceiver()
    await made.start()
    yield made
    await made.stop()


async def integrate(api, receiver, **fields):
    body = {
        "type": "webhook", "name": "Desk", "topics": ["device.telemetry"],
        "settings": receiver.settings, "limits": {"rate_per_minute": None},
    }  # fmt: skip
    return (await api.post("/api/v1/integrations", body | fields))["id"]


async def report(api, device="meter-1"):
    """Send one reading, of now."""
    reading = {
        "device": device, "stream": "/power/1", "time": datetime.now(UTC).isoformat(),
        "values": {"active_power_w": 100.0},
    }  # fmt: skip
    await api.post("/api/v1/readings", {"readings": [reading]})


async def topics(api):
    items = (await api.get("/api/v1/events?limit=1000"))["items"]
    return [e["topic"] for e in items if e["topic"].startswith("integration.")]


async def test_an_integration_goes_through_every_status(hub, signed):
    """not_configured, active, error, active again, inactive: as the troubleshooting guide says."""
    async with hub.api() as api:
        number = await integrate(api, signed)
        path = f"/api/v1/integrations/{number}"
        database = await hub.database()
        # What a newer version asks for may be missing in what an older one stored.
        await database.execute(
            "UPDATE integration SET settings = '{}', updated_at = now() WHERE id = $1", number
        )
        await database.close()

        async def status(wanted):
            async def reached():
                row = await api.get(path)
                return row if row["status"] == wanted else None

            return await until(reached, what=wanted)

        assert "url" in (await status("not_configured"))["reason"]
        await report(api)
        await api.call("PATCH", path, {"settings": signed.settings})
        await status("active")
        await until(lambda: _any(signed.taken), what="delivered once configured")

        await signed.stop()
        for _ in range(12):
            await report(api)
        assert (await status("error"))["reason"]
        # Edit needs no network; Test does, and says what is wrong.
        edited = await api.call("PATCH", path, {"name": "Desk 2", "settings": signed.settings})
        assert ("Desk 2", signed.settings["url"]) == (edited["name"], edited["settings"]["url"])
        assert "retry" == (await api.post(f"{path}/test"))["outcome"]

        await signed.start()
        await status("active")
        await until(lambda: _closes(api, path, 13), what="all delivered")
        assert ["integration.recovered", "integration.error"] == await topics(api)

        assert "inactive" == (await api.post(f"{path}/pause"))["status"]
        await until(lambda: _waits(api, path), what="waits once the worker has heard")
        await api.post(f"{path}/resume")
        await status("active")
        await until(lambda: _closes(api, path), what="delivered after the pause")
        assert 0 == signed.refused


async def _any(taken):
    return bool(taken)


async def _waits(api, path):
    await report(api)
    return (await api.get(f"{path}/stats"))["waiting"] >= 3


async def _closes(api, path, least=0):
    stats = await api.get(f"{path}/stats")
    return least <= stats["delivered"] == stats["matched"]


async def test_the_key_is_rotated_while_everything_runs(hub, signed):
    """Killed in the middle and run again: every delivery is signed right, before and after."""
    key_file = hub.data_dir / "secret.key"
    async with hub.api() as api:
        number = await integrate(api, signed)
        path = f"/api/v1/integrations/{number}"
        sending = asyncio.create_task(_report_for_ever(api))
        await more_arrive(signed, "deliveries before")
        old = key_file.read_text().splitlines()[-1]

        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "wattwire", "secrets", "rotate", "--data-dir", str(hub.data_dir),
            stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        async with asyncio.timeout(40):
            while b"waiting" not in await process.stderr.readline():
                pass
        process.send_signal(signal.SIGKILL)
        await process.wait()
        assert 2 == _keys(key_file)
        await more_arrive(signed, "deliveries meanwhile")

        done = await hub.command("secrets", "rotate", "--grace", "0")
        assert (True, 0) == (done["continued"], done["unreadable"])
        assert 1 == _keys(key_file)
        assert old not in key_file.read_text()
        changed = {"settings": signed.settings | {"retry_attempts": 4}}
        await api.call("PATCH", path, changed)
        await more_arrive(signed, "deliveries after")
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
    await hub.stop()
    await hub.start()
    before = len(signed.taken)
    async with hub.api() as api:
        await report(api)
        await until(lambda: _more(signed, before + 1), what="deliveries after a restart")
        assert "active" == (await api.get(path))["status"]
    assert 0 == signed.refused


def _keys(file):
    return sum(not line.startswith("#") for line in file.read_text().splitlines())


async def _more(receiver, count):
    return len(receiver.taken) >= count


async def more_arrive(receiver, what):
    """Wait until three more have arrived than there are now."""
    wanted = len(receiver.taken) + 3
    await until(lambda: _more(receiver, wanted), what=what)


async def _report_for_ever(api):
    with contextlib.suppress(asyncio.CancelledError):
        while True:
            await report(api)
            await asyncio.sleep(0.05)


async def test_sealing_again_is_no_decision(hub):
    """An integration that was parked because it was refused stays so after a rotation."""
    receiver = SignedReceiver()
    await receiver.start()
    try:
        async with hub.api() as api:
            wrong = receiver.settings | {"secret_key": "another secret of the hook"}
            number = await integrate(api, receiver, settings=wrong)
            path = f"/api/v1/integrations/{number}"
            await report(api)
            await until(lambda: _is(api, path, "error"), what="parked")
            attempts = len((await api.get(f"{path}/deliveries"))["items"])
            await hub.command("secrets", "rotate", "--grace", "0")
            await report(api)
            await asyncio.to_thread(time.sleep, 2)  # long enough to be sent, were it not parked
            assert await _is(api, path, "error")
            assert attempts == len((await api.get(f"{path}/deliveries"))["items"])
    finally:
        await receiver.stop()


async def _is(api, path, status):
    return (await api.get(path))["status"] == status
