"""Services and topics, in the client's language."""

import pytest
from solarnetwork_bench import BASE

from wattwire.integrations import TYPES
from wattwire.solarnetwork.messages import catalogue, choose, languages
from wattwire.solarnetwork.repeats import REPEATS
from wattwire.solarnetwork.services import SQS, services_of
from wattwire.solarnetwork.specifiers import leaves_of

SERVICES = f"{BASE}/hook/services"
TEXT_FIELD = "net.solarnetwork.settings.TextFieldSettingSpecifier"


def text_field(key, secret=False):
    return {
        "key": key,
        "defaultValue": "",
        "secureTextEntry": secret,
        "transient": False,
        "type": TEXT_FIELD,
    }


async def test_topics_are_those_of_the_seed(user):
    """Word for word."""
    answer = await user.get(f"{BASE}/topics")

    assert {
        "success": True,
        "data": [
            {
                "id": "datum/agg/update",
                "locale": "en",
                "localizedName": "Aggregate Updated",
                "localizedDescription": "Event triggered when SolarNetwork updates an aggregate "
                "value for a node source. The event message includes <code>timestamp</code> and "
                "<code>aggregationKey</code> properties that reveal which aggregate datum was "
                "affected.",
            }
        ],
    } == answer.json


async def test_the_sqs_service_is_that_of_the_seed(user):
    """Word for word, its four settings included."""
    listed = (await user.get(SERVICES)).data

    assert {
        "id": SQS,
        "locale": "en",
        "localizedName": "AWS Simple Queue Service (SQS) Node Event Hook Service",
        "localizedDescription": "Publish node events to an AWS SQS queue as JSON-formatted "
        "message objects.",
        "settingSpecifiers": [
            text_field("region"),
            text_field("queueName"),
            text_field("accessKey"),
            text_field("secretKey", secret=True),
        ],
        "localizedInfoMessages": {
            "region.key": "Region",
            "region.desc": "The SQS queue region to use. For example <code>us-west-2</code>.",
            "queueName.key": "Queue Name",
            "queueName.desc": "The SQS queue name to use. This queue must exist already.",
            "accessKey.key": "Access Key",
            "accessKey.desc": "The AWS access key to use for posting the event data.",
            "secretKey.key": "Secret Key",
            "secretKey.desc": "The AWS secret key to use for posting the event data.",
        },
    } == listed[0]


async def test_every_other_integration_is_a_service(user):
    """Fourteen more, each with its own settings, secrets hidden, and a text for every setting."""
    listed = (await user.get(SERVICES)).data

    assert [SQS, *sorted(set(TYPES) - {"aws_sqs"})] == [service["id"] for service in listed]
    assert 15 == len(listed)
    for service in listed:
        keys = [specifier["key"] for specifier in service["settingSpecifiers"]]
        assert keys
        assert {f"{key}.{part}" for key in keys for part in ("key", "desc")} == set(
            service["localizedInfoMessages"]
        )
        assert all(service["localizedInfoMessages"].values())
    webhook = next(service for service in listed if service["id"] == "webhook")
    specifiers = {specifier["key"]: specifier for specifier in webhook["settingSpecifiers"]}
    assert text_field("url") == specifiers["url"]
    assert specifiers["secret_key"]["secureTextEntry"]
    assert specifiers["headers"]["secureTextEntry"]


def test_switches_and_choices_have_their_own_form():
    """A boolean is a toggle, an enumeration has its values."""
    leaves = {leaf.key: leaf.specifier() for leaf in leaves_of(TYPES["mqtt"].settings)}
    email = {leaf.key: leaf.specifier() for leaf in leaves_of(TYPES["email"].settings)}

    assert "net.solarnetwork.settings.ToggleSettingSpecifier" == leaves["retain"]["type"]
    assert (False, True, False) == tuple(
        leaves["retain"][name] for name in ("defaultValue", "trueValue", "falseValue")
    )
    assert "starttls" in email["tls"]["valueTitles"]


@pytest.mark.parametrize(
    ("header", "tag", "language"),
    [
        ("", "en", "en"),
        ("de", "de", "de"),
        ("de-AT", "de-AT", "de"),
        ("fr-CH, fr;q=0.9", "fr-CH", "fr"),
        ("en;q=0.5,es;q=0.9", "es", "es"),
        ("it, de;q=0.8", "de", "de"),
        ("it", "it", "en"),
        ("it;q=0.1, pt-BR;q=0.5", "pt-BR", "en"),
        ("de;q=0", "en", "en"),
        ("*", "en", "en"),
        ("de;q=abc", "en", "en"),
        ("ä, de", "de", "de"),
        ("DE", "DE", "de"),
        ("x" * 5000, "en", "en"),
        ("../../etc/passwd", "en", "en"),
    ],
)
def test_the_language_is_the_best_that_there_is(header, tag, language):
    """By quality; the tag asked for is told; English for languages without texts."""
    assert (tag, catalogue(language)) == choose(header)


@pytest.mark.parametrize(
    ("language", "name", "label"),
    [
        ("de", "Aggregat aktualisiert", "Geheimer Schlüssel"),
        ("es", "Agregado actualizado", "Clave secreta"),
        ("fr", "Agrégat mis à jour", "Clé secrète"),
    ],
)
async def test_texts_are_in_the_clients_language(user, language, name, label):
    """Topics, services, labels and descriptions."""
    accept = {"accept-language": f"{language}-XX,en;q=0.1"}
    topics = (await user.get(f"{BASE}/topics", unsigned=accept)).data
    services = (await user.get(SERVICES, unsigned=accept)).data

    assert [(f"{language}-XX", name)] == [(t["locale"], t["localizedName"]) for t in topics]
    assert label == services[0]["localizedInfoMessages"]["secretKey.key"]
    assert {f"{language}-XX"} == {service["locale"] for service in services}


def test_every_text_is_translated():
    """Every service, setting and description there is, in every language, and none too many."""
    leaves = [leaf for kind in TYPES.values() for leaf in leaves_of(kind.settings)]
    shown = [leaf for service in services_of(TYPES).values() for leaf in service.shown]
    shown.append(REPEATS)
    english = catalogue("en")
    described = {leaf.description for leaf in shown} - {""}

    assert {"en", "de", "es", "fr"} == languages()
    assert leaves
    for language in languages():
        texts = catalogue(language)
        assert set(TYPES) == set(texts.services)
        assert set(english.topics) == set(texts.topics)
        assert {leaf.key for leaf in shown} == set(texts.labels)
        assert all(texts.labels.values())
        own = {key for key in texts.texts if key.startswith("sqs.")}
        assert 4 == len(own)
        if language != "en":
            assert described == set(texts.texts) - own, language
            same = {key for key, text in texts.texts.items() if key == text}
            assert set() == same
