"""A hook's `repeats`: set as one of its properties, seen in both faces, gone when left out."""

import pytest
from solarnetwork_bench import BASE

HOOKS = f"{BASE}/hooks"
PROPERTIES = {"url": "https://example.com/x", "secret_key": "hush"}
HOOK = {
    "name": "a",
    "topic": "datum/agg/update",
    "serviceIdentifier": "webhook",
    "serviceProperties": PROPERTIES,
}


@pytest.fixture
async def owner(bench, organization_id):
    """A client of the native API."""
    return bench.client(await bench.token(organization_id))


@pytest.mark.parametrize("sent", [True, "true"])
async def test_repeats_are_a_property_of_the_hook(user, owner, sent):
    """Forms send text, programs a boolean; the native API has it with the format."""
    properties = {**PROPERTIES, "repeats": sent}
    made = (await user.post(HOOKS, {**HOOK, "serviceProperties": properties})).data
    native = (await owner.get(f"/api/v1/integrations/{made['id']}")).json

    assert made["serviceProperties"]["repeats"] is True
    assert native["format_settings"]["repeats"] is True
    assert "repeats" not in native["settings"]


@pytest.mark.parametrize("rest", [{}, {"repeats": False}, {"repeats": "false"}, {"repeats": None}])
async def test_without_repeats_there_are_none(user, owner, rest):
    """Left out or false: also where they were on before."""
    on = {**PROPERTIES, "repeats": True}
    made = (await user.post(HOOKS, {**HOOK, "serviceProperties": on})).data
    changed = {**HOOK, "id": made["id"], "serviceProperties": {**PROPERTIES, **rest}}
    shown = (await user.post(HOOKS, changed)).data
    native = (await owner.get(f"/api/v1/integrations/{made['id']}")).json

    assert "repeats" not in shown["serviceProperties"]
    assert "repeats" not in native["format_settings"]


async def test_the_native_api_switches_repeats_as_well(user, owner):
    """What it sets, the hook shows; a client that sends what it was shown keeps it."""
    made = (await user.post(HOOKS, HOOK)).data
    path = f"/api/v1/integrations/{made['id']}"
    settings = (await owner.get(path)).json["format_settings"]
    await owner.patch(path, {"format_settings": {**settings, "repeats": True}})
    shown = (await user.get(f"{HOOKS}/{made['id']}")).data
    kept = (await user.post(HOOKS, shown)).data

    assert shown["serviceProperties"]["repeats"] is True
    assert shown["serviceProperties"].keys() == kept["serviceProperties"].keys()
    assert (await owner.get(path)).json["format_settings"]["repeats"] is True


async def test_every_service_but_solarnetworks_own_offers_them(user):
    """SolarNetwork's own form stays as published; the property is taken there all the same."""
    listed = (await user.get(f"{BASE}/hook/services")).data
    offered = {
        service["id"]: [s for s in service["settingSpecifiers"] if s["key"] == "repeats"]
        for service in listed
    }
    sqs = next(iter(offered))

    assert [] == offered.pop(sqs)
    assert {"net.solarnetwork.settings.ToggleSettingSpecifier"} == {
        one["type"] for some in offered.values() for one in some
    }
    assert all(offered.values())
    properties = {"region": "us-west-2", "queueName": "q", "repeats": True}
    hook = {**HOOK, "serviceIdentifier": sqs, "serviceProperties": properties}
    assert (await user.post(HOOKS, hook)).data["serviceProperties"]["repeats"] is True
