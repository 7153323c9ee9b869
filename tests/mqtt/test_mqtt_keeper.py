"""Writes keep their order per key, are tried again, and are given up loudly."""

import asyncio

import pytest

from wattwire.mqtt import keeper as module
from wattwire.mqtt.keeper import Keeper
from wattwire.mqtt.limits import Counters


@pytest.fixture
async def keeper(monkeypatch):
    """A keeper with short pauses between tries."""
    monkeypatch.setattr(module, "DELAYS", (0.001, 0.001))
    it = Keeper(Counters(), 0.05)
    it.start(lambda _: None)
    yield it
    await it.stop(1)


def job(done, name, failures=0):
    """A write that fails so many times before it succeeds."""
    left = [failures]

    async def write():
        await asyncio.sleep(0)
        if left[0]:
            left[0] -= 1
            raise ConnectionError("down")
        done.append(name)

    return write


async def test_writes_of_one_key_keep_their_order(keeper):
    """Also when an earlier one has to be tried again."""
    done = []
    for number in range(20):
        keeper.submit("test", "key", job(done, number, failures=number % 3))
    assert await keeper.run("key", job(done, "read")) is None
    assert done == [*range(20), "read"]


async def test_a_write_that_never_ends_does_not_hold_up_the_lane(keeper):
    """Each try has its limit; who waits is told, and the next write gets its turn."""
    told = asyncio.get_running_loop().create_future()
    keeper.submit("test", "key", asyncio.Event().wait, told.set_result)
    done = []
    await keeper.run("key", job(done, "next"))
    assert await told is False
    assert done == ["next"]
    assert keeper._counters.writes_failed == 1


async def test_reading_raises_what_went_wrong(keeper):
    """At once: whoever waits for it decides what to do."""
    with pytest.raises(ConnectionError):
        await keeper.run("key", job([], "x", failures=1))


async def test_a_reading_that_never_ends_raises(keeper):
    """The one who asked does not wait for ever."""
    with pytest.raises(TimeoutError):
        await keeper.run("key", asyncio.Event().wait)


async def test_a_full_lane_gives_up_at_once(keeper, monkeypatch):
    """Its length is bounded; what does not fit is counted and told."""
    keeper._lanes = [asyncio.Queue(1) for _ in keeper._lanes]  # nobody works on these
    told = []
    for _ in range(3):
        keeper.submit("test", "key", job([], "x"), told.append)
    assert told == [False, False]
    assert keeper._counters.writes_failed == 2


async def test_a_stop_finishes_what_is_waiting(keeper):
    """Everything submitted before it is done."""
    done = []
    for number in range(50):
        keeper.submit("test", number, job(done, number))
    await keeper.stop(5)
    assert sorted(done) == list(range(50))
