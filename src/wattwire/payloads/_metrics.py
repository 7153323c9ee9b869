"""Metrics of a PowerMonitor 500 as its flow names them, and the units of all it measures."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from wattwire.formats.assembly_maps import AB_PM500_MANUAL_FULL
from wattwire.formats.kinds import unit_of

_PHASES: Final = ("A", "B", "C")

#: (alias, unit) of the metrics of the flow.
POWERMONITOR_500: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        **{f"voltage{phase}N": (f"PM500/voltage/{phase}N", "V") for phase in _PHASES},
        **{f"current{phase}": (f"PM500/current/{phase}", "A") for phase in _PHASES},
        "realPower": ("PM500/power/real", "kW"),
        "reactivePower": ("PM500/power/reactive", "kVAR"),
        "apparentPower": ("PM500/power/apparent", "kVA"),
        "powerFactor": ("PM500/power/factor", ""),
        "frequency": ("PM500/frequency", "Hz"),
        "realEnergy": ("PM500/energy/real", "kWh"),
    }
)


def unit_of_metric(name: str) -> str:
    """Return the unit of a PowerMonitor 500's metric, else what the name ends in, or ''."""
    return AB_PM500_MANUAL_FULL.units.get(name) or unit_of(name)
