"""SolarQuery and SolarIn by example: a page of commands that are run by the tests as they stand.

The commands sign with nothing but a shell, OpenSSL and curl, so that the page also shows what a
signature is made of.
"""

from collections.abc import Iterator
from html import escape
from typing import Final, NamedTuple

SIGN: Final = r"""
HUB=http://127.0.0.1:8080      # where the hub listens
TOKEN=...                      # from: wattwire solarnetwork-token create
SECRET=...

sha256() { openssl dgst -sha256 -r | cut -d ' ' -f 1; }
hmac() { openssl dgst -sha256 -mac HMAC -macopt "$1" -r | cut -d ' ' -f 1; }

solar() {  # METHOD PATH QUERY [BODY]; the query percent-encoded, its names in order
  local host=${HUB#*://} now names head key text query=${3:+?$3} body=${4:-}
  now=$(date +%s)
  local date stamp day
  date=$(LC_ALL=C date -u -d "@$now" '+%a, %d %b %Y %H:%M:%S GMT')
  stamp=$(date -u -d "@$now" +%Y%m%dT%H%M%SZ)
  day=${stamp%T*}
  names='host;x-sn-date'
  head="host:$host"$'\n'"x-sn-date:$date"
  local with=(-H "X-SN-Date: $date")
  if [ -n "$body" ]; then
    names="content-type;$names"
    head='content-type:application/json'$'\n'"$head"
    with+=(-H 'Content-Type: application/json' --data-binary "$body")
  fi
  text="$1"$'\n'"$2"$'\n'"$3"$'\n'"$head"$'\n'"$names"$'\n'"$(printf %s "$body" | sha256)"
  text="SNWS2-HMAC-SHA256"$'\n'"$stamp"$'\n'"$(printf %s "$text" | sha256)"
  key=$(printf %s "$day" | hmac "key:SNWS2$SECRET")
  key=$(printf %s snws2_request | hmac "hexkey:$key")
  curl -sS -X "$1" "$HUB$2$query" "${with[@]}" -H "Authorization: SNWS2 Credential=$TOKEN,\
SignedHeaders=$names,Signature=$(printf %s "$text" | hmac "hexkey:$key")"
}
"""

BASE: Final = "/solarquery/api/v1/sec"
_RANGE: Final = "endDate=2020-06-01T14%3A00&nodeId=1&sourceId=%2Fpower%2F1&startDate=2020-06-01"


class Example(NamedTuple):
    """A call, and what the hub answers when the calls before it were made."""

    title: str
    text: str
    command: str
    answer: str


def _get(call: str, query: str = "") -> str:
    return f"solar GET {BASE}{call} '{query}'"


EXAMPLES: Final = (
    Example(
        "Upload datums",
        "Each is answered with its id once it is durable. Properties are given by kind: i for "
        "levels, a for registers, s for texts. Without a token for writing, or for a node that "
        "the token may not write to, the answer is 403 and nothing is stored.",
        """solar POST /solarin/bulkCollector.do '' '[
  {"nodeId": 1, "created": "2020-06-01 12:00:00Z", "sourceId": "/power/1",
   "i": {"watts": 231}, "a": {"wattHours": 1000}},
  {"nodeId": 1, "created": "2020-06-01 12:30:00Z", "sourceId": "/power/1",
   "i": {"watts": 251.5}, "a": {"wattHours": 1120}},
  {"nodeId": 1, "created": "2020-06-01 13:00:00Z", "sourceId": "/power/1",
   "i": {"watts": 199}, "a": {"wattHours": 1240}}
]'""",
        '{"success":true,"data":{"datum":['
        '{"kind":"n","nodeId":1,"objectId":1,"sourceId":"/power/1",'
        '"created":"2020-06-01 12:00:00Z","timestamp":"2020-06-01 12:00:00Z"},'
        '{"kind":"n","nodeId":1,"objectId":1,"sourceId":"/power/1",'
        '"created":"2020-06-01 12:30:00Z","timestamp":"2020-06-01 12:30:00Z"},'
        '{"kind":"n","nodeId":1,"objectId":1,"sourceId":"/power/1",'
        '"created":"2020-06-01 13:00:00Z","timestamp":"2020-06-01 13:00:00Z"}],'
        '"instructions":[]}}',
    ),
    Example(
        "List nodes",
        "The devices that the token may see, by their numbers.",
        _get("/nodes"),
        '{"success":true,"data":[1]}',
    ),
    Example(
        "List sources",
        "Of one node just the ids; of several, or with withNodeIds=true, with their nodes. "
        "sourceId may be a pattern: ? is one character, * any but a slash, ** any at all.",
        _get("/range/sources", "nodeId=1&sourceId=%2Fpower%2F%2A"),
        '{"success":true,"data":["/power/1"]}',
    ),
    Example(
        "Between which dates there are readings",
        "Dates are in the node's time zone.",
        _get("/range/interval", "nodeId=1&sourceIds=%2Fpower%2F1"),
        '{"success":true,"data":{"timeZone":"UTC","startDate":"2020-06-01 12:00:00",'
        '"endDate":"2020-06-01 13:00:00","startDateMillis":1591012800000,'
        '"endDateMillis":1591016400000,"dayCount":1,"monthCount":1,"yearCount":1}}',
    ),
    Example(
        "List readings",
        "Without an aggregation, as they were taken; the newest first, one on a page. Dates are "
        "in UTC, the end is exclusive; localStartDate and localEndDate are in the node's zone.",
        _get(
            "/datum/list",
            "endDate=2020-06-02&max=1&nodeId=1&sorts%5B0%5D.descending=true"
            "&sorts%5B0%5D.sortKey=created&startDate=2020-06-01",
        ),
        '{"success":true,"data":{"totalResults":3,"startingOffset":0,"returnedResultCount":1,'
        '"results":[{"created":"2020-06-01 13:00:00Z","nodeId":1,"sourceId":"/power/1",'
        '"localDate":"2020-06-01","localTime":"13:00","watts":199,"wattHours":1240}]}}',
    ),
    Example(
        "List half hours",
        "Minute, FiveMinute, TenMinute, FifteenMinute, ThirtyMinute, Hour, Day, Week, Month or "
        "Year: the mean of levels with the least and the greatest, and what registers rose by. "
        "Over 7 days minutes become hours, over 32 days hours become days, over 731 days months.",
        _get(
            "/datum/list",
            "aggregation=ThirtyMinute&" + _RANGE.replace("&nodeId", "&max=1&nodeId"),
        ),
        '{"success":true,"data":{"totalResults":3,"startingOffset":0,"returnedResultCount":1,'
        '"results":[{"created":"2020-06-01 12:00:00Z","nodeId":1,"sourceId":"/power/1",'
        '"localDate":"2020-06-01","localTime":"12:00","watts":231,"watts_min":231,'
        '"watts_max":231,"wattHours":120}]}}',
    ),
    Example(
        "The most recent reading of each source",
        "Of the last 90 days, unless a start is given. With an aggregation, the most recent one.",
        _get("/datum/mostRecent", "nodeId=1&startDate=2020-06-01"),
        '{"success":true,"data":{"totalResults":1,"startingOffset":0,"returnedResultCount":1,'
        '"results":[{"created":"2020-06-01 13:00:00Z","nodeId":1,"sourceId":"/power/1",'
        '"localDate":"2020-06-01","localTime":"13:00","watts":199,"wattHours":1240}]}}',
    ),
    Example(
        "Read the meter",
        "By how much registers rose between two dates: Difference, DifferenceWithin, "
        "NearestDifference, CalculatedAt or CalculatedAtDifference. With an aggregation (Hour, "
        "Day, Month) the readings of each.",
        _get("/datum/reading", _RANGE.replace("&sourceId", "&readingType=Difference&sourceId")),
        '{"success":true,"data":{"totalResults":1,"startingOffset":0,"returnedResultCount":1,'
        '"results":[{"created":"2020-06-01 12:00:00Z","nodeId":1,"sourceId":"/power/1",'
        '"localDate":"2020-06-01","localTime":"12:00","wattHours":240,"wattHours_start":1000,'
        '"wattHours_end":1240,"endDate":"2020-06-01 13:00:00Z","timeZone":"UTC",'
        '"localEndDate":"2020-06-01 13:00:00"}]}}',
    ),
    Example(
        "What cannot be answered",
        "Is refused with 422 and the name of what is wrong; what may not be seen, with 403.",
        _get("/datum/list", "aggregation=RunningTotal&nodeId=1"),
        '{"success":false,"code":"VAL.00003",'
        '"message":"the aggregation RunningTotal is not supported by this hub",'
        '"errors":[{"location":"aggregation","code":"invalid","rejectedValue":"RunningTotal",'
        '"message":"the aggregation RunningTotal is not supported by this hub"}]}',
    ),
)


def body() -> Iterator[str]:
    """Yield the page, without its head."""
    yield "<h1>SolarQuery and SolarIn</h1>"
    yield (
        "<p>Clients of SolarNetwork read from and write to this hub under the addresses that they "
        "know, with a SolarNetwork token of an organization. A node is a device, a source a "
        "stream. The commands need bash, OpenSSL and curl.</p><h2>Sign</h2>"
    )
    yield f"<pre>{escape(SIGN.strip())}</pre>"
    for example in EXAMPLES:
        yield f"<h2>{escape(example.title)}</h2><p>{escape(example.text)}</p>"
        yield f'<pre class="command">{escape(example.command)}</pre>'
        yield f'<pre class="answer">{escape(example.answer)}</pre>'
