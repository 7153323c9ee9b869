"""Counterparts of other rooms, and the Helm that renders the chart."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parent.parent
for room in ("integrations", "stories"):
    sys.path.append(str(TESTS / room))
HERE = Path(__file__).parent


class Helm:
    """Helm's own engine, in a process of its own: it is a library that brings Go's runtime."""

    def __init__(self, chart):
        self.chart = chart

    def ask(self, what, values=None, **options):
        """Return what Helm says; a refusal is a string that begins with `refused:`."""
        order = {"what": what, "chart": str(self.chart), "values": values or {}, **options}
        done = subprocess.run(
            [sys.executable, str(HERE / "helm_engine.py")],
            input=json.dumps(order),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


@pytest.fixture(scope="session")
def helm():
    """The chart of the hub, and Helm."""
    return Helm(TESTS.parent / "infra" / "helm" / "wattwire")
