"""AWS: an honest signature, keys, roles, profiles."""

import json
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs

import pytest
from aws_sending import ARN, QUEUE, batch, deliver, keys_of, probe, reset
from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as SdkCredentials
from hypothesis import given
from hypothesis import strategies as st
from integrations_counterparts import REGION, Reply, access
from pydantic import ValidationError

from wattwire.delivery.verdicts import judge
from wattwire.integrations import aws_sns, aws_sqs
from wattwire.integrations._aws_access import Access
from wattwire.integrations._sigv4 import Credentials, Request, Scope, signed
from wattwire.integrations.contract import (
    ConfigurationError,
    Delivered,
    Surroundings,
    Verdict,
)

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
