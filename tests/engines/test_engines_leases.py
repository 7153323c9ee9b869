"""Leases: one owner at a time, by the database's clock, with a token that only rises."""

import asyncio
import os
import signal
from datetime import timedelta

import asyncpg
import pytest

from wattwire.engines.leases import Leases
from wattwire.store import leases as store
from wattwire.store.database import migrate, open_pool

SHORT = timedelta(seconds=0.9)
#: Renewed every second; no machine is so busy that two more go by without a turn.
STEADY = timedelta(seconds=3)
LONG = timedelta(minutes=10)


class Lost(list):
    """What `on_lost` was told."""

    def __call__(self, name):
        self.append(name)


@pytest.fixture
def lost():
    return Lost()


@pytest.fixture
def running():
    """Run leases in the background for the span of a test."""
    tasks = []

    def run(leases):
        tasks.append(asyncio.create_task(leases.run()))
        return tasks[-1]

    yield run
    for task in tasks:
        task.cancel()


async def expire(pool, *names):
    await pool.execute(
        "UPDATE lease SET expires_at = now() - interval '1 second' WHERE name = ANY ($1)", names
    )


async def test_one_owner_at_a_time(pool):
    """Of two who ask for the same, the first has it; what is free the second gets."""
    a, b = Leases(pool, "a", LONG), Leases(pool, "b", LONG)

    assert {"x", "y"} == await a.acquire(["x", "y"])
    assert {"z"} == await b.acquire(["x", "y", "z"])
    assert {"x", "y"} == a.names()
    assert b.held("x") is None


async def test_many_at_once_give_each_to_one(pool):
    """Ten owners who ask for fifty names at once, in different orders, share them out."""
    names = [f"n{i}" for i in range(50)]
    owners = [Leases(pool, f"o{i}", LONG) for i in range(10)]
    orders = [names[i * 5 :] + names[: i * 5] for i in range(10)]
    taken = await asyncio.gather(*(o.acquire(n) for o, n in zip(owners, orders, strict=True)))

    assert sorted(names) == sorted(name for one in taken for name in one)


async def test_no_more_than_asked_for_are_taken(pool):
    """Owners who ask for a part each of the same names get different ones, until none is left."""
    names = [f"n{i}" for i in range(9)]
    a, b = Leases(pool, "a", LONG), Leases(pool, "b", LONG)

    assert 4 == len(await a.acquire(names, 4))
    assert set() == await a.acquire(sorted(set(names) - a.names()), 0)
    assert 5 == len(await b.acquire(names, 9))
    assert set(names) == a.names() | b.names()


async def test_who_joined_is_counted_until_it_is_gone(pool):
    """Everyone is counted once, in its own company alone; who let go or expired is not."""
    a, b, c = (Leases(pool, name, LONG) for name in "abc")
    assert 1 == await a.join("delivery")
    assert 2 == await b.join("delivery")
    assert 2 == await a.join("delivery")
    assert 1 == await c.join("pipeline")

    await b.release_all()
    assert 1 == await a.join("delivery")
    assert 2 == await c.join("delivery")
    await expire(pool, "delivery@c")
    assert 1 == await a.join("delivery")


async def test_those_who_ended_long_ago_are_forgotten(pool):
    """A company leaves no row for each process that ever ran; other leases keep theirs."""
    a = Leases(pool, "a", LONG)
    await a.acquire(["delivery@old", "delivery-7"])
    await pool.execute("UPDATE lease SET expires_at = now() - interval '2 days'")
    await a.join("delivery")

    rows = await pool.fetch("SELECT name FROM lease")
    assert {"delivery@a", "delivery-7"} == {row["name"] for row in rows}


async def test_the_epoch_rises_with_each_owner(pool):
    """Taking one's own again keeps the epoch, a new owner raises it, and it never goes back."""
    a, b = Leases(pool, "a", LONG), Leases(pool, "b", LONG)
    await a.acquire(["x"])
    first = a.held("x")
    await a.acquire(["x"])
    assert first == a.held("x")
    await expire(pool, "x")
    await b.acquire(["x"])
    assert first + 1 == b.held("x")
    await b.release_all()
    await a.acquire(["x"])

    assert first + 2 == a.held("x")


async def test_a_released_lease_is_free_at_once(pool, lost):
    """What is released another has without waiting; nobody is told of a loss."""
    a, b = Leases(pool, "a", LONG, lost), Leases(pool, "b", LONG)
    await a.acquire(["x", "y"])
    await a.release(["y", "never held"])
    assert {"y"} == await b.acquire(["x", "y"])
    assert {"x"} == a.names()
    await a.release_all()

    assert {"x", "y"} == await b.acquire(["x", "y"])
    assert [] == lost


async def test_renewals_keep_it(pool, lost, running):
    """Held through several lives, nobody else gets it."""
    a, b = Leases(pool, "a", STEADY, lost), Leases(pool, "b", STEADY)
    await a.acquire(["x", "y"])
    running(a)
    first = await pool.fetchval("SELECT expires_at FROM lease WHERE name = 'x'")
    while await pool.fetchval("SELECT now() < $1", first + 2 * STEADY):
        assert set() == await b.acquire(["x", "y"])
        await asyncio.sleep(0.02)

    assert {"x", "y"} == a.names()
    assert [] == lost


async def test_a_dead_owners_work_goes_on(pool):
    """When the owner is gone, another has its leases after their life, with a higher epoch."""
    a, b = Leases(pool, "a", SHORT), Leases(pool, "b", SHORT)
    await a.acquire(["x", "y"])  # and never renews: as after kill -9
    while not await b.acquire(["x", "y"]):
        await asyncio.sleep(0.02)

    assert 2 == b.held("x") == b.held("y")
    assert a.held("x") is None


async def test_nobody_thinks_it_is_theirs_at_the_same_time(pool):
    """The old owner's own clock ends a lease before the database gives it to another."""
    a, b = Leases(pool, "a", SHORT), Leases(pool, "b", SHORT)
    for _ in range(3):
        await a.acquire(["x"])
        while not await b.acquire(["x"]):
            await asyncio.sleep(0.001)
        assert a.held("x") is None
        await b.release_all()


async def test_a_taken_lease_is_reported(pool, lost):
    """An owner that renews and finds a lease in other hands is told once; the rest it keeps."""
    a, b = Leases(pool, "a", LONG, lost), Leases(pool, "b", LONG)
    await a.acquire(["x", "y"])
    await expire(pool, "x")
    await b.acquire(["x"])
    await a._renew()
    await a._renew()

    assert ["x"] == lost
    assert {"y"} == a.names()


async def test_a_failing_callback_harms_no_other_lease(pool, running, eventually):
    """Whatever `on_lost` raises, every loss is told and renewals go on."""
    told = []

    def fail(name):
        told.append(name)
        raise KeyError(name)

    a = Leases(pool, "a", STEADY, fail)
    await a.acquire(["x", "y", "z"])
    await pool.execute("UPDATE lease SET owner = 'b' WHERE name IN ('x', 'y')")
    task = running(a)
    await eventually(lambda: len(told) == 2)

    assert {"x", "y"} == set(told)
    assert {"z"} == a.names()
    assert not task.done()


async def test_fencing_stops_the_old_owner(pool):
    """A transaction of an owner that was taken over learns it before it writes."""
    a, b = Leases(pool, "a", LONG), Leases(pool, "b", LONG)
    await a.acquire(["x"])
    epoch = a.held("x")
    async with pool.acquire() as connection, connection.transaction():
        assert await store.fence(connection, "x", "a", epoch)
    await expire(pool, "x")
    await b.acquire(["x"])
    async with pool.acquire() as connection, connection.transaction():
        assert not await store.fence(connection, "x", "a", epoch)
        assert await store.fence(connection, "x", "b", b.held("x"))


async def test_fencing_delays_the_new_owner(pool):
    """A fenced transaction keeps an expired lease from others; renewals do not wait for it."""
    a, b = Leases(pool, "a", LONG), Leases(pool, "b", LONG)
    await a.acquire(["x", "y"])
    await expire(pool, "x")
    async with pool.acquire() as connection, connection.transaction():
        assert await store.fence(connection, "x", "a", a.held("x"))
        await pool.execute("UPDATE lease SET expires_at = now() WHERE name = 'y'")
        renewed = await store.renew(pool, ["x", "y", "none"], "a", LONG)
        assert {"x": (True, False), "y": (True, True)} == renewed
        await pool.execute("UPDATE lease SET expires_at = now() WHERE name = 'y'")
        assert {"y"} == await b.acquire(["x", "y"])

    assert {"x"} == await b.acquire(["x"])


async def test_a_hanging_database_costs_the_leases_in_time(postgres, lost, running, eventually):
    """When the database hangs, the owner gives up by its own clock, and goes on after."""
    engine = postgres
    await migrate(engine.url)
    async with open_pool(engine.url, size=2) as pool:
        a = Leases(pool, "a", SHORT, lost)
        await a.acquire(["x", "y"])
        task = running(a)
        backends = [
            row["pid"]
            for row in await pool.fetch(
                "SELECT pid FROM pg_stat_activity WHERE application_name = 'wattwire-hub'"
            )
        ]
        for pid in (engine.pid, *backends):
            os.kill(pid, signal.SIGSTOP)
        try:
            await eventually(lambda: len(lost) == 2, seconds=5)
            assert a.held("x") is None
            with pytest.raises(TimeoutError):
                await a.acquire(["x"])
        finally:
            for pid in (engine.pid, *backends):
                os.kill(pid, signal.SIGCONT)
        assert not task.done()

        async def again():
            try:
                return await a.acquire(["x", "y"])
            except (TimeoutError, OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                return set()

        while await again() != {"x", "y"}:
            await asyncio.sleep(0.02)
        await a.release_all()


async def test_a_restarted_database_costs_nothing(postgres, lost, running, eventually):
    """A database that is back within a lease's life takes none away."""
    engine = postgres
    await migrate(engine.url)
    async with open_pool(engine.url, size=2) as pool:
        a = Leases(pool, "a", timedelta(seconds=30), lost)
        await a.acquire(["x"])
        running(a)
        epoch = a.held("x")
        os.kill(engine.pid, signal.SIGKILL)
        await engine.wait_died()
        await engine.start()
        await pool.expire_connections()
        assert {"x"} == await a.acquire(["x"])

    assert epoch == a.held("x")
    assert [] == lost


async def test_nothing_asked_is_nothing_done(pool):
    """No names, no statement."""
    a = Leases(pool, "a")

    assert set() == await a.acquire([])
    await a.release_all()
