"""Whom Slack messages call, where they stand, and what is made of answers."""

import asyncio
import json
from datetime import timedelta

import aiohttp.web
import pytest
from integrations_counterparts import FaultServer, Reply
from slack_counterparts import TOKEN
from slack_sending import (
    JSON,
    KIND,
    by_token,
    by_webhook,
    no_threads,  # noqa: F401 - a fixture of every test
    posted,
    texts,
    told,
)

from wattwire.delivery.verdicts import judge, merged
from wattwire.integrations import slack
from wattwire.integrations.contract import Delivered, Retry, Surroundings

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
