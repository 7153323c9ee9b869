"""The dashboards, and their queries as Grafana sends them."""

import json
import re
from pathlib import Path

FOLDER = Path(__file__).parent.parent.parent / "infra" / "influxdb" / "grafana"
DASHBOARDS = {
    path.stem: json.loads(path.read_text()) for path in (FOLDER / "dashboards").glob("*.json")
}


def queries(kind):
    """(dashboard, panel, target) of every query of a kind of data source."""
    return [
        (name, panel, target)
        for name, board in DASHBOARDS.items()
        for panel in board["panels"]
        for target in panel["targets"]
        if target["datasource"]["type"] == kind
    ]


def asked(text, *, first, last, **chosen):
    """An InfluxQL query with Grafana's macros and variables filled in; times in milliseconds.

    A variable of several values becomes the alternative of a regular expression, as `All` does.
    """
    text = text.replace("$timeFilter", f"time >= {first}ms and time <= {last}ms")
    text = text.replace("$__interval", "5m")
    for name, value in chosen.items():
        filled = value if isinstance(value, str) else f"({'|'.join(map(re.escape, value))})"
        text = text.replace(f"${name}", filled)
    return text
