"""What the configuration comes to when Terraform evaluates it: names, rights, data at rest."""

import json
import re

import iam_fake
import pytest
from aws_calls import type_of
from deployments import BUCKET, SOURCE, VARIABLES
from moto_iot import ACCOUNT, REGION
from terraform_blocks import blocks_of, body_of
from terraform_offline import evaluate, prepare

KEY = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/0a1b"
FLEET = "wattwire-staging-fleet"
LEAST = {"region": REGION, "environment": "staging", "certificate_bucket": BUCKET}


def of_type(resources, kind):
    return {a.rpartition("module.")[2]: v for a, v in resources.items() if type_of(a) == kind}


def documents(resources):
    """(address, statement) of every policy that gives somebody something."""
    for kind, field in (
        ("aws_iam_role_policy", "policy"), ("aws_iam_policy", "policy"),
        ("aws_iot_policy", "policy"), ("aws_s3_bucket_policy", "policy"),
    ):  # fmt: skip
        for address, values in of_type(resources, kind).items():
            for statement in json.loads(values[field])["Statement"]:
                yield address, statement


def test_wildcards_stand_only_where_they_must(evaluated):
    """No action is a wildcard; a resource is one only where the files say why."""
    found = set()
    for address, statement in documents(evaluated[0]):
        if statement["Effect"] == "Deny":
            continue
        assert not [a for a in iam_fake.as_list(statement["Action"]) if "*" in a]
        for resource in iam_fake.as_list(statement["Resource"]):
            if "*" in resource:
                found.add((address, resource.replace(f"{REGION}:{ACCOUNT}:", "")))
    thing = "${iot:Connection.Thing.ThingName}"
    device, claim = "iot_core.aws_iot_policy.device", "iot_core.aws_iot_policy.claim"
    sent = {(device, f"arn:aws:iot:topic/spBv1.0/pm500/{kind}/{thing}/*")
            for kind in ("DBIRTH", "DDATA", "DDEATH", "DCMD")}  # fmt: skip
    claimed = {(claim, f"arn:aws:iot:{kind}/$aws/{topic}/*")
               for kind in ("topic", "topicfilter")
               for topic in ("certificates/create-from-csr",
                             f"provisioning-templates/{FLEET}/provision")}  # fmt: skip
    bucket = "arn:aws:s3:::wattwire-staging-archive-123456789012-eu-central-1"

    assert found == sent | claimed | {
        (device, f"arn:aws:iot:topicfilter/spBv1.0/pm500/DCMD/{thing}/*"),
        (claim, "arn:aws:iot:client/*"),
        ("iot_core.aws_iam_policy.publisher", "arn:aws:iot:topic/spBv1.0/pm500/DDATA/*"),
        ("iot_core.aws_iam_policy.publisher", "*"),
        (
            "data_routes.aws_iam_role_policy.rule_errors",
            "arn:aws:logs:log-group:/wattwire/staging/routes:*",
        ),
        ("data_routes.aws_iam_role_policy.firehose[0]", f"{bucket}/*"),
    }


def test_roles_are_for_one_service_and_one_resource(evaluated):
    """No other account, and no other resource of ours, can make a service use a role."""
    roles = of_type(evaluated[0], "aws_iam_role")
    assert len(roles) == 6
    for values in roles.values():
        (statement,) = json.loads(values["assume_role_policy"])["Statement"]
        assert re.fullmatch(
            r"(iot|firehose|pipes)\.amazonaws\.com", statement["Principal"]["Service"]
        )
        condition = statement["Condition"]
        assert condition["StringEquals"] == {"aws:SourceAccount": ACCOUNT}
        sources = iam_fake.as_list(condition["ArnLike"]["aws:SourceArn"])
        assert all(f":{REGION}:{ACCOUNT}:" in one and "*" not in one for one in sources)


def device_may(evaluated, action, resource, thing="site-north", attached="true"):
    policy = evaluated[0]["module.iot_core.aws_iot_policy.device"]["policy"]
    document = policy.replace("${iot:Connection.Thing.ThingName}", thing)
    holds = {("Bool", "iot:Connection.Thing.IsAttached", attached)}
    return iam_fake.allows(document, action, f"arn:aws:iot:{REGION}:{ACCOUNT}:{resource}", holds)


@pytest.mark.parametrize(
    ("action", "resource"),
    [
        ("iot:Connect", "client/site-north"),
        ("iot:Publish", "topic/spBv1.0/pm500/NBIRTH/site-north"),
        ("iot:Publish", "topic/spBv1.0/pm500/NDEATH/site-north"),
        ("iot:Publish", "topic/spBv1.0/pm500/DBIRTH/site-north/pm-7"),
        ("iot:Publish", "topic/spBv1.0/pm500/DDATA/site-north/pm-7"),
        ("iot:Subscribe", "topicfilter/spBv1.0/pm500/NCMD/site-north"),
        ("iot:Receive", "topic/spBv1.0/pm500/NCMD/site-north"),
    ],
)
def test_a_device_may(evaluated, action, resource):
    """What an edge node needs, and Wattwire's mqtt integration as one: its own topics."""
    assert device_may(evaluated, action, resource)


@pytest.mark.parametrize(
    ("action", "resource"),
    [
        ("iot:Connect", "client/site-south"),
        ("iot:Publish", "topic/spBv1.0/pm500/DDATA/site-south/pm-7"),
        ("iot:Publish", "topic/spBv1.0/pm500/NBIRTH/site-north2"),
        ("iot:Publish", "topic/spBv1.0/other/DDATA/site-north/pm-7"),
        ("iot:Publish", "topic/spBv1.0/pm500/NCMD/site-north"),
        ("iot:Publish", "topic/$aws/things/site-north/shadow/update"),
        ("iot:Subscribe", "topicfilter/spBv1.0/pm500/#"),
        ("iot:Subscribe", "topicfilter/spBv1.0/pm500/NCMD/+"),
        ("iot:Receive", "topic/spBv1.0/pm500/DDATA/site-north/pm-7"),
    ],
)
def test_a_device_may_not(evaluated, action, resource):
    """Speak for another site, command anybody, or listen to what others say."""
    assert not device_may(evaluated, action, resource)


def test_a_certificate_without_its_thing_may_not_connect(evaluated):
    """The name in the client id is not enough."""
    assert not device_may(evaluated, "iot:Connect", "client/site-north", attached="false")


def test_names_and_documents_fit(scratch):
    """With the longest project, environment and region, within what AWS takes."""
    longest = {"project": "p" * 12, "environment": "e" * 12, "region": "ap-southeast-2"}
    resources, _ = evaluate(SOURCE, scratch, VARIABLES | longest)
    most = {"aws_iam_role": 64, "aws_iot_provisioning_template": 36, "aws_s3_bucket": 63,
            "aws_pipes_pipe": 64, "aws_cloudwatch_event_rule": 64,
            "aws_kinesis_firehose_delivery_stream": 64}  # fmt: skip
    for address, values in resources.items():
        name = values.get("name") or values.get("bucket", "")
        assert len(name) <= most.get(type_of(address), 128), name
        if type_of(address) == "aws_iot_policy":
            assert len(re.sub(r"\s", "", values["policy"])) <= 2048
    rules = of_type(resources, "aws_iot_topic_rule").values()
    assert [] == [r["name"] for r in rules if not re.fullmatch("[a-zA-Z0-9_]+", r["name"])]


def test_data_at_rest(evaluated):
    """Encrypted everywhere; the bucket private, versioned, and kept when it holds anything."""
    (stream,) = of_type(evaluated[0], "aws_kinesis_stream").values()
    (firehose,) = of_type(evaluated[0], "aws_kinesis_firehose_delivery_stream").values()
    (block,) = of_type(evaluated[0], "aws_s3_bucket_public_access_block").values()
    (sealed,) = of_type(evaluated[0], "aws_s3_bucket_server_side_encryption_configuration").values()
    (versions,) = of_type(evaluated[0], "aws_s3_bucket_versioning").values()
    (bucket,) = of_type(evaluated[0], "aws_s3_bucket").values()

    assert (stream["encryption_type"], stream["kms_key_id"]) == ("KMS", "alias/aws/kinesis")
    assert firehose["server_side_encryption"][0]["enabled"]
    default = sealed["rule"][0]["apply_server_side_encryption_by_default"][0]
    assert default["sse_algorithm"] == "AES256"
    assert {v for k, v in block.items() if k != "bucket"} == {True}
    assert versions["versioning_configuration"] == [{"status": "Enabled"}]
    assert bucket["force_destroy"] is False


def test_a_key_of_ones_own(scratch):
    """It is used everywhere; those who write or read with it have the right to, and no others."""
    resources, _ = evaluate(SOURCE, scratch, VARIABLES | {"kms_key_arn": KEY})
    granted = {
        (address.rpartition(".")[2], action)
        for address, statement in documents(resources)
        if statement["Effect"] == "Allow" and statement["Resource"] == KEY
        for action in statement["Action"]
    }

    assert granted == {
        ("rule_kinesis", "kms:GenerateDataKey"), ("pipe[0]", "kms:Decrypt"),
        ("firehose[0]", "kms:GenerateDataKey"), ("firehose[0]", "kms:Decrypt"),
    }  # fmt: skip
    assert sum(KEY in json.dumps(v) for a, v in resources.items() if "_policy" not in a) == 4


def test_archive_and_events_are_optional(scratch):
    """Without them there is one rule, two roles of routes, and no bucket, pipe or bus."""
    off = {"archive_enabled": False, "events_enabled": False}
    resources, outputs = evaluate(SOURCE, scratch, LEAST | off)

    assert set(outputs["rule_arns"]) == {"kinesis"}
    assert set(outputs["iam_role_names"]) == {"provisioning", "rule_kinesis", "rule_errors"}
    assert {"archive_bucket_name", "event_bus_arn"} & set(outputs) == set()
    assert not {"aws_s3_bucket", "aws_pipes_pipe"} & {type_of(a) for a in resources}


def test_the_example_is_one(scratch):
    """terraform.tfvars.example is taken as it is: every value of the right type, and valid."""
    example = (SOURCE / "terraform.tfvars.example").read_text()
    _, outputs = evaluate(SOURCE, scratch, example)

    assert set(outputs["device_certificate_arns"]) == {"site-north", "site-south"}
    wrong = example.replace("hours = 24", 'hours = "a day"')
    assert "a number is required" in refusal(prepare(SOURCE, scratch, wrong))[1]


WRONG = {
    "region": "Frankfurt", "environment": "Staging!", "project": "x", "kms_key_arn": "alias/mine",
    "sparkplug_group_id": "a/b", "certificate_bucket": "A", "devices": ["site north"],
    "claims": ["a/b"], "pre_provisioning_hook_arn": "hook", "kinesis_stream_name": "a b",
    "kinesis_shard_count": -1, "kinesis_retention_hours": 5, "firehose_stream_name": "a b",
    "archive_bucket_name": "A", "archive_buffer_mib": 5, "archive_buffer_seconds": 5,
    "archive_transition_days": 0, "archive_expiration_days": 0, "event_bus_name": "default",
    "event_filter": "{", "event_queue_arns": {"x": "queue"}, "log_retention_days": 2,
}  # fmt: skip


def messages():
    """What each variable says of a wrong value: the message of its first validation."""
    found = {}
    for block in blocks_of(SOURCE):
        inner = [body_of(b.lines).attributes for b in body_of(block.lines).blocks]
        if block.kind == "variable" and inner:
            found[block.labels[0]] = json.loads(inner[0]["error_message"])
    return found


def refusal(terraform):
    """What Terraform says to a plan, in one line."""
    done = terraform.plan(input=False, no_color=True, json=False)
    return done.retcode, " ".join(re.sub("[│╷╵]", " ", done.error).split())


def test_wrong_values_are_refused_by_name(tmp_path):
    """Each variable with a rule says so itself, before anything is made."""
    _, said = refusal(prepare(SOURCE, tmp_path / "copy", WRONG))
    # compared with another variable, which has to be right for that
    late = LEAST | {"archive_expiration_days": 30}
    said += refusal(prepare(SOURCE, tmp_path / "copy", late))[1]

    assert set(WRONG) == set(messages())
    assert [] == [name for name, text in messages().items() if text not in said]


def test_the_workspace_has_the_environments_name(tmp_path):
    """Production's values are not applied in the workspace of staging."""
    terraform = prepare(SOURCE, tmp_path / "copy", LEAST | {"environment": "production"})
    terraform.workspace_new("staging", check=True)
    refused, said = refusal(terraform)
    terraform.workspace_new("production", check=True)

    assert (refused, "another name than the environment" in said) == (1, True)
    assert refusal(terraform)[0] == 0
