"""The one rule that says how a channel adds up, and in which unit it is, when nobody declared it.

1. Text is `status`.
2. A unit of energy or volume (`Wh`, `kWh`, `MWh`, `GWh`, the same of `varh` and `VAh`, `m3`, `m³`)
   means a register that only rises: `accumulating`.
3. Without a unit, the end of the name decides: `_wh`, `_kwh`, `_mwh`, `_varh`, `_kvarh`, `_vah`,
   `_kvah`, `_m3` are `accumulating`.
4. Everything else is `instantaneous`.

`interval` is never guessed: only a format that says so (the smart meter's day message) or an
explicit declaration makes it.
"""

from typing import Final

from wattwire.model import ChannelKind

UNIT_OF_SUFFIX: Final = {
    "w": "W",
    "kw": "kW",
    "wh": "Wh",
    "kwh": "kWh",
    "mwh": "MWh",
    "var": "var",
    "kvar": "kvar",
    "varh": "varh",
    "kvarh": "kvarh",
    "va": "VA",
    "kva": "kVA",
    "vah": "VAh",
    "kvah": "kVAh",
    "v": "V",
    "a": "A",
    "hz": "Hz",
    "celsius": "°C",
    "percent": "%",
    "m3": "m3",
}

_PREFIXES: Final = ("", "k", "m", "g")
REGISTER_UNITS: Final = frozenset(
    {prefix + unit for prefix in _PREFIXES for unit in ("wh", "varh", "vah")} | {"m3", "m³"}
)


def unit_of(name: str) -> str:
    """Return the unit that a channel's name ends in (`active_power_w` is in W), or ''."""
    head, _, suffix = name.rpartition("_")
    return UNIT_OF_SUFFIX.get(suffix.lower(), "") if head else ""


def kind_of(name: str, unit: str, *, text: bool = False) -> ChannelKind:
    """Return the kind of a channel from its unit, or from its name where the unit is ''."""
    if text:
        return ChannelKind.STATUS
    if (unit or unit_of(name)).lower() in REGISTER_UNITS:
        return ChannelKind.ACCUMULATING
    return ChannelKind.INSTANTANEOUS
