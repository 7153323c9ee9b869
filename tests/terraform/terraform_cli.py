"""The real Terraform with the real AWS provider, where both are found on this machine.

Looked for: `terraform` on PATH, and the provider in a folder laid out as a mirror, in the places
that Terraform itself looks in and in TF_PLUGIN_CACHE_DIR. Nothing is downloaded.
"""

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from moto_iot import REGION

#: Below the folder that is named as the registry it mirrors.
PROVIDER = "*/hashicorp/aws/5.*/*/terraform-provider-aws*"
#: Addresses in the path, as the emulator wants them; one attempt, as its failures do not pass.
OVERRIDE = 'provider "aws" {\n  s3_use_path_style = true\n  max_retries       = 1\n}\n'


@dataclass(frozen=True)
class Terraform:
    """A binary, the folder of its provider, and their versions."""

    binary: str
    mirror: Path
    versions: str

    def run(self, folder, *words, url="http://127.0.0.1:9"):
        """Run a command; returns the finished process, whatever it said."""
        outside = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "TF_"))}
        return subprocess.run(
            [self.binary, *words],
            cwd=folder, capture_output=True, text=True, timeout=170, check=False,
            env={
                **outside,
                "AWS_ENDPOINT_URL": url, "AWS_REGION": REGION,
                "AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s",
                "AWS_EC2_METADATA_DISABLED": "true",
                "TF_CLI_CONFIG_FILE": os.devnull, "CHECKPOINT_DISABLE": "1",
            },
        )  # fmt: skip

    def checked(self, folder, *words, url="http://127.0.0.1:9"):
        """Run a command that has to succeed; returns what it printed."""
        done = self.run(folder, *words, url=url)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        return done.stdout

    def prepared(self, source, folder):
        """Copy a configuration and initialize it, for the emulator."""
        shutil.copytree(source, folder, ignore=shutil.ignore_patterns(".terraform*"))
        (folder / "emulator_override.tf").write_text(OVERRIDE)
        self.checked(folder, "init", "-input=false", "-no-color", f"-plugin-dir={self.mirror}")
        return folder


def _mirrors():
    yield os.environ.get("TF_PLUGIN_CACHE_DIR")
    yield Path.home() / ".terraform.d/plugins"
    yield "/usr/local/share/terraform/plugins"
    yield "/usr/share/terraform/plugins"


def find():
    """Return the Terraform of this machine, or None where it or the provider is not there."""
    binary = shutil.which("terraform")
    if binary is None:
        return None
    for mirror in filter(None, _mirrors()):
        for plugin in sorted(Path(mirror).glob(PROVIDER)):
            if int(plugin.parts[-3].split(".")[1]) >= 100:
                return Terraform(binary, Path(mirror), f"{_version(binary)}-aws-{plugin.parts[-3]}")
    return None


def _version(binary):
    said = subprocess.run([binary, "version", "-json"], capture_output=True, timeout=30, check=True,
                          env={**os.environ, "TF_CLI_CONFIG_FILE": os.devnull,
                               "CHECKPOINT_DISABLE": "1"})  # fmt: skip
    return json.loads(said.stdout)["terraform_version"]


def addresses(module):
    """All resources of a plan's module, by address."""
    for resource in module.get("resources", ()):
        if resource["mode"] == "managed":
            yield resource["address"], resource["values"]
    for child in module.get("child_modules", ()):
        yield from addresses(child)
