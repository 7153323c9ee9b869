"""What others encode, the client decodes: Eclipse Tahu's JavaScript as the edge node."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from client_messages import DEVICE, MILLIS, NODE, NOW

from wattwire.client import Born, Decoder, Died, Sample

HERE = Path(__file__).parent
MODULES = HERE.parent / "node" / "node_modules"


def encoded(*messages):
    node = shutil.which("node")
    if node is None or not (MODULES / "sparkplug-payload").exists():
        pytest.fail("sparkplug-payload is missing: npm ci --prefix tests/node")
    found = subprocess.run(
        [node, str(HERE / "sparkplug_edge.cjs"), str(MODULES)],
        input="\n".join(map(json.dumps, messages)),
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    return [bytes.fromhex(line) for line in found.stdout.split()]


def metric(name, datatype, value, **more):
    return {"name": name, "type": datatype, "value": value, "timestamp": MILLIS, **more}


def message(seq, *metrics, **more):
    return {"timestamp": MILLIS, "seq": seq, "metrics": list(metrics), **more}


DIED = {"timestamp": MILLIS, "metrics": [metric("bdSeq", "Int64", 4)]}
UNIT = {"engUnit": {"type": "String", "value": "V"}, "Quality": {"type": "Int32", "value": 500}}
ANNOUNCED = [
    metric("volts", "Double", 480.25, alias=1, properties=UNIT),
    metric("amps", "Float", 12.5, alias=2),
    metric("count", "Int16", -7, alias=3),
    metric("total", "UInt64", 9_007_199_254_740_991, alias=4),
    metric("on", "Boolean", True, alias=5),
    metric("state", "String", "run", alias=6),
    metric("since", "DateTime", MILLIS, alias=7),
    metric("none", "Double", None, alias=8, isNull=True),
]
VALUES = {
    "volts": 480.25, "amps": 12.5, "count": -7, "total": 9_007_199_254_740_991, "on": True,
    "state": "run", "since": NOW, "none": None,
}  # fmt: skip


def test_a_session_that_others_encoded():
    """Births with values of all kinds, data by alias, the historical flag, a death."""
    late = {"timestamp": MILLIS, "value": 479.5, "type": "Double", "alias": 1, "isHistorical": True}
    payloads = encoded(
        message(0, metric("bdSeq", "Int64", 4), metric("Node Control/Rebirth", "Boolean", False)),
        message(1, *ANNOUNCED, uuid="asset-7"),
        message(2, late, {"alias": 3, "type": "Int16", "value": -8, "timestamp": MILLIS}),
        DIED,
    )
    topics = [NODE.format("NBIRTH"), DEVICE.format("DBIRTH"), DEVICE.format("DDATA"),
              NODE.format("NDEATH")]  # fmt: skip
    decoder = Decoder()
    node, device, data, deaths = (
        decoder.decode(topic, payload, NOW) for topic, payload in zip(topics, payloads, strict=True)
    )
    volts = device[1]

    assert [Born, 4] == [type(node[0]), node[0].bd_seq]
    assert VALUES == {s.name: s.value for s in device[1:]}
    assert ("V", 500, "asset-7", 1) == (volts.unit, volts.quality, volts.uuid, volts.alias)
    assert [("volts", 479.5, True), ("count", -8, False)] == [
        (s.name, s.value, s.is_historical) for s in data
    ]
    assert {Sample} == {type(s) for s in data}
    assert [(Died, ""), (Died, "pm-7")] == [(type(d), d.device) for d in deaths]
