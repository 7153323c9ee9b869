"""The dashboard of the hub's health, what feeds it, and how all of it is provisioned."""

import re
import tomllib
from pathlib import Path

import promql_parser
import pytest
import yaml
from compose_files import STACKS, loaded
from grafana_dashboards import DASHBOARDS, FOLDER, queries

METRICS = Path(__file__).parent.parent.parent / "docs" / "metrics.md"
ROW = re.compile(r"^\| `(wattwire_\w+)` \| (\w+) \| ([^|]*) \|", re.MULTILINE)
KNOWN = {
    name: (kind, set(re.findall(r"`(\w+)`", labels)))
    for name, kind, labels in ROW.findall(METRICS.read_text())
}
QUERIES = [
    pytest.param(target["expr"], target["legendFormat"], id=f"{panel['title']}-{target['refId']}")
    for _, panel, target in queries("prometheus")
]
SOURCES = yaml.safe_load((FOLDER / "provisioning" / "datasources" / "wattwire.yaml").read_text())
BOARDS = yaml.safe_load((FOLDER / "provisioning" / "dashboards" / "wattwire.yaml").read_text())


def filled(text):
    return text.replace("$__rate_interval", "1m")


def parts(node):
    """A query and everything in it."""
    yield node
    for name in ("expr", "lhs", "rhs", "vector_selector", "args"):
        inner = getattr(node, name, None)
        for child in inner if isinstance(inner, list) else [inner] if inner is not None else []:
            yield from parts(child)


@pytest.mark.parametrize(("text", "legend"), QUERIES)
def test_metrics_are_the_hubs(text, legend):
    """Every metric of a query is in the reference; rates are taken of counters, never of gauges."""
    tree = promql_parser.parse(filled(text))
    found = list(parts(tree))
    names = {p.name for p in found if isinstance(p, promql_parser.VectorSelector)}
    rated = {p.vector_selector.name for p in found if isinstance(p, promql_parser.MatrixSelector)}

    assert names
    assert names == set(re.findall(r"wattwire_\w+", text)), "nothing was overlooked"
    assert names <= set(KNOWN)
    assert {"counter"} >= {KNOWN[name][0] for name in rated}
    assert {"gauge"} >= {KNOWN[name][0] for name in names - rated}


@pytest.mark.parametrize(("text", "legend"), QUERIES)
def test_labels_are_the_hubs(text, legend):
    """What is grouped by and shown is a label that the metric has."""
    labels = set().union(*(KNOWN[name][1] for name in re.findall(r"wattwire_\w+", text)))
    named = set(re.findall(r"by \((\w+)\)", text))

    assert named <= labels
    assert set(re.findall(r"\{\{(\w+)\}\}", legend)) <= named


def test_what_must_be_seen_is_seen():
    """Door, backlog, ledger, quarantine and poll lateness are on the dashboard."""
    text = " ".join(target["expr"] for _, _, target in queries("prometheus"))

    assert {
        "wattwire_mqtt_connections_now",
        "wattwire_delivery_messages_waiting",
        "wattwire_pipeline_quarantined_total",
        "wattwire_ethernet_ip_lateness_p99_seconds",
        *(name for name in KNOWN if name.startswith("wattwire_delivery_messages_")),
    } <= set(re.findall(r"wattwire_\w+", text))


@pytest.mark.parametrize("name", DASHBOARDS)
def test_a_dashboard_is_whole(name):
    """Panels have their own ids, do not overlap, and ask data sources that are provisioned."""
    panels = DASHBOARDS[name]["panels"]
    known = {(s["type"], s["uid"]) for s in SOURCES["datasources"]}
    asked = {tuple(t["datasource"].values()) for p in panels for t in p["targets"]}
    cells = [
        (x, y)
        for box in (p["gridPos"] for p in panels)
        for x in range(box["x"], box["x"] + box["w"])
        for y in range(box["y"], box["y"] + box["h"])
    ]

    assert asked <= known
    assert len(panels) == len({p["id"] for p in panels})
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24
    assert DASHBOARDS[name]["uid"].startswith("wattwire-")


def test_variables_of_queries_exist():
    """A query names no variable that its dashboard lacks."""
    for name, _, target in queries("influxdb"):
        named = set(re.findall(r"\$(?!__|timeFilter)(\w+)", target["query"]))

        assert named <= {v["name"] for v in DASHBOARDS[name]["templating"]["list"]}


def test_provisioning_finds_what_compose_mounts():
    """Paths, addresses and variables of the provisioning are those of the compose file."""
    services = loaded("influxdb")["services"]
    grafana = services["grafana"]
    targets = {v.split(":")[1] for v in grafana["volumes"]}
    text = (FOLDER / "provisioning" / "datasources" / "wattwire.yaml").read_text()

    assert BOARDS["providers"][0]["options"]["path"] in targets
    assert set(re.findall(r"\$(\w+)", text)) <= set(grafana["environment"])
    assert {s["url"].split(":")[1].strip("/") for s in SOURCES["datasources"]} <= set(services)
    home = Path(grafana["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"])
    assert home.stem in DASHBOARDS


def test_who_reads_the_hub_asks_where_it_serves():
    """Prometheus and Telegraf ask the API's name, port and path."""
    prometheus = yaml.safe_load((STACKS["influxdb"] / "prometheus/prometheus.yml").read_text())
    telegraf = tomllib.loads((STACKS["influxdb"] / "telegraf/telegraf.conf").read_text())
    api = loaded("hub")["services"]["api"]
    place = f"{api['networks']['wattwire']['aliases'][0]}:{api['ports'][0].split(':')[-1]}"
    job = prometheus["scrape_configs"][0]

    assert [{"targets": [place]}] == job["static_configs"]
    assert "/metrics" == job["metrics_path"]
    assert [f"http://{place}/metrics"] == telegraf["inputs"]["prometheus"][0]["urls"]


def test_users_of_influxdb_are_those_that_the_first_start_makes():
    """Grafana reads and Telegraf writes as users, into databases, that init/ makes."""
    script = (STACKS["influxdb"] / "init" / "10-access.sh").read_text()
    telegraf = tomllib.loads((STACKS["influxdb"] / "telegraf/telegraf.conf").read_text())
    output = telegraf["outputs"]["influxdb"][0]
    services = loaded("influxdb")["services"]
    readings = SOURCES["datasources"][0]

    assert {"grafana", "telegraf"} == set(re.findall(r"--username (\w+)", script))
    assert (readings["user"], output["username"]) == ("grafana", "telegraf")
    assert set(re.findall(r"\$([A-Z_]+)", script)) - {"DOCKER_INFLUXDB_INIT_BUCKET_ID"} <= set(
        services["influxdb"]["environment"]
    )
    assert re.findall(r"\$\{(\w+)\}", output["database"] + output["password"]) == list(
        services["telegraf"]["environment"]
    )
    assert "$INFLUXDB_BUCKET" == readings["jsonData"]["dbName"]
    assert 'DOCKER_INFLUXDB_INIT_BUCKET" --rp autogen --default' in script
