"""The two trees agree with matching one filter at a time."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wattwire.mqtt.subscriptions import SubscriptionTree, TopicTree
from wattwire.mqtt.topics import matches

NAMES = st.sampled_from(["a", "b", "", "$c"])
TOPICS = st.lists(NAMES, min_size=1, max_size=4).map("/".join).filter(bool)
FILTERS = (
    st.tuples(st.lists(NAMES | st.just("+"), max_size=3), st.sampled_from([[], ["#"], ["+"]]))
    .map(lambda parts: "/".join(parts[0] + parts[1]))
    .filter(bool)
)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), FILTERS, st.integers(1, 3), st.integers(0, 1)),
        st.tuples(st.just("remove"), FILTERS, st.integers(1, 3)),
        st.tuples(st.just("match"), TOPICS),
    ),
    max_size=30,
)


@given(STEPS)
def test_subscribers_are_found_after_any_changes(steps):
    """Each subscriber once, with its highest QoS, although answers are remembered."""
    tree, book = SubscriptionTree(remembered=3), {}
    for step in steps:
        match step:
            case ("add", topic_filter, subscriber, qos):
                tree.add(topic_filter, subscriber, qos)
                book[topic_filter, subscriber] = qos
            case ("remove", topic_filter, subscriber):
                was_there = book.pop((topic_filter, subscriber), None) is not None
                assert tree.remove(topic_filter, subscriber) is was_there
            case (_, topic):
                expected = {}
                for (topic_filter, subscriber), qos in book.items():
                    if matches(topic_filter, topic):
                        expected[subscriber] = max(qos, expected.get(subscriber, 0))
                assert sorted(tree.match(topic)) == sorted(expected.items())
        assert tree.count == len(book)


@pytest.mark.parametrize("topic_filter", ["a/b", "a/+", "a/#", "#"])
def test_remembered_answers_follow_every_change(topic_filter):
    """An answer given before a subscription came, changed or went is not given again."""
    tree = SubscriptionTree()
    assert tree.match("a/b") == ()
    tree.add(topic_filter, "s", 0)
    assert tree.match("a/b") == (("s", 0),)
    tree.add(topic_filter, "s", 1)
    assert tree.match("a/b") == (("s", 1),)
    tree.remove(topic_filter, "s")
    assert tree.match("a/b") == ()


def test_nothing_is_left_of_removed_subscriptions():
    """A million clients that came and went leave no nodes behind."""
    tree = SubscriptionTree()
    for number in range(100):
        tree.add(f"site/{number}/+/#", "s", 1)
        tree.remove(f"site/{number}/+/#", "s")
    assert tree._root.is_empty()


def test_remembered_answers_are_bounded():
    """Topics that are seen once do not pile up."""
    tree = SubscriptionTree(remembered=10)
    tree.add("#", "s", 0)
    for number in range(100):
        tree.match(f"t/{number}")
    assert len(tree._answers) == 10


def test_very_deep_topics_are_walked():
    """Thousands of levels exhaust no stack."""
    tree, topics = SubscriptionTree(), TopicTree()
    deep = "/" * 30_000
    tree.add("#", "s", 0)
    topics.put(deep, 1)
    assert tree.match(deep) == (("s", 0),)
    assert list(topics.find("#")) == [(deep, 1)]
    assert topics.discard(deep) == 1


@given(
    st.lists(st.tuples(st.sampled_from(["put", "discard"]), TOPICS, st.integers()), max_size=25),
    FILTERS,
)
def test_retained_topics_are_found_by_filter(steps, topic_filter):
    """The same as trying every topic, after any changes."""
    tree, book = TopicTree(), {}
    for what, topic, value in steps:
        if what == "put":
            tree.put(topic, value)
            book[topic] = value
        else:
            assert tree.discard(topic) == book.pop(topic, None)
    expected = [item for item in book.items() if matches(topic_filter, item[0])]
    assert sorted(tree.find(topic_filter)) == sorted(expected)
    assert len(tree) == len(book)
    assert all(tree.get(topic) == value for topic, value in book.items())
