"""The decoder: messages in, results out, whatever library brings the messages. Pure."""

from datetime import UTC, datetime

from wattwire.client.births import Origin
from wattwire.client.edges import EdgeNodes
from wattwire.client.json_bodies import read_message
from wattwire.client.limits import Limits
from wattwire.client.results import Command, Refused, Result, Sample
from wattwire.formats.sparkplug_b import decode_payload
from wattwire.formats.sparkplug_topics import is_state, parse_topic
from wattwire.model import RefusedError


class Decoder:
    """Decodes messages of one broker, and remembers what births announced.

    Both forms are read on any `spBv1.0/` topic: what begins with `{` as JSON, anything else as
    Sparkplug B. The state of host applications and commands lead to nothing.

    Not for several threads at once. Its memory is bounded by `limits`.
    """

    def __init__(self, limits: Limits | None = None) -> None:
        self._nodes = EdgeNodes(limits or Limits())

    def decode(
        self, topic: str, payload: bytes, received_at: datetime | None = None
    ) -> list[Result]:
        """Return what a message says, in its order; what is wrong with it is a `Refused`.

        Never raises. `received_at` is an aware datetime, now unless given; it stands where a
        message has no time of its own.
        """
        received = received_at or datetime.now(UTC)
        payload = bytes(payload)
        try:
            if is_state(topic):
                return []
            if payload[:1] == b"{":
                return read_message(topic, payload, received)
            origin = Origin(parse_topic(topic), decode_payload(payload), received)
            results, error = self._nodes.take(origin)
        except RefusedError as wrong:
            results, error = [], wrong
        if error is not None:
            results.append(Refused(error.reason, error.where, topic, payload))
        return results

    def samples(
        self, topic: str, payload: bytes, received_at: datetime | None = None
    ) -> list[Sample]:
        """Return the values of a message and nothing else: for who does not care for the rest."""
        results = self.decode(topic, payload, received_at)
        return [result for result in results if isinstance(result, Sample)]

    def commands(self, now: datetime | None = None) -> list[Command]:
        """Return requests for rebirths that are due; each is returned once.

        Ask about once a second, and publish them if you may. They are due for edge nodes whose data
        cannot be understood without a birth, and after a gap that did not close in time.
        """
        return self._nodes.rebirths.due(now or datetime.now(UTC))

    def interrupted(self) -> None:
        """Say that messages may have been missed: to be called when a connection was lost."""
        self._nodes.interrupted()
