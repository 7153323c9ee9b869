"""What a simulated PowerMonitor 500 shows."""

import struct
from itertools import pairwise

import pytest

from wattwire.formats.assembly_maps import MAPS, read_values
from wattwire.simulate.power_monitor_500 import (
    INSTANCES,
    PowerMonitor500,
    live,
    model_of,
    product_information,
    shown,
)

FULL = MAPS["ab-pm500-manual-full"]
NOW = 1_750_000_000.0


def device_at(moments):
    """A device whose clock shows what `moments[0]` is."""
    return PowerMonitor500(model_of(1), lambda: moments[0])


def test_assemblies_are_what_it_shows():
    """Every figure is in the assemblies, to the precision of a REAL, under the full map."""
    device = device_at([NOW])
    found = read_values(FULL, {instance: device.assembly(instance) for instance in FULL.sizes})

    values = device.values()
    assert set(values) <= set(FULL.units)
    for name in FULL.units:
        assert found[name] == pytest.approx(values.get(name, 0.0), rel=1e-6, abs=0.04)


def test_assemblies_have_the_manuals_sizes():
    """Nine instances from 100 to 108, none beside them."""
    device = device_at([NOW])
    sizes = [len(device.assembly(instance)) for instance in INSTANCES]

    assert [20, 48, 72, 48, 68, 48, 68, 72, 4] == sizes
    assert (None, None) == (device.assembly(99), device.assembly(109))


def test_product_information_is_as_in_the_manual():
    """Ten UINTs: model letter over revision, then two letters each, the first one high."""
    model = model_of(1)
    numbers = struct.unpack("<10H", product_information(model))

    assert {"V1": "B", "V2": "A"}[model.kind] == chr(numbers[0] >> 8)
    assert (1, 12, 0) == (numbers[0] & 255, numbers[1] & 255, numbers[2])
    letters = "".join(chr(number >> 8) + chr(number & 255) for number in numbers[3:])
    assert model.letters + "\0" == letters


def test_identities_are_those_of_the_product():
    """Vendor, type and name of the manual; its range of serial numbers; one for each device."""
    identities = [model_of(number).identity for number in range(30)]

    assert {(1, 0x92, "PowerMonitor 500")} == {
        (i.vendor, i.device_type, i.name) for i in identities
    }
    assert {4, 7} == {identity.product_code for identity in identities}
    assert all(940_000_000 <= identity.serial < 950_000_000 for identity in identities)
    assert 30 == len({identity.serial for identity in identities})
    assert model_of(3) == model_of(3)


def test_energy_only_rises():
    """Registers of a day, read from the assemblies, never fall."""
    moments = [NOW]
    device, energy = device_at(moments), []
    for number in range(400):
        moments[0] = NOW + 216 * number
        values = read_values(FULL, {107: device.assembly(107)})
        energy.append((values["realEnergy"], values["partialRealEnergy"]))

    assert all(a <= c and b <= d for (a, b), (c, d) in pairwise(energy))
    assert energy[0][0] < energy[-1][0]


def test_phases_add_up():
    """Powers of three phases are the total; averages are means; maxima are above."""
    values = shown(model_of(1).board, NOW)

    for power in ("realPower", "apparentPower", "reactivePower"):
        assert values[power] == pytest.approx(sum(values[power + phase] for phase in "ABC"))
        assert values[f"{power}Max"] > values[power]
    assert values["voltageAB"] == pytest.approx(values["voltageAN"] * 3**0.5, rel=0.02)
    assert values["voltageAverage"] == pytest.approx(values["voltageAN"], rel=0.02)


def test_figures_stand_still_when_held():
    """Held figures stay as they are, or are the ones given, until they are released."""
    moments = [NOW]
    device = device_at(moments)
    device.hold()
    first = device.assembly(101)
    moments[0] += 60
    assert first == device.assembly(101)

    device.hold({"voltageAN": 480.25})
    assert struct.pack("<2f", 480.25, 0) == device.assembly(101)[:8]

    device.release()
    assert live(device.model.board, moments[0])["voltageBN"] == device.values()["voltageBN"]
    assert first != device.assembly(101)


def test_assemblies_of_one_moment_belong_together():
    """Within a fifth of a second nothing changes; after it, something does."""
    moments = [NOW]
    device = device_at(moments)
    first = device.assembly(107)
    moments[0] += 0.1
    assert first is device.assembly(107)  # the very same, not made again
    moments[0] += 0.1
    assert first != device.assembly(107)
