"""What a lane has read of its queue."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from wattwire.delivery.window import MANY, Window
from wattwire.store.deliveries import Queued

NOW = datetime(2026, 3, 1, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)


def row(sequence, due_at=None):
    return Queued(7, sequence, 0, 0, NOW, due_at, f"m-{sequence}", UUID(int=sequence), NOW, None)


def rows(*sequences):
    return [row(sequence) for sequence in sequences]


def read(window, *sequences, room=3, at=0.0):
    """The window asks for so many rows and gets these."""
    now = NOW + timedelta(seconds=at)
    want = window.want(7, room, now)
    window.asked()
    return [r.sequence for r in window.take(rows(*sequences), want, now, None)]


def test_it_reads_on_from_where_it_was():
    """In a long queue what was read is not read again: the position is behind it."""
    window = Window()
    read(window, 4, 5, 9)

    assert 9 == window.want(7, 3, NOW).after


def test_at_the_end_it_reads_on_from_where_it_was_a_moment_ago():
    """Transactions that are in flight together may become visible in another order."""
    window, after = Window(), []
    for n in range(6):
        read(window, n + 1, at=n * 0.05)
        after.append(window.want(7, 3, NOW).after)

    window.wake()

    assert [0, 0, 1, 1, 3, 3] == after
    assert 3 + 6 == window.want(7, 3, NOW).fresh


def test_a_full_answer_means_there_is_more():
    """Three rows when three were asked for: there may be a fourth; two: there is not."""
    window = Window()
    read(window, 1, 2, 3)
    assert window.has_work(NOW)

    read(window, 4, 5)
    assert not window.has_work(NOW)


def test_whoever_wakes_during_a_fetch_is_heard():
    """Rows may have come after the query looked: it is asked again."""
    window = Window()
    want = window.want(7, 3, NOW)
    window.asked()
    window.wake()
    window.take([], want, NOW, None)

    assert window.has_work(NOW)


def test_what_is_held_is_not_taken_twice():
    """After the position moved back, rows that are under way come along in vain."""
    window = Window()
    read(window, 1, 2, 3)
    window.release([2])
    window.rewind(0)

    assert 3 + 2 == window.want(7, 3, NOW).fresh
    assert [2] == read(window, 1, 2, 3)


def test_a_row_that_turns_up_late_moves_the_position_back():
    """Sequence 2 was given out before 3, and became visible after it."""
    window = Window()
    read(window, 1, 3)
    read(window, at=1)
    read(window, at=2)
    assert 3 == window.want(7, 3, NOW).after

    assert window.found([1, 2, 3])
    assert 1 == window.want(7, 3, NOW).after
    assert [2] == read(window, 2, 3)


def test_rows_that_are_held_are_no_news():
    """Looking at the queue finds what is under way; nothing follows from that."""
    window = Window()
    read(window, 1, 3)

    assert not window.found([1, 3])
    assert not window.has_work(NOW)


def test_the_place_to_look_follows_two_ticks_behind():
    """Rows may turn up behind the position for a while; what left long ago is not passed again."""
    window = Window()
    read(window, 1, 2)
    places = []
    for _ in range(3):
        window.tick()
        places.append(window.place(whole=False)[0])

    assert [0, 2, 2] == places
    assert 0 == window.place(whole=True)[0]


def test_it_looks_for_one_more_than_it_holds():
    """Whatever is held may be all that is found: one more is news for certain."""
    window = Window()
    read(window, 1, 2)

    assert 3 == window.place(whole=False)[1]


def test_nobody_looks_while_there_is_plenty_to_do():
    """With work in hand, late rows are found when it is done."""
    window = Window()
    assert window.place(whole=False) is None  # more may be waiting anyway

    read(window, *range(1, MANY + 2), room=MANY + 5)
    assert window.place(whole=False) is None


def test_rows_that_failed_come_again_when_they_are_due():
    """The earliest time is remembered, and asked for when it has come."""
    window = Window()
    read(window, 1)
    window.expect(LATER)
    window.expect(NOW)
    want = window.want(7, 3, NOW)

    assert window.has_work(NOW)
    assert (0, 3 + 1) == (want.fresh, want.due)

    window.take([row(5, NOW)], want, NOW, LATER)
    assert LATER == window.next_due
    read(window, at=1)
    read(window, at=2)
    assert 1 == window.want(7, 3, NOW).after  # what failed does not move the position


def test_when_more_are_due_than_were_fetched_it_goes_on_at_once():
    """A full answer of rows that are due again means that there may be more of them."""
    window = Window()
    read(window)
    window.expect(NOW)
    want = window.want(7, 1, NOW)
    window.take([row(5, NOW)], want, NOW, None)

    assert window.has_work(NOW)


@given(st.permutations(range(1, 13)), st.lists(st.integers(1, 4), min_size=12, max_size=40))
def test_no_row_is_skipped_whatever_the_order_of_commits(order, rooms):
    """Twelve rows become visible in any order, read in any portions: each is taken once."""
    window, visible, taken = Window(), set(), []
    for step, room in enumerate([*rooms, *[4] * 12]):
        visible.update(order[step : step + 1])
        window.found(sorted(visible))
        want = window.want(7, room, NOW)
        window.asked()
        answer = [sequence for sequence in sorted(visible) if sequence > want.after]
        taken += [r.sequence for r in window.take(rows(*answer[: want.fresh]), want, NOW, None)]

    assert list(range(1, 13)) == sorted(taken)


def test_what_was_settled_during_a_fetch_is_not_taken_from_it():
    """A fetch that began before a settlement still shows the row: it is not sent again."""
    window = Window()
    window.wake()
    window.take(rows(1, 2), window.want(7, 10, NOW), NOW, None)
    window.wake()
    want = window.want(7, 10, NOW)
    window.settled([1, 2])

    assert [3] == [row.sequence for row in window.take(rows(1, 2, 3), want, NOW, None)]


def test_what_was_rewound_during_a_fetch_is_read_again():
    """A place to read from again is not passed over by the answer of an earlier fetch."""
    window = Window()
    window.wake()
    want = window.want(7, 2, NOW)
    window.rewind(0)
    window.take(rows(5, 6), want, NOW, None)

    assert window.more
    assert 0 == window.want(7, 2, NOW).after
