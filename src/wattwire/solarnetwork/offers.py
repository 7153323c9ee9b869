"""`/solaruser/…/topics` and `/hook/services`: what a hook can be made of, in the client's words."""

from collections.abc import Iterable, Sequence
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from wattwire.api.identity import face_of
from wattwire.solarnetwork.access import UserSigned
from wattwire.solarnetwork.envelope import EnvelopeRoute, answer
from wattwire.solarnetwork.messages import Catalogue, as_told, choose
from wattwire.solarnetwork.repeats import REPEATS
from wattwire.solarnetwork.services import SQS, Service, services_of
from wattwire.solarnetwork.specifiers import Leaf

router = APIRouter(
    prefix="/solaruser/api/v1/sec/user/event/node",
    route_class=EnvelopeRoute,
    include_in_schema=False,
)


def _chosen(request: Request) -> tuple[str, Catalogue]:
    return choose(",".join(request.headers.getlist("accept-language")))


@router.get("/topics")
async def solaruser_list_topics(request: Request, who: UserSigned) -> Response:
    """List the topics that SolarNetwork has, by their names."""
    del who  # that somebody signed is enough
    locale, texts = _chosen(request)
    topics = [
        {"id": topic, "locale": locale, **as_told(names)} for topic, names in texts.topics.items()
    ]
    return answer(sorted(topics, key=lambda topic: topic["localizedName"].lower()))


@router.get("/hook/services")
async def solaruser_list_services(request: Request, who: UserSigned) -> Response:
    """List the services: SolarNetwork's own, and every other type of integration."""
    del who  # that somebody signed is enough
    locale, texts = _chosen(request)
    services = services_of(face_of(request).hub.integration_types).values()
    return answer([_service(service, locale, texts) for service in services])


def _service(service: Service, locale: str, texts: Catalogue) -> dict[str, Any]:
    name = service.kind.name
    return {
        "id": service.id,
        "locale": locale,
        **as_told(texts.services.get(name, (name, ""))),
        "localizedInfoMessages": dict(_messages(service, texts)),
        "settingSpecifiers": [leaf.specifier() for leaf in _shown(service)],
    }


def _shown(service: Service) -> Sequence[Leaf]:
    """Return the form; SolarNetwork's own service has exactly SolarNetwork's."""
    return service.shown if service.id == SQS else (*service.shown, REPEATS)


def _messages(service: Service, texts: Catalogue) -> Iterable[tuple[str, str]]:
    for leaf in _shown(service):
        yield f"{leaf.key}.key", texts.label(leaf.key)
        yield f"{leaf.key}.desc", _description(service, leaf, texts)


def _description(service: Service, leaf: Leaf, texts: Catalogue) -> str:
    """Return the help of a setting; SolarNetwork's own has its own words, by key."""
    return texts.text(f"sqs.{leaf.key}" if service.id == SQS else leaf.description)
