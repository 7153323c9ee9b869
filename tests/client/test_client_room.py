"""The room itself: what it brings along, what it offers, and that no bytes break it."""

import inspect
import subprocess
import sys

from client_messages import DEVICE, NODE, NOW, device_birth, device_data, node_birth
from hypothesis import given, settings
from hypothesis import strategies as st

import wattwire.client
from wattwire.client import Decoder, Limits, RefusedError, Result, read_record

TYPES = ("NBIRTH", "DBIRTH", "NDATA", "DDATA", "NDEATH", "DDEATH", "NCMD")
TOPICS = st.sampled_from([(NODE if t[0] == "N" else DEVICE).format(t) for t in TYPES]) | st.text()
FACTS = st.sampled_from([node_birth(), device_birth(), device_data(2), b'{"metrics": []}'])
RECORDS = st.sampled_from([
    b"{}", b'{"metrics": [{"name": "a", "value": 1}], "site": "x"}',
    b"""{"event": "device.telemetry", "timestamp": "2025-06-01T12:00:00Z", "device": {"id": "m"},
         "data": {"stream": "/p", "values": {"w": 1}}}""",
])  # fmt: skip


def broken(whole):
    """The same with up to four bytes replaced."""
    return st.tuples(whole, st.integers(0, 160), st.binary(max_size=4)).map(
        lambda t: t[0][: t[1]] + t[2] + t[0][t[1] + len(t[2]) :]
    )


def test_it_brings_nothing_of_the_hub():
    """Importing it loads the wire formats and paho, no engine, no database, no web server."""
    code = "import sys, wattwire.client; print(*sorted(sys.modules))"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    ).stdout.split()
    rooms = {name.split(".")[1] for name in loaded if name.startswith("wattwire.")}
    others = {"aiobotocore", "aiohttp", "asyncpg", "fastapi", "nats", "numpy", "pydantic",
              "structlog", "typer", "uvicorn"}  # fmt: skip

    assert {"client", "formats", "model"} == rooms
    assert set() == others & set(loaded)


def test_every_public_name_is_explained():
    """What is listed is there, and classes and functions have a docstring."""
    names = wattwire.client.__all__
    members = [getattr(wattwire.client, name) for name in names]

    assert sorted(names) == sorted(set(names))
    assert [] == [
        m for m in members if (inspect.isclass(m) or inspect.isfunction(m)) and not m.__doc__
    ]


@settings(deadline=None)
@given(st.lists(st.tuples(TOPICS, broken(FACTS) | st.binary(max_size=60)), max_size=8))
def test_any_bytes_give_results(messages):
    """Whatever comes in whatever order: results of the known types, never an exception."""
    decoder = Decoder(Limits(edge_nodes=2, devices=2, metrics=10))
    decoder.decode(NODE.format("NBIRTH"), node_birth(), NOW)
    for topic, payload in messages:
        found = decoder.decode(topic, payload, NOW)
        assert all(isinstance(result, Result) for result in found)
        decoder.commands(NOW)


@settings(deadline=None)
@given(broken(RECORDS) | st.binary(max_size=100) | st.text(max_size=100))
def test_any_record_gives_samples_or_a_reason(body):
    """Bytes or text, JSON or not."""
    try:
        read_record(body)
    except RefusedError as error:
        assert error.reason  # noqa: PT017 - only when it is refused
