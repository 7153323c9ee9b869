"""What the simulated devices say, cut so that the next message is a few joins away."""

import json
import random
from datetime import date, timedelta

from benchmarks.packets import publish_head

NAMES = (
    ("voltageAN", "PM500/voltage/AN", 277.1, "V"),
    ("voltageBN", "PM500/voltage/BN", 276.8, "V"),
    ("voltageCN", "PM500/voltage/CN", 277.4, "V"),
    ("currentA", "PM500/current/A", 112.25, "A"),
    ("currentB", "PM500/current/B", 109.75, "A"),
    ("currentC", "PM500/current/C", 111.5, "A"),
    ("realPower", "PM500/power/real", 84.25, "kW"),
    ("reactivePower", "PM500/power/reactive", 31.5, "kVAR"),
    ("apparentPower", "PM500/power/apparent", 90.25, "kVA"),
    ("powerFactor", "PM500/power/factor", 0.933, ""),
    ("frequency", "PM500/frequency", 60.01, "Hz"),
    ("realEnergy", "PM500/energy/real", 81234.5, "kWh"),
)
STAMP = b"1713897600000"


class PowerMonitors:
    """The 12 metrics of `seeds/powermonitor-500.md` as about 1 KB of JSON, one second apart."""

    def __init__(self, numbers, qos, start_ms, step_ms=1000):
        self._parts = [self._cut(number, qos) for number in numbers]
        self._start_ms = start_ms
        self._step_ms = step_ms

    @staticmethod
    def _cut(number, qos):
        metrics = [
            {"name": name, "alias": alias, "value": value, "properties": {"unit": unit}}
            for name, alias, value, unit in NAMES
        ]
        body = json.dumps(
            {
                "metrics": metrics,
                "timestamp": int(STAMP),
                "seq": 1024,
                "uuid": f"00000000-0000-4000-8000-{number:012}",
            }
        ).encode()
        topic = f"spBv1.0/pm500/DDATA/edge-{number % 32}/pm-{number}"
        before, after = body.split(STAMP)
        return publish_head(topic, qos, len(body)), before, after

    def packet(self, n, packet_id):
        """The n-th message of these devices as one packet."""
        turn, device = divmod(n, len(self._parts))
        head, before, after = self._parts[device]
        stamp = b"%d" % (self._start_ms + turn * self._step_ms)
        return b"".join((head, packet_id, before, stamp, after))


class SmartMeters:
    """Day messages of 96 readings, day after day into the past, on one topic."""

    def __init__(self, numbers, qos, topic, days=365):
        self._keys = [b"00000000-0000-4000-9000-%012d" % number for number in numbers]
        self._days = [self._cut(back + 2) for back in range(days)]
        self._heads = {}
        self._qos = qos
        self._topic = topic

    @staticmethod
    def _cut(days_back):
        day = date.today() - timedelta(days=days_back)  # noqa: DTZ011 - any whole UTC day will do
        start = (day - date(1970, 1, 1)).days * 86_400
        draw = random.Random(days_back)
        rows = [
            {
                "timestampUtcEpochSecs": start + 900 * n,
                "consumptionKwh": round(draw.uniform(0.01, 0.9), 3),
            }
            for n in range(96)
        ]
        body = json.dumps(
            {
                "deviceId": "#",
                "dataFrequencyMins": 15,
                "date": day.isoformat(),
                "electricReadings": rows,
            },
            separators=(",", ":"),
        ).encode()
        return body.split(b"#")

    def packet(self, n, packet_id):
        """The n-th message of these meters as one packet."""
        turn, meter = divmod(n, len(self._keys))
        before, after = self._days[turn % len(self._days)]
        key = self._keys[meter]
        size = len(before) + len(key) + len(after)
        head = self._heads.get(size)
        if head is None:
            head = self._heads[size] = publish_head(self._topic, self._qos, size)
        return b"".join((head, packet_id, before, key, after))
