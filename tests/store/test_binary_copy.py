"""Readings packed for COPY are the readings that PostgreSQL then holds."""

from datetime import UTC, datetime, timedelta

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wattwire.store import readings
from wattwire.store.readings import Row

START = datetime(2025, 6, 1, tzinfo=UTC)
NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
ROWS = st.lists(
    st.tuples(
        st.integers(1, 2**31 - 1),
        st.integers(-(10**15), 10**12),
        st.sampled_from([0, 192, 500]),
        st.lists(st.none() | NUMBERS, min_size=0, max_size=15),
        st.none() | st.lists(st.none() | st.text("ab", max_size=3), max_size=3),
    ),
    max_size=20,
    unique_by=lambda row: (row[0], row[1]),
)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(rows=ROWS)
async def test_what_is_packed_is_what_is_stored(pool, rows):
    """Any mixture of widths, missing values, texts and instants comes back as it was."""
    made = [
        Row(stream, START + timedelta(microseconds=at), START, quality, values, texts)
        for stream, at, quality, values, texts in rows
    ]
    async with pool.acquire() as connection, connection.transaction() as transaction:
        await readings.ensure_months(connection, readings.months_of(row.time for row in made))
        await readings.append(connection, made)
        stored = await connection.fetch(
            "SELECT stream_id, time, received_at, quality, values, texts FROM reading"
        )
        await connection.execute("TRUNCATE reading")
        del transaction

    assert sorted((r[0], r[1], r[2], r[3], list(r[4]), r[5]) for r in stored) == sorted(
        (r[0], r[1], r[2], r[3], list(r[4]), r[5]) for r in made
    )
