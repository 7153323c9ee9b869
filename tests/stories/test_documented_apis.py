"""DEVELOPER_APIS.md from top to bottom, sent to a running hub; and what the hub shows of itself."""

import json
import re

import aiohttp
import pytest
from aiohttp import web
from running_hub import until

from documented import ROOT, blocks, sample_of, shape
from wattwire.reference import metrics

PAGE = blocks("DEVELOPER_APIS.md")
EXAMPLE_URL = "https://example.com/hooks/wattwire"
(VERIFY,) = [sample_of(b) for b in PAGE if b.words == ("verify",)]


class Inbox:
    """A receiver of webhooks that checks them as the page tells its readers to."""

    def __init__(self):
        self.events = []
        self.secret = ""

    async def take(self, request):
        body = await request.read()
        assert VERIFY["verify_simple"](request.headers, body, self.secret)
        assert VERIFY["verify_standard"](request.headers, body, self.secret)
        self.events.append(json.loads(body)["event"])
        return web.Response()


@pytest.fixture
async def inbox():
    made = Inbox()
    app = web.Application()
    app.router.add_post("/hooks/wattwire", made.take)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hooks/wattwire"
    yield made
    await runner.cleanup()


class Reader:
    """Somebody who works through the page with a token."""

    def __init__(self, session, inbox):
        self.session = session
        self.inbox = inbox
        self.ids = {}

    async def send(self, block):
        """Send one `http` block; return the decoded answer."""
        head, _, body = block.text.partition("\n\n")
        method, path = head.strip().split(" ", 1)
        body = body.replace(EXAMPLE_URL, self.inbox.url)
        if '"secret_key"' in body:
            self.inbox.secret = json.loads(body)["settings"]["secret_key"]
        url = re.sub(r"\{(\w+)\}", lambda m: str(self.ids[m[1]]), path)
        kind = {"Content-Type": "application/json" if body.startswith("{") else "text/plain"}
        async with self.session.request(
            method, url, data=body.strip() or None, headers=kind if body else {}
        ) as answer:
            text = await answer.text()
            assert answer.ok, f"{method} {url}: {answer.status} {text}"
        found = json.loads(text) if text else None
        self.remember(path, found)
        return found

    def remember(self, path, found):
        if path.startswith("/api/v1/devices?") and found["items"]:
            self.ids["device_id"] = found["items"][0]["id"]
        elif path.startswith("/api/v1/quarantine?") and found["items"]:
            self.ids["entry_id"] = found["items"][0]["id"]
        elif path == "/api/v1/integrations":
            self.ids["integration_id"] = found["id"]


def exchanges():
    """Pairs of an `http` block and the answer printed after it, or None."""
    for place, block in enumerate(PAGE):
        if block.language == "http":
            following = PAGE[place + 1] if place + 1 < len(PAGE) else None
            answered = following is not None and following.words == ("answer",)
            yield block, json.loads(following.text) if answered else None


def settled(found, printed):
    """Whether as many messages are delivered as is printed."""
    return "delivered" not in printed or found["delivered"] >= printed["delivered"]


async def answer_to(reader, block, printed):
    """Send a request; what is only read is read again until what was sent before has settled."""
    if not block.text.startswith("GET"):
        return await reader.send(block)
    last = None

    async def as_printed():
        nonlocal last
        last = await reader.send(block)
        return alike(last, printed) and settled(last, printed)

    try:
        await until(as_printed, 30, block.text)
    except AssertionError as error:
        raise AssertionError(f"{block.text}\n{json.dumps(last, indent=1)}") from error
    return last


@pytest.fixture
def hub(shared_hub):
    return shared_hub


async def test_the_page_works_as_printed(hub, inbox):
    """Every request is taken, every answer has the members that are printed, signatures hold."""
    token = (await hub.command("token", "create", "--role", "editor"))["token"]
    headers = {"Authorization": f"Bearer {token}"}
    async with aiohttp.ClientSession(hub.info["http_url"], headers=headers) as session:
        reader = Reader(session, inbox)
        for block, printed in exchanges():
            found = await answer_to(reader, block, printed)
            assert printed is None or alike(found, printed), f"{block.text}\n{found}"

    assert inbox.events[0] == "integration.test"
    assert "device.telemetry" in inbox.events


def alike(found, printed):
    """Whether two answers have the same members, whatever they say; where a list ends is free."""
    real, shown = shape(found), shape(printed)
    for side in (real, shown):
        if isinstance(side, dict):
            side.pop("next_cursor", None)
            side.pop("discarded_reasons", None)
    return real == shown


async def test_every_metric_is_documented(hub):
    """The names of a running hub are those of docs/metrics.md, neither more nor fewer."""
    async with aiohttp.ClientSession(hub.info["http_url"]) as session:

        async def look():
            async with session.get("/metrics") as answer:
                text = await answer.text()
            names = set(re.findall(r"^# TYPE (\S+)", text, re.MULTILINE))
            living = len(re.findall(r"^wattwire_process_up\{", text, re.MULTILINE))
            return names if "wattwire_pipeline_partitions" in names and living > 1 else None

        shown = await until(look, 20, "all processes are heard")

    assert set(metrics.MEANINGS) == shown
    assert all(f"`{name}`" in (ROOT / "docs/metrics.md").read_text() for name in shown)
