"""What a simulated PowerMonitor 500 is and holds: its identity, its assemblies, its figures.

The figures are those of a feeder (`curves.electrical`), completed to everything the device shows,
and laid into assemblies by the default map, whose order of elements is INFERRED.
"""

import math
import random
import struct
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from wattwire.formats.assembly_maps import MAPS, AssemblyMap, write_values
from wattwire.formats.encapsulation import Identity
from wattwire.simulate.curves import Switchboard, electrical, switchboard

PRODUCT_INFORMATION: Final = 100
ALARMS: Final = 108
INSTANCES: Final = range(PRODUCT_INFORMATION, ALARMS + 1)
REFRESHES_PER_SECOND: Final = 5  #: how often figures change; assumed, not measured
PRODUCT_CODES: Final[Mapping[str, int]] = {"V1": 4, "V2": 7}  #: of the -ENT models

_LIVE: Final = MAPS["ab-pm500-manual"]
_FULL: Final = MAPS["ab-pm500-manual-full"]
_ROCKWELL: Final = 1
_POWER_MONITOR: Final = 0x92
_OPERATIONAL: Final = 3
_SERIALS: Final = (940_000_000, 950_000_000)
_BEGAN: Final = 1_704_067_200.0  # 2024-01-01T00:00Z, as the registers of `curves`
_NOON: Final = 43_200.0
_BLOCK: Final = 900.0  #: seconds of a demand interval
_LEANS: Final = {"A": 1.02, "B": 0.99, "C": 0.99}  #: how the load leans, as in `curves`


@dataclass(frozen=True, slots=True)
class Model:
    """What does not change about one device."""

    board: Switchboard
    identity: Identity
    letters: str  #: the 13 of the label
    kind: str = "V2"


def model_of(number: int, seed: int = 1) -> Model:
    """Return one of a fleet of devices; the same seed and number give the same one."""
    draw = random.Random(f"{seed}/pm500/{number}")
    kind = draw.choice(("V1", "V2"))
    serial = draw.randrange(*_SERIALS)
    identity = Identity(
        vendor=_ROCKWELL,
        device_type=_POWER_MONITOR,
        product_code=PRODUCT_CODES[kind],
        revision=(1, 12),
        status=0x0030,
        serial=serial,
        name="PowerMonitor 500",
        state=_OPERATIONAL,
    )
    letters = f"BS{serial:09d}US"
    return Model(switchboard(f"pm500-{number}", seed), identity, letters, kind)


class PowerMonitor500:
    """One device and its figures, which change five times a second unless they are held."""

    def __init__(self, model: Model, clock: Callable[[], float] = time.time) -> None:
        self.model = model
        self._clock = clock
        self._held: Mapping[str, float] | None = None
        self._kept: dict[str, tuple[float, dict[int, bytes]]] = {}

    def hold(self, values: Mapping[str, float] | None = None) -> None:
        """Show these values from now on, or for ever those of this moment."""
        self._held = dict(shown(self.model.board, self._moment()) if values is None else values)
        self._kept.clear()

    def release(self) -> None:
        """Let the values change again."""
        self._held = None

    def values(self) -> Mapping[str, float]:
        """Return what it shows: the names and units of map `ab-pm500-manual-full`."""
        return dict(shown(self.model.board, self._moment()) if self._held is None else self._held)

    def assembly(self, instance: int) -> bytes | None:
        """Return the bytes of an instance from 100 to 108, None for any other."""
        if instance == PRODUCT_INFORMATION:
            return product_information(self.model)
        if instance == ALARMS:
            return bytes(4)
        found = _LIVE if instance in _LIVE.sizes else _FULL
        return self._assemblies(found).get(instance)

    def _moment(self) -> float:
        return math.floor(self._clock() * REFRESHES_PER_SECOND) / REFRESHES_PER_SECOND

    def _assemblies(self, found: AssemblyMap) -> dict[int, bytes]:
        """Return the assemblies of a map, made once for each moment."""
        moment = self._moment() if self._held is None else math.inf
        kept = self._kept.get(found.name)
        if kept is None or kept[0] != moment:
            show = live if found is _LIVE else shown
            values = show(self.model.board, moment) if self._held is None else self._held
            kept = (moment, write_values(found, values))
            self._kept[found.name] = kept
        return kept[1]


def product_information(model: Model) -> bytes:
    """Return instance 100: ten UINTs, three firmware revisions and the letters of the label."""
    kind = ord("A" if model.kind == "V2" else "B")
    major, minor = model.identity.revision
    letters = model.letters.encode("ascii") + bytes(1)
    pairs = struct.unpack(f">{len(letters) // 2}H", letters)  # the first letter is the high byte
    return struct.pack("<10H", kind << 8 | major, kind << 8 | minor, 0, *pairs)


def shown(board: Switchboard, moment: float) -> dict[str, float]:
    """Return everything the device shows at an instant, given in epoch seconds."""
    demand = _electrical(board, moment // _BLOCK * _BLOCK)
    noon = _electrical(board, _BEGAN + _NOON)
    values = live(board, moment)
    values |= {f"{name}Demand": value for name, value in demand.items()}
    return values | {f"{name}Max": _highest(name, value) for name, value in noon.items()}


def live(board: Switchboard, moment: float) -> dict[str, float]:
    """Return what it measures at an instant and its registers, without maxima and demand.

    Registers rise with the load; nothing is exported.
    """
    values = _electrical(board, moment)
    energy = electrical(board, moment)["realEnergy"]
    partial = energy - board.start_kwh
    return values | {
        "phaseSequence": 0.0,
        "realEnergy": energy,
        "reactiveEnergy": energy / 2,
        "partialRealEnergy": partial,
        "partialReactiveEnergy": partial / 2,
        "operatingHours": (moment - _BEGAN) / 3600,
    }


def _electrical(board: Switchboard, moment: float) -> dict[str, float]:
    values = electrical(board, moment)
    del values["realEnergy"]
    for phase, lean in _LEANS.items():
        for power in ("realPower", "apparentPower", "reactivePower"):
            values[f"{power}{phase}"] = values[power] * lean / 3
        values[f"powerFactor{phase}"] = values["powerFactor"]
    for one, other in ("AB", "BC", "CA"):
        mean = (values[f"voltage{one}N"] + values[f"voltage{other}N"]) / 2
        values[f"voltage{one}{other}"] = mean * math.sqrt(3)
    values["voltageAverage"] = sum(values[f"voltage{phase}N"] for phase in "ABC") / 3
    values["voltageLineAverage"] = sum(values[f"voltage{p}"] for p in ("AB", "BC", "CA")) / 3
    values["currentN"] = 0.03 * values["currentA"]
    return values


def _highest(name: str, at_noon: float) -> float:
    """Return the most a figure has been: a little over what it is when the load is highest."""
    if name.startswith(("voltage", "frequency", "powerFactor")):
        return at_noon * 1.002
    return at_noon * 1.1
