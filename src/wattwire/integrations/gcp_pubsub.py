"""# Google Cloud Pub/Sub

Publishes every message to one topic, up to 1,000 in a call.

**You need** a topic, and a service account with the role *Pub/Sub Publisher*
(`roles/pubsub.publisher`, of which only `pubsub.topics.publish` is used) on that topic; paste the
JSON file of its key. Nothing else is asked of the project, not even when you press *Test*: the
test publishes a real message. The hub signs its own tokens with the key; where a policy of yours
wants tokens from Google's token endpoint, set `token` to `exchanged`.

**Attributes.** `message_id`, `topic` (the event's), `device` and `content_type` travel with each
message, and what you put under `attributes`: subscriptions can filter by them.

**Order.** With `ordering_key` set to `device` the messages of a device carry the device's key as
their ordering key and keep their order; batches leave one at a time, in one call for each device
(Pub/Sub takes one key in a call), so that it is slower. Give `endpoint_url` a regional endpoint
then (`https://europe-west1-pubsub.googleapis.com`): order is kept within a region. A message that
is refused and sent again later has lost its place.

**Emulator.** An operator who sets `PUBSUB_EMULATOR_HOST` sends everything of this type there,
unless an integration names an `endpoint_url`. Nothing is encrypted then, and no token is sent. An
emulator on a private network must be allowed with `WATTWIRE_WEBHOOK_ALLOW`, as for webhooks.

**Repeats.** Pub/Sub keeps every copy it gets; the attribute `message_id` stays the same over all
attempts. The message ID that Pub/Sub gives is in the ledger.

**Refusals.** A wrong or deleted key, a missing permission and a missing topic pause the
integration until its settings change or a test succeeds. Exhausted quota slows it down. What
Pub/Sub calls invalid is looked for in halves of the batch: the message at fault (it does not fit
the topic's schema, say) becomes a dead letter, the others are delivered.
"""

import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator

from wattwire.integrations import _calls, _google, _pubsub
from wattwire.integrations._endpoints import check_endpoint
from wattwire.integrations.contract import (
    IntegrationSettings,
    IntegrationType,
    Outcome,
    Outcomes,
    Presets,
    Surroundings,
)
from wattwire.model import Message


class Settings(IntegrationSettings):
    """Fields of the form, the API schema and the reference table."""

    type: Literal["gcp_pubsub"] = "gcp_pubsub"
    project_id: str | None = Field(
        default=None,
        pattern=f"^{_pubsub.PROJECT}$",
        description="ID of the project, not its name; left out, the one in the topic.",
        examples=["test-project"],
    )
    topic: str = Field(
        max_length=500,
        description="The topic in full; with a project ID, its own name is enough.",
        examples=["projects/test-project/topics/MainSolarData"],
    )
    service_account_key: SecretStr | None = Field(
        default=None,
        max_length=_google.LONGEST_KEY,
        description="JSON file of a service account's key; an emulator needs none.",
    )
    ordering_key: Literal["none", "device"] = Field(
        default="none", description="Whether the messages of a device keep their order."
    )
    attributes: dict[str, str] = Field(
        default_factory=dict, max_length=20, description="Attributes to add to every message."
    )
    token: Literal["signed", "exchanged"] = Field(
        default="signed",
        description="Whether tokens are signed here or come from Google's token endpoint.",
    )
    endpoint_url: str | None = Field(
        default=None,
        max_length=2048,
        description="Replaces https://pubsub.googleapis.com: a regional endpoint, an emulator.",
        examples=["https://europe-west1-pubsub.googleapis.com"],
    )

    @field_validator("service_account_key")
    @classmethod
    def _is_a_key(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            _google.read_account(value.get_secret_value())
        return value

    @field_validator("attributes")
    @classmethod
    def _can_be_sent(cls, value: dict[str, str]) -> dict[str, str]:
        return dict(_pubsub.check_attributes(value))

    @field_validator("endpoint_url")
    @classmethod
    def _is_an_endpoint(cls, value: str | None) -> str | None:
        return value if value is None else check_endpoint(value, plain=True)

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        found = re.fullmatch(f"projects/({_pubsub.PROJECT})/topics/{_pubsub.TOPIC}", self.path)
        if found is None:
            raise ValueError("the topic must look like projects/test-project/topics/MainSolarData")
        if self.project_id not in {None, found[1]}:
            raise ValueError(f"the topic is in {found[1]}, the project ID is {self.project_id}")
        base = self.endpoint_url or _pubsub.emulator() or _pubsub.PUBLIC
        if self.service_account_key is None and base.startswith("https:"):
            raise ValueError("service_account_key is needed: only an emulator works without")
        return self

    @property
    def path(self) -> str:
        """Return the topic in full."""
        if "/" in self.topic or self.project_id is None:
            return self.topic
        return f"projects/{self.project_id}/topics/{self.topic}"

    @property
    def ordered(self) -> bool:
        """Return whether messages keep an order."""
        return self.ordering_key == "device"


@dataclass(frozen=True, slots=True)
class PubSub:
    """One topic, opened by connect()."""

    settings: Settings
    publisher: _pubsub.Publisher

    async def deliver(self, batch: Sequence[Message]) -> Outcomes:
        """Publish the batch in one call; with ordering keys, in one for each device."""
        if not self.settings.ordered:
            return await self.publisher.publish([self._item(message, "") for message in batch])
        groups = _calls.grouped(batch, lambda message: message.device)
        return await _calls.in_parts(
            [[self._item(m, device) for m in group] for device, group in groups.items()],
            self.publisher.publish,
            lambda items: [one.id for one in items],
            _pubsub.VERDICTS,
        )

    async def test(self, probe: Message) -> Outcome:
        """Publish the probe as an ordinary message."""
        return (await self.deliver([probe]))[probe.id]

    def _item(self, message: Message, ordering_key: str) -> _pubsub.Item:
        attributes = {**self.settings.attributes, **message.attributes, **_facts(message)}
        return _pubsub.item(message, attributes, ordering_key)


def _facts(message: Message) -> Mapping[str, str]:
    facts = {
        "message_id": message.id,
        "topic": message.topic,
        "device": message.device,
        "content_type": message.content_type,
    }
    return {name: value for name, value in facts.items() if value}


@asynccontextmanager
async def connect(settings: Settings, surroundings: Surroundings) -> AsyncIterator[PubSub]:
    """Open the topic for as long as the context lasts."""
    key = settings.service_account_key
    async with _pubsub.open_publisher(
        surroundings,
        settings.path,
        None if key is None else _google.read_account(key.get_secret_value()),
        way=settings.token,
        endpoint=settings.endpoint_url,
        ordered=settings.ordered,
    ) as publisher:
        yield PubSub(settings, publisher)


TYPE = IntegrationType(
    docs=__doc__,
    settings=Settings,
    limits=_pubsub.LIMITS,
    connect=connect,
    address=lambda settings: settings.path,
    presets=Presets(),
    verdicts=_pubsub.VERDICTS,
    timeout_seconds=lambda _: _calls.TIMEOUT_SECONDS,
    ordered=lambda settings: settings.ordered,
)
