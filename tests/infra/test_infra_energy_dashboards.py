"""The dashboards of energy and power quality, asked of a real InfluxDB with real lines in it.

The server is InfluxDB 1.6, whose InfluxQL version 2 took over for mapped buckets.
"""

import asyncio
import re
import urllib.request
from datetime import UTC, datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from grafana_dashboards import DASHBOARDS, asked, queries
from influx_counterparts import InfluxServer, new_folder

from wattwire.model import Event
from wattwire.payloads import FORMATS
from wattwire.payloads.line_protocol import PRESETS

START = datetime(2025, 3, 28, tzinfo=UTC)
STEP = timedelta(minutes=5)
STEPS = 5 * 288
ZONE = "Europe/Berlin"
PRESET = PRESETS["powermonitor_500"]
FIELDS = {field for line in PRESET["lines"] for field in line.fields}
TAGS = set(PRESET["tags"]) | {tag for line in PRESET["lines"] for tag in line.tags}
QUERIES = [
    pytest.param(panel, target["query"], id=f"{name}-{panel['title']}-{target['refId']}")
    for name, panel, target in queries("influxdb")
]
VARIABLES = [
    pytest.param(variable["query"], id=f"{name}-{variable['name']}")
    for name, board in DASHBOARDS.items()
    for variable in board["templating"]["list"]
    if variable["type"] == "query"
]


def values(number, step):
    """What a meter reports: 3.0, 3.5 and 4.0 kW, 10.5 kW together, the register accordingly."""
    phases = {}
    for index, letter in enumerate("ABC"):
        phases |= {
            f"voltage{letter}N": 228.0 + 2 * index,
            f"current{letter}": 10.0 + index,
            f"realPower{letter}": 3.0 + index / 2,
            f"reactivePower{letter}": 0.5,
            f"apparentPower{letter}": 3.2,
            f"powerFactor{letter}": 0.95,
        }
    return phases | {
        "realEnergy": 1000.0 * number + 10.5 * step / 12,
        "realPower": 10.5,
        "reactivePower": 1.5,
        "apparentPower": 10.7,
        "voltageAverage": 230.0,
        "currentAverage": 11.0,
        "powerFactor": 0.96,
    }


def lines():
    """Five days of two meters by the preset; the clock goes forward on the third."""
    kind = FORMATS["line_protocol"]
    form = kind.make(kind.settings.model_validate({"preset": "powermonitor_500"}), 1)
    for number, asset in enumerate(("press-1", "oven 2"), 1):
        for step in range(STEPS):
            yield form.render(
                Event(
                    id=UUID(int=step + 1),
                    topic="device.telemetry",
                    organization_id=UUID(int=1),
                    time=START + step * STEP,
                    data={"values": values(number, step)},
                    device_key=asset,
                    metadata={"site": "North Plant", "asset": asset, "breaker": f"52-{number}"},
                )
            )


@pytest.fixture(scope="module")
def influx(tmp_path_factory):
    """A real InfluxDB in which the preset's lines are."""
    server = InfluxServer(new_folder(tmp_path_factory))
    asyncio.run(server.ready())
    server.query("CREATE DATABASE powermonitor")
    url = f"{server.url}/write?db=powermonitor&precision=n"
    with urllib.request.urlopen(url, b"".join(lines()), timeout=30) as answer:
        assert 204 == answer.status
    yield server
    server.stop()


def ask(influx, text, **chosen):
    first, last = START.timestamp() * 1000, (START + STEPS * STEP).timestamp() * 1000
    everything = {"site": ".*", "asset": ".*", "zone": ZONE} | chosen
    return influx.query(asked(text, first=int(first), last=int(last), **everything), "powermonitor")


@pytest.mark.parametrize(("panel", "text"), QUERIES)
def test_every_panel_shows_something(influx, panel, text):
    """Each query is understood and answers with numbers from what the preset wrote."""
    rows = ask(influx, text)
    shown = [v for row in rows for k, v in row.items() if k != "time" and v is not None]

    assert shown
    assert all(isinstance(value, int | float) for value in shown)


@pytest.mark.parametrize(("panel", "text"), QUERIES)
def test_a_chosen_meter_is_shown_alone(influx, panel, text):
    """The variables narrow every query; names with spaces and dots are taken as they are."""
    everybody, one = ask(influx, text), ask(influx, text, asset=["oven 2"], site=["North Plant"])

    assert one
    assert one != everybody
    assert not ask(influx, text, asset=["ove"]), "the pattern is bound at both ends"


@pytest.mark.parametrize(("panel", "text"), QUERIES)
def test_names_are_those_of_the_preset(panel, text):
    """No query names a field or a tag that the preset does not write."""
    named = set(re.findall(r'"(\w+)"', text)) - set(re.findall(r'AS "(\w+)"', text))

    assert named <= FIELDS | TAGS | {PRESET["measurement"]}
    assert '"powermonitor_500"' in text


def test_every_field_is_on_a_dashboard():
    """What the preset writes can be seen."""
    text = " ".join(target["query"] for _, _, target in queries("influxdb"))

    assert FIELDS <= set(re.findall(r'"(\w+)"', text))


@pytest.mark.parametrize("text", VARIABLES)
def test_variables_list_what_is_there(influx, text):
    """Sites and assets are offered by name."""
    offered = {row["value"] for row in ask(influx, text)}

    assert offered in ({"North Plant"}, {"press-1", "oven 2"})


def panel_query(title):
    return next(t["query"] for _, panel, t in queries("influxdb") if panel["title"] == title)


def test_energy_of_a_day_is_that_of_the_local_day(influx):
    """10.5 kW make 252 kWh in a day of 24 hours, and 241.5 on the day that has 23."""
    rows = ask(influx, panel_query("Energy by day"), asset=["press-1"])
    days = {
        datetime.fromisoformat(row["time"]).astimezone(ZoneInfo(ZONE)).date().day: round(
            row["non_negative_difference"], 3
        )
        for row in rows
    }

    assert (252.0, 241.5, 252.0) == (days[29], days[30], days[31])


def test_energy_of_an_hour(influx):
    """10.5 kW make 10.5 kWh in each hour, both meters alike."""
    rows = ask(influx, panel_query("Energy by hour"))

    assert {10.5} == {round(row["non_negative_difference"], 3) for row in rows}
    assert len(rows) == 2 * (STEPS // 12 - 1)


def test_energy_of_both_meters_adds_up(influx):
    """The panel of months adds the days of all meters that are chosen."""
    both, one = (
        sum(row["kWh"] for row in ask(influx, panel_query("Energy by month"), **chosen))
        for chosen in ({}, {"asset": ["press-1"]})
    )

    assert both == pytest.approx(2 * one)
    assert one > 900


@pytest.mark.parametrize(
    ("title", "expected"),
    [
        ("Power now", [{10.5}]),
        ("Highest power", [{10.5}]),
        ("Power of each phase", [{3.0, 3.5, 4.0}]),
        ("Apparent and reactive power", [{10.7}, {1.5}]),
        ("Voltage of each phase", [{228.0, 230.0, 232.0}]),
        ("Current of each phase", [{10.0, 11.0, 12.0}]),
        ("Power factor of each phase", [{0.95}]),
        ("Power factor of all phases", [{0.96}]),
        ("Lowest and highest voltage", [{228.0}, {232.0}]),
        ("Reactive power of each phase", [{0.5}]),
    ],
)
def test_a_panel_shows_what_its_title_says(influx, title, expected):
    """The values of each query are those of the quantity that the panel is named after."""
    texts = [t["query"] for _, panel, t in queries("influxdb") if panel["title"] == title]
    shown = [
        {round(v, 6) for row in ask(influx, text) for k, v in row.items() if k != "time"}
        for text in texts
    ]

    assert expected == shown


def test_imbalance_is_as_described(influx):
    """228, 230 and 232 V: (232 - 228) / 230. 10, 11 and 12 A: 2 / 11."""
    for title, percent in (("Voltage imbalance", 400 / 230), ("Current imbalance", 200 / 11)):
        rows = ask(influx, panel_query(title))
        key = next(k for k in rows[0] if k != "time")

        assert {round(percent, 6)} == {round(row[key], 6) for row in rows}
