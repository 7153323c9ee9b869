"""What waits for a reader: in order, bounded, with what was left out counted in its place."""

import threading

import pytest

from wattwire.client import Limits, Missed, UnreachableError
from wattwire.client.mailbox import Mailbox


def test_what_is_missed_is_told_where_it_is_missing():
    """Nothing that came after the loss is told before it, even if it would fit."""
    mailbox = Mailbox(Limits(queued=4))
    mailbox.put(["a", "b", "c"], 10)
    mailbox.put(["d", "e"], 10)
    mailbox.put(["f"], 10)

    assert ["a", "b", "c", Missed(count=3)] == mailbox.take()
    mailbox.put(["g"], 10)
    assert ["g"] == mailbox.take()
    assert [] == mailbox.take()


def test_room_is_given_back_in_bytes_too():
    """After reading, as much fits as before."""
    mailbox = Mailbox(Limits(queued_bytes=10))
    for _ in range(3):
        mailbox.put(["a"], 10)
        assert ["a"] == mailbox.take()


def test_what_is_left_is_read_before_the_failure():
    """Then the failure is raised, each time."""
    mailbox = Mailbox(Limits())
    mailbox.opened()
    mailbox.put(["a"], 1)
    mailbox.end(UnreachableError("away"))

    assert mailbox.is_open
    assert ["a"] == mailbox.take()
    for _ in range(2):
        assert mailbox.has_news
        with pytest.raises(UnreachableError):
            mailbox.take()


def test_a_failure_before_the_beginning():
    """Whoever waits for the beginning gets it."""
    mailbox = Mailbox(Limits())
    mailbox.end(UnreachableError("away"))

    with pytest.raises(UnreachableError):
        mailbox.wait(10, lambda: mailbox.is_open)


def test_a_waiting_reader_is_woken():
    """By what comes from another thread; and without anything the wait has an end."""
    mailbox = Mailbox(Limits())
    assert not mailbox.wait(0, lambda: mailbox.has_news)
    threading.Timer(0.01, mailbox.put, (["a"], 1)).start()

    assert mailbox.wait(20, lambda: mailbox.has_news)
    assert ["a"] == mailbox.take()
