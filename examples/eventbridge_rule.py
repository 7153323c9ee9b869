"""Route events of an Amazon EventBridge bus to a queue, and print what arrives.

    python examples/eventbridge_rule.py --bus energy --detail-type device.telemetry --delete

Makes a queue on Amazon SQS, the permission for the bus to send there, and a rule that takes the
events of the integration `aws_eventbridge`. With --delete all three are taken away in the end.
Credentials come from where boto3 finds them; they need `events:PutRule`, `events:PutTargets`
(`RemoveTargets`, `DeleteRule`) and `sqs:CreateQueue`, `GetQueueAttributes`, `SetQueueAttributes`,
`ReceiveMessage`, `DeleteMessage` (`DeleteQueue`).
"""

import argparse
import json
import time

import boto3

from wattwire.client import read_record

NAME = "wattwire-example"


def policy(queue_arn: str, rule_arn: str) -> str:
    """Return the permission of one rule, and of no other, to send to the queue."""
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "events.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": queue_arn,
        "Condition": {"ArnEquals": {"aws:SourceArn": rule_arn}},
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def main() -> None:
    """Make the route, print for a while, and clean up when asked to."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--bus", default="default")
    parser.add_argument("--source", default="wattwire")
    parser.add_argument("--detail-type", default="device.telemetry")
    parser.add_argument("--region")
    parser.add_argument("--endpoint-url", help="of an emulator")
    parser.add_argument("--seconds", type=float, default=60.0, help="how long to print")
    parser.add_argument("--delete", action="store_true", help="take everything away in the end")
    options = parser.parse_args()
    place = {"region_name": options.region, "endpoint_url": options.endpoint_url}
    events, sqs = boto3.client("events", **place), boto3.client("sqs", **place)
    rule = {"Name": NAME, "EventBusName": options.bus}
    url = sqs.create_queue(QueueName=NAME)["QueueUrl"]
    facts = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]
    pattern = {"source": [options.source], "detail-type": [options.detail_type]}
    rule_arn = events.put_rule(**rule, EventPattern=json.dumps(pattern))["RuleArn"]
    sqs.set_queue_attributes(
        QueueUrl=url, Attributes={"Policy": policy(facts["QueueArn"], rule_arn)}
    )
    targets = {"Rule": NAME, "EventBusName": options.bus}
    events.put_targets(**targets, Targets=[{"Id": "queue", "Arn": facts["QueueArn"]}])
    print(f"routed: {rule_arn} to {facts['QueueArn']}", flush=True)
    end = time.monotonic() + options.seconds
    while (left := end - time.monotonic()) > 0:
        wait = min(20, int(left) + 1)
        found = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=wait)
        for message in found.get("Messages", ()):
            event = json.loads(message["Body"])
            for sample in read_record(json.dumps(event["detail"])):
                where = sample.key or sample.uuid
                print(event["detail-type"], where, sample.name, sample.value, flush=True)
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    if options.delete:
        events.remove_targets(**targets, Ids=["queue"])
        events.delete_rule(**rule)
        sqs.delete_queue(QueueUrl=url)


if __name__ == "__main__":
    main()
