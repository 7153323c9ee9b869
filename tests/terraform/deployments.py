"""What is deployed, and how it is looked at."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from moto_iot import ACCOUNT, REGION
from route_fakes import Routes, client_of
from signing_requests import signing_request

from documented import blocks

SOURCE = Path(__file__).parents[2] / "cloud/aws-iot/terraform"
MODULES = sorted((SOURCE / "modules").iterdir())
BUCKET = "example-device-certificates"


def queue_arn(name):
    """The ARN of a queue in the account."""
    return f"arn:aws:sqs:{REGION}:{ACCOUNT}:{name}"


#: Everything switched on.
VARIABLES = {
    "region": REGION,
    "environment": "staging",
    "certificate_bucket": BUCKET,
    "devices": ["site-north"],
    "claims": ["line-1"],
    "provisioning_enabled": True,
    "events_enabled": True,
    "event_queue_arns": {"ticketing": queue_arn("wattwire-staging")},
}


def with_extensions(target):
    """Copy the configuration, with what its README shows as extensions beside it."""
    shutil.copytree(SOURCE, target, ignore=shutil.ignore_patterns(".terraform*"))
    shown = [block.text for block in blocks(SOURCE / "README.md") if block.language == "hcl"]
    assert len(shown) == 3
    for text in shown:
        first, _, rest = text.partition("\n")
        path = target / first.removeprefix("# ")
        path.parent.mkdir(exist_ok=True)
        path.write_text(rest)
    return target


@dataclass(frozen=True)
class Deployed:
    """The emulator, what the configuration put out, and what all names begin with."""

    url: str
    outputs: dict
    name: str = "wattwire-staging"

    @property
    def routes(self):
        """Fakes that carry messages through this deployment."""
        rules = tuple(arn.rpartition("/")[2] for arn in self.outputs["rule_arns"].values())
        return Routes(self.url, rules)

    def client(self, service):
        """A client of the emulator."""
        return client_of(self.url, service)


def furnish(url):
    """Make what the configuration expects: the bucket with signing requests, and the queue."""
    s3 = client_of(url, "s3")
    s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
    for name in ("devices/site-north", "claims/line-1"):
        body = signing_request(name.rpartition("/")[2])
        s3.put_object(Bucket=BUCKET, Key=f"csr/{name}.pem", Body=body, ContentType="text/plain")
    client_of(url, "sqs").create_queue(QueueName="wattwire-staging")
