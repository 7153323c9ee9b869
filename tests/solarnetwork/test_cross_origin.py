"""SolarNetwork's API for web pages of other origins: those on the list, and no others."""

from pathlib import Path

import pytest
from api_bench import open_bench
from pydantic import ValidationError
from solarnetwork_bench import BASE, Answer, make_client

from wattwire.settings import Settings

TOPICS = f"{BASE}/topics"
PAGE = "https://app.example.com"
ASKING = {
    "origin": PAGE,
    "access-control-request-method": "POST",
    "access-control-request-headers": "authorization,content-type,digest,x-sn-date",
}
NAME = "Access-Control-Allow-Origin"


@pytest.fixture
async def listed(pool, database_url, organization_id, tmp_path):
    """A client of a hub that lets two pages in."""
    origins = "https://app.example.com, http://localhost:5173"
    async with open_bench(
        pool, database_url, Path(tmp_path), solarnetwork_origins=origins
    ) as bench:
        yield await make_client(bench, organization_id)


async def asked(user, path=TOPICS, **changed):
    """Ask as a browser does before it sends."""
    headers = {name: value for name, value in {**ASKING, **changed}.items() if value}
    return await plainly(user, "OPTIONS", path, headers)


async def plainly(user, method, path, headers):
    """Send what no client of SolarNetwork's does, and no document describes."""
    async with user._bench.session.request(
        method, user._bench.url + path, headers=headers
    ) as response:
        return Answer(response.status, response.headers, await response.read())


def fields(answer, name):
    """The names in all fields of a name, lower case."""
    return {
        part.strip().lower()
        for value in answer.headers.getall(name, [])
        for part in value.split(",")
    }


async def test_a_page_on_the_list_may_ask_first(listed):
    """Without a signature; the fields that signed requests have, and no credentials."""
    answer = await asked(listed)

    assert (204, b"") == (answer.status, answer.body)
    assert PAGE == answer.headers[NAME]
    assert {"get", "post", "delete"} <= fields(answer, "Access-Control-Allow-Methods")
    assert {
        "authorization", "content-type", "content-md5", "digest", "x-sn-date", "accept-language",
    } <= fields(answer, "Access-Control-Allow-Headers")  # fmt: skip
    assert "origin" in fields(answer, "Vary")
    assert "Access-Control-Allow-Credentials" not in answer.headers


async def test_a_page_on_the_list_reads_answers(listed):
    """Successes and refusals alike, each with one origin, and what a client looks at besides."""
    good = await listed.get(TOPICS, unsigned={"origin": PAGE})
    wrong = await listed.send("GET", TOPICS, {"origin": PAGE})
    lost = await listed.get(f"{BASE}/nowhere", unsigned={"origin": PAGE})
    large = await listed.call(
        "POST", f"{BASE}/hooks", body=b"x" * 2_000_000, unsigned={"origin": PAGE}
    )

    assert (200, 401, 404) == (good.status, wrong.status, lost.status)
    assert large.status in {413, 422}
    for answer in (good, wrong, lost, large):
        assert [PAGE] == answer.headers.getall(NAME)
        assert {"accept", "origin"} <= fields(answer, "Vary")
        assert "x-sn-errormessage" in fields(answer, "Access-Control-Expose-Headers")
        assert "Access-Control-Allow-Credentials" not in answer.headers


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example.com", "http://app.example.com", "https://app.example.com:8443",
        "https://app.example.com.evil.example", "null", "https://APP.example.com",
    ],
)  # fmt: skip
async def test_other_pages_are_told_nothing(listed, origin):
    """Neither may they ask first nor read; whether the origin was named is no secret."""
    refused = await asked(listed, origin=origin)
    good = await listed.get(TOPICS, unsigned={"origin": origin})

    assert 405 == refused.status
    assert 200 == good.status
    for answer in (refused, good):
        assert NAME not in answer.headers
        assert "origin" in fields(answer, "Vary")


async def test_only_the_question_of_a_browser_is_answered(listed):
    """OPTIONS without a method to ask for, or without an origin, is any other request."""
    for changed in ({"access-control-request-method": None}, {"origin": None}):
        assert 405 == (await asked(listed, **changed)).status


@pytest.mark.parametrize("path", ["/api/v1/devices", "/healthz", "/api/v1/session"])
async def test_the_list_opens_solarnetworks_api_alone(listed, path):
    """Bearer tokens and sessions of the native API are no business of pages elsewhere."""
    answer = await asked(listed, path=path)
    got = await plainly(listed, "GET", path, {"origin": PAGE})

    assert 405 == answer.status
    assert NAME not in answer.headers
    assert NAME not in got.headers


async def test_without_a_list_no_page_may_ask(user):
    """It is off unless somebody says otherwise."""
    answer = await asked(user)
    good = await user.get(TOPICS, unsigned={"origin": PAGE})

    assert (405, 200) == (answer.status, good.status)
    assert NAME not in answer.headers
    assert NAME not in good.headers


async def test_a_star_lets_every_page_in(pool, database_url, organization_id, tmp_path):
    """As SolarNetwork itself does: whoever calls must sign."""
    async with open_bench(pool, database_url, Path(tmp_path), solarnetwork_origins="*") as bench:
        user = await make_client(bench, organization_id)
        answer = await asked(user, origin="https://anybody.example")
        good = await user.get(TOPICS, unsigned={"origin": "null"})

    assert (204, "*") == (answer.status, answer.headers[NAME])
    assert (200, ["*"]) == (good.status, good.headers.getall(NAME))


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("", ()),
        ("https://App.example.com/", ("https://app.example.com",)),
        (" https://a.example:443 ,http://b.example:80", ("https://a.example", "http://b.example")),
        ("https://a.example:80,http://[::1]:5173", ("https://a.example:80", "http://[::1]:5173")),
        ("*", ("*",)),
    ],
)
def test_origins_are_kept_as_browsers_send_them(monkeypatch, given, kept):
    """Lower case, without the port that the scheme implies."""
    monkeypatch.setenv("WATTWIRE_SOLARNETWORK_ORIGINS", given)
    settings = Settings()

    assert kept == settings.solarnetwork_origins
    assert settings == Settings(**settings.model_dump(mode="json"))  # as a child process hears it


@pytest.mark.parametrize(
    "given",
    ["app.example.com", "https://a.example/path", "ftp://a.example", "null", "https://*.example",
     "https://user@a.example", "https://a.example?x", "https://"],
)  # fmt: skip
def test_what_is_no_origin_is_refused(given):
    """At start, and not by a browser's silence."""
    with pytest.raises(ValidationError, match="is no origin"):
        Settings(solarnetwork_origins=given)
