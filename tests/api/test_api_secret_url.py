"""A webhook's address that is a password is write-only in every answer of the API."""

from api_worlds import make_world

from wattwire.integrations import TYPES
from wattwire.store.sealing import SEALING, join

PATH = "/api/v1/integrations"
SECRET = "https://hooks.zapier.com/hooks/catch/123456/zappity"
HOOK = {
    "type": "webhook",
    "name": "Zap",
    "topics": ["device.alert"],
    "settings": {"secret_url": SECRET},
}
CONFIGURATION = "/api/v1/configuration"


async def create(owner, **more):
    made = await owner.post(PATH, HOOK | more)
    assert 201 == made.status, made.body
    return made


async def stored(bench, number):
    row = await bench.pool.fetchrow("SELECT * FROM integration WHERE id = $1", number)
    assert "zappity" not in str(dict(row))
    whole = join(row["settings"], row["secrets"], bench.hub.sealer.bound(SEALING))
    return TYPES["webhook"].settings.model_validate(whole)


async def test_no_answer_shows_it(bench, owner):
    """Made, shown, listed, changed, copied, exported, planned, audited: it is nowhere."""
    made = await create(owner)
    path = f"{PATH}/{made.json['id']}"
    seen = [
        made,
        await owner.get(path),
        await owner.get(PATH),
        await owner.patch(path, {"name": "Zap 2"}),
        await owner.post(f"{path}/duplicate"),
        await owner.get(CONFIGURATION),
        await owner.post(CONFIGURATION, {"document": (await owner.get(CONFIGURATION)).json}),
        await owner.get("/api/v1/audit"),
    ]

    assert {200, 201} == {answer.status for answer in seen}
    assert [] == [answer.body for answer in seen if b"zappity" in answer.body]
    assert "secret_url" not in made.json["settings"]
    assert SECRET == (await stored(bench, made.json["id"])).secret_url.get_secret_value()


async def test_an_export_holds_a_reference(bench, owner):
    """`${SECRET:…}` stands for it; another organization gives the value and has the same."""
    await create(owner)
    document = (await owner.get(CONFIGURATION)).json
    settings = document["integrations"][0]["settings"]
    assert ("${SECRET:WEBHOOK_ZAP_SECRET_URL}", None) == (settings["secret_url"], settings["url"])

    other = bench.client(await bench.token(await bench.new_organization("Other")))
    values = {"SECRET:WEBHOOK_ZAP_SECRET_URL": SECRET}
    done = await other.post(CONFIGURATION, {"document": document, "values": values})
    assert 200 == done.status, done.body
    assert b"zappity" not in done.body
    (copy,) = (await other.get(PATH)).json["items"]
    assert SECRET == (await stored(bench, copy["id"])).secret_url.get_secret_value()


async def test_one_address_takes_the_others_place(bench, owner):
    """Left out it stays; another kind of address needs it dropped with null, and is told so."""
    made = await create(owner)
    path = f"{PATH}/{made.json['id']}"
    kept = await owner.patch(path, {"settings": {"retry_attempts": 5}})
    assert 5 == kept.json["settings"]["retry_attempts"]
    assert SECRET == (await stored(bench, made.json["id"])).secret_url.get_secret_value()

    both = await owner.patch(path, {"settings": {"url": "https://a.example/"}})
    assert (422, "settings") == (both.status, both.json["errors"][0]["field"])
    assert "null drops" in both.json["errors"][0]["message"]
    plain = {"settings": {"url": "https://a.example/", "secret_url": None}}
    changed = await owner.patch(path, plain)
    assert "https://a.example/" == changed.json["settings"]["url"]
    assert None is (await stored(bench, made.json["id"])).secret_url
    back = await owner.patch(path, {"settings": {"secret_url": SECRET}})
    assert (200, None) == (back.status, back.json["settings"]["url"])


async def test_what_cannot_be_an_address_is_not_repeated(owner):
    """The fault is named by its field, without the value."""
    for value in ("zappity", "https://user:zappity@a.example/", "https://a.example:zappity/"):
        refused = await owner.post(PATH, HOOK | {"settings": {"secret_url": value}})
        assert (422, "settings.secret_url") == (
            refused.status, refused.json["errors"][0]["field"],
        )  # fmt: skip
        assert b"zappity" not in refused.body


async def test_another_organization_has_no_say(bench, owner):
    """Its integrations are not there."""
    other = await make_world(bench.pool, await bench.new_organization("Zebra"), "zebra")
    answer = await owner.patch(f"{PATH}/{other.ids['integration']}", {"settings": HOOK["settings"]})

    assert 404 == answer.status
