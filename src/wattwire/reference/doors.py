"""The page of what the hub takes in at its own doors, from the decoders' docstrings."""

import inspect
import re
from types import ModuleType
from typing import Final

from wattwire.formats import (
    json_readings,
    kinds,
    line_protocol,
    smart_meter,
    sparkplug_births,
    sparkplug_json,
    sparkplug_state,
    sparkplug_topics,
    sparkplug_values,
    telemetry,
)
from wattwire.formats.refusals import MAX_PAYLOAD_BYTES
from wattwire.reference.markdown import NOTICE
from wattwire.sources import routing

_MQTT: Final = (
    ("`smart_meter`", (smart_meter,)),
    ("`sparkplug_b`", (sparkplug_state, sparkplug_births, sparkplug_values, sparkplug_json)),
    ("`netneural`", (telemetry,)),
)
_FOR_MAINTAINERS: Final = re.compile(r"Pure(:| but for)[^.]*\.\s*| Pure\.(?=\n)")
_HTTP: Final = (
    ("`POST /api/v1/readings`, and `json` over MQTT", (json_readings,)),
    ("`POST /api/v1/write` and `/api/v2/write`", (line_protocol,)),
)


def page() -> str:
    """Return the page."""
    introduction = (
        f"{NOTICE}# The hub's own doors\n\nWhat a device or a program may send, in the words of "
        f"the decoders. A message over MQTT has at most {MAX_PAYLOAD_BYTES:,} bytes; a body over "
        f"HTTP at most {json_readings.MAX_BODY_BYTES:,}. What is refused is kept in quarantine "
        "with the reason and the place. Example messages: "
        "[DEVELOPER_APIS.md](../../DEVELOPER_APIS.md).\n"
    )
    parts = [introduction, f"## MQTT\n\n{words(routing)}", _topics()]
    parts += [_section(*part) for part in _MQTT]
    parts.append("## HTTP\n")
    parts += [_section(*part) for part in _HTTP]
    return "\n".join([*parts, f"## How a channel adds up\n\n{words(kinds)}"])


def words(module: ModuleType) -> str:
    """Return a module's docstring without what only its maintainers want to know."""
    return _FOR_MAINTAINERS.sub("", f"{inspect.getdoc(module)}\n")


def _section(title: str, modules: tuple[ModuleType, ...]) -> str:
    return f"### {title}\n\n" + "\n".join(words(module) for module in modules)


def _topics() -> str:
    lines = (inspect.getdoc(sparkplug_topics) or "").split("\n")
    shown = "\n".join(line for line in lines if line.startswith("spBv1.0/"))
    return f"Topics of Sparkplug:\n\n```text\n{shown}\n```\n"
