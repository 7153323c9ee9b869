"""A fake of Slack, and it says so: it refuses what Slack refuses.

It knows one token, two channels and one webhook. It checks the token, the kind of request, the
channel, the limits of blocks, that a thread exists, and that & < > stand in texts only as
entities or as one of Slack's own marks.
"""

import json
import re
from contextlib import asynccontextmanager

import aiohttp.web

TOKEN = "xoxb-s3cr3t"
CHANNELS = {"#alerts": "C0ALERTS1", "C0ALERTS1": "C0ALERTS1", "#old": "C0LD"}
MARK = re.compile(
    r"<(@[UW][A-Z0-9]+|!subteam\^S[A-Z0-9]+|!here|!channel|!everyone|!date\^\d+\^[^|<>^]+\|[^<>|]+"
    r"|https?://[^|<>]+(\|[^<>|]+)?)>"
)
ENTITY = re.compile(r"&(amp|lt|gt);")
LIMITS = {"header": 150, "section": 3000, "field": 2000, "button": 75, "context": 2000}


class RefusalError(Exception):
    """What Slack says: invalid_blocks."""


class FakeSlack:
    """The fake's state: what was posted, in the order of their time stamps."""

    def __init__(self):
        self.posted = []
        self.headers = []
        self.webhook_posted = []

    @asynccontextmanager
    async def serving(self):
        app = aiohttp.web.Application()
        app.router.add_post("/api/chat.postMessage", self._post_message)
        app.router.add_post("/services/T1/B1/s3cr3t", self._take_hook)
        app.router.add_post("/services/{rest:.*}", self._no_hook)
        runner = aiohttp.web.AppRunner(app)
        await runner.setup()
        await aiohttp.web.TCPSite(runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        try:
            yield self
        finally:
            await runner.cleanup()

    async def _post_message(self, request):
        """Answer 200, whatever is wrong."""
        try:
            return aiohttp.web.json_response(await self._accept(request))
        except RefusalError as refusal:
            return aiohttp.web.json_response({"ok": False, "error": str(refusal)})

    async def _accept(self, request):
        if "Authorization" not in request.headers:
            raise RefusalError("not_authed")
        if request.headers["Authorization"] != f"Bearer {TOKEN}":
            raise RefusalError("invalid_auth")
        message = await _json_of(request)
        channel = CHANNELS.get(message.get("channel"))
        if channel is None:
            raise RefusalError("channel_not_found")
        if channel == "C0LD":
            raise RefusalError("is_archived")
        parent = message.get("thread_ts")
        if parent is not None and parent not in {m["ts"] for m in self.posted}:
            raise RefusalError("thread_not_found")
        check(message)
        ts = f"1503435956.{len(self.posted):06}"
        self.posted.append({**message, "ts": ts})
        self.headers.append(dict(request.headers))
        return {"ok": True, "channel": channel, "ts": ts, "message": message}

    async def _take_hook(self, request):
        try:
            message = await _json_of(request)
            check(message)
        except RefusalError as refusal:
            return aiohttp.web.Response(status=400, text=str(refusal))
        self.webhook_posted.append(message)
        return aiohttp.web.Response(text="ok")

    async def _no_hook(self, request):
        return aiohttp.web.Response(status=404, text="no_service")

    def bodies(self):
        """The events of all messages, each as its line in the fallback text."""
        return [line.encode() for message in self.posted for line in lines_of(message)]


def lines_of(message):
    """The events that a message tells of: in a digest, all lines but the first."""
    first, *more = message["text"].split("\n")
    return more or [first.partition(" ")[2]]


async def _json_of(request):
    if not request.headers.get("Content-Type", "").startswith("application/json"):
        raise RefusalError("invalid_post_type")
    try:
        message = json.loads(await request.read())
    except ValueError:
        raise RefusalError("invalid_payload") from None
    if not isinstance(message, dict):
        raise RefusalError("invalid_payload")
    return message


def check(message):
    """Raise what Slack would say of a message that it cannot show."""
    attachments = message.get("attachments", [])
    blocks = [*message.get("blocks", []), *(b for a in attachments for b in a.get("blocks", []))]
    if not (message.get("text") or blocks):
        raise RefusalError("no_text")
    if len(message.get("text", "")) > 40_000:
        raise RefusalError("msg_too_long")
    for part in (message.get("blocks", []), *(a.get("blocks", []) for a in attachments)):
        if len(part) > 50:
            raise RefusalError("invalid_blocks")
    for block in blocks:
        _check_block(block)
    if len(json.dumps(blocks, ensure_ascii=False)) > 13_200 + 200 * len(blocks):
        raise RefusalError("msg_blocks_too_long")
    _check_text(message.get("text", ""))


def _check_block(block):
    checks = {
        "header": lambda: _bounded(block["text"], "header", {"plain_text"}),
        "section": lambda: _check_section(block),
        "context": lambda: _check_context(block["elements"]),
        "actions": lambda: _check_buttons(block["elements"]),
    }
    if block["type"] not in checks:
        raise RefusalError("invalid_blocks")
    checks[block["type"]]()


def _check_section(block):
    if not ("text" in block or block.get("fields")) or len(block.get("fields", [])) > 10:
        raise RefusalError("invalid_blocks")
    if "text" in block:
        _bounded(block["text"], "section", {"mrkdwn", "plain_text"})
    for field in block.get("fields", []):
        _bounded(field, "field", {"mrkdwn", "plain_text"})


def _check_context(elements):
    if not 1 <= len(elements) <= 10:
        raise RefusalError("invalid_blocks")
    for element in elements:
        _bounded(element, "context", {"mrkdwn", "plain_text"})


def _check_buttons(elements):
    for element in elements:
        _bounded(element["text"], "button", {"plain_text"})
        if len(element["url"]) > 3000 or not element["url"].startswith("http"):
            raise RefusalError("invalid_blocks")


def _bounded(text, place, kinds):
    if text["type"] not in kinds or not 1 <= len(text["text"]) <= LIMITS[place]:
        raise RefusalError("invalid_blocks")
    _check_text(text["text"], marks=text["type"] == "mrkdwn")


def _check_text(text, *, marks=True):
    """Nothing but entities and Slack's own marks; the fake is stricter here than Slack."""
    rest = ENTITY.sub("", MARK.sub("", text) if marks else text)
    if re.search(r"[<>&]", rest):
        raise RefusalError("invalid_blocks")
