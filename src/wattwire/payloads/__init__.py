"""The formats in which events are written for those who receive them. Pure.

A format is a file here with its `FORMAT`, listed below.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from wattwire.payloads import (
    cloudevents,
    connexa,
    line_protocol,
    solarnetwork,
    sparkplug_b,
    sparkplug_json,
    template,
    wattwire,
)
from wattwire.payloads.contract import Format, FormatSettings, FormatType, RenderError

__all__ = ["FORMATS", "Format", "FormatSettings", "FormatType", "RenderError"]

_ALL: Final = (
    wattwire, connexa, solarnetwork, sparkplug_json, sparkplug_b, cloudevents, line_protocol,
    template,
)  # fmt: skip

#: Every format by its name.
FORMATS: Final[Mapping[str, FormatType[Any]]] = MappingProxyType(
    {module.FORMAT.name: module.FORMAT for module in _ALL}
)
