"""The rollups once more, in plain Python, slowly, without anything of the product.

Buckets are found by looking at the local clock every quarter of an hour; hours are added up entry
by entry; days and months are made of the hours. What is compared with this must agree everywhere.
"""

from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from itertools import pairwise

MINUTE = 60_000_000
HOUR = 60 * MINUTE
YEAR = 365 * 24 * HOUR
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def micros(instant):
    return (instant - EPOCH) // timedelta(microseconds=1)


def walk(zone, first, last):
    """Return sorted starts of the hours, days and months in [first, last), by watching the clock.

    Finds what changes at whole quarters of an hour, as all offsets do nowadays.
    """
    starts = {"h": [], "d": [], "M": []}
    step = timedelta(minutes=15)
    instant = first - timedelta(days=2)
    before = instant.astimezone(zone)
    latest = before.date()
    while instant < last:
        local = instant.astimezone(zone)
        begins = []
        if local.minute == 0 or local.utcoffset() != before.utcoffset():
            begins.append("h")
        if local.date() > latest:
            begins.append("d")
            if (local.year, local.month) != (latest.year, latest.month):
                begins.append("M")
            latest = local.date()
        if instant >= first:
            for kind in begins:
                starts[kind].append(micros(instant))
        before = local
        instant += step
    return starts


def spans(starts):
    return list(pairwise(starts))


def entries_of(rows, resets, place):
    """All values of a register in order: (time, kind, value); kind 0 read, 1 final, 2 start."""
    found = [(t, 0, values[place]) for t, (values, _) in rows.items() if values[place] is not None]
    for (time, channel), (final, start) in resets.items():
        if channel == place:
            found += [(time, 1, final), (time, 2, start)]
    return sorted(found)


def rise(before, entry, detect_resets):
    if entry[1] == 2:
        return Fraction(0)
    change = Fraction(entry[2]) - Fraction(before[2])
    return Fraction(entry[2]) if detect_resets and change < 0 else change


def register_hours(entries, hours, detect_resets):
    """Return {hour start: (total, difference, first, last)}."""
    totals, reached = defaultdict(Fraction), set()
    starts = [start for start, _ in hours]
    for before, entry in pairwise(entries):
        gap = entry[0] - before[0]
        if not 0 < gap <= HOUR:
            continue
        for i in range(max(bisect_right(starts, before[0]) - 1, 0), len(hours)):
            start, end = hours[i]
            if start >= entry[0]:
                break
            shared = min(entry[0], end) - max(before[0], start)
            if shared > 0:
                totals[start] += rise(before, entry, detect_resets) * Fraction(shared, gap)
                reached.add(start)
    result = {}
    order = [(time, 1 if kind == 2 else 0) for time, kind, _ in entries]
    times = [time for time, _, _ in entries]
    for start, end in hours:
        low, high = bisect_right(order, (start, 0)), bisect_right(order, (end, 0))
        base = entries[low - 1] if low and start - entries[low - 1][0] <= YEAR else None
        mine = entries[low:high]
        inside = bisect_left(times, end) > bisect_left(times, start)
        if not (inside or start in reached or (base and mine)):
            continue
        chain = ([base] if base else []) + mine
        difference = sum((rise(a, b, detect_resets) for a, b in pairwise(chain)), Fraction(0))
        first = chain[0]
        if mine and mine[0][:2] == (start, 2):
            first = mine[0]
        result[start] = (float(totals[start]), float(difference), first[2], chain[-1][2])
    return result


def hour_values(rows, resets, kinds, hours, *, end_stamped, detect_resets):
    """Return {hour start: {"readings": n, place: {...}}} of the hours that have anything."""
    times = sorted(rows)
    cut = bisect_right if end_stamped else bisect_left
    registers = {
        place: register_hours(entries_of(rows, resets, place), hours, detect_resets)
        for place, kind in enumerate(kinds)
        if kind == "accumulating"
    }
    result = {}
    for start, end in hours:
        mine = [rows[t] for t in times[cut(times, start) : cut(times, end)]]
        if not mine and not any(start in some for some in registers.values()):
            continue
        result[start] = {"readings": len(mine), "end": end}
        for place, kind in enumerate(kinds):
            register = registers.get(place, {}).get(start)
            result[start][place] = channel_hour(kind, place, mine, register)
    return result


def channel_hour(kind, place, mine, register):
    if kind == "status":
        texts = [texts[place] for _, texts in mine if texts and texts[place] is not None]
        return {"count": len(texts), "text": most_frequent(texts)}
    values = [Fraction(values[place]) for values, _ in mine if values[place] is not None]
    if kind == "accumulating":
        total, difference, first, last = register or (None,) * 4
        return {
            "count": len(values),
            "total": total,
            "difference": difference,
            "first_value": first,
            "last_value": last,
        }
    if kind == "interval":
        return {"count": len(values), "total": float(sum(values)) if values else None}
    return {
        "count": len(values),
        "mean": float(sum(values) / len(values)) if values else None,
        "minimum": float(min(values)) if values else None,
        "maximum": float(max(values)) if values else None,
    }


def most_frequent(texts):
    counted = sorted(Counter(texts).items(), key=lambda item: (-item[1], item[0]))
    return counted[0][0] if counted else None


def parent_values(children, kinds, periods):
    """Return the same for days or months, given {start: values} of what they are made of."""
    starts = sorted(children)
    result = {}
    for start, end in periods:
        mine = [children[s] for s in starts[bisect_left(starts, start) : bisect_left(starts, end)]]
        if mine:
            result[start] = {"readings": sum(child["readings"] for child in mine), "end": end}
            for place, kind in enumerate(kinds):
                result[start][place] = channel_parent(kind, [child[place] for child in mine])
    return result


def channel_parent(kind, mine):
    merged = {"count": sum(child["count"] for child in mine)}
    if kind == "status":
        texts = [child["text"] for child in mine if child["text"] is not None]
        return merged | {"text": most_frequent(texts)}

    def known(name):
        return [child[name] for child in mine if child[name] is not None]

    if kind == "instantaneous":
        weights = [(Fraction(c["mean"]) * c["count"]) for c in mine if c["mean"] is not None]
        return merged | {
            "mean": float(sum(weights) / merged["count"]) if weights else None,
            "minimum": min(known("minimum"), default=None),
            "maximum": max(known("maximum"), default=None),
        }
    merged["total"] = float(sum(map(Fraction, known("total")))) if known("total") else None
    if kind == "accumulating":
        differences = known("difference")
        merged["difference"] = float(sum(map(Fraction, differences))) if differences else None
        merged["first_value"] = next(iter(known("first_value")), None)
        merged["last_value"] = next(reversed(known("last_value")), None)
    return merged


def everything(rows, resets, kinds, starts, *, end_stamped, detect_resets):
    """Return {"h": …, "d": …, "M": …} of one stream from {time: (values, texts)} and resets."""
    hours = hour_values(
        rows,
        resets,
        kinds,
        spans(starts["h"]),
        end_stamped=end_stamped,
        detect_resets=detect_resets,
    )
    days = parent_values(hours, kinds, spans(starts["d"]))
    return {"h": hours, "d": days, "M": parent_values(days, kinds, spans(starts["M"]))}
