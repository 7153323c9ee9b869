"""Metrics of a PowerMonitor 500 as its flow names them."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

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
