"""The day message of the smart meter: what is taken, and every way to be refused."""

import json
from datetime import date, datetime, time
from zoneinfo import ZoneInfo

import pytest

from wattwire.formats import smart_meter
from wattwire.formats.days import day_intervals, day_start
from wattwire.model import Channel, ChannelKind, RefusedError

UTC = ZoneInfo("UTC")
DEVICE = "6ede44a4-ea21-4c17-b5c4-37eb3875e554"
DAY = date(2022, 3, 1)
START = 1646092800


def utc(_device):
    return UTC


def day_message(**changes):
    rows = [{"timestampUtcEpochSecs": START + 900 * i, "consumptionKwh": 0.111} for i in range(96)]
    return {
        "deviceId": DEVICE,
        "dataFrequencyMins": 15,
        "date": "2022-03-01",
        "electricReadings": rows,
    } | changes


def decode(message, zone_of=utc):
    payload = message if isinstance(message, bytes) else json.dumps(message).encode()
    return smart_meter.decode(payload, zone_of)


def refusal(message, zone_of=utc):
    with pytest.raises(RefusedError) as caught:
        decode(message, zone_of)
    return caught.value


def with_row(at, **changes):
    message = day_message()
    message["electricReadings"][at] |= changes
    return message


def test_the_sample_of_the_format_becomes_96_readings():
    """The seed's own numbers: 0.111 kWh at 1646092800 is 111.0 Wh at midnight UTC."""
    decoded = decode(day_message())

    assert len(decoded.readings) == 96
    first = decoded.readings[0]
    assert first.shape == (
        DEVICE,
        "/consumption",
        (Channel("energy_import_wh", ChannelKind.INTERVAL, "Wh"),),
    )
    assert (first.time, first.values, first.quality) == (START * 1_000_000, (111.0,), 192)
    assert decoded.readings[95].time == (START + 95 * 900) * 1_000_000


def test_a_device_keeps_its_shape_object():
    """Two messages of one meter share the identical shape, so that nothing is built per message."""
    assert decode(day_message()).readings[0].shape is decode(day_message()).readings[5].shape


@pytest.mark.parametrize(
    ("kwh", "wh"),
    [
        (0.111, 111.0),
        (0.57, 570.0),
        (1.1, 1100.0),
        (0.0001, 0.1),
        (1e-7, 1e-4),
        (3, 3000.0),
        (0, 0.0),
        (4.35, 4350.0),
        (2.675, 2675.0),
        (123456.789, 123456789.0),
        (1e22, 1e25),
    ],
)
def test_kilowatt_hours_become_watt_hours_exactly(kwh, wh):
    """Decimal places are moved, not multiplied in binary (4.35 * 1000 is 4350.0, not 4349.999…)."""
    assert decode(with_row(3, consumptionKwh=kwh)).readings[3].values == (wh,)


def test_minus_zero_is_zero():
    """-0.0 is no negative consumption, and does not stay a negative zero."""
    assert str(decode(with_row(3, consumptionKwh=-0.0)).readings[3].values[0]) == "0.0"


@pytest.mark.parametrize("minutes", [15, 30, 60])
def test_what_encode_writes_decode_reads(minutes):
    """The simulator's message carries the same times and values back, for all three frequencies."""
    rows = [(s, i / 1000) for i, s in enumerate(day_intervals(DAY, minutes, UTC))]

    readings = decode(smart_meter.encode(DEVICE, DAY, minutes, rows)).readings

    assert [(r.time, r.values[0]) for r in readings] == [
        (s * 1_000_000, float(i)) for i, (s, _) in enumerate(rows)
    ]


@pytest.mark.parametrize(
    ("zone", "day", "minutes", "count"),
    [
        ("UTC", date(2024, 3, 31), 15, 96),
        ("Europe/Berlin", date(2024, 3, 31), 15, 92),
        ("Europe/Berlin", date(2024, 10, 27), 15, 100),
        ("Europe/Berlin", date(2024, 3, 31), 30, 46),
        ("Europe/Berlin", date(2024, 10, 27), 60, 25),
        ("Australia/Lord_Howe", date(2024, 10, 6), 15, 94),
        ("Australia/Lord_Howe", date(2024, 10, 6), 30, 47),
        ("Australia/Lord_Howe", date(2024, 10, 6), 60, 24),  # the last one is half an hour long
        ("Australia/Lord_Howe", date(2024, 4, 7), 15, 98),
        ("Australia/Lord_Howe", date(2024, 4, 7), 60, 25),
        ("America/Sao_Paulo", date(2018, 11, 4), 15, 92),  # skips midnight
        ("Africa/Cairo", date(2024, 4, 26), 60, 23),  # skips midnight
        ("America/Havana", date(2024, 11, 3), 15, 100),  # has two midnights' worth of 0:xx
        ("Asia/Kathmandu", date(2024, 4, 26), 60, 24),  # +05:45
    ],
)
def test_a_local_day_has_its_own_number_of_intervals(zone, day, minutes, count):
    """Days of 23, 23.5, 24.5 and 25 hours are taken with exactly their intervals."""
    there = ZoneInfo(zone)
    times = list(day_intervals(day, minutes, there))
    full = smart_meter.encode(DEVICE, day, minutes, [(s, 0.5) for s in times])
    short = smart_meter.encode(DEVICE, day, minutes, [(s, 0.5) for s in times[:-1]])

    assert len(times) == count
    assert len(decode(full, lambda _: there).readings) == count
    assert refusal(short, lambda _: there).where == "electricReadings"


@pytest.mark.parametrize(
    "zone",
    [
        "UTC",
        "Europe/Berlin",
        "Australia/Lord_Howe",
        "America/Sao_Paulo",
        "America/St_Johns",
        "Pacific/Apia",
        "Africa/Cairo",
        "Asia/Beirut",
        "America/Scoresbysund",
        "Asia/Gaza",
    ],
)
def test_days_follow_each_other_without_gap_or_overlap(zone):
    """Over years with every kind of change, a day ends where the next begins."""
    there = ZoneInfo(zone)
    for ordinal in range(date(2006, 1, 1).toordinal(), date(2012, 12, 31).toordinal()):
        day, after = date.fromordinal(ordinal), date.fromordinal(ordinal + 1)
        start, end = day_start(day, there), day_start(after, there)
        assert start <= end
        assert start < end or (zone, day) == ("Pacific/Apia", date(2011, 12, 30))
        assert list(day_intervals(day, 15, there)) == list(range(start, end, 900))


def test_a_day_begins_at_its_first_second():
    """Where midnight is skipped or inside a skipped span, the day begins with the change itself."""
    assert day_start(date(2018, 11, 4), ZoneInfo("America/Sao_Paulo")) == 1541300400  # 01:00 -02
    toronto = ZoneInfo("America/Toronto")  # from 1919-03-30 23:30 straight to the 31st, 00:30
    start = day_start(date(1919, 3, 31), toronto)
    assert local_date(start, toronto) == date(1919, 3, 31)
    assert local_date(start - 1, toronto) == date(1919, 3, 30)
    assert datetime.fromtimestamp(start, toronto).time() == time(0, 30)


def local_date(seconds, zone):
    return datetime.fromtimestamp(seconds, zone).date()


def test_a_day_that_the_zone_skips_is_refused():
    """Samoa had no 30 December 2011: a message of that day cannot be right."""
    error = refusal(day_message(date="2011-12-30"), lambda _: ZoneInfo("Pacific/Apia"))
    assert (error.reason, error.where) == ("the zone Pacific/Apia has no day 2011-12-30", "date")


def test_the_zone_is_asked_for_by_device():
    """Each meter's days are counted in its own zone."""
    asked = []

    def zone_of(device):
        asked.append(device)
        return UTC

    decode(day_message(), zone_of)
    assert asked == [DEVICE]


@pytest.mark.parametrize("field", ["deviceId", "dataFrequencyMins", "date", "electricReadings"])
def test_every_field_is_required(field):
    """A message without one of its four fields is refused, and the reason names it."""
    message = day_message()
    del message[field]
    assert refusal(message).reason == f"the object lacks the required field '{field}'"


@pytest.mark.parametrize("field", ["timestampUtcEpochSecs", "consumptionKwh"])
def test_every_field_of_a_reading_is_required(field):
    """The same for the two fields of a reading, with its place."""
    message = day_message()
    del message["electricReadings"][4][field]
    error = refusal(message)
    assert (field in error.reason, error.where) == (True, "electricReadings[4]")


def test_nothing_unknown_is_taken():
    """A further field at either level is refused."""
    assert refusal(day_message(site="x")).reason == "the object has an unknown field 'site'"
    error = refusal(with_row(7, quality=1))
    assert (error.reason, error.where) == (
        "the object has an unknown field 'quality'",
        "electricReadings[7]",
    )


def test_a_repeated_field_is_refused():
    """JSON decoders keep the last of two fields of one name; here that is refused."""
    plain = json.dumps(day_message()).encode()
    twice = plain.replace(b'"date"', b'"date": "2020-01-01", "date"')
    escaped = plain.replace(b'"date"', b'"\\u0064ate": "2020-01-01", "date"')
    in_row = plain.replace(
        b'"consumptionKwh": 0.111', b'"consumptionKwh": 9, "consumptionKwh": 0.1', 1
    )
    for payload in (twice, escaped, in_row):
        assert refusal(payload).reason == "a field is there twice"


def test_colons_and_escapes_in_a_device_id_are_no_repeats():
    """The check for repeats does not mistake a device's own colons or escapes for fields."""
    assert decode(day_message(deviceId='a:b:"c"\\')).readings[0].shape.device == 'a:b:"c"\\'
    assert decode(day_message(deviceId="a:b")).readings[0].shape.device == "a:b"
    escaped = json.dumps(day_message(deviceId="a?b")).encode().replace(b"?", b"\\u003a")
    assert decode(escaped).readings[0].shape.device == "a:b"
    hidden = escaped.replace(b'"date"', b'"date": "2020-01-01", "date"')
    assert refusal(hidden).reason == "a field is there twice"


@pytest.mark.parametrize("minutes", [0, 1, 5, 20, 45, 1440, -15])
def test_other_frequencies_are_refused(minutes):
    """Only 15, 30 and 60 minutes exist; the reason names the offending one."""
    error = refusal(day_message(dataFrequencyMins=minutes))
    assert error.where == "dataFrequencyMins"
    assert error.reason.endswith(str(minutes))


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"dataFrequencyMins": "15"}, "dataFrequencyMins"),
        ({"dataFrequencyMins": 15.0}, "dataFrequencyMins"),
        ({"dataFrequencyMins": True}, "dataFrequencyMins"),
        ({"dataFrequencyMins": None}, "dataFrequencyMins"),
        ({"deviceId": 5}, "deviceId"),
        ({"deviceId": ""}, "deviceId"),
        ({"deviceId": "x" * 256}, "deviceId"),
        ({"deviceId": "a\0b"}, "deviceId"),
        ({"electricReadings": {}}, "electricReadings"),
        ({"electricReadings": []}, "electricReadings"),
        ({"date": 20220301}, "date"),
    ],
)
def test_fields_of_the_wrong_kind_are_refused(changes, where):
    """Types are not coerced, and the place is named."""
    assert refusal(day_message(**changes)).where == where


@pytest.mark.parametrize(
    "text",
    [
        "2022-3-1",
        "20220301",
        "2022-W09-2",
        "2022-02-30",
        "01.03.2022",
        "",
        "2022-03-01T00:00:00Z",
        "0000-01-01",
        "9999-12-31",
        "\u0662\u0660\u0662\u0662-03-01",
        " 2022-03-01",
        "1969-12-31",
    ],
)
def test_other_dates_are_refused(text):
    """Exactly YYYY-MM-DD in ASCII digits, of a day that exists."""
    error = refusal(day_message(date=text))
    assert (error.where, error.reason.startswith("not a date")) == ("date", True)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"consumptionKwh": -0.001}, "must not be negative: -0.001"),
        ({"consumptionKwh": True}, "expected a number, got true or false: true"),
        ({"consumptionKwh": "1"}, "expected a number, got text: '1'"),
        ({"consumptionKwh": None}, "expected a number, got null: null"),
        ({"consumptionKwh": [1]}, "expected a number, got a list: a list of 1"),
        ({"consumptionKwh": 1e306}, "is too large: 1e+306"),
    ],
)
def test_other_consumptions_are_refused(changes, reason):
    """Finite, not negative, and a JSON number; the reason names the value, the place its row."""
    error = refusal(with_row(3, **changes))
    assert reason in error.reason
    assert error.where == "electricReadings[3].consumptionKwh"


@pytest.mark.parametrize("text", ["NaN", "Infinity", "1e400", "0x1", "01"])
def test_numbers_that_are_no_json_are_refused(text):
    """What other JSON libraries write for special numbers is not taken."""
    payload = json.dumps(day_message()).replace("0.111", text, 1).encode()
    assert refusal(payload).reason


@pytest.mark.parametrize(
    ("at", "seconds", "reason"),
    [
        (0, START - 900, "lies outside the day"),
        (95, START + 86400, "lies outside the day"),
        (5, START + 4 * 900, "is there twice"),
        (5, START + 3 * 900, "must ascend"),
        (5, START + 5 * 900 + 1, "is not a multiple of 15 minutes"),
        (5, 10**40, "lies outside the day"),
    ],
)
def test_other_timestamps_are_refused(at, seconds, reason):
    """Inside the day, unique, ascending, on the grid: the first that is not is named."""
    error = refusal(with_row(at, timestampUtcEpochSecs=seconds))
    assert reason in error.reason
    assert error.where == f"electricReadings[{at}].timestampUtcEpochSecs"


@pytest.mark.parametrize("seconds", [float(START), START + 0.5, str(START), True, None])
def test_timestamps_are_whole_numbers(seconds):
    """No fractions, no text, no booleans."""
    assert refusal(with_row(0, timestampUtcEpochSecs=seconds)).where.endswith(
        "timestampUtcEpochSecs"
    )


def test_a_missing_interval_is_named():
    """95 of 96 intervals are refused, and the reason says which one is missing."""
    message = day_message()
    del message["electricReadings"][10]
    error = refusal(message)
    assert error.reason == (
        "the day has 96 intervals of 15 minutes, the message 95; "
        f"the first that is missing starts at {START + 9000}"
    )


def test_a_message_over_one_mebibyte_is_refused():
    """The limit holds before anything is parsed."""
    assert "1048576" in refusal(b" " * (1024 * 1024 + 1)).reason


@pytest.mark.parametrize("payload", [b"", b"[]", b"null", b"{", b"\xff", b"{}\n{}", b"[" * 100_000])
def test_bytes_that_are_no_such_message_are_refused(payload):
    """Whatever the bytes, there is a reason."""
    assert refusal(payload).reason
