"""A message of Wattwire's through the routes, as the values of the configuration make them."""

import gzip
import json
import shutil
from dataclasses import replace

import aws_calls
import pytest
from deployments import SOURCE, VARIABLES, Deployed, queue_arn
from route_story import EVENT, NORTH, NOW, message_arrives, message_is_carried, payload
from terraform_offline import evaluate


async def test_a_message_arrives_everywhere(by_api):
    """Published by the aws_iot integration, it is on the stream, in the archive and on the bus."""
    await message_arrives(by_api)


def archived(deployed):
    """(key up to the day, lines) of each object of the archive."""
    s3, bucket = deployed.client("s3"), deployed.outputs["archive_bucket_name"]
    for entry in s3.list_objects_v2(Bucket=bucket).get("Contents", []):
        text = gzip.decompress(s3.get_object(Bucket=bucket, Key=entry["Key"])["Body"].read())
        yield entry["Key"].rpartition("/")[0], text.decode().splitlines()


@pytest.fixture
def fresh(by_api):
    """The deployment, with an empty archive; yields it with the records that are there before."""
    s3, bucket = by_api.client("s3"), by_api.outputs["archive_bucket_name"]
    for entry in s3.list_objects_v2(Bucket=bucket).get("Contents", []):
        s3.delete_object(Bucket=bucket, Key=entry["Key"])
    return by_api


def records(deployed):
    return deployed.routes.records(deployed.outputs["kinesis_stream_arn"])


@pytest.mark.parametrize(
    "topic",
    [
        "spBv1.0/pm500/NBIRTH/site-north",
        "spBv1.0/pm500/DBIRTH/site-north/pm-0007",
        "spBv1.0/pm500/DCMD/site-north/pm-0007",
        "spBv1.0/pm500/NDATA/site-north",
        "spBv1.0/other/DDATA/site-north/pm-0007",
        "netneural/1/devices/pm-0007/telemetry",
    ],
)
def test_other_topics_go_nowhere(fresh, topic):
    """Births, commands, other groups and other trees are not routed."""
    before, routes = len(records(fresh)), fresh.routes
    routes.publish(topic, payload().decode(), NOW)
    routes.flush_firehose()

    assert (len(records(fresh)), list(archived(fresh)), routes.failures) == (before, [], [])


def test_sites_and_days_have_their_own_objects(fresh):
    """The day is the one of the message, in UTC, whenever it arrives; lines stay in order."""
    routes, evening = fresh.routes, EVENT.time.replace(hour=23, minute=59, second=59)
    nightly = [replace(EVENT, time=evening.replace(microsecond=n)) for n in (0, 999_000)]
    for event in [*nightly, replace(EVENT, time=evening.replace(day=24, hour=0))]:
        routes.publish(NORTH, payload(event).decode(), NOW)
    routes.publish("spBv1.0/pm500/DDATA/Plant 2/pm-1", payload().decode(), NOW)
    routes.flush_firehose()
    found = dict(archived(fresh))

    assert set(found) == {"site-north/2024/04/23", "site-north/2024/04/24", "Plant 2/2024/04/23"}
    times = [json.loads(line)["timestamp"] for line in found["site-north/2024/04/23"]]
    assert times == [1_713_916_799_000, 1_713_916_799_999]


@pytest.mark.parametrize("body", ['{"metrics": []}', '{"timestamp": "noon"}'])
def test_what_has_no_day_is_kept_as_an_error(fresh, body):
    """A record whose time cannot be told is in the archive all the same, among the errors."""
    routes = fresh.routes
    routes.publish(NORTH, body, NOW)
    routes.flush_firehose()
    ((folder, (line,)),) = archived(fresh)

    assert folder.startswith("_errors/processing-failed/20")
    assert json.loads(body).items() <= json.loads(line).items()


def test_what_is_no_json_is_reported(fresh):
    """Both rules tell the log group of a payload that they cannot read, under their own role."""
    routes, logs = fresh.routes, fresh.client("logs")
    before = len(records(fresh))
    routes.publish(NORTH, "\x08\x01", NOW)
    told = logs.filter_log_events(logGroupName=fresh.outputs["error_log_group_name"])["events"]

    assert sorted(rule for rule, _ in routes.failures) == sorted(routes.rules)
    assert len(told) == len(routes.failures) == 2
    assert len(records(fresh)) == before


#: (file, what stands there, what it becomes): each breaks one thing that a message depends on.
MUTANTS = [
    ("main.tf", "topic(4) AS site", "topic(3) AS site"),
    ("main.tf", "DDATA/+/+'", "DDATA/+'"),
    ("main.tf", "SELECT ${local.columns}", "SELECT site, ${local.columns}"),
    ("main.tf", "source = [local.rule_arns.archive] }", "source = [local.rule_arns.kinesis] }"),
    ("main.tf", 'service = "pipes"', 'service = "events"'),
    ("rules.tf", "aws_iam_role.rule_kinesis.arn", "aws_iam_role.rule_errors.arn"),
    ("rules.tf", "aws_iam_role.rule_archive[0].arn", '"${aws_iam_role.rule_errors.arn}2"'),
    ("rules.tf", "$${topic(5)}", "$${topic(4)}"),
    ("rules.tf", 'separator = "\\n"', 'separator = " "'),
    ("rules.tf", "enabled     = true", "enabled     = false"),
    ("kinesis.tf", "kinesis:PutRecord", "kinesis:GetRecords"),
    ("archive.tf", "!{partitionKeyFromQuery:year}/", ""),
    ("archive.tf", '(\\"%m\\")', '(\\"%d\\")'),
    ("archive.tf", ".timestamp/1000", ".timestamp"),
    ("archive.tf", '.arn}/*"', '.arn}/archive/*"'),
    ("events.tf", "<$.data>", "<$.body>"),
    ("events.tf", "events:PutEvents", "events:PutRule"),
    ("events.tf", 'detail_type = "device.telemetry"', 'detail_type = "telemetry"'),
]


def carry(by_api, source, scratch, environment):
    """Deploy a configuration beside the others, and send a message through it."""
    name = f"wattwire-{environment}"
    queue = {"environment": environment, "event_queue_arns": {"ticketing": queue_arn(name)}}
    resources, outputs = evaluate(source, scratch, VARIABLES | queue)
    by_api.client("sqs").create_queue(QueueName=name)
    aws_calls.make(by_api.url, resources)
    message_is_carried(Deployed(by_api.url, outputs, name))


def test_an_unbroken_copy_carries(by_api, scratch):
    """What the mutants below are put through passes as long as nothing is broken."""
    carry(by_api, SOURCE, scratch, "whole")


@pytest.mark.parametrize("mutant", range(len(MUTANTS)))
def test_a_broken_route_is_noticed(by_api, scratch, tmp_path, mutant):
    """The story fails for each single fault: it would not pass whatever stands there."""
    (name, old, new), source = MUTANTS[mutant], tmp_path / "source"
    shutil.copytree(SOURCE, source, ignore=shutil.ignore_patterns(".terraform*"))
    file = source / "modules/data_routes" / name
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new))

    with pytest.raises((AssertionError, ValueError, PermissionError, NotImplementedError)):
        carry(by_api, source, scratch, f"mutant{mutant}")
