"""A hook's property `repeats`: whether it is told of what was recomputed without a change. Pure.

SolarNetwork sends `datum/agg/update` for every recomputation, the hub once for each real change.
The property is kept with the payload format, where the native API shows it as well.
"""

from collections.abc import Mapping
from typing import Any, Final

from wattwire.solarnetwork.specifiers import Leaf

REPEATS: Final = Leaf(
    "repeats",
    "boolean",
    default=False,
    secret=False,
    choices=(),
    description="Also send what was recomputed without a change, as SolarNetwork does.",
)


def parted(properties: Mapping[str, Any] | None) -> tuple[dict[str, Any] | None, bool]:
    """Return posted properties without `repeats`, and whether repeats are wanted."""
    if properties is None:
        return None, False
    wanted = str(properties.get(REPEATS.key, "")).lower() == "true"
    return {k: v for k, v in properties.items() if k != REPEATS.key}, wanted


def joined(
    properties: Mapping[str, Any] | None, format_settings: Mapping[str, Any]
) -> dict[str, Any] | None:
    """Return stored properties with `repeats`, where it is on."""
    if format_settings.get(REPEATS.key) is not True:
        return None if properties is None else dict(properties)
    return {**(properties or {}), REPEATS.key: True}
