"""What only Slack promises, against a fake that refuses what Slack refuses."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from uuid import UUID

import aiohttp.web
import pytest
from integrations_counterparts import LOCAL, FaultServer, Reply
from pydantic import ValidationError
from slack_counterparts import TOKEN, RefusalError, check
from slack_sdk.errors import SlackApiError
from slack_sdk.models.attachments import BlockAttachment
from slack_sdk.models.blocks import Block
from slack_sdk.web.async_client import AsyncWebClient

from wattwire.delivery.verdicts import judge, merged
from wattwire.integrations import TYPES, slack
from wattwire.integrations._slack_blocks import Style, escape, written
from wattwire.integrations.contract import Delivered, Rejected, Retry, Surroundings
from wattwire.model import Event, Message

KIND = TYPES["slack"]
JSON = {"Content-Type": "application/json; charset=utf-8"}


def told(number=1, **more):
    """A message about an alert of a pump."""
    event = Event(
        **{
            "id": UUID(int=number),
            "topic": "device.alert",
            "organization_id": UUID(int=1),
            "time": datetime(2025, 6, 1, 12, 30, number % 60, tzinfo=UTC),
            "data": {"message": "too hot", "temperature_celsius": 85.5},
            "device_id": 7,
            "device_key": "pump/3",
            "device_name": "Pump 3",
            "device_type": "pump",
            "stream": "/temperature",
            "severity": "warning",
            "metadata": {"site": "north"},
            **more,
        }
    )
    return Message(f"m-{number}", b"{}", event=event)


def by_token(fake, **more):
    given = {"token": TOKEN, "channel": "#alerts", "api_url": f"{fake.url}/api/"}
    return KIND.settings(**{**given, **more})


def by_webhook(fake, **more):
    given = {"webhook_url": f"{fake.url}/services/T1/B1/s3cr3t"}
    return KIND.settings(**{**given, **more})


async def posted(settings, *batch, surroundings=LOCAL):
    async with slack.connect(settings, surroundings) as integration:
        return await integration.deliver(batch)


@pytest.fixture(autouse=True)
def no_threads():
    """What one test remembers is nothing to another."""
    slack._THREADS.clear()


def texts(value):
    """Every text of a message, wherever it stands."""
    if isinstance(value, dict):
        for name, inner in value.items():
            if name == "text" and isinstance(inner, str):
                yield inner
            else:
                yield from texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from texts(inner)


# --- what a message looks like ---


async def test_a_message_tells_what_happened(fake_slack):
    """Header with emoji, coloured bar, fields, values, a link to the dashboard."""
    settings = by_token(
        fake_slack, dashboard_url="https://hub.example/{site}/{device_key}?s={stream}"
    )
    outcome = (await posted(settings, told()))["m-1"]
    [message] = fake_slack.posted
    [bar] = message["attachments"]
    shown = "\n".join(texts(message))

    assert "C0ALERTS1 1503435956.000000" == outcome.receipt
    assert {} == slack._THREADS  # it is about no alert
    assert ("header", "🟡 Alert: too hot, Pump 3") == (
        message["blocks"][0]["type"], message["blocks"][0]["text"]["text"],
    )  # fmt: skip
    assert "#c98a00" == bar["color"]
    for part in ("*Device*\nPump 3 (pump/3)", "*Site*\nnorth", "85.5 °C", "*Stream*\n/temperature",
                 "<!date^1748781001^", "m-1"):  # fmt: skip
        assert part in shown
    [button] = next(b for b in bar["blocks"] if b["type"] == "actions")["elements"]
    assert "https://hub.example/north/pump%2F3?s=%2Ftemperature" == button["url"]
    assert (False, False) == (message["unfurl_links"], message["unfurl_media"])


@pytest.mark.parametrize(
    ("severity", "topic", "colour"),
    [
        ("critical", "device.alert", "#b3261e"),
        ("error", "integration.error", "#d9480f"),
        ("info", "device.telemetry", "#1c6dd0"),
        ("dreadful", "device.telemetry", "#1c6dd0"),
        ("critical", "device.alert.resolved", "#2b8a3e"),
    ],
)
async def test_colours(fake_slack, severity, topic, colour):
    """By severity; the good end of something bad is green."""
    await posted(by_token(fake_slack), told(severity=severity, topic=topic))

    assert colour == fake_slack.posted[0]["attachments"][0]["color"]


@pytest.mark.parametrize(
    "evil",
    ["<!channel>", "<@U12345>", "<https://evil.example|Click>", "a & b < c > d", "&lt;!here&gt;"],
)
async def test_everything_from_outside_is_escaped(fake_slack, evil):
    """A device cannot call the whole channel, nor show a link that lies."""
    message = told(
        1, device_name=evil, device_key=evil, stream=evil, topic=evil, metadata={"site": evil},
        data={"message": evil, evil: evil},
    )  # fmt: skip
    outcomes = await posted(by_token(fake_slack), message)
    digest = await posted(by_token(fake_slack), message, told(2, device_name=evil))

    assert isinstance(outcomes["m-1"], Delivered)
    assert isinstance(digest["m-2"], Delivered)
    assert not [text for post in fake_slack.posted for text in texts(post) if evil in text]


def test_an_entity_is_not_cut_in_two():
    """What is too long ends before the entity it would have split, whatever its length."""
    for limit in range(2, 40):
        cut = escape("a<b>&" * 10, limit)
        assert len(cut) <= limit
        check({"text": cut})


def test_the_fake_minds_what_slack_minds():
    """An unescaped mark, a header that is too long, too many blocks: the fake refuses them."""
    section = {"type": "section", "text": {"type": "mrkdwn", "text": "x"}}
    header = {"type": "header", "text": {"type": "plain_text", "text": "x" * 151}}
    loud = {"type": "section", "text": {"type": "mrkdwn", "text": "<!pump>"}}
    for blocks in ([section] * 51, [header], [loud], [{"type": "image"}]):
        with pytest.raises(RefusalError):
            check({"text": "t", "blocks": blocks})


@pytest.mark.parametrize("count", [1, 2, 60, 500])
async def test_limits_are_kept_by_cutting(fake_slack, count):
    """However much there is to tell, Slack takes it, and it says what it left out."""
    data = {f"value_{n}": "<&>" * 100 for n in range(300)}
    batch = [told(n, device_name="<" * 500, data=data) for n in range(count)]
    outcomes = await posted(by_token(fake_slack), *batch)
    [message] = fake_slack.posted

    assert {"Delivered"} == {type(outcome).__name__ for outcome in outcomes.values()}
    assert count == len(outcomes)
    assert any("… and " in text for text in texts(message)) == (count in {1, 60, 500})


@pytest.mark.parametrize("count", [1, 30])
def test_an_independent_library_takes_the_blocks(count):
    """slack_sdk's models, with their own validators, read what is written."""
    style = Style(("U123",), frozenset({"warning"}), "https://hub.example/{device_id}")
    message = written([told(n) for n in range(count)], style)
    blocks = Block.parse_all(message["blocks"])
    bar = BlockAttachment(blocks=Block.parse_all(message["attachments"][0]["blocks"]))

    assert message["blocks"] == [block.to_dict() for block in blocks]
    assert message["attachments"][0]["blocks"] == bar.to_dict()["blocks"]


async def test_an_independent_client_finds_the_fake_true(fake_slack):
    """slack_sdk posts, threads and is refused as at Slack: the fake speaks as Slack does."""
    client = AsyncWebClient(token=TOKEN, base_url=f"{fake_slack.url}/api/")
    first = await client.chat_postMessage(channel="#alerts", text="hello")
    await client.chat_postMessage(channel="#alerts", text="again", thread_ts=first["ts"])
    refusals = []
    for token, channel, text in ((TOKEN, "#none", "x"), ("xoxb-no", "#alerts", "x"),
                                 (TOKEN, "#old", "x"), (TOKEN, "#alerts", "<!pump>")):  # fmt: skip
        with pytest.raises(SlackApiError) as caught:
            await AsyncWebClient(token=token, base_url=f"{fake_slack.url}/api/").chat_postMessage(
                channel=channel, text=text
            )
        refusals.append(caught.value.response["error"])

    assert ["channel_not_found", "invalid_auth", "is_archived", "invalid_blocks"] == refusals
    assert first["ts"] == fake_slack.posted[1]["thread_ts"]


# --- whom it calls, and where it stands ---


async def test_mentions(fake_slack):
    """Users, groups and the channel are called for the severities that were chosen."""
    settings = by_token(
        fake_slack, mentions=["U0123", "S0456", "here"], mention_for=["critical", "error"]
    )
    for severity in ("warning", "error"):
        await posted(settings, told(severity=severity))
    quiet, loud = fake_slack.posted

    assert not any("<@U0123>" in text for text in texts(quiet))
    assert "<@U0123> <!subteam^S0456> <!here>" == loud["blocks"][1]["text"]["text"]


async def test_follow_ups_of_an_alert_are_replies(fake_slack):
    """Also after the connection was closed in between; another alert begins its own thread."""
    settings = by_token(fake_slack)
    alert = {"alert_id": "a-1", "message": "too hot"}
    await posted(settings, told(1, data=alert))
    await posted(settings, told(2, data={**alert, "alert_id": "a-2"}))
    await posted(settings, told(3, data=alert, topic="device.alert.resolved"))
    await posted(settings, told(4, data=alert))
    first, other, end, more = fake_slack.posted

    assert [None, None] == [m.get("thread_ts") for m in (first, other)]
    assert [first["ts"]] * 2 == [m["thread_ts"] for m in (end, more)]


async def test_threads_belong_to_one_channel(fake_slack):
    """The same number of an alert in another channel, or for another customer, is another alert."""
    alert = {"alert_id": "a-1"}
    await posted(by_token(fake_slack), told(1, data=alert))
    await posted(by_token(fake_slack, channel="C0ALERTS1"), told(2, data=alert))
    await posted(by_token(fake_slack, threads="none"), told(3, data=alert))

    assert [None] * 3 == [m.get("thread_ts") for m in fake_slack.posted]


async def test_a_thread_that_is_gone_is_forgotten(fake_slack):
    """Its first message was deleted: the attempt fails, the next one begins a new thread."""
    settings, message = by_token(fake_slack), told(1, data={"alert_id": "a-1"})
    await posted(settings, message)
    fake_slack.posted.clear()
    gone = (await posted(settings, message))["m-1"]
    again = (await posted(settings, message))["m-1"]

    assert (Retry, "thread_not_found") == (type(gone), gone.code)
    assert isinstance(again, Delivered)
    assert fake_slack.posted[0].get("thread_ts") is None


async def test_threads_are_forgotten_in_the_end(fake_slack, monkeypatch):
    """The oldest first: memory does not grow with the number of alerts."""
    monkeypatch.setattr(slack, "_MOST_THREADS", 3)
    for number in range(5):
        await posted(by_token(fake_slack), told(number, data={"alert_id": number}))

    assert ["2", "3", "4"] == [alert for _, alert in slack._THREADS]


# --- digests ---


async def test_many_events_are_one_message(fake_slack):
    """A line for each, the worst first; all are delivered by it."""
    batch = [told(n, severity="info") for n in range(1, 5)] + [told(9, severity="error")]
    outcomes = await posted(by_token(fake_slack), *batch)
    [message] = fake_slack.posted
    lines = message["attachments"][0]["blocks"][1]["text"]["text"].split("\n")

    assert 5 == len(outcomes)
    assert "🟠 5 events from 1 device: 1 error, 4 info" == message["blocks"][0]["text"]["text"]
    assert ["🟠", "🔵", "🔵", "🔵", "🔵"] == [line[0] for line in lines]


async def test_what_is_critical_is_never_in_a_digest(fake_slack):
    """It is posted by itself, before the others."""
    batch = [told(n, severity="critical" if n == 3 else "info") for n in range(1, 5)]
    outcomes = await posted(by_token(fake_slack), *batch)
    headers = [message["blocks"][0]["text"]["text"] for message in fake_slack.posted]

    assert 4 == len(outcomes)
    assert ["🔴 Alert: too hot, Pump 3", "🔵 3 events from 1 device: 3 info"] == headers


async def test_throttled_midway(slack_bench):
    """The first critical message went out, then Slack had enough: the rest waits, untried."""
    replies = iter([slack_bench.replies["taken"], slack_bench.replies["throttled"]])
    faults = FaultServer()
    faults.reply = lambda request: next(replies)
    batch = [told(n, severity="critical") for n in range(1, 5)]
    async with faults.serving() as url:
        outcomes = await posted(slack_bench.aimed_at(url), *batch)

    assert isinstance(outcomes["m-1"], Delivered)
    assert {timedelta(seconds=7)} == {outcomes[f"m-{n}"].after for n in (2, 3, 4)}
    assert 2 == len(faults.requests)


# --- answers ---


@pytest.mark.parametrize(
    ("error", "verdict"),
    [
        *((word, "park") for word in (
            "invalid_auth", "not_authed", "account_inactive", "token_revoked", "missing_scope",
            "channel_not_found", "not_in_channel", "is_archived", "restricted_action")),
        *((word, "throttle") for word in ("ratelimited", "rate_limited")),
        *((word, "reject") for word in (
            "msg_too_long", "invalid_blocks", "msg_blocks_too_long", "no_text")),
        ("internal_error", "retry"), ("service_unavailable", "down"), ("something_new", "retry"),
        ("<html>\r\n", "retry"), (None, "retry"),
    ],
)  # fmt: skip
async def test_words_of_the_web_api(slack_bench, error, verdict):
    """HTTP 200 with ok: false; each word is what the page says of it."""
    faults = FaultServer()
    faults.reply = Reply(200, json.dumps({"ok": False, "error": error}).encode(), JSON)
    async with faults.serving() as url:
        outcome = (await posted(slack_bench.aimed_at(url), told()))["m-1"]

    assert verdict == judge(outcome, merged(KIND.verdicts, {}))
    assert "HTTP 200" in outcome.reason


@pytest.mark.parametrize(
    ("status", "text", "verdict"),
    [
        (400, "invalid_payload", "reject"), (400, "no_text", "reject"),
        (400, "user_not_found", "park"), (403, "action_prohibited", "park"),
        (403, "invalid_token", "park"), (404, "channel_not_found", "park"),
        (404, "no_service", "park"), (404, "no_team", "park"), (410, "channel_is_archived", "park"),
        (429, "rate_limited", "throttle"), (500, "rollup_error", "retry"), (503, "", "down"),
        (200, "not ok", "retry"), (200, "", "retry"), (404, "<h1>Not found</h1>", "retry"),
        (200, "ok", "ok"),
    ],
)  # fmt: skip
async def test_words_of_a_webhook(status, text, verdict):
    """Plain text, not JSON."""
    faults = FaultServer()
    faults.reply = Reply(status, text.encode())
    async with faults.serving() as url:
        settings = KIND.settings(webhook_url=f"{url}/services/T1/B1/s3cr3t")
        outcome = (await posted(settings, told()))["m-1"]

    assert verdict == judge(outcome, merged(KIND.verdicts, {}))
    assert "s3cr3t" not in str(outcome)


async def test_a_webhook_takes_the_same_message(fake_slack):
    """With channel, name and icon for the old ones that heed them; a revoked one parks."""
    settings = by_webhook(fake_slack, channel="#iot", username="Hub", icon=":zap:")
    outcome = (await posted(settings, told()))["m-1"]
    [message] = fake_slack.webhook_posted
    revoked = by_webhook(fake_slack, webhook_url=f"{fake_slack.url}/services/T1/B1/old")
    gone = (await posted(revoked, told()))["m-1"]

    assert "HTTP 200 ok" == outcome.receipt
    assert ("#iot", "Hub", ":zap:") == (
        message["channel"], message["username"], message["icon_emoji"],
    )  # fmt: skip
    assert ("no_service", 404) == (gone.code, gone.status)


async def test_a_webhook_makes_no_threads(fake_slack):
    """Its answer does not say which message it was."""
    for number in (1, 2):
        await posted(by_webhook(fake_slack), told(number, data={"alert_id": "a-1"}))

    assert 2 == len(fake_slack.webhook_posted)
    assert {} == slack._THREADS


async def test_a_long_answer_is_read_to_its_end():
    """chat.postMessage repeats the message; endless answers are not read to theirs."""

    async def answer(request):
        pieces = 10 if request.path.startswith("/long") else 100
        response = aiohttp.web.StreamResponse()
        await response.prepare(request)
        await response.write(b'{"message": "')
        for _ in range(pieces):
            await response.write(b"x" * 10_000)
            await asyncio.sleep(0.001)  # each is a piece of its own
        await response.write(b'", "ok": true, "channel": "C1", "ts": "1.2"}')
        return response

    app = aiohttp.web.Application()
    app.router.add_post("/{path:.*}", answer)
    runner = aiohttp.web.AppRunner(app)
    await runner.setup()
    await aiohttp.web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    made = [
        KIND.settings(token=TOKEN, channel="C1", api_url=f"{url}/{path}/")
        for path in ("long", "endless")
    ]
    long, endless = [(await posted(settings, told()))["m-1"] for settings in made]
    await runner.cleanup()

    assert "C1 1.2" == long.receipt
    assert isinstance(endless, Retry)


async def test_private_addresses_are_refused(fake_slack):
    """An integration cannot be aimed at what only the hub can reach."""
    outcome = await posted(by_webhook(fake_slack), told(), surroundings=Surroundings())

    assert "is not a public address" in outcome["m-1"].reason
    assert [] == fake_slack.webhook_posted


async def test_the_token_is_sent_as_a_header_only(fake_slack):
    """Never in the body or the URL; answers are asked for without compression."""
    await posted(by_token(fake_slack), told())

    assert f"Bearer {TOKEN}" == fake_slack.headers[0]["Authorization"]
    assert "identity" == fake_slack.headers[0]["Accept-Encoding"]
    assert TOKEN not in json.dumps(fake_slack.posted)


# --- settings ---


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({}, "either a webhook_url or a token"),
        ({"token": TOKEN, "webhook_url": "https://hooks.slack.com/x"}, "either a webhook_url"),
        ({"token": TOKEN}, "needs a channel"),
        ({"token": "hunter2", "channel": "#a"}, "xoxb"),
        ({"token": "xoxb-a\r\nX: y", "channel": "#a"}, "xoxb"),
        ({"webhook_url": "file:///etc/passwd"}, "hooks.slack.com"),
        ({"webhook_url": "https://user:pw@hooks.slack.com/x"}, "hooks.slack.com"),
        ({"token": TOKEN, "channel": "<!channel>"}, "channel"),
        ({"token": TOKEN, "channel": "#a", "mentions": ["@bob"]}, "mentions"),
        ({"token": TOKEN, "channel": "#a", "mentions": ["U1> <!channel"]}, "mentions"),
        ({"token": TOKEN, "channel": "#a", "mention_for": ["dire"]}, "mention_for"),
        ({"token": TOKEN, "channel": "#a", "icon": "javascript:x"}, "icon"),
        ({"token": TOKEN, "channel": "#a", "username": "a\nb"}, "one line"),
        ({"token": TOKEN, "channel": "#a", "dashboard_url": "https://h/{secret}"}, "is none of"),
        (
            {"token": TOKEN, "channel": "#a", "dashboard_url": "https://h/{site.__class__}"},
            "none of",
        ),
        (
            {"token": TOKEN, "channel": "#a", "dashboard_url": "https://h/{site!r:99999}"},
            "none of",
        ),
        ({"token": TOKEN, "channel": "#a", "dashboard_url": "https://h/{"}, "dashboard_url"),
    ],
)
def test_settings_that_cannot_work(given, why):
    """What can be seen without the network is refused on the form."""
    with pytest.raises(ValidationError, match=why):
        KIND.settings(**given)


def test_the_form_says_what_threads_need():
    """In the field's help text, before somebody wonders."""
    fields = KIND.settings.model_fields

    assert "token only" in fields["threads"].description
    assert "cannot make threads" in fields["webhook_url"].description
    assert all(
        "webhooks ignore it" in fields[n].description for n in ("channel", "username", "icon")
    )


def test_the_ledger_tells_where_it_goes(fake_slack):
    """A webhook's URL is its secret, so only its host is told."""
    hook = KIND.settings(webhook_url="https://hooks.slack.com/services/T1/B1/s3cr3t", channel="#a")

    assert "https://hooks.slack.com/… #a" == KIND.address(hook)
    assert "s3cr3t" not in f"{hook!r}{hook.model_dump_json()}"


def test_the_presets_are_the_seeds():
    """1 message a second, 1 connection, 4 KB; folded, not fallen behind."""
    presets = KIND.presets

    assert (60, 1, 4096) == (
        presets.rate_per_minute, presets.max_concurrent, presets.max_payload_bytes,
    )  # fmt: skip
    assert KIND.folds


def test_a_rejected_message_is_one_that_slack_names(slack_bench):
    """Nothing unclear is given up."""
    assert isinstance(slack.failed(400, {}, "invalid_blocks", b""), Rejected)
    assert isinstance(slack.failed(400, {}, "", b"whatever"), Retry)
