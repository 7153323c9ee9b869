"""What tests of the type `influxdb` send, and the way they do."""

from datetime import UTC, datetime

from influx_counterparts import BUCKET, ORG, TOKEN
from integrations_counterparts import LOCAL, Reply

from wattwire.delivery.verdicts import judge, merged
from wattwire.integrations import TYPES
from wattwire.integrations.contract import (
    Delivered,
    Rejected,
)
from wattwire.model import Message, to_micros

KIND = TYPES["influxdb"]


NOW = datetime.now(UTC)


TAKEN = Reply(204, b"", {"X-Request-Id": "abc"})


def point(number, text="value=1.5", at=NOW, measurement="m"):
    line = f"{measurement},id=n{number} {text} {to_micros(at) * 1000}\n"
    return Message(f"m-{number}", line.encode(), "text/plain; charset=utf-8")


def points(count, **bad):
    """So many good points; `bad` gives the text of some: n7='value="x"'."""
    return [point(n, bad.get(f"n{n}", "value=1.5")) for n in range(count)]


def one(server, name, **more):
    return KIND.settings(url=server.url, version="1", database=name, flush_seconds=0, **more)


def two(url, **more):
    given = {"org": ORG, "bucket": BUCKET, "token": TOKEN, "flush_seconds": 0}
    return KIND.settings(url=url, **{**given, **more})


async def deliver(settings, messages):
    async with KIND.connect(settings, LOCAL) as integration:
        return await integration.deliver(messages)


def verdict(outcome):
    return judge(outcome, merged(KIND.verdicts, {}))


def stored(influx, measurement="m"):
    server, name = influx
    return {row["id"] for row in server.query(f"SELECT * FROM {measurement}", name)}


def rejected(outcomes):
    return {i for i, outcome in outcomes.items() if isinstance(outcome, Rejected)}


def delivered(outcomes):
    return {i for i, outcome in outcomes.items() if isinstance(outcome, Delivered)}
