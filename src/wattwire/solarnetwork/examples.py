"""SolarNetwork's API by example: commands that are run by the tests as they stand.

The commands sign with nothing but a shell, OpenSSL and curl, so that the page also shows what a
signature is made of. An answer is what a new hub says when the commands before it were run.
"""

from typing import Any, Final, NamedTuple

import msgspec

from wattwire.integrations import TYPES
from wattwire.solarnetwork.messages import as_told, catalogue
from wattwire.solarnetwork.services import SQS, services_of

TOKEN: Final = r"""
HUB=${HUB:-http://127.0.0.1:8080}      # where the hub listens
read -r TOKEN SECRET <<< "$(wattwire solarnetwork-token create --name curl |
  awk '$1 == "id" || $1 == "secret" {print $2}' | xargs)"
""".strip()

SIGN: Final = r"""
sha256() { openssl dgst -sha256 -r | cut -d ' ' -f 1; }
hmac() { openssl dgst -sha256 -mac HMAC -macopt "$1" -r | cut -d ' ' -f 1; }

solar() {  # METHOD PATH [QUERY [BODY [OPTIONS OF CURL]]]; the query percent-encoded
  local now date stamp host=${HUB#*://} query=${3:-} body=${4:-} names head sorted text key
  now=$(LC_ALL=C date -u '+%a, %d %b %Y %H:%M:%S GMT|%Y%m%dT%H%M%SZ')
  date=${now%|*} stamp=${now#*|}
  local with=(-H "X-SN-Date: $date")
  names='host;x-sn-date'
  head="host:$host"$'\n'"x-sn-date:$date"
  if [ -n "$body" ]; then
    names="content-type;$names"
    head='content-type:application/json'$'\n'"$head"
    with+=(-H 'Content-Type: application/json' --data-binary "$body")
  fi
  sorted=$(printf %s "$query" | tr '&' '\n' | LC_ALL=C sort -s -t = -k 1,1 | paste -s -d '&' -)
  text="$1"$'\n'"$2"$'\n'"$sorted"$'\n'"$head"$'\n'"$names"$'\n'"$(printf %s "$body" | sha256)"
  text='SNWS2-HMAC-SHA256'$'\n'"$stamp"$'\n'"$(printf %s "$text" | sha256)"
  key=$(printf %s "${stamp%T*}" | hmac "key:SNWS2$SECRET")
  key=$(printf %s snws2_request | hmac "hexkey:$key")
  with+=(-H "Authorization: SNWS2 Credential=$TOKEN,SignedHeaders=$names,Signature=$(
    printf %s "$text" | hmac "hexkey:$key")")
  curl -sS -X "$1" "$HUB$2${query:+?$query}" "${with[@]}" "${@:5}"
}
""".strip()

NODE: Final = r"""
EDITOR_TOKEN=$(wattwire token create --role editor --name setup | awk '$1 == "token" {print $2}')
curl -sS "$HUB/api/v1/devices" -H "Authorization: Bearer $EDITOR_TOKEN" \
  -H 'Content-Type: application/json' --data '{"key": "meter-1", "time_zone": "UTC"}'
""".strip()

HOOKS: Final = "/solaruser/api/v1/sec/user/event/node"
QUERY: Final = "/solarquery/api/v1/sec"

#: As in SolarNetwork's own documentation.
_HOOK_TEXT: Final = f"""{{
  "name": "SQS Test",
  "topic": "datum/agg/update",
  "nodeIds": [1],
  "sourceIds": ["/power/1"],
  "serviceIdentifier": "{SQS}",
  "serviceProperties": {{
    "region": "us-west-2",
    "queueName": "node-event-dest-test",
    "accessKey": "AAAAAAA555555555FFFF",
    "secretKey": "super.secret.key.here"
  }}
}}"""
_REPLACED: Final = (
    _HOOK_TEXT.replace('"name": "SQS Test"', '"id": 1,\n  "name": "Other queue"')
    .replace("node-event-dest-test", "other")
    .replace(',\n    "secretKey": "super.secret.key.here"', "")
)
_BULK_TEXT: Final = """[
  {"nodeId": 1, "created": 1591012800000, "sourceId": "/power/1",
   "i": {"watts": 231}, "a": {"wattHours": 1000}},
  {"nodeId": 1, "created": "2020-06-01 12:30:00Z", "sourceId": "/power/1",
   "i": {"watts": 251.5}, "a": {"wattHours": 1120}},
  {"nodeId": 1, "created": "2020-06-01 13:00:00Z", "sourceId": "/power/1",
   "i": {"watts": 199}, "a": {"wattHours": 1240}}
]"""
HOOK: Final[dict[str, Any]] = msgspec.json.decode(_HOOK_TEXT)
BULK_DATUMS: Final[list[Any]] = msgspec.json.decode(_BULK_TEXT)
_DIGEST: Final = "{SSHA-256}YRDfTtemkw5iMXETEjZVE4ANcQUJ/BDqDfUqbyiRGrZYvsWt+azABg=="


class Example(NamedTuple):
    """A call, and what the hub answers when the calls before it were made."""

    title: str
    text: str
    command: str
    answer: str  #: JSON, in however many lines, or text


class Chapter(NamedTuple):
    """Examples of one part of the API."""

    title: str
    text: str
    examples: tuple[Example, ...]


def _success(data: Any = None) -> str:
    body = {"success": True} if data is None else {"success": True, "data": data}
    return msgspec.json.encode(body).decode()


def _stored(queue: str = "node-event-dest-test", **changed: str) -> dict[str, Any]:
    properties = {"region": "us-west-2", "accessKey": "AAAAAAA555555555FFFF", "queueName": queue}
    hook = HOOK | changed
    return {
        "id": 1,
        "userId": 1,
        "created": "2026-06-16 03:04:04.82932Z",
        **{name: hook[name] for name in ("name", "topic", "serviceIdentifier")},
        **{name: hook[name] for name in ("nodeIds", "sourceIds")},
        "serviceProperties": {**properties, "secretKey": _DIGEST},
    }


_OTHER: Final = _stored("other", name="Other queue")

_HOOK_EXAMPLES: Final = (
    Example(
        "List topics",
        "What hooks can be told of. Texts are in the language of `Accept-Language`: English, "
        "German, Spanish or French.",
        f"solar GET {HOOKS}/topics '' '' -H 'Accept-Language: es'",
        _success(
            [
                {"id": topic, "locale": "es", **as_told(names)}
                for topic, names in catalogue("es").topics.items()
            ]
        ),
    ),
    Example(
        "List services",
        "SolarNetwork's own, and every other type of integration, each with its settings as "
        "setting specifiers; here only their ids.",
        f"""solar GET {HOOKS}/hook/services | grep -o '{{"id":"[^"]*"' | cut -d '"' -f 4""",
        "\n".join(services_of(TYPES)),
    ),
    Example(
        "Create a hook",
        "The secret comes back as a digest, under a new salt each time. `queueName` may also be "
        "the queue's address, which finds a queue of another account than the access key's.",
        f"solar POST {HOOKS}/hooks '' '{_HOOK_TEXT}'",
        _success(_stored()),
    ),
    Example(
        "Replace a hook",
        "With its `id`. The posted hook takes the place of the stored one as a whole, but a "
        "secret that is left out, empty, or sent as its digest stays.",
        f"solar POST {HOOKS}/hooks '' '{_REPLACED}'",
        _success(_OTHER),
    ),
    Example(
        "List hooks",
        "All of them, by name; what may be null and is, is left out.",
        f"solar GET {HOOKS}/hooks",
        _success([_OTHER]),
    ),
    Example(
        "Show a hook",
        "By its number, which is the integration's own: ledger, test and replay are found under "
        "it in the hub's native API.",
        f"solar GET {HOOKS}/hooks/1",
        _success(_OTHER),
    ),
    Example(
        "Delete a hook",
        "What is queued for it is discarded.",
        f"solar DELETE {HOOKS}/hooks/1",
        _success(),
    ),
    Example(
        "What is not there",
        "Or belongs to somebody else: the same answer.",
        f"solar GET {HOOKS}/hooks/1 '' '' -w '%{{http_code}}'",
        '{"success":false,"code":"DAO.00102","message":"The requested key was not found."}404',
    ),
)

_RANGE: Final = "nodeId=1&sourceId=%2Fpower%2F1&startDate=2020-06-01&endDate=2020-06-01T14%3A00"


def _get(call: str, query: str = "") -> str:
    return f"solar GET {QUERY}{call}" + (f" '{query}'" if query else "")


def _taken(at: str) -> dict[str, Any]:
    return {"kind": "n", "nodeId": 1, "objectId": 1, "sourceId": "/power/1", "created": at,
            "timestamp": at}  # fmt: skip


def _page(total: int, result: dict[str, Any]) -> str:
    return _success(
        {"totalResults": total, "startingOffset": 0, "returnedResultCount": 1, "results": [result]}
    )


def _result(time: str, **properties: float) -> dict[str, Any]:
    return {"created": f"2020-06-01 {time}:00Z", "nodeId": 1, "sourceId": "/power/1",
            "localDate": "2020-06-01", "localTime": time, **properties}  # fmt: skip


_UPLOAD_EXAMPLES: Final = (
    Example(
        "Upload datums",
        "Each is answered with its identity once it is durable. Properties are given by kind: `i` "
        "for levels, `a` for registers, `s` for texts.",
        f"solar POST /solarin/bulkCollector.do '' '{_BULK_TEXT}'",
        _success(
            {
                "datum": [_taken(f"2020-06-01 {time}:00Z") for time in ("12:00", "12:30", "13:00")],
                "instructions": [],
            }
        ),
    ),
    Example(
        "A node that is not yours",
        "Nothing of the request is stored.",
        'solar POST /solarin/bulkCollector.do nodeId=99 \'[{"sourceId": "/power/1"}]\''
        " -w '%{http_code}'",
        '{"success":false,"message":"UNKNOWN_OBJECT"}403',
    ),
)
_QUERY_EXAMPLES: Final = (
    Example("Whose token it is", "`userId` is the number of the organization.",
            f"{_get('/whoami')} | grep -o '\"userId\":1\\|\"tokenType\":\"User\"'",
            '"userId":1\n"tokenType":"User"'),
    Example(
        "List nodes", "The devices that the token may see, by their numbers.", _get("/nodes"),
        _success([1]),
    ),
    Example(
        "List sources",
        "Of one node just the ids; of several, or with `withNodeIds=true`, with their nodes. "
        "`sourceId` may be a pattern: `?` is one character, `*` any but a slash, `**` any at all.",
        _get("/range/sources", "nodeId=1&sourceId=%2Fpower%2F%2A"),
        _success(["/power/1"]),
    ),
    Example(
        "Between which dates there are readings",
        "Dates are in the node's time zone.",
        _get("/range/interval", "nodeId=1&sourceIds=%2Fpower%2F1"),
        _success(
            {
                "timeZone": "UTC",
                "startDate": "2020-06-01 12:00:00",
                "endDate": "2020-06-01 13:00:00",
                "startDateMillis": 1591012800000,
                "endDateMillis": 1591016400000,
                "dayCount": 1,
                "monthCount": 1,
                "yearCount": 1,
            }
        ),
    ),
    Example(
        "List readings",
        "Without an aggregation, as they were taken; here the newest first, one on a page. Dates "
        "are in UTC, the end is exclusive; `localStartDate` and `localEndDate` are in the zone of "
        "the node.",
        _get(
            "/datum/list",
            "nodeId=1&startDate=2020-06-01&endDate=2020-06-02&max=1"
            "&sorts%5B0%5D.sortKey=created&sorts%5B0%5D.descending=true",
        ),
        _page(3, _result("13:00", watts=199, wattHours=1240)),
    ),
    Example(
        "Fetch the aggregate that an event names",
        "An event has `nodeId`, `sourceId`, `aggregationKey` and `timestamp`, the start in "
        "milliseconds. Levels are shown as their mean, with the least and the greatest, registers "
        "as what they rose by. An aggregate is there a moment after its readings are.",
        _get("/datum/list", "aggregationKey=h&nodeId=1&sourceId=%2Fpower%2F1"
             "&startDate=2020-06-01T12%3A00&endDate=2020-06-01T13%3A00"),
        _page(1, _result("12:00", watts=241.25, watts_min=231, watts_max=251.5, wattHours=240)),
    ),
    Example(
        "List half hours",
        "Minute, FiveMinute, TenMinute, FifteenMinute, ThirtyMinute, Hour, Day, Week, Month or "
        "Year. Over 7 days minutes become hours, over 32 days hours become days, over 731 days "
        "months.",
        _get("/datum/list", f"{_RANGE}&aggregation=ThirtyMinute&max=1"),
        _page(3, _result("12:00", watts=231, watts_min=231, watts_max=231, wattHours=120)),
    ),
    Example(
        "The most recent reading of each source",
        "Of the last 90 days, unless a start is given. With an aggregation, the most recent one.",
        _get("/datum/mostRecent", "nodeId=1&startDate=2020-06-01"),
        _page(1, _result("13:00", watts=199, wattHours=1240)),
    ),
    Example(
        "Read the meter",
        "By how much registers rose between two dates: Difference, DifferenceWithin, "
        "NearestDifference or CalculatedAtDifference; CalculatedAt is the value at one. With an "
        "aggregation (Hour, Day, Month) the readings of each.",
        _get("/datum/reading", f"{_RANGE}&readingType=Difference"),
        _page(
            1,
            {
                **_result("12:00", wattHours=240, wattHours_start=1000, wattHours_end=1240),
                "endDate": "2020-06-01 13:00:00Z",
                "timeZone": "UTC",
                "localEndDate": "2020-06-01 13:00:00",
            },
        ),
    ),
    Example(
        "What cannot be answered",
        "Is refused with 422 and the name of what is wrong.",
        _get("/datum/list", "nodeId=1&aggregation=RunningTotal"),
        '{"success":false,"code":"VAL.00003",'
        '"message":"the aggregation RunningTotal is not supported by this hub",'
        '"errors":[{"location":"aggregation","code":"invalid","rejectedValue":"RunningTotal",'
        '"message":"the aggregation RunningTotal is not supported by this hub"}]}',
    ),
)  # fmt: skip

CHAPTERS: Final = (
    Chapter("Event hooks", "A hook is an integration that both faces show.", _HOOK_EXAMPLES),
    Chapter("SolarIn", "Readings of nodes, as SolarNetwork's nodes post them.", _UPLOAD_EXAMPLES),
    Chapter("SolarQuery", "What was read, and what it adds up to.", _QUERY_EXAMPLES),
)
