"""docs/solarnetwork.md is true: its commands are run from top to bottom as they are printed."""

import contextlib
import json
import re
import shutil

import pytest
from running_hub import until
from terminal import opened

from documented import blocks

PAGE = [block for block in blocks("docs/solarnetwork.md") if block.words]
#: Differs from hub to hub: when something was made, and a digest under a new salt.
VARYING = re.compile(
    r'(?<="created":")(?!2020)[^"]*|(?<="created": ")(?!2020)[^"]*|\{SSHA-256\}[^"]+'
)


def steps():
    """Pairs of a command and the answer printed after it, or None."""
    for place, block in enumerate(PAGE):
        if block.words == ("run",):
            following = PAGE[place + 1] if place + 1 < len(PAGE) else None
            answered = following is not None and following.words == ("answer",)
            yield block.text, following if answered else None


def told(block, text):
    """An answer without what varies: JSON with its order, or text."""
    fixed = VARYING.sub("…", text.strip())
    return json.loads(fixed, object_pairs_hook=list) if block.language == "json" else fixed


async def check(bash, command, block):
    """Run a command until it answers as printed; what writes is run once."""
    last = ""

    async def as_printed():
        nonlocal last
        last = await bash.run(command)
        with contextlib.suppress(json.JSONDecodeError):
            return told(block, last) == told(block, block.text)

    reads = command.startswith("solar GET ")
    if not reads:
        assert await as_printed(), f"{command}\n{last}"
        return
    try:
        await until(as_printed, 30, command)
    except AssertionError as error:
        raise AssertionError(f"{command}\n{last}") from error


async def test_the_page_works_as_printed(hub):
    """A newcomer's terminal: token, signature, hooks, upload, queries, each as it is answered."""
    for program in ("bash", "curl", "openssl"):
        if shutil.which(program) is None:
            pytest.fail(f"{program} is missing: apt-get install bash curl openssl")
    ran = []
    async with opened(hub) as bash:
        for command, answer in steps():
            if answer is None:
                out = await bash.run(command)
                assert "error" not in out.lower(), out
            else:
                await check(bash, command, answer)
            ran.append(command)

    commands = "\n".join(ran)
    for what in ("topics", "services", "POST", "DELETE", "/datum/list", "/datum/reading", "bulk"):
        assert what in commands
