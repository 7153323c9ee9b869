"""What was looked up lately is remembered, but not for long and not against what is known since."""

import asyncio

import pytest

from wattwire.api import memory
from wattwire.api.memory import Memory


@pytest.fixture
def asked():
    return []


@pytest.fixture
def answers(asked):
    async def fetch(key):
        asked.append(key)
        return None if key == "nobody" else key.upper()

    return Memory(fetch, worth_keeping=bool)


@pytest.fixture
def clock(monkeypatch):
    """Seconds that pass when the test says so."""
    passed = [1000.0]
    monkeypatch.setattr(memory.time, "monotonic", lambda: passed[0])
    return passed


async def test_an_answer_lasts_ten_seconds(answers, asked, clock):
    """Then it is asked for again."""
    for seconds in (0, 9.9, 0.2):
        clock[0] += seconds
        assert "A" == (await answers.find("a")).value

    assert ["a", "a"] == asked


async def test_what_is_not_worth_it_is_not_kept(answers, asked):
    """Whoever asks for what is not there drives nothing out."""
    for _ in range(2):
        assert (await answers.find("nobody")).value is None

    assert ["nobody", "nobody"] == asked


@pytest.mark.parametrize("forget", [lambda m: m.forget("a"), lambda m: m.clear()])
async def test_what_changed_is_asked_for_again(answers, asked, forget):
    """At once."""
    await answers.find("a")
    forget(answers)
    await answers.find("a")

    assert ["a", "a"] == asked


@pytest.mark.parametrize("forget", [lambda m: m.forget("a"), lambda m: m.clear()])
async def test_a_change_while_it_is_asked_for_is_not_lost(forget):
    """The answer may be of before the change: it is given, and not kept."""
    values, go_on = iter(["old", "new"]), asyncio.Event()

    async def fetch(_key):
        value = next(values)
        await go_on.wait()
        return value

    answers = Memory(fetch, worth_keeping=bool)
    asking = asyncio.create_task(answers.find("a"))
    await asyncio.sleep(0)
    forget(answers)
    go_on.set()

    assert "old" == (await asking).value
    assert "new" == (await answers.find("a")).value


async def test_the_oldest_goes_first(answers, asked, monkeypatch):
    """So many are kept, and no more."""
    monkeypatch.setattr(memory, "MOST_REMEMBERED", 2)
    for key in "abcbca":
        await answers.find(key)

    assert list("abca") == asked


async def test_use_is_written_down_once_a_minute(answers, clock):
    """Also when the answer was asked for again in between."""
    due = []
    for seconds in (0, 30, 29, 2, 59):
        clock[0] += seconds
        due.append((await answers.find("a")).must_be_touched())

    assert [True, False, False, True, False] == due
