"""Where readings come from. One file each; this is the list."""

from typing import Any, Final

from wattwire.sources import ethernet_ip, mqtt
from wattwire.sources.contract import SourceType

TYPES: Final[dict[str, SourceType[Any]]] = {t.name: t for t in (ethernet_ip.TYPE, mqtt.TYPE)}
