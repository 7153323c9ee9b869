"""Engines under care: killed in every way, they come back with what they kept."""

import asyncio
import itertools
import os
import signal

import asyncpg
import nats
import psutil
import pytest

from wattwire.engines import supervise
from wattwire.engines.errors import EngineError
from wattwire.engines.leftovers import naming
from wattwire.engines.nats import EmbeddedNats
from wattwire.engines.postgres import EmbeddedPostgres
from wattwire.engines.supervise import Care, Supervised

QUICK = Care(check=0.05, answer=1.0, patience=60.0, first_pause=0.01)


class States:
    """What the callback was told."""

    def __init__(self):
        self.seen = []

    def __call__(self, name, healthy, detail):
        self.seen.append((name, healthy, detail))

    def healthy(self):
        return self.seen[-1][1]

    def changes(self):
        """Well or not, in order; several reasons for one trouble count once."""
        return [healthy for healthy, _ in itertools.groupby(self.seen, key=lambda s: s[1])]


@pytest.fixture
def states():
    return States()


async def test_a_killed_postgres_is_restarted(folder, premade, states, eventually):
    """After kill -9 the server is back at its address with what was committed."""
    engine = EmbeddedPostgres(premade(folder / "postgres"))
    async with Supervised(engine, states, QUICK) as care:
        url, first = engine.url, engine.pid
        connection = await asyncpg.connect(url)
        await connection.execute("CREATE TABLE kept AS SELECT 7 AS n")
        await connection.close()
        os.kill(first, signal.SIGKILL)
        await eventually(lambda: care.restarts == 1)
        connection = await asyncpg.connect(url)
        assert 7 == await connection.fetchval("SELECT n FROM kept")
        await connection.close()
        assert engine.pid != first

    assert [True, False, True, False] == states.changes()
    assert ("postgres", False, "ended with status -9") in states.seen
    assert engine.pid is None


async def test_a_killed_nats_is_restarted(folder, states, eventually):
    """After kill -9, three times, a client of before finds every acknowledged message."""
    engine = EmbeddedNats(folder / "nats")
    async with Supervised(engine, states, QUICK) as care:
        client = await nats.connect(
            engine.url, max_reconnect_attempts=-1, reconnect_time_wait=0.05, error_cb=_silent
        )
        js = client.jetstream()
        await js.add_stream(name="KEPT", subjects=["kept"])
        for round_ in range(1, 4):
            await js.publish("kept", b"x")
            os.kill(engine.pid, signal.SIGKILL)
            await eventually(lambda n=round_: care.restarts == n)
            await eventually(lambda: client.is_connected)
        assert 3 == (await js.stream_info("KEPT")).state.messages
        await client.close()

    assert [True, *[False, True] * 3, False] == states.changes()


async def _silent(_error):
    """nats-py prints its errors otherwise."""


async def test_one_that_does_not_answer_is_reported(folder, states, eventually):
    """An engine that hangs is reported at once, and reported well when it answers again."""
    engine = EmbeddedNats(folder / "nats")
    async with Supervised(engine, states, QUICK) as care:
        os.kill(engine.pid, signal.SIGSTOP)
        await eventually(lambda: not states.healthy())
        os.kill(engine.pid, signal.SIGCONT)
        await eventually(states.healthy)
        assert care.restarts == 0

    assert ("nats", False, "does not answer") in states.seen


async def test_one_that_hangs_for_long_is_restarted(folder, states, eventually, monkeypatch):
    """An engine that hangs beyond the patience is ended, by force, and started again."""
    monkeypatch.setattr("wattwire.engines.nats.END", ((signal.SIGTERM, 0.2), (signal.SIGKILL, 10)))
    impatient = Care(check=0.05, answer=0.2, patience=0.3, first_pause=0.01)
    engine = EmbeddedNats(folder / "nats")
    async with Supervised(engine, states, impatient) as care:
        os.kill(engine.pid, signal.SIGSTOP)
        await eventually(lambda: care.restarts == 1)
        assert states.healthy()
        assert await engine.healthy()


async def test_a_first_start_that_fails_is_raised(folder, states):
    """`serve` learns of a failed first start as an error with its sentence, not as a state."""
    (folder / "nats").write_text("")
    with pytest.raises(EngineError, match="in the way"):
        await Supervised(EmbeddedNats(folder / "nats"), states).start()

    assert [] == states.seen


async def test_they_stop_in_reverse_order(folder, premade):
    """Nested contexts stop the last one first, and nothing is left running."""
    order = []

    def note(name, healthy, detail):
        order.append((name, detail))

    postgres, log = EmbeddedPostgres(premade(folder / "postgres")), EmbeddedNats(folder / "nats")
    async with Supervised(postgres, note), Supervised(log, note):
        pids = [postgres.pid, log.pid]

    assert [("nats", "stopped"), ("postgres", "stopped")] == order[-2:]
    assert not any(psutil.pid_exists(pid) for pid in pids)


async def test_stopping_while_it_comes_back(folder, premade, states, eventually):
    """A stop in the middle of a restart leaves nothing running."""
    engine = EmbeddedPostgres(premade(folder / "postgres"))
    care = Supervised(engine, states, QUICK)
    await care.start()
    os.kill(engine.pid, signal.SIGKILL)
    await eventually(lambda: not states.healthy())
    await care.stop()

    assert [] == naming("postgres", folder / "postgres" / "data")
    assert (states.seen[-1][1:]) == (False, "stopped")


class Failing:
    """An engine whose starts fail as told, for the arithmetic of pauses."""

    name = "failing"

    def __init__(self, failures):
        self.failures = failures
        self.died = asyncio.Event()
        self.starts = 0
        self.looks = 0

    async def start(self):
        self.starts += 1
        self.died.clear()
        if self.failures:
            raise self.failures.pop()

    async def stop(self):
        pass

    async def wait_died(self):
        await self.died.wait()
        return 1

    async def healthy(self):
        self.looks += 1
        return True


@pytest.fixture
def pauses(monkeypatch):
    """The pauses between starts, which then take no time."""
    seen = []
    sleep = asyncio.sleep

    async def note(seconds):
        keeping = asyncio.current_task().get_name().startswith("keep-")
        if keeping:
            seen.append(seconds)
        await sleep(0 if keeping else seconds)

    monkeypatch.setattr(supervise.asyncio, "sleep", note)
    return seen


async def test_pauses_grow_to_a_limit(states, pauses, eventually):
    """Starts that fail are tried again after 0.2 s, 0.4 s, … 10 s, 10 s, each with its reason."""
    engine = Failing([])
    care = Supervised(engine, states, Care(check=0.001))
    await care.start()
    engine.failures = [EngineError(f"reason {n}") for n in range(8)]
    engine.died.set()
    await eventually(lambda: care.restarts == 1)
    await care.stop()

    assert [0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10.0, 10.0, 10.0] == pauses[:9]
    assert "reason 0" == states.seen[-3][2]
    assert [True, False, True, False] == [
        s[1] for s in states.seen if not s[2].startswith("reason")
    ]


@pytest.mark.parametrize(("settled", "second"), [(0.0, 0.2), (1000.0, 0.4)])
async def test_pauses_begin_again_after_health(states, pauses, eventually, settled, second):
    """One that was well for long enough is restarted as quickly as the first time."""
    engine = Failing([])
    care = Supervised(engine, states, Care(check=0.001, settled=settled))
    await care.start()
    for restarts in (1, 2):
        engine.died.set()
        await eventually(lambda n=restarts: care.restarts == n)
        await eventually(lambda enough=engine.looks + 3: engine.looks >= enough)
    await care.stop()

    assert [0.2, second] == pauses[:2]


async def test_care_survives_its_own_mistakes(states, pauses, eventually):
    """Even an engine that raises something unexpected is not left alone."""
    engine = Failing([])
    care = Supervised(engine, states, Care(check=0.001))
    await care.start()
    engine.failures = [KeyError("surprise")]
    engine.died.set()
    await eventually(lambda: engine.starts == 2)
    engine.died.set()
    await eventually(lambda: care.restarts == 1)
    await care.stop()

    assert any("KeyError" in detail for _, _, detail in states.seen)


async def test_both_engines_die_with_the_hub(folder, premade, hub, is_running, eventually):
    """After kill -9 of the hub its engines end by themselves, and the next hub has the data."""
    premade(folder / "data" / "postgres")
    first = hub(folder / "data", "postgres", "nats")
    told = first.told()["engines"]
    connection = await asyncpg.connect(told["postgres"]["url"])
    await connection.execute("CREATE TABLE kept AS SELECT 7 AS n")
    await connection.close()
    first.kill()
    await eventually(lambda: not any(is_running(engine["pid"]) for engine in told.values()))
    again = hub(folder / "data", "postgres", "nats").told()["engines"]
    assert again["nats"]["url"] == told["nats"]["url"]
    connection = await asyncpg.connect(again["postgres"]["url"])
    try:
        assert 7 == await connection.fetchval("SELECT n FROM kept")
    finally:
        await connection.close()


async def test_a_hub_started_at_once_after_a_kill(folder, premade, hub):
    """The next hub need not wait for the engines of the killed one to end: it sees to it."""
    premade(folder / "data" / "postgres")
    for _ in range(3):
        one = hub(folder / "data", "postgres", "nats")
        assert {"postgres", "nats"} == set(one.told()["engines"])
        one.kill()
    assert {"postgres", "nats"} == set(hub(folder / "data", "postgres", "nats").told()["engines"])


async def test_a_second_hub_is_refused(folder, hub):
    """Two hubs on one folder: the second says which pid has it, and the first goes on."""
    first = hub(folder / "data", "nats")
    pid = first.told()["pid"]
    told = hub(folder / "data", "nats").told()

    assert f"another hub (pid {pid}) runs on {folder / 'data'}" in told["error"]
    assert first.process.poll() is None
