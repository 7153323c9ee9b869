"""Resources as Terraform evaluates them, made by the AWS API: one function for each type.

This is what stands in for the provider where there is none. It reads what it needs for the routes
and for who may do what; TYPES without a function (MADE_BY_NOBODY) are settings of buckets and the
like, which are compared as values elsewhere.
"""

import re

from route_fakes import client_of

MADE_BY_NOBODY = {
    "aws_s3_bucket_lifecycle_configuration", "aws_s3_bucket_ownership_controls",
    "aws_s3_bucket_policy", "aws_s3_bucket_public_access_block",
    "aws_s3_bucket_server_side_encryption_configuration", "aws_s3_bucket_versioning",
    "aws_iot_certificate", "aws_iot_policy_attachment", "aws_iot_thing_principal_attachment",
    "aws_s3_object",
}  # fmt: skip


def camel(value, first=str.capitalize):
    """A block of Terraform as a structure of the API: `role_arn` becomes RoleArn, or roleArn."""
    if isinstance(value, dict):
        return {_name(k, first): camel(v, first) for k, v in value.items() if v is not None}
    return [camel(one, first) for one in value] if isinstance(value, list) else value


def _name(text, first):
    head, *rest = text.split("_")
    return first(head) + "".join(part.capitalize() for part in rest)


def _thing_type(aws, v):
    properties = camel(v["properties"][0], str.lower)
    properties["thingTypeDescription"] = properties.pop("description")
    aws("iot").create_thing_type(thingTypeName=v["name"], thingTypeProperties=properties)


def _thing_group(aws, v):
    properties = {"thingGroupDescription": v["properties"][0]["description"]}
    aws("iot").create_thing_group(thingGroupName=v["name"], thingGroupProperties=properties)


def _template(aws, v):
    aws("iot").create_provisioning_template(
        templateName=v["name"],
        templateBody=v["template_body"],
        provisioningRoleArn=v["provisioning_role_arn"],
        enabled=v["enabled"],
    )


def _iot_policy(aws, v):
    aws("iot").create_policy(policyName=v["name"], policyDocument=v["policy"])


def _thing(aws, v):
    aws("iot").create_thing(thingName=v["name"], thingTypeName=v["thing_type_name"])


def _membership(aws, v):
    aws("iot").add_thing_to_thing_group(
        thingGroupName=v["thing_group_name"], thingName=v["thing_name"]
    )


def _role(aws, v):
    aws("iam").create_role(RoleName=v["name"], AssumeRolePolicyDocument=v["assume_role_policy"])


def _role_policy(aws, v):
    aws("iam").put_role_policy(RoleName=v["role"], PolicyName=v["name"], PolicyDocument=v["policy"])


def _attachment(aws, v):
    aws("iam").attach_role_policy(RoleName=v["role"], PolicyArn=v["policy_arn"])


def _policy(aws, v):
    aws("iam").create_policy(PolicyName=v["name"], PolicyDocument=v["policy"])


def _stream(aws, v):
    mode = camel(v["stream_mode_details"][0])
    shards = {} if v["shard_count"] is None else {"ShardCount": v["shard_count"]}
    aws("kinesis").create_stream(StreamName=v["name"], StreamModeDetails=mode, **shards)


def _bucket(aws, v):
    aws("s3").create_bucket(
        Bucket=v["bucket"], CreateBucketConfiguration={"LocationConstraint": "eu-central-1"}
    )


def _firehose(aws, v):
    s3 = dict(v["extended_s3_configuration"][0])
    hints = {
        "SizeInMBs": s3.pop("buffering_size"),
        "IntervalInSeconds": s3.pop("buffering_interval"),
    }
    logging = camel(s3.pop("cloudwatch_logging_options")[0])
    processing = camel(s3.pop("processing_configuration")[0])
    partitioning = camel(s3.pop("dynamic_partitioning_configuration")[0])
    aws("firehose").create_delivery_stream(
        DeliveryStreamName=v["name"],
        ExtendedS3DestinationConfiguration={
            "RoleARN": s3.pop("role_arn"),
            "BucketARN": s3.pop("bucket_arn"),
            "BufferingHints": hints,
            "CloudWatchLoggingOptions": logging,
            "ProcessingConfiguration": processing,
            "DynamicPartitioningConfiguration": partitioning,
            **camel(s3),
        },
    )


def _log_group(aws, v):
    aws("logs").create_log_group(logGroupName=v["name"])


def _log_stream(aws, v):
    aws("logs").create_log_stream(logGroupName=v["log_group_name"], logStreamName=v["name"])


def _bus(aws, v):
    aws("events").create_event_bus(Name=v["name"])


def _event_rule(aws, v):
    aws("events").put_rule(
        Name=v["name"], EventBusName=v["event_bus_name"], EventPattern=v["event_pattern"]
    )


def _event_target(aws, v):
    target = {"Id": v["target_id"], "Arn": v["arn"]}
    aws("events").put_targets(Rule=v["rule"], EventBusName=v["event_bus_name"], Targets=[target])


def _pipe(aws, v):
    source = dict(v["source_parameters"][0])
    kinesis = camel(source["kinesis_stream_parameters"][0])
    filters = [camel(one["filter"]) for one in source.get("filter_criteria", [])]
    target = v["target_parameters"][0]
    aws("pipes").create_pipe(
        Name=v["name"], RoleArn=v["role_arn"], Source=v["source"], Target=v["target"],
        DesiredState=v["desired_state"],
        SourceParameters={
            "KinesisStreamParameters": kinesis,
            **({"FilterCriteria": {"Filters": filters[0]}} if filters else {}),
        },
        TargetParameters={
            "InputTemplate": target["input_template"],
            "EventBridgeEventBusParameters": camel(target["eventbridge_event_bus_parameters"][0]),
        },
    )  # fmt: skip


def _topic_rule(aws, v):
    def action(kind, block):
        names = {"kinesis": "kinesis", "firehose": "firehose", "cloudwatch_logs": "cloudwatchLogs"}
        return {names[kind]: camel(block[0], str.lower)}

    actions = [action(kind, v[kind]) for kind in ("kinesis", "firehose") if kind in v]
    error = action("cloudwatch_logs", v["error_action"][0]["cloudwatch_logs"])
    aws("iot").create_topic_rule(
        ruleName=v["name"],
        topicRulePayload={
            "sql": v["sql"], "awsIotSqlVersion": v["sql_version"],
            "ruleDisabled": not v["enabled"], "actions": actions, "errorAction": error,
        },
    )  # fmt: skip


#: In the order in which they can be made.
CALLS = {
    "aws_iam_role": _role, "aws_iam_role_policy": _role_policy, "aws_iam_policy": _policy,
    "aws_iam_role_policy_attachment": _attachment, "aws_cloudwatch_log_group": _log_group,
    "aws_cloudwatch_log_stream": _log_stream, "aws_kinesis_stream": _stream,
    "aws_s3_bucket": _bucket, "aws_kinesis_firehose_delivery_stream": _firehose,
    "aws_cloudwatch_event_bus": _bus, "aws_cloudwatch_event_rule": _event_rule,
    "aws_cloudwatch_event_target": _event_target, "aws_pipes_pipe": _pipe,
    "aws_iot_policy": _iot_policy, "aws_iot_thing_type": _thing_type,
    "aws_iot_thing_group": _thing_group, "aws_iot_provisioning_template": _template,
    "aws_iot_thing": _thing, "aws_iot_thing_group_membership": _membership,
    "aws_iot_topic_rule": _topic_rule,
}  # fmt: skip


def type_of(address):
    """The resource type in an address."""
    return re.match(r"(?:module\.\w+\.)*(\w+)\.", address)[1]


def make(url, resources):
    """Make every resource; raises KeyError for a type that nobody makes."""
    order = [*CALLS, *MADE_BY_NOBODY]
    for address in sorted(resources, key=lambda address: order.index(type_of(address))):
        kind = type_of(address)
        if kind not in MADE_BY_NOBODY:
            CALLS[kind](lambda service: client_of(url, service), resources[address])
