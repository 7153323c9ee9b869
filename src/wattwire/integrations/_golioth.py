"""Calls of Golioth's Management API, and which device over there is meant.

https://docs.golioth.io/reference/management-api (read 2026-08)
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, Literal
from urllib.parse import quote

import aiohttp
import msgspec
from yarl import URL

from wattwire.integrations import _calls, _http
from wattwire.integrations.contract import (
    HTTP_VERDICTS,
    Delivered,
    Outcome,
    Rejected,
    Retry,
    Verdict,
)

# gRPC's numbers, because Golioth's API is a gateway to it: https://grpc.io/docs/guides/status-codes
_INVALID_ARGUMENT: Final = 3
_DEADLINE_EXCEEDED: Final = 4
_FAILED_PRECONDITION: Final = 9
_OUT_OF_RANGE: Final = 11
_UNIMPLEMENTED: Final = 12
NO_DEVICE: Final = "NoDevice"
NO_PROJECT: Final = "NoProject"
NO_REPLY: Final = "NoReply"
VERDICTS: Final[Mapping[str, Verdict]] = {
    **HTTP_VERDICTS,
    NO_DEVICE: Verdict.RETRY,
    NO_REPLY: Verdict.RETRY,  # of a device, which says nothing about the others
    NO_PROJECT: Verdict.PARK,
}
#: Devices whose IDs are remembered; the oldest goes first.
MOST_REMEMBERED: Final = 10_000
#: Golioth answers with what was written; of a list of devices this is the most that fits.
MOST_ANSWER_BYTES: Final = 2_097_152
_OK: Final = 200

Match = Literal["id", "name", "hardware_id"]
_QUERY: Final = {"name": "deviceName", "hardware_id": "hardwareId"}


class RefusedError(Exception):
    """A call that has to come first failed; the outcome says how."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(str(outcome))
        self.outcome = outcome


@dataclass(frozen=True, slots=True)
class Answer:
    """What Golioth answered."""

    status: int
    body: bytes
    retry_after: str | None

    @property
    def good(self) -> bool:
        """Return whether the call was done: every success of this API is a 200."""
        return self.status == _OK

    def refusal(self, code: str = "") -> Outcome:
        """Return what a refusal means for the message."""
        number, text = _refusal(self.body)
        reason = f"HTTP {self.status}: {text}".rstrip(": ")
        if self.status == 413 or (self.status == 400 and number != _FAILED_PRECONDITION):  # noqa: PLR2004 - the sender's fault
            return Rejected(reason, status=self.status)
        wish = _http.retry_after(self.retry_after, datetime.now(UTC))
        return Retry(reason, after=wish, status=self.status, code=code)


class _Status(msgspec.Struct):
    code: int = 0
    message: str = ""


def _refusal(body: bytes) -> tuple[int, str]:
    try:
        said = msgspec.json.decode(body, type=_Status)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return 0, _http.printable(body[: _http.EXCERPT_BYTES].decode(errors="replace"))
    return said.code, _http.printable(said.message)


@dataclass(frozen=True, slots=True)
class Project:
    """One project, by the API key that is good in it only."""

    client: aiohttp.ClientSession
    base: str
    project_id: str
    api_key: str = field(repr=False)

    async def call(self, method: str, path: str, body: bytes | None = None, **query: str) -> Answer:
        """Make one call below /v1/projects/{id}. Raises UnreachableError."""
        url = URL(f"{self.base}/v1/projects/{quote(self.project_id, safe='')}{path}", encoded=True)
        headers = {"x-api-key": self.api_key}
        if body is not None:
            headers["Content-Type"] = "application/json"
        with _http.explained():
            async with self.client.request(
                method, url.update_query(query), data=body, headers=headers, allow_redirects=False
            ) as response:
                read = await _calls.read_answer(response, MOST_ANSWER_BYTES)
                return Answer(response.status, read, response.headers.get("Retry-After"))


class _Device(msgspec.Struct):
    id: str
    name: str = ""
    hardware_ids: list[str] = msgspec.field(name="hardwareIds", default_factory=list)


class _Devices(msgspec.Struct):
    found: list[_Device] = msgspec.field(name="list", default_factory=list)


class _Made(msgspec.Struct):
    data: _Device


@dataclass(frozen=True, slots=True)
class Directory:
    """Finds devices by what the hub knows of them, once each; registers those that are missing."""

    project: Project
    match: Match
    create: bool
    _known: dict[str, str] = field(default_factory=dict, repr=False)

    async def id_of(self, name: str) -> str:
        """Return the ID of a device. Raises RefusedError, UnreachableError."""
        if self.match == "id":
            return name
        if name not in self._known:
            found = await self._look_up(name)
            if found is None and not self.create:
                raise RefusedError(
                    Retry(
                        f"the project has no device of the {_words(self.match)} {name}",
                        code=NO_DEVICE,
                    )
                )
            while len(self._known) >= MOST_REMEMBERED:
                del self._known[next(iter(self._known))]
            self._known[name] = found or await self._register(name)
        return self._known[name]

    def forget(self, name: str) -> None:
        """Look the device up again next time: it is not there any more."""
        self._known.pop(name, None)

    async def _look_up(self, name: str) -> str | None:
        query = {_QUERY[self.match]: name, "perPage": "100"}
        answer = await self.project.call("GET", "/devices", None, **query)
        devices = _read(answer, _Devices).found
        return next((d.id for d in devices if _is(d, self.match, name)), None)

    async def _register(self, name: str) -> str:
        device: dict[str, Any] = {"name": name, "hardwareIds": [name]}
        answer = await self.project.call("POST", "/devices", msgspec.json.encode(device))
        made: _Made = _read(answer, _Made)
        return made.data.id


def _is(device: _Device, match: Match, name: str) -> bool:
    """Compare once more: the query may find parts of names."""
    return name in device.hardware_ids if match == "hardware_id" else name == device.name


def _words(match: Match) -> str:
    return match.replace("_", " ").replace(" id", " ID")


def _read(answer: Answer, kind: type[Any]) -> Any:
    if not answer.good:
        raise RefusedError(answer.refusal())
    try:
        return msgspec.json.decode(answer.body, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise RefusedError(Retry(f"not an answer of Golioth's: {error}", status=_OK)) from error


class _Description(msgspec.Struct):
    id: str
    name: str = ""


class _Described(msgspec.Struct):
    data: _Description


class _Count(msgspec.Struct):
    total: int = 0


async def described(project: Project) -> str:
    """Return what the key can see, in words. Raises RefusedError, UnreachableError."""
    answer = await project.call("GET", "")
    if answer.status == 404:  # noqa: PLR2004 - told apart from a device that is missing
        raise RefusedError(answer.refusal(NO_PROJECT))
    name = _http.printable(_read(answer, _Described).data.name, 100)
    devices = _read(await project.call("GET", "/devices", perPage="1"), _Count).total
    return f"project {name or project.project_id} with {devices} devices"


def segment(text: str) -> str:
    """Return one level of a path as it stands in a URL. Raises ValueError for one that moves."""
    if text in {".", ".."}:
        raise ValueError(f"{text!r} can be no part of a path")
    return quote(text, safe="")


def outcome_of_write(answer: Answer, where: str) -> Outcome:
    """Return what came of writing state."""
    if not answer.good:
        return answer.refusal(NO_DEVICE if answer.status == 404 else "")  # noqa: PLR2004 - the device
    if not answer.body.lstrip().startswith(b"{"):
        return Retry("HTTP 200, but not an answer of Golioth's", status=_OK)
    return Delivered(receipt=f"HTTP {answer.status} {where}", status=answer.status)


class _Reply(msgspec.Struct):
    code: int = msgspec.field(name="statusCode", default=0)
    detail: Any = None


def outcome_of_rpc(answer: Answer) -> Outcome:
    """Return what the device said: a number of gRPC's, 0 (or none) when all is well."""
    if not answer.good:
        number, _ = _refusal(answer.body)
        silent = NO_REPLY if number == _DEADLINE_EXCEEDED else ""
        return answer.refusal(NO_DEVICE if answer.status == 404 else silent)  # noqa: PLR2004 - the device
    try:
        reply = msgspec.json.decode(answer.body, type=_Reply)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return Retry("HTTP 200, but not an answer of Golioth's", status=_OK)
    detail = _http.printable(str(reply.detail or ""), 300)
    if not reply.code:
        return Delivered(receipt=f"HTTP 200 {detail}".rstrip(), status=_OK)
    reason = f"the device answered {reply.code} {detail}".rstrip()
    if reply.code in {_INVALID_ARGUMENT, _OUT_OF_RANGE, _UNIMPLEMENTED}:
        return Rejected(reason, status=_OK)
    return Retry(reason, status=_OK)
