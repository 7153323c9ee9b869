"""# AWS IoT Core

Publishes events to the message broker of AWS IoT, or keeps them as the shadow of a thing.

**You need** credentials that may do `iot:Publish` on the topics, `iot:DescribeEndpoint` unless you
give the endpoint, `iot:UpdateThingShadow` on the things when shadows are kept, and
`iot:RetainPublish` when messages are retained: an access key, a profile of the hub, and on top of
either a role to assume (with an external ID if its trust policy asks for one). The test publishes a
real message, and needs no more than that.

**Topics.** `topic` is a template; its placeholders are `{organization_id}`, `{device_key}`,
`{device_id}` (the hub's number of it), `{device_name}`, `{device_type}`, `{stream}` (as many levels
as it has), `{topic}`, `{event}` (`telemetry` of `device.telemetry`), `{severity}` and
`{metadata.site}` or whatever else is known of a device. Characters that would make levels are
percent-encoded. A topic of AWS IoT has at most 256 bytes and seven slashes; `$aws/rules/name/…`
(basic ingest) goes to a rule directly. Messages are published with QoS 1 over HTTPS; the message's
id is their user property `message_id`.

**Shadows.** With `shadow_thing`, a template as well, readings go into the thing's shadow instead of
to a topic, by the call that does what publishing to `$aws/things/{thing}/shadow/update` does, and
answers: `{"state": {"reported": {"power/1": {"active_power_w": 1200}}}}`. Other events are
published as ever. Readings of a device may overtake each other, unless `ordered` is on.

**Repeats.** The user property `message_id`, or the `clientToken` of a shadow's update, stays the
same over all attempts.

**Refusals.** An event that has no value for a placeholder, or makes a topic or a thing's name that
AWS does not take, is rejected and kept as a dead letter; so is what AWS calls an invalid request or
too large. Wrong credentials and a missing permission pause the integration, with AWS' own words as
the reason; 429 slows it down.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final, Literal

from pydantic import Field, field_validator

from wattwire.integrations import _aws, _aws_answers, _iot_calls
from wattwire.integrations._aws_access import Access
from wattwire.integrations._iot_calls import DataPlane
from wattwire.integrations._topics import TopicTemplate
from wattwire.integrations.contract import (
    IntegrationSettings,
    IntegrationType,
    Limits,
    Outcome,
    Outcomes,
    Presets,
    Rejected,
    Retry,
    Surroundings,
    Verdict,
)
from wattwire.model import Message

# https://docs.aws.amazon.com/general/latest/gr/iot-core.html#message-broker-limits
# (payload 128 KB; one message to a call; read 2026-11)
LIMITS: Final = Limits(max_messages=1, max_bytes=131_072)
PRESETS: Final = Presets(rate_per_minute=18_000, max_concurrent=500, max_payload_bytes=131_072)
VERDICTS: Final[Mapping[str, Verdict]] = {
    **_aws_answers.VERDICTS,
    "InvalidRequestException": Verdict.REJECT,
    "RequestEntityTooLargeException": Verdict.REJECT,
}
_TELEMETRY: Final = "device.telemetry"


class Settings(IntegrationSettings):
    """Fields of the form, the API schema and the reference table."""

    type: Literal["aws_iot"] = "aws_iot"
    topic: str = Field(
        default="netneural/{organization_id}/devices/{device_key}/{event}",
        description="Where messages are published; placeholders in braces.",
        examples=["netneural/{organization_id}/devices/{device_key}/telemetry"],
    )
    shadow_thing: str | None = Field(
        default=None,
        description="Thing whose shadow takes the readings; placeholders in braces.",
        examples=["{device_key}"],
    )
    retain: bool = Field(default=False, description="Ask the broker to keep the last message.")
    ordered: bool = Field(default=False, description="Make calls one at a time.")
    endpoint: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9.-]{1,253}(:\d{1,5})?$",
        description="Host name of the account's data endpoint; found out when it is not given.",
        examples=["a1b2c3d4e5f6g7-ats.iot.eu-central-1.amazonaws.com"],
    )
    aws: Access = Field(description="Where, and as whom.")

    @field_validator("topic")
    @classmethod
    def _is_a_topic(cls, value: str) -> str:
        TopicTemplate.parse(value, reserved=value.startswith(_iot_calls.BASIC_INGEST))
        _iot_calls.check_topic(value)
        return value

    @field_validator("shadow_thing")
    @classmethod
    def _is_a_name(cls, value: str | None) -> str | None:
        if value is not None:
            TopicTemplate.parse(value)
        return value


@dataclass(frozen=True, slots=True)
class IotCore:
    """One account's broker, opened by connect()."""

    plane: DataPlane
    topic: TopicTemplate
    thing: TopicTemplate | None
    retain: bool

    async def deliver(self, batch: Sequence[Message]) -> Outcomes:
        """Publish each message, or update the shadow of its thing."""
        return {message.id: await self._send(message) for message in batch}

    async def test(self, probe: Message) -> Outcome:
        """Send the probe as an ordinary message."""
        return await self._send(probe)

    async def _send(self, message: Message) -> Outcome:
        try:
            call = self._call(message)
        except ValueError as error:
            return Rejected(str(error))
        caller = await self.plane.caller()
        if isinstance(caller, Retry):
            return caller
        asked = caller.request(call.method, call.path, call.headers, call.body, call.query)
        answer = await _aws_answers.answer_of(asked, _aws_answers.json_refusal)
        return answer if isinstance(answer, Retry) else call.read(answer)

    def _call(self, message: Message) -> _iot_calls.Call:
        """Return what to ask of the data plane. Raises ValueError, saying why it cannot be."""
        if message.event is None:
            raise ValueError("its event is not known: there is nothing to fill the topic with")
        if self.thing is not None and message.topic == _TELEMETRY:
            return _iot_calls.shadow_update(self.thing.fill(message.event), message.event, message)
        return _iot_calls.publication(self.topic.fill(message.event), message, retain=self.retain)


@asynccontextmanager
async def connect(settings: Settings, surroundings: Surroundings) -> AsyncIterator[IotCore]:
    """Open the way to the broker for as long as the context lasts."""
    thing = settings.shadow_thing
    async with _aws.open_caller("iot", settings.aws, surroundings) as control:
        yield IotCore(
            DataPlane(control, settings.endpoint),
            TopicTemplate.parse(settings.topic, reserved=True),
            None if thing is None else TopicTemplate.parse(thing),
            settings.retain,
        )


def address(settings: Settings) -> str:
    """Return the endpoint, or the region whose it is, and the topic."""
    return f"{settings.endpoint or settings.aws.region} {settings.topic}"


TYPE = IntegrationType(
    docs=__doc__,
    settings=Settings,
    limits=LIMITS,
    connect=connect,
    address=address,
    presets=PRESETS,
    verdicts=VERDICTS,
    timeout_seconds=lambda _: _aws.CALL_SECONDS,
    ordered=lambda settings: settings.ordered,
)
