"""`wattwire ethernet-ip probe`: what a person who stands before a device sees."""

import asyncio
import socket
import sys
from contextlib import asynccontextmanager

import pytest
from cli_runner import run_wattwire
from typer.testing import CliRunner

from listening import listening
from wattwire.cli import create_app
from wattwire.simulate.ethernet_ip import power_monitors


@pytest.fixture
async def device():
    async with power_monitors(1, frozen=True) as (only,):
        yield only


async def probe(port, *arguments):
    return await run_wattwire("ethernet-ip", "probe", "127.0.0.1", "--port", port, *arguments)


def cells_of(done, name):
    """The cells of the line that begins with a name."""
    (line,) = (one for one in done.out.splitlines() if one.split()[:1] == [name])
    return line.split()


async def test_what_it_shows(device):
    """Identity, sizes, values with unit and bytes; and that the order is not verified."""
    done = await probe(device.port)
    who = device.device.model.identity
    shown = device.device.values()

    assert (0, "") == (done.code, done.err)
    assert "PowerMonitor 500" in done.out
    assert f"{who.serial} (0x{who.serial:08X})" in done.out
    assert device.device.model.letters in done.out
    assert ["101", "48", "48"] == cells_of(done, "101")
    assert ["108", "4"] == cells_of(done, "108")
    _, value, unit, *_ = cells_of(done, "voltageAN")
    assert (pytest.approx(shown["voltageAN"], rel=1e-5), "V") == (float(value), unit)
    raw = device.device.assembly(101)[:4].hex(" ")
    assert any(line.endswith(raw) for line in done.out.splitlines())
    assert "INFERRED" in done.out


async def test_for_programs(device):
    """The same as JSON, with the bytes of every assembly."""
    done = await probe(device.port, "--json")
    values = {value["name"]: value for value in done.json["values"]}

    assert device.device.assembly(107).hex() == next(
        one["raw"] for one in done.json["assemblies"] if one["instance"] == 107
    )
    assert {"name": "PowerMonitor 500", "vendor": 1}.items() <= done.json["identity"].items()
    assert (
        pytest.approx(device.device.values()["realPower"], rel=1e-6)
        == (values["realPower"]["value"])
    )
    assert ["107, 0", "107, 4"] == [
        f"{part['instance']}, {part['offset']}" for part in values["realEnergy"]["parts"]
    ]
    assert "INFERRED" in done.json["map"]["note"]
    assert [] == done.json["map"]["faults"]


async def test_a_map_of_ones_own(device, tmp_path):
    """Read from YAML, as it would stand in the source's settings."""
    file = tmp_path / "maps.yaml"
    file.write_text(
        "mine:\n  - {instance: 101, offset: 4, type: REAL, name: b, unit: mV, scale: 1000}\n"
    )
    done = await probe(device.port, "--map", "mine", "--maps-file", file, "--json")
    (value,) = done.json["values"]

    assert ("b", "mV") == (value["name"], value["unit"])
    assert pytest.approx(device.device.values()["voltageBN"] * 1000, rel=1e-6) == value["value"]


async def test_a_map_that_does_not_fit(device):
    """Exit code 1, and which assembly is of another size."""
    done = await probe(device.port, "--map", "pm500-seed-legacy")

    assert 1 == done.code
    assert "instance 100: 20 bytes, where map pm500-seed-legacy has 4" in done.out


async def test_an_assembly_that_it_does_not_give(device):
    """A refusal is said in words, and the rest is shown."""
    device.faults.cip_status, device.faults.instance = 0x05, 107
    done = await probe(device.port)

    assert 1 == done.code
    assert "instance 107: path destination unknown (0x05)" in done.out
    assert "voltageAN" == cells_of(done, "voltageAN")[0]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("mine: [{instance: 1}]", "mine.0.offset: Field required"),
        ("mine: []", "mine: sizes: between 1 and 64"),
        ("- 1", "it must be a mapping"),
        ("mine: [", "maps.yaml: "),
    ],
)
def test_a_file_that_makes_no_sense(tmp_path, text, said):
    """The place and the reason, exit code 1, before anything is sent."""
    file = tmp_path / "maps.yaml"
    file.write_text(text)
    done = refused("--map", "mine", "--maps-file", str(file))

    assert said in done.stderr


def test_a_map_that_is_not_there():
    """The names of those that are."""
    done = refused("--map", "other")

    assert "ab-pm500-manual, ab-pm500-manual-full, pm500-seed-legacy" in done.stderr


def refused(*arguments):
    """A probe that ends with exit code 1 and one sentence, in this process: nothing is sent."""
    done = CliRunner().invoke(create_app(), ["ethernet-ip", "probe", "127.0.0.1", *arguments])
    assert (1, "") == (done.exit_code, done.stdout)
    return done


async def test_nobody_is_there():
    """Exit code 3, the reason, and what to look at."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        done = await probe(taken.getsockname()[1])

    assert (3, "") == (done.code, done.out)
    assert "connection refused" in done.err
    assert "Modbus" in done.err


async def test_somebody_else_is_there():
    """What listens and does not answer is told apart from nobody."""

    async def say_nothing(reader, writer):
        await reader.read(-1)

    async with listening(say_nothing) as port:
        done = await probe(port, "--timeout", "0.3")

    assert 3 == done.code
    assert "no answer within 0.3 s" in done.err
    assert "--timeout" in done.err


@asynccontextmanager
async def cpppo_device(folder, *tags):
    out = folder / "cpppo.out"
    with out.open("wb") as file:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "cpppo.server.enip", "--no-config", "-S", "-U", "-A",
            "-a", "127.0.0.1:0", *tags, stdout=file, stderr=asyncio.subprocess.DEVNULL, cwd=folder,
        )  # fmt: skip
    try:
        async with asyncio.timeout(20):
            while b")" not in out.read_bytes():
                await asyncio.sleep(0.02)
        yield int(out.read_text().rpartition(",")[2].strip(" )\n"))
    finally:
        process.terminate()
        await process.wait()


async def test_an_independent_device(tmp_path):
    """cpppo's simulator hangs up where it has nothing: that is noted, and the rest is read."""
    tags = ("RT@4/101/3=REAL[12]", "PW@4/102/3=REAL[18]", "EN@4/107/3=REAL[18]")
    async with cpppo_device(tmp_path, *tags) as port:
        done = await probe(port, "--json")
    found = done.json
    sizes = {one["instance"]: one["bytes"] for one in found["assemblies"]}

    assert 0 == done.code
    assert (48, 72, 72, None) == (sizes[101], sizes[102], sizes[107], sizes[103])
    assert found["identity"]["name"].startswith("1756")
    assert found["identity"]["model"] is None
