"""The page of SolarQuery and SolarIn is true: its commands are run as they are printed."""

import asyncio
import html
import re
import shutil

import pytest
from query_world import World

from wattwire.store import devices


@pytest.fixture
def world(bench, organization_id):
    return World(bench.pool, bench, organization_id)


async def printed(bench):
    """The page as anybody sees it."""
    async with bench.session.get(bench.url + "/api/docs/solarquery") as response:
        assert response.status == 200
        assert response.content_type == "text/html"
        assert "default-src 'none'" in response.headers["Content-Security-Policy"]
        return await response.text()


def blocks(page, kind):
    return [html.unescape(m) for m in re.findall(rf"<pre{kind}>(.*?)</pre>", page, re.DOTALL)]


async def run(script):
    process = await asyncio.create_subprocess_exec(
        "bash", "-eu", "-o", "pipefail", "-c", script,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    async with asyncio.timeout(30):
        out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    return out.decode()


async def test_every_command_gives_the_answer_beside_it(world, organization_id):
    """Signed by the page's own function, in the page's order, with the page's answers."""
    for program in ("bash", "curl", "openssl"):
        if shutil.which(program) is None:
            pytest.fail(f"{program} is missing: apt-get install bash curl openssl")
    device = await devices.create(
        world.pool, organization_id, key="meter-1", name="m", type="", time_zone="UTC", metadata={}
    )
    assert device.id == 1
    client = (await world.client()).signing
    page = await printed(world.bench)
    (sign,) = blocks(page, "")
    commands, answers = blocks(page, ' class="command"'), blocks(page, ' class="answer"')
    given = {"HUB": world.bench.url, "TOKEN": client.token_id, "SECRET": client.secret}
    for name, value in given.items():
        sign, count = re.subn(rf"^{name}=\S+", f"{name}={value}", sign, flags=re.MULTILINE)
        assert count == 1

    assert len(commands) == len(answers) == 9
    for command, answer in zip(commands, answers, strict=True):
        assert await run(f"{sign}\n{command}") == answer


async def test_the_page_is_found(world):
    """The documentation of the API leads to it."""
    async with world.bench.session.get(world.bench.url + "/api/docs") as response:
        assert 'href="/api/docs/solarquery"' in await response.text()
