"""The configuration evaluated, and deployed to the emulator."""

import aws_calls
import pytest
from deployments import SOURCE, VARIABLES, Deployed, furnish
from moto_iot import moto_with_iot
from terraform_offline import evaluate


@pytest.fixture(scope="session")
def scratch(tmp_path_factory):
    """A folder to evaluate in, again and again."""
    return tmp_path_factory.mktemp("offline") / "copy"


@pytest.fixture(scope="session")
def evaluated(scratch):
    """(resources by address, outputs) of VARIABLES, without a provider."""
    return evaluate(SOURCE, scratch, VARIABLES)


@pytest.fixture(scope="session")
def by_api(evaluated, tmp_path_factory):
    """Evaluated by Terraform's library, made through the AWS API: needs no provider."""
    resources, outputs = evaluated
    with moto_with_iot(tmp_path_factory.mktemp("moto")) as url:
        furnish(url)
        aws_calls.make(url, resources)
        yield Deployed(url, outputs)
