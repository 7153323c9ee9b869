"""What only S3 promises: the layout, objects that overwrite themselves, lines with ids."""

import gzip
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from hashlib import md5
from uuid import UUID

import pytest
from aws_faults import applied_and_lost
from bench_aws_s3 import TAKEN, s3_error
from hypothesis import given
from hypothesis import strategies as st
from integrations_counterparts import Reply, access
from pydantic import ValidationError

from wattwire.integrations import TYPES, _s3_objects, aws_s3
from wattwire.integrations._json_bodies import line_of
from wattwire.integrations.contract import UNREACHABLE, Delivered, Retry, Verdict
from wattwire.model import Event, Message

NOON = datetime(2025, 6, 1, 12, 30, 4, tzinfo=UTC)


def message(number, site="north", time=NOON, body=None):
    event = Event(
        id=UUID(int=number),
        topic="device.telemetry",
        organization_id=UUID(int=1),
        time=time,
        data={},
        metadata={} if site is None else {"site": site},
    )
    return Message(f"m-{number}", body or b'{"n":%d}' % number, event=event)


async def deliver(settings, messages, surroundings):
    async with aws_s3.connect(settings, surroundings) as s3:
        return await s3.deliver(messages)


# --- where things go ---


async def test_an_object_for_each_site_and_day(aws_s3_bench, bucket, surroundings):
    """Under site/year/month/day, below the prefix; each message in its own, in order."""
    settings = aws_s3_bench.settings.model_copy(update={"prefix": "wattwire/raw/"})
    tomorrow = NOON + timedelta(days=1)
    batch = [
        message(1),
        message(2, site="south"),
        message(3, time=tomorrow),
        message(4),
        message(5, None),
    ]
    outcomes = await deliver(settings, batch, surroundings)
    found = {
        key.rpartition("/")[0]: [json.loads(line)["message_id"] for line in lines_of(bucket, key)]
        for key in bucket.names()
    }

    assert {
        "wattwire/raw/north/2025/06/01": ["m-1", "m-4"],
        "wattwire/raw/north/2025/06/02": ["m-3"],
        "wattwire/raw/south/2025/06/01": ["m-2"],
        "wattwire/raw/none/2025/06/01": ["m-5"],
    } == found
    assert {f"m-{n}" for n in range(1, 6)} == set(outcomes)


def lines_of(bucket, key):
    return gzip.decompress(bucket.raw(key)).splitlines()


async def test_the_receipt_is_key_and_etag(aws_s3_bench, bucket, surroundings):
    """By it the object is found, and known to be the one that was written."""
    outcome = (await deliver(aws_s3_bench.settings, [message(1)], surroundings))["m-1"]
    key, etag = outcome.receipt.rsplit(" ", 1)

    assert [key] == bucket.names()
    assert md5(bucket.raw(key)).hexdigest() == etag


@pytest.mark.parametrize(
    ("site", "folder"),
    [
        ("north", "north"), ("Halle 3", "Halle 3"), ("a/b", "a%2Fb"), ("..", "%2E%2E"),
        (".", "%2E"), ("Süd", "Süd"), (7, "7"), ("", "none"), (None, "none"), ("  ", "none"),
        ("a\x00b", "a%00b"), ("50%", "50%25"), ("x" * 500, "x" * 64),
    ],
)  # fmt: skip
async def test_a_site_is_one_level(aws_s3_bench, bucket, surroundings, site, folder):
    """Whatever a site is called, it adds one level to the key, and S3 takes the key."""
    outcome = (await deliver(aws_s3_bench.settings, [message(1, site)], surroundings))["m-1"]

    assert isinstance(outcome, Delivered), outcome
    assert [f"{folder}/2025/06/01"] == [key.rpartition("/")[0] for key in bucket.names()]


def test_the_day_is_utcs():
    """An event of tonight in Auckland belongs to this morning's day in UTC."""
    late = datetime(2025, 6, 2, 1, 0, tzinfo=timezone(timedelta(hours=12)))

    assert "north/2025/06/01" == _s3_objects.folder_of(message(1, time=late).event)


# --- repeats ---


async def test_a_repeat_overwrites_itself(aws_s3_bench, bucket, surroundings):
    """The same messages, in any order: one object, byte for byte when the order is the same."""
    batch = [message(n) for n in range(5)]
    first = await deliver(aws_s3_bench.settings, batch, surroundings)
    again = await deliver(aws_s3_bench.settings, batch, surroundings)
    await deliver(aws_s3_bench.settings, batch[::-1], surroundings)

    assert first == again
    assert 1 == len(bucket.names())


async def test_other_messages_are_another_object(aws_s3_bench, bucket, surroundings):
    """Nothing is overwritten that holds anything else."""
    await deliver(aws_s3_bench.settings, [message(1), message(2)], surroundings)
    await deliver(aws_s3_bench.settings, [message(1)], surroundings)
    await deliver(aws_s3_bench.settings, [message(2), message(3)], surroundings)

    assert 3 == len(bucket.names())


async def test_a_crash_before_the_answer_loses_and_doubles_nothing(
    faults, aws_s3_bench, bucket, moto, story
):
    """S3 wrote the object, the answer got lost: it is written again, over itself."""
    faults.reply = applied_and_lost(moto)
    async with faults.serving() as url:
        settings = aws_s3_bench.aimed_at(url).model_dump(mode="json") | {"aws": access(url)}
        one = await story.integrate(type="aws_s3", settings=settings, max_concurrent=1)
        await story.cause(1, one)
        async with story.working(types=TYPES, surroundings=aws_s3_bench.surroundings):
            await story.quiet()
            await story.pass_time(60)
            await story.quiet()
            counters = await story.counters(one)

    assert 2 == len(faults.requests)
    assert faults.requests[0].body == faults.requests[1].body
    assert (1, 0, 0) == (counters.delivered, counters.waiting, counters.dead)
    assert 1 == len(bucket.lines())


# --- what is in an object ---


@given(
    st.lists(
        st.binary(max_size=40)
        | st.text(max_size=40).map(str.encode)
        | st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(max_size=5),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(st.text(max_size=5) | st.just("message_id"), inner, max_size=3)
            ),
            max_leaves=6,
        ).map(lambda value: json.dumps(value, indent=1).encode()),
        min_size=1,
        max_size=5,
    )
)
def test_any_body_is_one_line_that_can_be_read_back(bodies):
    """Each line is JSON with the message's id; nothing of the body is lost."""
    batch = [message(n, body=body) if body else replace(message(n), body=b"")
             for n, body in enumerate(bodies)]  # fmt: skip
    packed = _s3_objects.packed(batch)
    lines = [json.loads(line) for line in gzip.decompress(packed).decode().split("\n")[:-1]]

    assert [m.id for m in batch] == [line["message_id"] for line in lines]
    assert packed == _s3_objects.packed(batch)
    assert bytes(4) == packed[4:8]  # where gzip has the time of writing
    for body, line in zip(bodies, lines, strict=True):
        assert inside(line) == meant(body)


def meant(body):
    try:
        return json.loads(body.decode())
    except ValueError:
        return body


def inside(line):
    import base64

    rest = {name: value for name, value in line.items() if name != "message_id"}
    if "body_base64" in rest:
        return base64.b64decode(rest["body_base64"])
    if "body_text" in rest:
        return rest["body_text"].encode()
    return rest["body"] if set(rest) == {"body"} else rest


def test_a_line_has_the_id_in_front():
    """An object is what it was, with one field more; one with an id of its own is wrapped."""
    assert b'{"message_id":"m-1","a": 1}\n' == line_of(message(1, body=b'{"a": 1}'))
    assert b'{"message_id":"m-1"}\n' == line_of(message(1, body=b" { } "))
    own = b'{"message_id":"m-1","body":{"message_id":"x"}}\n'
    assert own == line_of(message(1, body=b'{"message_id":"x"}'))


# --- how it is asked for ---


async def test_what_the_settings_say_of_objects_is_asked_for(faults, aws_s3_bench, surroundings):
    """Encryption, its key, the storage class, the owner: as headers, signed."""
    faults.reply = TAKEN
    async with faults.serving() as url:
        settings = aws_s3.Settings(
            bucket="plant",
            encryption="aws:kms",
            kms_key_id="arn:aws:kms:eu-central-1:123456789012:key/1a-2b",
            storage_class="STANDARD_IA",
            bucket_owner="123456789012",
            aws=access(url),
        )
        await deliver(settings, [message(1)], surroundings)
    headers = faults.requests[0].headers

    assert "aws:kms" == headers["x-amz-server-side-encryption"]
    assert headers["x-amz-server-side-encryption-aws-kms-key-id"].endswith("key/1a-2b")
    assert "STANDARD_IA" == headers["x-amz-storage-class"]
    assert "123456789012" == headers["x-amz-expected-bucket-owner"]
    assert "x-amz-expected-bucket-owner" in headers["authorization"]


@pytest.mark.parametrize(
    ("bucket", "origin", "root"),
    [
        ("plant", "https://plant.s3.eu-central-1.amazonaws.com", ""),
        ("plant.example", "https://s3.eu-central-1.amazonaws.com", "/plant.example"),
    ],
)
async def test_a_bucket_has_a_host_of_its_own(bucket, origin, root, surroundings):
    """Unless its name has dots, which no certificate covers."""
    aws = {**access("http://x"), "endpoint_url": None}
    async with aws_s3.connect(aws_s3.Settings(bucket=bucket, aws=aws), surroundings) as s3:
        assert (origin, root) == (str(s3.caller.origin.origin()), s3.root)


# --- refusals ---


async def test_one_object_fails_and_the_others_do_not(faults, aws_s3_bench, surroundings):
    """A way that is cut for one site leaves the others delivered."""
    faults.reply = lambda r: Reply(cut=True) if "/south/" in r.target else TAKEN
    async with faults.serving() as url:
        batch = [message(n, site="south" if n == 2 else "north") for n in range(4)]
        outcomes = await deliver(aws_s3_bench.aimed_at(url), batch, surroundings)

    assert UNREACHABLE == outcomes["m-2"].code
    assert all(isinstance(outcomes[f"m-{n}"], Delivered) for n in (0, 1, 3))


@pytest.mark.parametrize(
    ("reply", "verdict"),
    [
        (s3_error(500, "InternalError"), Verdict.THROTTLE),
        (s3_error(503, "SlowDown"), Verdict.THROTTLE),
        (s3_error(404, "NoSuchBucket"), Verdict.PARK),
        (s3_error(301, "PermanentRedirect"), Verdict.PARK),
        (s3_error(400, "AuthorizationHeaderMalformed"), Verdict.PARK),
        (s3_error(400, "KMS.DisabledException"), Verdict.PARK),
    ],
)
async def test_what_s3_says_by_code(faults, aws_s3_bench, surroundings, reply, verdict):
    """In S3's own form of XML, whose outermost element is the error."""
    faults.reply = reply
    async with faults.serving() as url:
        outcome = (await deliver(aws_s3_bench.aimed_at(url), [message(1)], surroundings))["m-1"]

    assert verdict == aws_s3.VERDICTS[outcome.code]
    assert f"{outcome.code}: said the fake" == outcome.reason


async def test_the_emulators_own_refusals(moto, surroundings):
    """A bucket that is not there."""
    settings = aws_s3.Settings(bucket="nowhere", aws=access(moto))
    outcome = (await deliver(settings, [message(1)], surroundings))["m-1"]

    assert ("NoSuchBucket", 404) == (outcome.code, outcome.status)


async def test_a_slow_bucket_gets_the_rest_with_the_next_call(
    aws_s3_bench, bucket, surroundings, monkeypatch
):
    """What was not begun in time is not counted as a failure of anything."""
    monkeypatch.setattr(aws_s3, "BEGIN_SECONDS", -1.0)
    outcome = (await deliver(aws_s3_bench.settings, [message(1)], surroundings))["m-1"]

    assert isinstance(outcome, Retry)
    assert Verdict.THROTTLE == aws_s3.VERDICTS[outcome.code]
    assert [] == bucket.names()


@pytest.mark.parametrize(
    "changes",
    [
        {"bucket": "Plant"}, {"bucket": "a/b"}, {"prefix": "/a/"}, {"prefix": "a"},
        {"prefix": "a//"}, {"kms_key_id": "k"}, {"kms_key_id": "k", "encryption": "AES256"},
        {"max_age_seconds": -1}, {"bucket_owner": "me"}, {"storage_class": "DEEP_FREEZE"},
    ],
)  # fmt: skip
def test_settings_that_are_refused(changes):
    """When they are saved, not at night."""
    with pytest.raises(ValidationError):
        aws_s3.Settings(**{"bucket": "plant", "aws": access("http://x"), **changes})


def test_messages_wait_for_others():
    """A minute by default, and one call at a time, so that the same cut can be made again."""
    settings = aws_s3.Settings(bucket="plant", aws=access("http://x"))

    assert (60.0, True) == (aws_s3.TYPE.linger_seconds(settings), aws_s3.TYPE.ordered(settings))
