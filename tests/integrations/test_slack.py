"""What Slack messages look like, against a fake that refuses what Slack refuses; settings."""

import pytest
from pydantic import ValidationError
from slack_counterparts import TOKEN, RefusalError, check
from slack_sdk.errors import SlackApiError
from slack_sdk.models.attachments import BlockAttachment
from slack_sdk.models.blocks import Block
from slack_sdk.web.async_client import AsyncWebClient
from slack_sending import (
    KIND,
    by_token,
    no_threads,  # noqa: F401 - a fixture of every test
    posted,
    texts,
    told,
)

from wattwire.integrations import slack
from wattwire.integrations._slack_blocks import Style, escape, written
from wattwire.integrations.contract import Delivered, Rejected, Retry

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
