"""Fakes of what carries a message in AWS, and they say so: rule actions, Firehose, pipes.

The emulator stores rules, Firehose's partitioning and pipes, and runs none of them. These run what
is stored there (they know no Terraform): the rule's SQL by rule_sql, partition keys by the real jq
1.6 that Firehose names as its engine, each step under the role that is stored with it. What comes
out is put into the emulator by the ordinary calls. A setting they do not know raises
NotImplementedError.
"""

import gzip
import json
import re
import subprocess
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache, partial
from uuid import uuid4

import boto3
import iam_fake
import rule_sql
from moto_iot import ACCOUNT, REGION

KEYS = {"region_name": REGION, "aws_access_key_id": "k", "aws_secret_access_key": "s"}


@cache
def client_of(url, service):
    """A client of the emulator; making one costs a tenth of a second."""
    return boto3.client(service, endpoint_url=url, **KEYS)


def arn(service, rest):
    return f"arn:aws:{service}:{REGION}:{ACCOUNT}:{rest}"


@dataclass
class Routes:
    """The routes of one deployment: `rules` are the names of its rules."""

    url: str
    rules: tuple[str, ...]
    #: What failed, as a rule's error action is told: (rule, reason).
    failures: list = field(default_factory=list)
    _buffered: dict = field(default_factory=dict)

    def client(self, service):
        return client_of(self.url, service)

    def _check(self, role, service, source, action, resource):
        iam_fake.check(
            self.client("iam"), role,
            service=service, source=source, account=ACCOUNT, action=action, resource=resource,
        )  # fmt: skip

    def publish(self, topic, payload, now):
        """Carry a message through every rule, as AWS IoT's broker would. `now`: milliseconds."""
        iot = self.client("iot")
        for name in self.rules:
            rule = iot.get_topic_rule(ruleName=name)["rule"]
            if not rule["ruleDisabled"]:
                self._run(rule, topic, payload, now)

    def _run(self, rule, topic, payload, now):
        try:
            if rule["awsIotSqlVersion"] != "2016-03-23":
                raise NotImplementedError(rule["awsIotSqlVersion"])
            context = partial(_context, topic, payload, now)
            result = rule_sql.run(rule["sql"], context, topic)
            for action in rule["actions"] if result is not None else ():
                self._act(rule, action, result, context())
        except (LookupError, PermissionError, ValueError) as error:
            if isinstance(error, rule_sql.SqlError):
                raise
            self._report(rule, str(error))

    def _act(self, rule, action, result, context):
        ((kind, settings),) = action.items()
        source = arn("iot", f"rule/{rule['ruleName']}")
        may = partial(self._check, settings["roleArn"], "iot", source)
        data = json.dumps(result).encode()
        if kind == "kinesis":
            may("kinesis:PutRecord", arn("kinesis", f"stream/{settings['streamName']}"))
            key = rule_sql.substituted(settings["partitionKey"], context)
            self.client("kinesis").put_record(
                StreamName=settings["streamName"], Data=data, PartitionKey=key
            )
        elif kind == "firehose" and not settings.get("batchMode"):
            stream = settings["deliveryStreamName"]
            may("firehose:PutRecord", arn("firehose", f"deliverystream/{stream}"))
            self._buffered.setdefault(stream, []).append(data + settings["separator"].encode())
        else:
            raise NotImplementedError(kind)

    def _report(self, rule, reason):
        ((kind, settings),) = rule["errorAction"].items()
        if kind != "cloudwatchLogs":
            raise NotImplementedError(kind)
        group, source = settings["logGroupName"], arn("iot", f"rule/{rule['ruleName']}")
        for action in ("logs:CreateLogStream", "logs:PutLogEvents"):
            resource = arn("logs", f"log-group:{group}:log-stream:x")
            self._check(settings["roleArn"], "iot", source, action, resource)
        logs, name = self.client("logs"), str(uuid4())
        logs.create_log_stream(logGroupName=group, logStreamName=name)
        event = {"timestamp": int(datetime.now(UTC).timestamp() * 1000), "message": reason}
        logs.put_log_events(logGroupName=group, logStreamName=name, logEvents=[event])
        self.failures.append((rule["ruleName"], reason))

    def flush_firehose(self):
        """Write what Firehose has collected, an object for each set of partition keys."""
        for stream, records in self._buffered.items():
            described = self.client("firehose").describe_delivery_stream(DeliveryStreamName=stream)
            self._write(described["DeliveryStreamDescription"], records)
        self._buffered.clear()

    def _write(self, described, records):
        target = described["Destinations"][0]["ExtendedS3DestinationDescription"]
        objects = {}
        for record in records:
            objects.setdefault(_prefix(target, record), []).append(record)
        if target["CompressionFormat"] != "GZIP":
            raise NotImplementedError(target["CompressionFormat"])
        for prefix, lines in objects.items():
            stamp = datetime.now(UTC).strftime("%Y-%m-%d-%H-%M-%S")
            name = f"{described['DeliveryStreamName']}-1-{stamp}-{uuid4()}"
            key = f"{prefix}{name}{target.get('FileExtension', '.gz')}"
            bucket, place = target["BucketARN"], f"{target['BucketARN']}/{key}"
            source = described["DeliveryStreamARN"]
            self._check(target["RoleARN"], "firehose", source, "s3:PutObject", place)
            self._check(target["RoleARN"], "firehose", source, "s3:ListBucket", bucket)
            self.client("s3").put_object(
                Bucket=bucket.rpartition(":")[2], Key=key, Body=gzip.compress(b"".join(lines))
            )

    def run_pipe(self, name):
        """Hand every record of the pipe's stream to its bus."""
        pipe = self.client("pipes").describe_pipe(Name=name)
        may = partial(self._check, pipe["RoleArn"], "pipes", pipe["Arn"])
        for call in ("DescribeStream", "GetRecords", "GetShardIterator", "ListShards"):
            may(f"kinesis:{call}", pipe["Source"])
        may("events:PutEvents", pipe["Target"])
        target = pipe["TargetParameters"]
        if target["InputTemplate"] != "<$.data>":
            raise NotImplementedError(target["InputTemplate"])
        bus = target["EventBridgeEventBusParameters"]
        patterns = pipe["SourceParameters"].get("FilterCriteria", {}).get("Filters", [])
        for record in self.records(pipe["Source"]):
            detail = json.loads(record["Data"])
            if not patterns or any(_fits(json.loads(p["Pattern"]), detail) for p in patterns):
                self._put_event(pipe["Target"], bus, json.dumps(detail))

    def _put_event(self, bus_arn, bus, detail):
        entry = {"Source": bus["Source"], "DetailType": bus["DetailType"], "Detail": detail}
        answer = self.client("events").put_events(Entries=[{**entry, "EventBusName": bus_arn}])
        if answer["FailedEntryCount"]:
            raise ValueError(answer["Entries"])

    def records(self, stream_arn):
        """Every record of a stream, by GetRecords."""
        kinesis, found = self.client("kinesis"), []
        name = stream_arn.rpartition("/")[2]
        for shard in kinesis.list_shards(StreamName=name)["Shards"]:
            iterator = kinesis.get_shard_iterator(
                StreamName=name, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
            )["ShardIterator"]
            found += kinesis.get_records(ShardIterator=iterator)["Records"]
        return found


def _context(topic, payload, now):
    message = json.loads(payload)
    if not isinstance(message, dict):
        raise ValueError("the payload is not a JSON object")  # noqa: TRY004 - as of other payloads
    return rule_sql.Context(topic, message, now)


def _fits(pattern, data):
    """Whether a record's data fits a filter: lists of values for attributes at the top."""
    if set(pattern) != {"data"} or not all(isinstance(v, list) for v in pattern["data"].values()):
        raise NotImplementedError(pattern)
    return all(data.get(name) in values for name, values in pattern["data"].items())


def _prefix(target, record):
    """Evaluate the prefix for a record; the one for errors where its keys cannot be told."""
    if not target["DynamicPartitioningConfiguration"]["Enabled"]:
        raise NotImplementedError("a prefix without dynamic partitioning")
    (processor,) = target["ProcessingConfiguration"]["Processors"]
    said = {p["ParameterName"]: p["ParameterValue"] for p in processor["Parameters"]}
    if (processor["Type"], said["JsonParsingEngine"]) != ("MetadataExtraction", "JQ-1.6"):
        raise NotImplementedError(processor)
    keys = jq(said["MetadataExtractionQuery"], record)
    wanted = re.findall(r"!\{partitionKeyFromQuery:(\w+)\}", target["Prefix"])
    if keys is not None and all(isinstance(keys.get(name), str) and keys[name] for name in wanted):
        return re.sub(r"!\{(\w+):(\w+)\}", partial(_value, keys), target["Prefix"])
    return re.sub(
        r"!\{(\w+):([\w-]+)\}", partial(_error, datetime.now(UTC)), target["ErrorOutputPrefix"]
    )


def _value(keys, found):
    if found[1] != "partitionKeyFromQuery":
        raise NotImplementedError(found[0])
    return keys[found[2]]


def _error(now, found):
    if (found[1], found[2]) == ("firehose", "error-output-type"):
        return "processing-failed"
    return now.strftime({"yyyy": "%Y", "MM": "%m", "dd": "%d"}[found[2]])


def jq(query, record):
    """Run a query; None where jq fails on the record. The query itself must be a valid one."""
    done = subprocess.run(
        ["jq", "-c", query], input=record, capture_output=True, timeout=10, check=False
    )
    if done.returncode == 3:
        raise ValueError(done.stderr.decode())
    return json.loads(done.stdout) if done.returncode == 0 else None
