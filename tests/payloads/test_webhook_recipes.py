"""What docs/webhook-recipes.md tells people to configure works as it says.

The four services cannot run here. `Service` is a fake of what their documentation says they do with
a request: which content type they take, what they check, and what an automation then finds.
"""

import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from http import HTTPStatus
from ipaddress import ip_network
from types import SimpleNamespace

import jinja2
import pytest
import yaml
from aiohttp import web
from aiohttp.test_utils import TestServer
from yarl import URL

from documented import blocks
from wattwire.api.events import TOPICS
from wattwire.api.integrations import IntegrationCreate
from wattwire.api.payload_formats import read_format
from wattwire.delivery.rendering import find_format
from wattwire.delivery.trial import _message
from wattwire.delivery.verdicts import judge, merged
from wattwire.integrations import TYPES
from wattwire.integrations.contract import Delivered, Surroundings, Verdict
from wattwire.payloads.examples import ALERT, INTEGRATION, ORGANIZATION, POWER, UPDATE

PAGE = blocks("docs/webhook-recipes.md")
RECIPES = {b.words[1]: json.loads(b.text) for b in PAGE if b.words[:1] == ("integration",)}
BODIES = {b.words[1]: b.text for b in PAGE if b.words[:1] == ("body",)}
YAML = {b.words[0]: b.text for b in PAGE if b.language == "yaml"}
(EXPRESSIONS,) = [b.text.split("\n") for b in PAGE if b.words == ("expressions", "n8n")]
WEBHOOK = TYPES["webhook"]
_ADDRESSES = ("url", "secret_url")
LOCAL = Surroundings(allowed_networks=(ip_network("127.0.0.0/8"),))
BARE = replace(ALERT, device_key="", device_name="", device_type="", severity="info", data={})
FAILED = replace(
    BARE,
    topic="integration.error",
    data={"integration_id": 5, "name": "Desk", "status": "error", "reason": "cannot connect"},
)
ODD = replace(ALERT, device_name='He said "2 < 3"\\\n', data={"message": "\u2028 ü", "x": None})


def url_of(name):
    """The address of a recipe, under whichever name it is given."""
    (url,) = (RECIPES[name]["settings"][k] for k in _ADDRESSES if k in RECIPES[name]["settings"])
    return url


def form_of(name):
    given = RECIPES[name]
    return find_format(given["format"], given["format_settings"], INTEGRATION)


def probe_of(name):
    """The message of the button Test."""
    plan = SimpleNamespace(name="Desk", organization_id=ORGANIZATION, form=form_of(name))
    return _message(plan, "test-1", datetime(2025, 6, 1, 12, tzinfo=UTC))


EVENTS = {
    "alert": ALERT, "telemetry": POWER, "rollup": UPDATE, "nothing": BARE, "odd": ODD,
    "failed": FAILED,
    "test": probe_of("zapier").event,
}  # fmt: skip


def body_of(name, event):
    return json.loads(form_of(name).render(event))


def test_the_page_has_all_four():
    """Each service has its integration and the body that arrives."""
    assert {"zapier", "ifttt", "n8n", "home-assistant"} == set(RECIPES) == set(BODIES)


def test_no_json_of_the_page_goes_untested():
    """Every block of JSON is one of those."""
    found = [b.words[0] for b in PAGE if b.language == "json"]

    assert sorted(found) == ["body"] * len(BODIES) + ["integration"] * len(RECIPES)


@pytest.mark.parametrize("name", RECIPES)
def test_the_integration_is_one_that_the_api_takes(name):
    """Body, settings, format and limits are valid, and the topics exist."""
    given = IntegrationCreate.model_validate(RECIPES[name])
    settings = WEBHOOK.settings.model_validate(given.settings)

    assert "webhook" == given.type
    assert given.format_settings == read_format("wattwire", given.format, given.format_settings)
    assert set(given.topics) <= set(TOPICS)
    assert None not in given.limits.model_dump().values()
    secret = settings.secret_url.get_secret_value() if settings.secret_url else None
    assert str(URL(url_of(name))) == (settings.url or secret)
    assert merged(WEBHOOK.verdicts, given.outcomes or {})


@pytest.mark.parametrize("name", RECIPES)
def test_what_arrives_is_what_the_page_shows(name):
    """The alert of the format's own example gives the printed body."""
    assert json.loads(BODIES[name]) == body_of(name, ALERT)


@pytest.mark.parametrize("event", EVENTS)
@pytest.mark.parametrize("name", RECIPES)
def test_every_event_has_the_printed_shape(name, event):
    """Readings, rollups, alerts, Test, bare and odd ones: JSON with the printed names."""
    printed, found = json.loads(BODIES[name]), body_of(name, EVENTS[event])

    assert list(printed) == list(found)
    assert [type(value) for value in printed.values()] == [type(value) for value in found.values()]


@pytest.mark.parametrize("event", EVENTS)
def test_ifttt_gets_three_texts(event):
    """value1 to value3 and nothing else, each a text of modest length that is no blank notice."""
    found = body_of("ifttt", EVENTS[event])

    assert ["value1", "value2", "value3"] == list(found)
    assert all(isinstance(text, str) and len(text) <= 500 for text in found.values())
    assert found["value1"]
    assert found["value2"]


def test_ifttt_reads_values_in_a_row():
    """A reading is told as names and numbers, with commas between them."""
    found = body_of("ifttt", POWER)["value3"]

    assert "currentA 12.1, realEnergy 1520.5, realPower 4.2, voltageAN 480.2" == found


@pytest.mark.parametrize("name", ["zapier", "ifttt", "home-assistant"])
def test_an_address_that_is_the_password_is_given_as_a_secret(name):
    """The ledger shows its origin alone."""
    settings = WEBHOOK.settings.model_validate(RECIPES[name]["settings"])

    assert settings.secret_url is not None
    assert f"{URL(url_of(name)).origin()}/…" == WEBHOOK.address(settings)


def test_ifttt_is_called_at_the_trigger_that_has_values():
    """Not at the one for JSON payloads, and by an event name that it allows."""
    url = URL(url_of("ifttt"))

    assert "maker.ifttt.com" == url.host
    assert re.fullmatch(r"/trigger/\w+/with/key/\w+", url.path)


#: Where each service's notice is: what people read first.
NOTICE = {"zapier": "summary", "ifttt": "value2", "n8n": "data", "home-assistant": "message"}


@pytest.mark.parametrize("name", RECIPES)
def test_the_notice_tells_what_happened(name):
    """The words of Test, and the reason why an integration fails, are where people look."""
    told = [str(body_of(name, event)[NOTICE[name]]) for event in (EVENTS["test"], FAILED)]

    assert "A test of the integration Desk." in told[0]
    assert "cannot connect" in told[1]


class Service:
    """A fake: takes a request as the documentation of one of the four says it does."""

    def __init__(self, name):
        self.name = name
        self.found = []  #: what an automation is given

    async def take(self, request):
        if request.method != "POST" or request.path != URL(self._url).path:
            return web.Response(status=404)  # n8n: not registered
        if self.name == "n8n" and request.headers.get("x-wattwire-key") != "a long random text":
            return web.Response(status=403, text="Authorization data is wrong!")
        text = await request.text()
        if self.name == "home-assistant":
            self.found.append({"json": self._body(request, text)})
        elif self.name == "n8n":
            head = {k.lower(): v for k, v in request.headers.items()}
            body = self._body(request, text)
            self.found.append({"headers": head, "params": {}, "query": {}, "body": body})
        else:
            self.found.append(self._body(request, text))
        return web.Response()

    @property
    def _url(self):
        return url_of(self.name)

    @staticmethod
    def _body(request, text):
        """JSON by its content type; else a form, in which our names would not be."""
        return json.loads(text) if "json" in request.headers["Content-Type"] else {}


async def called(name, *messages, **settings):
    """Let the type send messages to the fake; return its outcomes and what the fake found."""
    service = Service(name)
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", service.take)
    async with TestServer(app, host="127.0.0.1") as server:
        given = {**RECIPES[name]["settings"], **settings}
        (key,) = given.keys() & set(_ADDRESSES)
        url = URL(given[key]).with_scheme("http").with_host("127.0.0.1").with_port(server.port)
        made = WEBHOOK.settings.model_validate({**given, key: str(url)})
        async with WEBHOOK.connect(made, LOCAL) as integration:
            return [await integration.test(message) for message in messages], service.found


@pytest.mark.parametrize("name", RECIPES)
async def test_the_button_works(name):
    """Test really sends: the receiver takes it and finds the names of the printed body."""
    outcomes, found = await called(name, probe_of(name))
    body = {"home-assistant": lambda f: f["json"], "n8n": lambda f: f["body"]}
    given = body.get(name, lambda f: f)(found[0])

    assert [Delivered] == [type(outcome) for outcome in outcomes]
    assert list(json.loads(BODIES[name])) == list(given)


async def test_a_wrong_key_parks_and_an_inactive_workflow_waits():
    """n8n's 403 pauses the integration; its 404 counts nothing against the messages."""
    verdicts = merged(WEBHOOK.verdicts, RECIPES["n8n"]["outcomes"])
    refused, _ = await called("n8n", probe_of("n8n"), headers={"X-Wattwire-Key": "another"})
    absent, _ = await called("n8n", probe_of("n8n"), url="https://n8n.example.com/webhook/off")

    assert [Verdict.PARK] == [judge(outcome, verdicts) for outcome in refused]
    assert [HTTPStatus.NOT_FOUND] == [outcome.status for outcome in absent]
    assert [Verdict.DOWN] == [judge(outcome, verdicts) for outcome in absent]


async def test_expressions_of_n8n_find_something():
    """Each printed expression leads to a value of the item that the node makes."""
    _, (item,) = await called("n8n", probe_of("n8n"))
    paths = [re.fullmatch(r"\{\{ \$json\.(.+) \}\}", line) for line in EXPRESSIONS if line]

    for path in paths:
        value = item
        for step in re.findall(r'\w[\w-]*(?="\])|\w+', path[1]):
            value = value[step]
        assert value


def shown(text, event):
    """What Home Assistant makes of a template: Jinja with the trigger, wrong names being errors."""
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, autoescape=False)
    trigger = {"platform": "webhook", "json": body_of("home-assistant", event)}
    return environment.from_string(text).render(trigger=trigger, this={"state": "unknown"})


@pytest.mark.parametrize("event", EVENTS)
def test_the_automation_of_home_assistant_finds_its_names(event):
    """Title and message are written for every event; the trigger is the address of the recipe."""
    (automation,) = yaml.safe_load(YAML["automation"])["automation"]
    (trigger,), (action,) = automation["triggers"], automation["actions"]
    path = URL(url_of("home-assistant")).path

    assert f"/api/webhook/{trigger['webhook_id']}" == path
    assert ["POST"] == trigger["allowed_methods"]
    assert all(shown(text, EVENTS[event]).strip() for text in action["data"].values())


def test_the_sensor_of_home_assistant_shows_the_value():
    """A reading gives its number; what has no such value, as Test, leaves the state alone."""
    (template,) = yaml.safe_load(YAML["sensor"])["template"]
    (sensor,) = template["sensor"]

    assert "4.2" == shown(sensor["state"], POWER)
    assert "unknown" == shown(sensor["state"], probe_of("home-assistant").event)
