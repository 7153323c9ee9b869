"""How many messages fit one call."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wattwire.delivery.batcher import count_fitting
from wattwire.integrations.contract import Limits
from wattwire.model import Message


def messages(*sizes):
    return [Message(f"m-{n}", b"x" * size) for n, size in enumerate(sizes)]


@pytest.mark.parametrize(
    ("sizes", "count"),
    [([10] * 3, 3), ([10] * 12, 10), ([60, 40, 1], 2), ([60, 41], 1), ([100], 1), ([], 0)],
)
def test_messages_and_bytes_are_counted(sizes, count):
    """Ten messages, or a hundred bytes together, whichever comes first."""
    assert count == count_fitting(messages(*sizes), Limits(10, 100))


def test_what_the_service_adds_counts():
    """Attributes take room, too."""
    limits = Limits(10, 100, overhead_bytes=20)

    assert 2 == count_fitting(messages(30, 30, 1), limits)


def test_the_same_id_never_travels_twice_in_one_call():
    """Outcomes are told apart by id: a replay waits for the next call."""
    first = messages(1, 1)

    assert 2 == count_fitting([*first, first[0]], Limits(10, 100))


@given(st.lists(st.integers(0, 120), max_size=30), st.integers(1, 10), st.integers(100, 200))
def test_a_cut_never_breaks_a_limit(sizes, most, size):
    """Any queue is cut into calls that the service takes, and comes to its end."""
    waiting, limits = messages(*sizes), Limits(most, size)
    while waiting:
        count = count_fitting(waiting, limits)
        taken, waiting = waiting[:count], waiting[count:]

        assert 1 <= len(taken) <= most
        assert len(taken) == 1 or sum(len(m.body) for m in taken) <= size
