"""The state of a session: window, queue, identifiers, bounds."""

from memory_hub import principal

from wattwire.mqtt.contract import Outgoing
from wattwire.mqtt.session import Budget, Session


def session(*, window=2, queued_messages=5, queued_bytes=10_000, budget=1_000_000):
    return Session(
        principal(1, "u"),
        "c",
        Budget(budget),
        lasting=True,
        window=window,
        queued_messages=queued_messages,
        queued_bytes=queued_bytes,
    )


def message(number, qos=1, size=1):
    return Outgoing(f"t/{number}", bytes(size), qos)


def test_the_window_bounds_what_is_unacknowledged():
    """A third message waits until one of two is acknowledged; identifiers are never 0."""
    it = session(window=2)
    for number in range(3):
        it.push(message(number))
    assert [it.take(), it.take(), it.take()] == [(1, message(0)), (2, message(1)), None]
    assert it.acknowledge(1)
    assert it.take() == (3, message(2))


def test_an_acknowledgement_counts_once():
    """An identifier that is not in the window changes nothing."""
    it = session()
    it.push(message(0))
    it.take()
    assert it.acknowledge(1)
    assert not it.acknowledge(1)
    assert not it.acknowledge(77)


def test_identifiers_in_use_are_passed_over():
    """After 65,535 comes 1, unless it is still in the window."""
    it = session(window=3)
    it.push(message(0))
    it.take()
    it._last_id = 65_534
    for number in (1, 2):
        it.push(message(number))
    assert [it.take()[0], it.take()[0]] == [65_535, 2]


def test_the_oldest_is_dropped_and_counted():
    """The queue keeps the newest; what it dropped is reported, not silent."""
    it = session(queued_messages=2)
    assert [it.push(message(number)) for number in range(4)] == [0, 0, 1, 1]
    assert it.dropped == 2
    assert [m.topic for m in it.outstanding()] == ["t/2", "t/3"]


def test_bytes_are_bounded_for_one_and_for_all():
    """Large messages push out several; the budget of all sessions counts as well."""
    it = session(queued_bytes=2_000)
    for number in range(4):
        it.push(message(number, size=200))
    assert it.push(message(9, size=1_500)) == 4
    assert session(budget=100).push(message(0)) == 1
    it.clear_queue()
    assert it.budget.used == 0


def test_what_is_outstanding_is_in_order():
    """First what was sent and not acknowledged, then what waits; QoS 0 is not outstanding."""
    it = session(window=1)
    it.push(message(0))
    it.take()
    it.push(message(1, qos=0))
    it.push(message(2))
    assert list(it.outstanding()) == [message(0), message(2)]


def test_qos_0_passes_without_an_identifier():
    """QoS 0 takes no place in the window."""
    it = session(window=1)
    it.push(message(0, qos=0))
    it.push(message(1, qos=0))
    assert [it.take(), it.take()] == [(0, message(0, qos=0)), (0, message(1, qos=0))]


def test_what_may_not_be_seen_any_more_is_forgotten():
    """A permission that was withdrawn empties window and queue of its topics."""
    it = session(window=1)
    for number in range(3):
        it.push(message(number))
    it.take()
    it.keep_only(lambda waiting: waiting.topic == "t/2")
    assert list(it.outstanding()) == [message(2)]
