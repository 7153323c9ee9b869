"""What is true of every integration. Runs once for each type in the registry."""

import asyncio
import json
import socket
import ssl
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest
import trustme
from delivery_story import PlainSealer
from integrations_counterparts import Reply

import wattwire.integrations
from wattwire.delivery.link import Link
from wattwire.delivery.settle import reason_of
from wattwire.delivery.verdicts import judge, merged
from wattwire.integrations import TYPES
from wattwire.integrations.contract import (
    TIMED_OUT,
    UNREACHABLE,
    Delivered,
    Rejected,
    Retry,
    Verdict,
)
from wattwire.model import Event, Message
from wattwire.payloads import wattwire as envelope
from wattwire.store.sealing import join, part, seal_tree


def message_of(message_id, values, topic="device.telemetry", name="Meter № 1 ⚡"):
    """A message as the delivery engine makes it."""
    event = Event(
        id=UUID(int=7),
        topic=topic,
        organization_id=UUID(int=1),
        time=datetime(2025, 6, 1, 12, 30, tzinfo=UTC),
        data={"stream": "/power/1", "values": values},
        device_id=1,
        device_key="meter-1",
        device_name=name,
        device_type="meter",
        stream="/power/1",
        metadata={"site": "north"},
    )
    body = envelope.render(event)
    return Message(message_id, body, "application/json", topic, "meter-1", event=event)


FOLDER = Path(wattwire.integrations.__file__).parent
BATCH = [message_of(f"m-{n}", {"n": float(n)}) for n in range(3)]


@pytest.fixture
def closed_port():
    """An address where nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{probe.getsockname()[1]}"


async def deliver(bench, settings=None, batch=BATCH):
    async with bench.connect(settings) as integration:
        return await integration.deliver(batch)


async def test_every_message_has_an_outcome(bench):
    """deliver() answers for each id it was given, and for no other."""
    outcomes = await deliver(bench)

    assert {m.id for m in BATCH} == set(outcomes)
    assert all(isinstance(outcome, Delivered) for outcome in outcomes.values())


async def test_what_arrives_is_what_was_sent(bench):
    """The service holds the same bytes, each once."""
    await deliver(bench)

    assert sorted(map(bench.body_of, BATCH)) == sorted(bench.received())


async def test_a_success_has_a_receipt(bench):
    """The provider's own name for it is what a person asks the provider for."""
    outcomes = await deliver(bench)

    assert all(outcome.receipt for outcome in outcomes.values())


async def test_the_test_takes_the_same_road(bench):
    """test() really sends, so that a green tick means delivery works."""
    async with bench.connect() as integration:
        outcome = await integration.test(BATCH[0])

    assert isinstance(outcome, Delivered)
    assert [bench.body_of(BATCH[0])] == bench.received()


async def test_the_largest_batch_is_taken(bench):
    """As many messages as the limits say, together as large as they say."""
    limits = bench.kind.limits
    count = limits.max_messages
    size = min(limits.max_bytes, 1_000_000) // count - limits.overhead_bytes
    batch = [replace(m, body=bench.filled(size)) for m in numbered(count)]
    outcomes = await deliver(bench, batch=batch)

    assert {"Delivered": count} == _kinds(outcomes)


def numbered(count):
    return [message_of(f"m-{n}", {"n": float(n)}) for n in range(count)]


def _kinds(outcomes):
    names = [type(outcome).__name__ for outcome in outcomes.values()]
    return {name: names.count(name) for name in names}


async def test_letters_of_the_whole_world_arrive(bench):
    """UTF-8 is kept as it is."""
    message = message_of("m-1", {"n": 1.0}, name="Zähler № 3, 電力量計 ⚡")
    await deliver(bench, batch=[message])

    assert [bench.body_of(message)] == bench.received()


# --- the fault matrix: what the type says, and what the engine makes of it ---


async def through_the_link(bench, settings, batch=BATCH[:1], seconds=1.0):
    """Deliver as the engine does; return the outcomes with their verdicts."""
    plan = _Plan(bench.kind, settings, seconds)
    link = Link(plan, bench.surroundings, _Clock())
    try:
        outcomes = await link.deliver(batch)
    finally:
        await link.close()
    table = merged(bench.kind.verdicts, {})
    return {i: (o, judge(o, table)) for i, o in outcomes.items()}


class _Plan:
    """As much of a plan as a link needs."""

    id = 1

    def __init__(self, kind, settings, seconds):
        self.kind, self.settings = kind, settings
        self.timeout_seconds = seconds


class _Clock:
    def monotonic(self):
        return 0.0


async def test_refused_connection(bench, closed_port):
    """Nobody listens: unreachable, so nothing is counted against the message."""
    outcome, verdict = (await through_the_link(bench, bench.aimed_at(closed_port)))["m-0"]

    assert (UNREACHABLE, Verdict.DOWN) == (outcome.code, verdict)
    assert "Connect" in outcome.reason


async def test_certificate_that_nobody_vouches_for(bench, faults):
    """TLS fails: unreachable, and the message is not sent to whoever is there."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(tls)
    async with faults.serving(tls) as url:
        outcome, verdict = (await through_the_link(bench, bench.aimed_at(url)))["m-0"]

    assert (UNREACHABLE, Verdict.DOWN) == (outcome.code, verdict)
    assert "certificate" in outcome.reason.lower()
    assert [] == faults.requests


async def test_no_answer_after_the_bytes_were_sent(bench, faults):
    """It may have arrived: never a success, never given up."""
    faults.reply = Reply(hang=True)
    async with faults.serving() as url:
        outcome, verdict = (await through_the_link(bench, bench.aimed_at(url)))["m-0"]

    assert (TIMED_OUT, Verdict.DOWN) == (outcome.code, verdict)
    assert 1 == len(faults.requests)


async def test_connection_cut_instead_of_an_answer(bench, faults):
    """The same: it may have arrived. It is not sent again behind the engine's back."""
    faults.reply = Reply(cut=True)
    async with faults.serving() as url:
        outcome, verdict = (await through_the_link(bench, bench.aimed_at(url)))["m-0"]

    assert (UNREACHABLE, Verdict.DOWN) == (outcome.code, verdict)
    assert 1 == len(faults.requests)


@pytest.mark.parametrize(
    ("reply", "verdict"),
    [
        ("denied", Verdict.PARK),
        ("broken", Verdict.RETRY),
        ("away", Verdict.DOWN),
        ("throttled", Verdict.THROTTLE),
    ],
)
async def test_refusals(bench, faults, reply, verdict):
    """Credentials, a broken service, a busy one: each is told from the others, in one attempt."""
    faults.reply = bench.replies[reply]
    async with faults.serving() as url:
        answered = await through_the_link(bench, bench.aimed_at(url), seconds=10.0)
    outcome, said = answered["m-0"]

    assert verdict == said
    assert reason_of(outcome)
    assert 1 == len(faults.requests)


@pytest.mark.parametrize(
    "raw",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n<garbage>",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 500 Oops\r\nContent-Length: 5\r\n\r\n\xff\xfe\x00{<",
        b"SMTP ready\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\nshort",
    ],
)
async def test_malformed_answers(bench, faults, raw):
    """Whatever is answered, there is an outcome, and none that loses the message."""
    faults.reply = Reply(raw=raw)
    async with faults.serving() as url:
        answered = await through_the_link(bench, bench.aimed_at(url))
    outcome = answered["m-0"][0] if "m-0" in answered else Retry("not mentioned")

    assert not isinstance(outcome, Rejected)
    if not bench.status_says_all:
        assert isinstance(outcome, Retry)


async def test_half_the_batch_failed(bench, faults):
    """Each message has its own outcome: half delivered, half to be tried again."""
    faults.reply = bench.replies["half"]
    size = bench.kind.limits.max_messages
    batch = [bench.apart(n, message) for n, message in enumerate(numbered(4))]
    async with faults.serving() as url, bench.connect(bench.aimed_at(url)) as integration:
        outcomes = {}
        for start in range(0, 4, size):
            outcomes |= await integration.deliver(batch[start : start + size])

    assert {"Delivered": 2, "Retry": 2} == _kinds(outcomes)
    assert isinstance(outcomes["m-0"], Delivered)
    assert isinstance(outcomes["m-1"], Retry)


async def test_a_redirect_is_not_followed(bench, faults):
    """A receiver cannot send the message on to somewhere else."""
    async with faults.serving() as url:
        faults.reply = Reply(307, b"", {"Location": f"{url}/elsewhere"})
        answered = await through_the_link(bench, bench.aimed_at(url))

    assert isinstance(answered["m-0"][0], Retry)
    assert 1 == len(faults.requests)


async def test_secret_revoked_midway(bench, faults, story):
    """Outcome, ledger row and counters: two delivered, then parked with the reason, none lost."""
    kind = bench.kind
    good = bench.replies["taken"]
    taken = []

    def reply(request):
        if len(taken) >= 2:
            return bench.replies["denied"]
        taken.append(request)
        return good(request) if callable(good) else good

    faults.reply = reply
    async with faults.serving() as url:
        public, secret = part(bench.aimed_at(url))
        one = await story.integrate(
            type=kind.name,
            settings=public,
            secrets=json.dumps(secret).encode(),
            max_concurrent=1,
        )
        async with story.working(types=TYPES, surroundings=bench.surroundings):
            for _ in range(4):
                await story.cause(1, one)
                await story.quiet()
            await story.pass_time(60)
            counters = await story.counters(one)
            state = await story.state(one)
        rows = await story.attempts(one)

    assert (4, 2, 2, 0) == (
        counters.matched, counters.delivered, counters.waiting, counters.dead,
    )  # fmt: skip
    assert ("error", True) == (state["status"], state["parked"])
    assert ["delivered", "delivered", "retry"] == [row["outcome"] for row in rows]
    assert rows[2]["reason"] == state["reason"] != ""
    assert rows[0]["receipt"]
    assert {kind.address(bench.aimed_at(url))} == {row["address"] for row in rows}
    assert ["integration.error"] == [e.topic for e in story.emitted]


# --- what a type says of itself ---


def test_secrets_stay_out_of_print(bench):
    """Neither repr, str, JSON nor the address of the ledger shows a secret."""
    shown = f"{bench.settings!r} {bench.settings} {bench.settings.model_dump_json()}"

    assert "s3cr3t" not in shown + bench.kind.address(bench.settings)


def test_settings_survive_being_sealed(bench):
    """Parted into what may be shown and what may not, and joined again: the same settings."""
    public, secret = part(bench.settings)
    joined = join(public, seal_tree(secret, PlainSealer()), PlainSealer())

    assert "s3cr3t" not in str(public)
    assert bench.settings == bench.kind.settings.model_validate(joined)


def test_a_misspelt_setting_is_refused(bench):
    """Unknown fields are an error on the form, not a surprise at night."""
    with pytest.raises(ValueError, match="Extra inputs"):
        bench.kind.settings.model_validate({**bench.settings.model_dump(), "quue_url": "x"})


@pytest.mark.parametrize("kind", TYPES.values(), ids=TYPES)
def test_every_field_is_explained(kind):
    """Every setting carries a description: it is the form's help text."""
    schema = kind.settings.model_json_schema()
    models = [schema, *schema.get("$defs", {}).values()]
    unexplained = [
        name
        for model in models
        for name, field in model.get("properties", {}).items()
        if name != "type" and not field.get("description")
    ]

    assert [] == unexplained


@pytest.mark.parametrize("kind", TYPES.values(), ids=TYPES)
def test_the_page_tells_what_is_needed(kind):
    """A heading, what the reader needs, how the service refuses."""
    assert kind.docs.startswith("# ")
    assert all(word in kind.docs for word in ("**You need**", "**Refusals.**", "**Repeats.**"))


def test_every_file_is_listed():
    """A file in integrations/ that is not in the registry is a mistake, not a secret."""
    files = {path.stem for path in FOLDER.glob("*.py") if not path.stem.startswith("_")}

    assert set(TYPES) == files - {"contract"}


async def test_opening_costs_nothing_that_must_be_given_back(bench):
    """Opened and closed a few times: no connection and no task is left behind."""
    for _ in range(3):
        await deliver(bench)
    await asyncio.sleep(0)
    left = [t for t in asyncio.all_tasks() if "Session" in repr(t) or "Connector" in repr(t)]

    assert [] == left
