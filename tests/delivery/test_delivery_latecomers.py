"""Rows that nobody tells of, and rows that become visible late, are found."""

from wattwire.store.events import record_events


async def test_without_a_wake_rows_are_found(story):
    """Wakes travel by a lossy road: whoever delivers also looks by itself."""
    one = await story.integrate()
    async with story.working(poll_seconds=1.0):
        await story.pass_time(5)
        await story.cause(3, one, wake=False)
        await story.pass_time(2)

        assert 3 == (await story.counters(one)).delivered


async def test_rows_of_transactions_in_flight_together_go_out_at_once(story, pool):
    """The second to begin is the first to commit: the other's rows follow without any delay."""
    one = await story.integrate()
    async with story.working(), pool.acquire() as slow:
        await story.cause(5, one)
        await story.quiet()
        transaction = slow.transaction()
        await transaction.start()
        await record_events(slow, story.events(1), [(0, one)])
        await story.cause(1, one)
        await story.quiet()
        await transaction.commit()
        story.worker.wake([one])
        await story.quiet()  # no time has passed

        assert 7 == (await story.counters(one)).delivered


async def test_a_row_that_is_committed_late_is_not_skipped(story, pool):
    """Its sequence is lower than what was already sent: it goes out within a second or so."""
    one = await story.integrate()
    async with story.working(poll_seconds=0.5):
        async with pool.acquire() as slow:
            transaction = slow.transaction()
            await transaction.start()
            late = story.events(2)
            await record_events(slow, late, [(0, one), (1, one)])
            await story.cause(5, one)
            await story.pass_time(0.6)
            assert 5 == (await story.counters(one)).delivered
            await transaction.commit()
        await story.pass_time(1.2)

        assert 7 == (await story.counters(one)).delivered


async def test_a_row_that_is_committed_very_late_is_not_skipped(story, pool):
    """Even after minutes: the whole queue is looked at once in a while."""
    one = await story.integrate()
    async with story.working(poll_seconds=0.5):
        async with pool.acquire() as slow:
            transaction = slow.transaction()
            await transaction.start()
            await record_events(slow, story.events(1), [(0, one)])
            await story.cause(5, one)
            await story.pass_time(20)
            await transaction.commit()
        await story.pass_time(31)

        assert 6 == (await story.counters(one)).delivered


async def test_what_left_is_not_read_again(story, pool):
    """With ten thousand rows gone, looking for news touches the end of the queue only."""
    one = await story.integrate()
    await pool.execute("ALTER TABLE delivery SET (autovacuum_enabled = off)")
    async with story.working(poll_seconds=0.5):
        for _ in range(10):
            await story.cause(1000, one)
            await story.quiet()
        await story.pass_time(5)
        place = story.worker.lanes[one].place(whole=False)
        plan = await pool.fetch(
            "EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, FORMAT TEXT) SELECT sequence FROM delivery"
            " WHERE integration_id = $1 AND sequence > $2 AND due_at IS NULL"
            " ORDER BY sequence LIMIT 5",
            one,
            place[1],
        )
    touched = next(row[0] for row in plan if "Buffers" in row[0])

    assert 10_000 == (await story.counters(one)).delivered
    assert int(touched.rpartition("=")[2]) < 20, touched
