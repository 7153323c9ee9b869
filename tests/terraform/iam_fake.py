"""A fake of what IAM decides, and it says so: it reads roles and policies from the emulator.

The emulator checks no role that a service assumes. This does, for the few forms that stand in our
documents: Allow statements, StringEquals and ArnLike conditions of a trust policy. Anything else
raises NotImplementedError rather than being allowed.
"""

import json
from fnmatch import fnmatchcase


class AccessDeniedError(PermissionError):
    """The role does not exist, is not meant for the service, or may not do this."""


def as_list(value):
    return value if isinstance(value, list) else [value]


def _matches(patterns, value):
    return any(fnmatchcase(value, pattern) for pattern in as_list(patterns))


def check(iam, role_arn, *, service, source, account, action, resource):
    """Raise AccessDeniedError unless the service may assume the role, and the role may do this."""
    role = _role(iam, role_arn)
    trust = role["AssumeRolePolicyDocument"]
    if not any(_trusts(s, service, source, account) for s in as_list(trust["Statement"])):
        raise AccessDeniedError(f"{role_arn} does not trust {service} for {source}")
    documents = list(_documents(iam, role["RoleName"]))
    if not any(allows(document, action, resource) for document in documents):
        raise AccessDeniedError(f"{role_arn} may not do {action} on {resource}")


def _role(iam, arn):
    name = arn.rpartition("/")[2]
    try:
        role = iam.get_role(RoleName=name)["Role"]
    except iam.exceptions.NoSuchEntityException:
        raise AccessDeniedError(f"there is no role {arn}") from None
    if role["Arn"] != arn:
        raise AccessDeniedError(f"there is no role {arn}")
    return role


def _documents(iam, name):
    for policy in iam.list_role_policies(RoleName=name)["PolicyNames"]:
        yield iam.get_role_policy(RoleName=name, PolicyName=policy)["PolicyDocument"]
    for policy in iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"]:
        yield document_of(iam, policy["PolicyArn"])


def document_of(iam, arn):
    """The current document of a managed policy."""
    version = iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]
    return iam.get_policy_version(PolicyArn=arn, VersionId=version)["PolicyVersion"]["Document"]


def _trusts(statement, service, source, account):
    if statement["Effect"] != "Allow" or set(statement) - {
        "Effect",
        "Principal",
        "Action",
        "Condition",
    }:
        raise NotImplementedError(statement)
    named = statement["Principal"] == {"Service": f"{service}.amazonaws.com"}
    facts = {"aws:SourceAccount": account, "aws:SourceArn": source}
    conditions = statement.get("Condition", {})
    return named and statement["Action"] == "sts:AssumeRole" and all(
        _holds(test, key, wanted, facts)
        for test, keys in conditions.items()
        for key, wanted in keys.items()
    )  # fmt: skip


def _holds(test, key, wanted, facts):
    if test == "StringEquals":
        return facts[key] in as_list(wanted)
    if test == "ArnLike":
        return _matches(wanted, facts[key])
    raise NotImplementedError(test)


def allows(document, action, resource, conditions=()):
    """Whether a document of plain Allow statements lets this happen.

    `conditions`: what holds beside, as (test, key, value).
    """
    if isinstance(document, str):
        document = json.loads(document)
    statements = as_list(document["Statement"])
    if any(s["Effect"] != "Allow" or "NotAction" in s for s in statements):
        raise NotImplementedError(statements)
    return any(
        _matches(s["Action"], action)
        and _matches(s["Resource"], resource)
        and _conditions(s) <= set(conditions)
        for s in statements
    )


def _conditions(statement):
    return {
        (test, key, value)
        for test, keys in statement.get("Condition", {}).items()
        for key, value in keys.items()
    }
