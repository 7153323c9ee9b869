"""What only SQS and SNS promise: FIFO, attributes, refusals in full, roles, an honest signature."""

import json
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs

import pytest
from bench_aws_sns import sns_error
from bench_aws_sqs import sqs_error
from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as SdkCredentials
from hypothesis import given
from hypothesis import strategies as st
from integrations_counterparts import REGION, Reply, access
from pydantic import ValidationError
from test_conformance import message_of

from wattwire.delivery.verdicts import judge
from wattwire.integrations import aws_sns, aws_sqs
from wattwire.integrations._aws_access import Access
from wattwire.integrations._aws_answers import VERDICTS
from wattwire.integrations._sigv4 import Credentials, Request, Scope, signed
from wattwire.integrations.contract import (
    ConfigurationError,
    Delivered,
    Rejected,
    Retry,
    Surroundings,
    UnreachableError,
    Verdict,
)
from wattwire.model import Message

ARN = f"arn:aws:sns:{REGION}:123456789012:readings"
QUEUE = "https://sqs.eu-central-1.amazonaws.com/123456789012/readings"
REFUSAL = (
    "User: arn:aws:iam::940497413619:user/CXASubCloudPush is not authorized to perform: SNS:Publish"
    " on resource: arn:aws:sns:us-east-2:393221637266:MainSolar because no resource-based policy"
    " allows the SNS:Publish action"
)


def batch(count, **facts):
    return [Message(f"m-{n}", b'{"n": %d}' % n, **facts) for n in range(count)]


async def deliver(kind, settings, messages, surroundings):
    async with kind.connect(settings, surroundings) as integration:
        return await integration.deliver(messages)


# --- the signature ---


@given(
    body=st.binary(max_size=300),
    token=st.none() | st.text("abcXYZ/+=", min_size=1, max_size=40),
    host=st.sampled_from(["sqs.eu-central-1.amazonaws.com", "127.0.0.1:4566"]),
    at=st.datetimes(timezones=st.just(UTC)),
    path=st.sampled_from(["/", "/topics/a%2Fb%252Fc%20d", "/b/north/2025/06/%C3%A4%3D~.gz"]),
    query=st.sampled_from(["", "qos=1", "a=b&qos=1"]),
    service=st.sampled_from(["sqs", "iotdata", "s3"]),
)
def test_the_signature_is_the_sdks(body, token, host, at, path, query, service):
    """For any body, address, credentials and time: what botocore would have sent."""
    headers = {"content-type": "application/x-amz-json-1.0", "x-amz-target": "A.B  C"}
    ours = signed(
        Request("PUT", path, query, headers, body),
        host,
        Scope(REGION, service),
        Credentials("AK", "SK", token),
        at,
    )
    request = AWSRequest("PUT", f"http://{host}{path}?{query}", data=body, headers=dict(headers))
    auth = (S3SigV4Auth if service == "s3" else SigV4Auth)(
        SdkCredentials("AK", "SK", token), service, REGION
    )
    request.context["timestamp"] = at.strftime("%Y%m%dT%H%M%SZ")
    request.context["payload_signing_enabled"] = True
    auth._modify_request_before_signing(request)
    canonical = auth.canonical_request(request)
    text = auth.string_to_sign(request, canonical)

    assert auth.signature(text, request) == ours["authorization"].rpartition("Signature=")[2]


@pytest.mark.parametrize(
    ("name", "actions"),
    [
        # the emulator calls actions after the calls; AWS asks for sqs:SendMessage, sns:Publish
        # and iot:Publish
        ("aws_sqs", ["sqs:SendMessageBatch"]),
        ("aws_sns", ["sns:PublishBatch"]),
        ("aws_kinesis", ["kinesis:PutRecords"]),
        ("aws_eventbridge", ["events:PutEvents"]),
        ("aws_s3", ["s3:PutObject"]),
        ("aws_iot", ["iotdata:Publish"]),
    ],
)
async def test_the_emulator_checks_keys_and_permissions(name, actions, moto, aws, request):
    """With its checks switched on: the keys that the page asks for may, others are told why."""
    bench = request.getfixturevalue(f"{name}_bench")
    user = f"hub-{name}"
    iam = aws("iam")
    iam.create_user(UserName=user)
    good = keys_of(iam, user, moto)
    policy = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": actions, "Resource": "*"}],
    }
    wrong = good | {"secret_access_key": "wrong"}
    reset(moto, "0")
    try:
        denied = await probe(bench, good)
        unsigned = await probe(bench, wrong)
        reset(moto, "1000000")
        iam.put_user_policy(UserName=user, PolicyName="p", PolicyDocument=json.dumps(policy))
        reset(moto, "0")
        taken = await probe(bench, good)
    finally:
        reset(moto, "1000000")

    assert isinstance(taken, Delivered), taken
    for refused in (denied, unsigned):
        assert Verdict.PARK == judge(refused, bench.kind.verdicts), refused
    assert "not authorized to perform" in denied.reason or "Denied" in denied.reason
    assert "SignatureDoesNotMatch" == unsigned.code or unsigned.code.startswith("InvalidSignature")


def keys_of(iam, user, moto):
    keys = iam.create_access_key(UserName=user)["AccessKey"]
    return access(moto) | {
        "access_key_id": keys["AccessKeyId"],
        "secret_access_key": keys["SecretAccessKey"],
    }


async def probe(bench, aws):
    """Send one message with these keys."""
    settings = bench.settings.model_copy(update={"aws": Access.model_validate(aws)})
    message = message_of("m-1", {"n": 1.0})
    async with bench.connect(settings) as integration:
        return (await integration.deliver([message]))["m-1"]


def reset(moto, requests):
    """Have the emulator check signatures after so many requests."""
    import urllib.request

    request = urllib.request.Request(
        f"{moto}/moto-api/reset-auth",
        data=requests.encode(),
        headers={"Content-Type": "text/plain"},
    )
    urllib.request.urlopen(request, timeout=5).read()


# --- what is sent ---


async def test_attributes_of_an_sqs_message(aws_sqs_bench, queue, surroundings):
    """Receivers filter by topic and device, and drop repeats by the message's id."""
    message = Message("m-1", b"{}", topic="device.alert", device="meter-7")
    await deliver(aws_sqs.TYPE, aws_sqs_bench.settings, [message], surroundings)
    attributes = queue.messages()[0]["MessageAttributes"]

    assert {"message_id": "m-1", "topic": "device.alert", "device": "meter-7"} == {
        name: value["StringValue"] for name, value in attributes.items()
    }


async def test_an_sns_message_has_a_subject_and_attributes(moto, aws, queue, surroundings):
    """As a subscriber without raw delivery sees it."""
    sns = aws("sns")
    arn = sns.create_topic(Name="with-subject")["TopicArn"]
    sns.subscribe(TopicArn=arn, Protocol="sqs", Endpoint=queue.arn)
    settings = aws_sns.Settings(topic_arn=arn, aws=access(moto))
    message = Message("m-1", b'{"a": 1}', topic="device.alert", device="meter-7")
    await deliver(aws_sns.TYPE, settings, [message], surroundings)
    envelope = json.loads(queue.bodies()[0])

    assert ("device.alert", '{"a": 1}') == (envelope["Subject"], envelope["Message"])
    assert "meter-7" == envelope["MessageAttributes"]["device"]["Value"]


@pytest.fixture
def fifo(aws, request):
    sqs = aws("sqs")
    url = sqs.create_queue(
        QueueName=f"f-{abs(hash(request.node.nodeid)) % 10**9}.fifo",
        Attributes={"FifoQueue": "true"},
    )["QueueUrl"]
    return type("Fifo", (), {"client": sqs, "url": url})


async def test_fifo_groups_by_device_and_drops_repeats(moto, fifo, surroundings):
    """The group is the device, the deduplication id the message's: a repeat arrives once."""
    settings = aws_sqs.Settings(queue_url=fifo.url, aws=access(moto))
    messages = [*batch(2, device="meter-1"), Message("m-9", b"{}", device="Zähler 7")]
    for _ in range(2):
        await deliver(aws_sqs.TYPE, settings, messages, surroundings)
    got = fifo.client.receive_message(
        QueueUrl=fifo.url, MaxNumberOfMessages=10, AttributeNames=["All"]
    )["Messages"]
    groups = {
        m["Attributes"]["MessageDeduplicationId"]: m["Attributes"]["MessageGroupId"] for m in got
    }

    assert {"m-0", "m-1", "m-9"} == set(groups)
    assert "meter-1" == groups["m-0"] == groups["m-1"]
    assert 64 == len(groups["m-9"])  # a name that SQS would refuse becomes its hash
    assert aws_sqs.TYPE.ordered(settings)
    assert not aws_sqs.TYPE.ordered(aws_sqs.Settings(queue_url=QUEUE, aws=access(moto)))


async def test_fifo_with_one_group_for_all(moto, fifo, surroundings):
    """`message_group_id` replaces the devices."""
    settings = aws_sqs.Settings(queue_url=fifo.url, message_group_id="all", aws=access(moto))
    await deliver(aws_sqs.TYPE, settings, batch(2, device="meter-1"), surroundings)
    got = fifo.client.receive_message(
        QueueUrl=fifo.url, MaxNumberOfMessages=10, AttributeNames=["All"]
    )["Messages"]

    assert {"all"} == {m["Attributes"]["MessageGroupId"] for m in got}


@pytest.mark.parametrize("body", [b"", b"\xff\xfe", b"a\x00b", "a\ufffeb".encode(), b"\x1b[0m"])
@pytest.mark.parametrize("type_", [aws_sqs, aws_sns])
async def test_what_is_no_text_is_refused_before_it_is_sent(
    type_, body, request, faults, surroundings
):
    """It is rejected with its reason; the others of the batch are sent."""
    bench = request.getfixturevalue(f"{type_.TYPE.name}_bench")
    messages = [Message("bad", body), Message("good", b"{}")]
    outcomes = await deliver(type_.TYPE, bench.settings, messages, surroundings)

    assert isinstance(outcomes["bad"], Rejected)
    assert isinstance(outcomes["good"], Delivered)
    assert [b"{}"] == bench.received()
    alone = await deliver(type_.TYPE, bench.settings, messages[:1], surroundings)
    assert {"bad"} == set(alone)


async def test_a_message_too_large_for_the_topic_fails_alone(aws_sns_bench, surroundings):
    """The emulator refuses one entry of the batch, as SNS does; the others go through."""
    messages = [Message("large", b"x" * 300_000), *batch(2)]
    outcomes = await deliver(aws_sns.TYPE, aws_sns_bench.settings, messages, surroundings)

    assert not isinstance(outcomes["large"], Delivered)


# --- refusals ---


async def test_permission_errors_are_shown_in_full(faults, aws_sns_bench, surroundings):
    """The whole sentence of the seed's table, code first."""
    faults.reply = sns_error(403, "AuthorizationError", REFUSAL)
    async with faults.serving() as url:
        outcomes = await deliver(aws_sns.TYPE, aws_sns_bench.aimed_at(url), batch(2), surroundings)

    assert {f"AuthorizationError: {REFUSAL}"} == {o.reason for o in outcomes.values()}
    assert 403 == outcomes["m-0"].status


async def test_retry_after_is_honoured(faults, aws_sqs_bench, surroundings):
    """A front door that asks for so many seconds gets them."""
    reply = sqs_error(503, "ServiceUnavailable")
    faults.reply = Reply(503, reply.body, {**reply.headers, "Retry-After": "7"})
    async with faults.serving() as url:
        outcomes = await deliver(aws_sqs.TYPE, aws_sqs_bench.aimed_at(url), batch(1), surroundings)

    assert timedelta(seconds=7) == outcomes["m-0"].after


async def test_a_missing_queue_is_told_by_its_older_name_too(faults, aws_sqs_bench, surroundings):
    """SQS names it twice, in the body and in a header; both park."""
    for headers in ({}, {"x-amzn-query-error": "AWS.SimpleQueueService.NonExistentQueue;Sender"}):
        reply = sqs_error(400, "QueueDoesNotExist")
        faults.reply = Reply(reply.status, reply.body, {**reply.headers, **headers})
        async with faults.serving() as url:
            outcome = (
                await deliver(aws_sqs.TYPE, aws_sqs_bench.aimed_at(url), batch(1), surroundings)
            )["m-0"]
        assert "park" == VERDICTS[outcome.code]


async def test_a_queue_that_does_not_exist(moto, surroundings):
    """The emulator's own answer parks as well."""
    settings = aws_sqs.Settings(queue_url=f"{moto}/123456789012/nowhere", aws=access(moto))
    outcome = (await deliver(aws_sqs.TYPE, settings, batch(1), surroundings))["m-0"]

    assert "park" == VERDICTS[outcome.code], outcome


async def test_a_topic_that_does_not_exist(moto, surroundings):
    """NotFound parks: sending on is of no use until somebody makes the topic."""
    settings = aws_sns.Settings(topic_arn=f"{ARN}-nowhere", aws=access(moto))
    outcome = (await deliver(aws_sns.TYPE, settings, batch(1), surroundings))["m-0"]

    assert "park" == VERDICTS[outcome.code], outcome


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ({"Code": "InvalidMessageContents", "SenderFault": True}, Rejected),
        ({"Code": "InternalError", "SenderFault": False}, Retry),
        ({"Code": "RequestThrottled", "SenderFault": True}, Retry),
        ({"Code": "AccessDenied", "SenderFault": True}, Retry),
    ],
)
async def test_whose_fault_decides(faults, aws_sqs_bench, surroundings, entry, expected):
    """What SQS calls the sender's fault is rejected, unless the table knows better."""
    failed = {"Failed": [{"Id": "m-0", "Message": "because", **entry}]}
    faults.reply = Reply(200, json.dumps(failed).encode())
    async with faults.serving() as url:
        outcomes = await deliver(aws_sqs.TYPE, aws_sqs_bench.aimed_at(url), batch(1), surroundings)

    assert isinstance(outcomes["m-0"], expected)
    assert f"{entry['Code']}: because" == outcomes["m-0"].reason


async def test_xml_that_would_explode_is_not_read(faults, aws_sns_bench, surroundings):
    """An answer that declares entities is refused, not expanded."""
    bomb = b'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">]><x>&a;</x>'
    faults.reply = Reply(200, bomb)
    async with faults.serving() as url:
        with pytest.raises(ValueError, match="declares"):
            await deliver(aws_sns.TYPE, aws_sns_bench.aimed_at(url), batch(1), surroundings)


async def test_an_endless_answer_is_cut_off(faults, aws_sqs_bench, surroundings):
    """Nobody makes the hub read megabytes."""
    faults.reply = Reply(200, b"x" * 3_000_000)
    async with faults.serving() as url:
        with pytest.raises(UnreachableError, match="longer"):
            await deliver(aws_sqs.TYPE, aws_sqs_bench.aimed_at(url), batch(1), surroundings)


async def test_an_endpoint_of_ones_own_is_guarded(faults, aws_sqs_bench):
    """`endpoint_url` reaches the hub's own network as little as a webhook does."""
    async with faults.serving() as url:
        with pytest.raises(UnreachableError, match="not a public address"):
            await deliver(aws_sqs.TYPE, aws_sqs_bench.aimed_at(url), batch(1), Surroundings())

    assert [] == faults.requests


async def test_the_way_to_sts_is_guarded_as_well(faults):
    """The SDK's own calls, for a role, cannot be aimed at the hub's network either."""
    async with faults.serving() as url:
        aws = access(url) | {"role_arn": "arn:aws:iam::123456789012:role/hub"}
        settings = aws_sqs.Settings(queue_url=QUEUE, aws=aws)
        outcome = (await deliver(aws_sqs.TYPE, settings, batch(1), Surroundings()))["m-0"]

    assert "unreachable" == outcome.code
    assert [] == faults.requests


# --- access ---


async def test_an_assumed_role_signs_with_its_own_keys(faults, surroundings):
    """STS is asked once, with the external id; every call carries the session's token."""
    expires = (datetime.now(UTC) + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")

    def reply(request):
        if b"AssumeRole" in request.body:
            return Reply(
                200,
                (
                    '<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">'
                    "<AssumeRoleResult><Credentials><AccessKeyId>ASIA1</AccessKeyId>"
                    "<SecretAccessKey>x</SecretAccessKey><SessionToken>token-1</SessionToken>"
                    f"<Expiration>{expires}</Expiration></Credentials></AssumeRoleResult>"
                    "</AssumeRoleResponse>"
                ).encode(),
                {"Content-Type": "text/xml"},
            )
        ids = [entry["Id"] for entry in json.loads(request.body)["Entries"]]
        return Reply(
            200, json.dumps({"Successful": [{"Id": i, "MessageId": "x"} for i in ids]}).encode()
        )

    faults.reply = reply
    async with faults.serving() as url:
        aws = access(url) | {
            "role_arn": "arn:aws:iam::123456789012:role/hub",
            "external_id": "wattwire-7",
        }
        settings = aws_sqs.Settings(queue_url=QUEUE, aws=aws)
        async with aws_sqs.connect(settings, surroundings) as sqs:
            for _ in range(3):
                outcomes = await sqs.deliver(batch(2))
    asked = [parse_qs(r.body.decode()) for r in faults.requests if b"AssumeRole" in r.body]
    sent = [r for r in faults.requests if b"Entries" in r.body]

    assert isinstance(outcomes["m-0"], Delivered)
    assert [["wattwire-7"]] == [form["ExternalId"] for form in asked]
    assert ["arn:aws:iam::123456789012:role/hub"] == asked[0]["RoleArn"]
    assert {"token-1"} == {request.headers["x-amz-security-token"] for request in sent}
    assert all("Credential=ASIA1/" in request.headers["authorization"] for request in sent)


async def test_a_role_that_may_not_be_assumed_parks(faults, surroundings):
    """STS says AccessDenied: each message has that as its outcome, and waits."""
    faults.reply = Reply(
        403,
        b"<ErrorResponse><Error><Code>AccessDenied</Code><Message>not you</Message></Error>"
        b"</ErrorResponse>",
        {"Content-Type": "text/xml"},
    )
    async with faults.serving() as url:
        aws = access(url) | {"role_arn": "arn:aws:iam::123456789012:role/hub"}
        settings = aws_sqs.Settings(queue_url=QUEUE, aws=aws)
        outcome = (await deliver(aws_sqs.TYPE, settings, batch(1), surroundings))["m-0"]

    assert ("AccessDenied: not you", "AccessDenied") == (outcome.reason, outcome.code)


async def test_a_profile_has_to_be_released(moto, queue, tmp_path, monkeypatch, surroundings):
    """The hub's own credentials are lent by the operator, not taken by whoever knows the name."""
    config = tmp_path / "credentials"
    config.write_text("[plant]\naws_access_key_id = k\naws_secret_access_key = s\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(config))
    aws = {"region": REGION, "profile": "plant", "endpoint_url": moto}
    settings = aws_sqs.Settings(queue_url=queue.url, aws=aws)
    with pytest.raises(ConfigurationError, match="WATTWIRE_AWS_PROFILES"):
        await deliver(aws_sqs.TYPE, settings, batch(1), surroundings)

    released = Surroundings(surroundings.allowed_networks, frozenset({"plant", "gone"}))
    outcomes = await deliver(aws_sqs.TYPE, settings, batch(1), released)
    assert isinstance(outcomes["m-0"], Delivered)

    gone = aws_sqs.Settings(queue_url=queue.url, aws=aws | {"profile": "gone"})
    with pytest.raises(ConfigurationError, match="gone"):
        await deliver(aws_sqs.TYPE, gone, batch(1), released)


@pytest.mark.parametrize(
    "changes",
    [
        {"secret_access_key": None}, {"access_key_id": None},
        {"access_key_id": None, "secret_access_key": None}, {"profile": "x"},
        {"external_id": "abc"}, {"region": "Frankfurt"}, {"endpoint_url": "ftp://x"},
        {"role_arn": "arn:aws:iam::1:user/x"}, {"acces_key": "x"},
    ],
)  # fmt: skip
def test_access_that_is_refused(changes):
    """Half a key, two ways at once, an external id without a role, a slip of the pen."""
    with pytest.raises(ValidationError):
        Access.model_validate(access("http://x") | changes)


def test_the_topic_and_the_region_agree():
    """A topic of another region would be a signature for the wrong place."""
    with pytest.raises(ValidationError, match="us-east-2"):
        aws_sns.Settings(topic_arn=ARN.replace(REGION, "us-east-2"), aws=access("http://x"))
