"""The page about this face, in parts that the reference writes as Markdown and the hub as HTML.

Texts have `code` between backticks, and no other markup.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from wattwire.solarnetwork import examples
from wattwire.solarnetwork.bulk_upload import MAX_BODY_BYTES, MAX_DATUMS
from wattwire.solarnetwork.describe import routes
from wattwire.solarnetwork.described_operations import REFUSED
from wattwire.solarnetwork.query_parameters import MAX_RESULTS, UNSUPPORTED

TITLE: Final = "SolarNetwork's API"
DOCUMENT: Final = "/api/solarnetwork/openapi.json"


@dataclass(frozen=True, slots=True)
class Heading:
    """A title."""

    level: int
    text: str


@dataclass(frozen=True, slots=True)
class Text:
    """A paragraph."""

    text: str


@dataclass(frozen=True, slots=True)
class Items:
    """A list."""

    items: Sequence[str]


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of texts below their heads."""

    heads: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True, slots=True)
class Code:
    """A command to be pasted, or what comes of it."""

    language: str  #: bash, json or text
    kind: str  #: run or answer
    text: str


Part = Heading | Text | Items | Table | Code

_INTRODUCTION: Final = f"""
Clients of SolarNetwork manage event hooks, query and upload at this hub under the addresses
that they know, with a SolarNetwork token of an organization. A node is a device (its number is
the node's id), a source is a stream (its path is the source's id), a user is an organization,
and an event hook is an integration: what is made in one face is seen, tested and replayed in
the other.

For programs: an OpenAPI document of these calls is at `{DOCUMENT}` of a running hub.
"""
_SAME: Final = """
As there: signatures (SNWS2), the envelope with its order of members, codes and statuses, masked
secrets and the rules by which an update keeps them, both ids of the SQS service, Ant patterns,
dates, numbers, paging.
"""
_DIFFERENT: Final = """
Every type of integration is a hook service, not SQS alone; its settings are the service's
properties.

SolarNetwork asks AWS for a queue's address. The hub makes it of region, name and the account that
the access key names (keys given out since 2019 do), and asks AWS only where none is named, which
needs the permission `sqs:GetQueueUrl`; the address itself may be given as `queueName`, too.

An event is told once for each change of an aggregate, not once for each time it was computed; the
property `repeats` of a hook brings SolarNetwork's repeats back.

Delivery has the hub's schedule, ledger, dead letters and breaker: what cannot be delivered is
neither tried for ever nor forgotten after an hour.

A hook's secrets are sealed in the database.

A signed write is carried out once: the same signature again is refused, so two equal writes
that one client signs within the same second are one.

Who cannot sign with a token does not hear that it expired: 403, as for one that never was.

Uploads are signed by a token of kind `User`, or come over HTTPS (`WATTWIRE_HTTPS_PORT`) with a
client certificate of the node: `wattwire solarnetwork-certificate create --node N` makes one with
the hub's own authority, `register` allows one of yours (`WATTWIRE_TLS_CLIENT_CA_FILE`), `revoke`
ends either at once. A node is not given one by itself: there is no association or renewal. They
are taken at SolarNetwork's own addresses and at `/solarin/api/v1/sec/datum`. Each datum names its
node, or the address does as `nodeId`. What cannot be understood is left out of the answer, as
there, and kept in quarantine. Tags are not kept, and locations have no datums here.

Web pages of other origins may call when `WATTWIRE_SOLARNETWORK_ORIGINS` names them; SolarNetwork
lets every page call.

There are no public calls (`/pub`), no virtual nodes, no metadata, no tags, and no aggregations
that compare like hours or days of different dates.

An unknown node is refused with 403 and `UNKNOWN_OBJECT`, or, where the token's policy leaves it
out, `ACCESS_DENIED`, whether it exists or not.
"""
_ON_ERRORS: Final = """
Each is `{"success": false, "code": …, "message": …, "errors": […]}`, without what it does not have.
A request that is no HTTP at all is answered 400, in plain text.
"""
_ERRORS: Final = (
    ("401", "", "No signature, or an expired token that signed correctly."),
    ("403", "", "Wrong signature, wrong kind of token, or a node or source that it may not see."),
    ("404", "`DAO.00102`", "No such hook; without a code: no such address."),
    ("405", "", "The address has other methods; `Allow` names them."),
    ("422", "`DAO.00103`, `DAO.00104`", "What could not be stored."),
    ("422", "`VAL.00003`, `VAL.00004`", "Parameters that do not fit; `errors` names them."),
    ("422", "`WEB.00100`", "A body that is too large, or unpacks to too much."),
    ("422", "", "`Malformed JSON: …`, `Malformed date string: …`, `Illegal argument: …`"),
    ("429", "`DAO.00200`", "The database or the log is too busy; `Retry-After` says until when."),
    ("429", "", "The token asks too fast, or everybody together does; likewise."),
)  # fmt: skip


def parts() -> Iterator[Part]:
    """Yield the page, its title left out."""
    yield from map(Text, _split(_INTRODUCTION))
    yield Heading(2, "Calls")
    yield Table(("call", "what it does"), list(_calls()))
    yield Text(
        f"A page has at most {MAX_RESULTS:,} results. An upload has at most {MAX_DATUMS:,} datums "
        f"and {MAX_BODY_BYTES:,} bytes, and may be packed with gzip."
    )
    yield Heading(2, "What is as in SolarNetwork, and what is not")
    yield from map(Text, _split(_SAME))
    yield Text("Not as there:")
    yield Items([*_split(_DIFFERENT), _unsupported()])
    yield Heading(2, "Errors")
    yield from map(Text, _split(_ON_ERRORS))
    yield Table(("status", "code", "when"), _ERRORS)
    yield from _first_steps()
    for chapter in examples.CHAPTERS:
        yield from _chapter(chapter)


def _split(text: str) -> list[str]:
    """Return paragraphs, each on one line."""
    return [" ".join(part.split()) for part in text.strip().split("\n\n")]


def _calls() -> Iterator[tuple[str, str]]:
    for route in routes():
        if not route.name.startswith(REFUSED):
            first = route.description.splitlines()[0]
            for method in sorted(route.methods or ()):
                yield f"`{method} {route.path}`", first


def _unsupported() -> str:
    calls = [route.path for route in routes() if route.name.startswith(REFUSED)]
    shown = [f"`{path.replace(':path', '')}`" for path in calls]
    names = [f"`{name}`" for name in UNSUPPORTED]
    return (
        "What the hub has nothing for is refused with 422 rather than answered wrongly: the "
        f"parameters {', '.join(names)}; the calls {', '.join(shown)}."
    )


def _first_steps() -> Iterator[Part]:
    yield Heading(2, "First steps")
    yield Text("The commands below need bash, OpenSSL, curl and a running hub. First, a token:")
    yield Code("bash", "run", examples.TOKEN)
    yield Text(
        "A token of kind `User` may all that is on this page, one of kind `ReadNodeData` "
        "(`--kind`) only query. `--node` and `--source` limit what it sees, `--days` how long."
    )
    yield Text(
        "A function that signs. The signature is an HMAC-SHA256 of the date and of the hash of the "
        "request: verb, path, sorted parameters, signed headers, hash of the body."
    )
    yield Code("bash", "run", examples.SIGN)
    yield Text(
        "A node is a device that the hub knows: one that has sent a reading, or, so that the "
        "examples below have one, one that is made:"
    )
    yield Code("bash", "run", examples.NODE)


def _chapter(chapter: examples.Chapter) -> Iterator[Part]:
    yield Heading(2, chapter.title)
    yield Text(chapter.text)
    for example in chapter.examples:
        yield Heading(3, example.title)
        yield Text(example.text)
        yield Code("bash", "run", example.command)
        yield _answer(example.answer)


def _answer(text: str) -> Code:
    """Return an answer, JSON in lines that can be read."""
    try:
        msgspec.json.decode(text)
    except msgspec.DecodeError:
        return Code("text", "answer", text)
    return Code("json", "answer", msgspec.json.format(text, indent=2))
