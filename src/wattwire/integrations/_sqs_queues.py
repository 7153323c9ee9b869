"""Where a queue of SQS is: the address that was given, or what SQS says to its name.

https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_GetQueueUrl.html
"""

import asyncio
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from wattwire.integrations import _aws, _aws_answers
from wattwire.integrations.contract import Retry

_HEADERS: Final = {
    "content-type": "application/x-amz-json-1.0",
    "x-amz-target": "AmazonSQS.GetQueueUrl",
}
_ABSENT: Final = frozenset(("AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist"))


@dataclass(slots=True)
class Queue:
    """One queue of a region, asked for once for as long as the connection lasts."""

    caller: _aws.Caller
    name: str
    region: str
    known: str | None = None  #: its address
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def url(self) -> str | Retry:
        """Return the address, or why there is none. Raises UnreachableError, TimeoutError."""
        if self.known is None:
            async with self._lock:
                if self.known is None:
                    found = await self._ask()
                    if isinstance(found, Retry):
                        return found
                    self.known = found
        return self.known

    async def _ask(self) -> str | Retry:
        body = msgspec.json.encode({"QueueName": self.name})
        call = self.caller.request("POST", "/", _HEADERS, body)
        answer = await _aws_answers.answer_of(call, _aws_answers.json_refusal)
        if isinstance(answer, Retry):
            return self._absent(answer) if answer.code in _ABSENT else answer
        try:
            found = msgspec.json.decode(answer.body, type=dict[str, Any]).get("QueueUrl")
        except msgspec.DecodeError:
            found = None
        if not isinstance(found, str) or not found:
            return Retry(f"SQS named no address of the queue {self.name}", status=answer.status)
        return found

    def _absent(self, answer: Retry) -> Retry:
        """Return the refusal in the words that SolarNetwork has for it."""
        reason = f"Queue [{self.name}] does not exist (using region {self.region})."
        return Retry(reason, status=answer.status, code=answer.code)
