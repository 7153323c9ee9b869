"""Topics and filters: what is valid, what matches, what covers what, and NATS subjects."""

import functools
import itertools
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wattwire.mqtt.topics import (
    covers,
    is_filter,
    is_topic,
    matches,
    may,
    to_subject,
    to_topic,
)

TOPICS = st.text(
    st.characters(exclude_characters="\0+#", exclude_categories=("Cs",)), min_size=1, max_size=30
)
NATS_TOKEN = re.compile(r"[^\x00-\x20.*>\x7f-\U0010ffff]+")

# Two names, an empty level, and one that begins with $ tell every pair of filters apart.
NAMES = ("a", "b", "", "$c")
LEVELS = st.sampled_from([*NAMES, "+", "+"])
FILTERS = (
    st.tuples(st.lists(LEVELS, max_size=3), st.sampled_from([[], [], ["#"], ["+"]]))
    .map(lambda parts: "/".join(parts[0] + parts[1]))
    .filter(bool)
)
UNIVERSE = [
    topic
    for depth in range(1, 6)
    for levels in itertools.product((*NAMES, "z") if depth < 5 else ("a", ""), repeat=depth)
    if (topic := "/".join(levels))
]


@functools.cache
def by_the_book(topic_filter):
    """Section 4.7, sentence by sentence, as a regular expression."""
    pattern = "/".join(
        "[^/]*" if level == "+" else ".*" if level == "#" else re.escape(level)
        for level in topic_filter.split("/")
    )
    pattern = re.sub(r"/\.\*$", "(/.*)?", pattern)
    return re.compile(("(?![$])" if topic_filter[0] in "+#" else "") + pattern, re.DOTALL)


def matches_by_the_book(topic_filter, topic):
    return by_the_book(topic_filter).fullmatch(topic) is not None


@functools.cache
def matched_by(topic_filter):
    return {topic for topic in UNIVERSE if matches_by_the_book(topic_filter, topic)}


@pytest.mark.parametrize(
    ("topic_filter", "topic", "expected"),
    [
        ("sport/tennis/player1/#", "sport/tennis/player1", True),
        ("sport/tennis/player1/#", "sport/tennis/player1/ranking", True),
        ("sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon", True),
        ("sport/#", "sport", True),
        ("#", "a/b/c", True),
        ("sport/tennis/+", "sport/tennis/player1", True),
        ("sport/tennis/+", "sport/tennis/player1/ranking", False),
        ("sport/+", "sport", False),
        ("sport/+", "sport/", True),
        ("+/+", "/finance", True),
        ("/+", "/finance", True),
        ("+", "/finance", False),
        ("#", "$SYS/uptime", False),
        ("+/monitor/Clients", "$SYS/monitor/Clients", False),
        ("$SYS/#", "$SYS/uptime", True),
        ("$SYS/monitor/+", "$SYS/monitor/Clients", True),
        ("a/$b", "a/$b", True),
        ("a/+", "a/$b", True),
        ("ACCOUNTS", "Accounts", False),
    ],
)
def test_the_examples_of_the_specification(topic_filter, topic, expected):
    """Section 4.7, example by example."""
    assert matches(topic_filter, topic) is expected
    assert matches_by_the_book(topic_filter, topic) is expected


@given(FILTERS, st.sampled_from(UNIVERSE))
def test_matching_agrees_with_the_book(topic_filter, topic):
    """Any filter against any topic."""
    assert matches(topic_filter, topic) is matches_by_the_book(topic_filter, topic)


@given(FILTERS, FILTERS)
def test_a_filter_covers_another_if_it_matches_all_its_topics(allowed, wanted):
    """Brute force over every topic of a universe in which any two filters differ."""
    assert covers(allowed, wanted) is (matched_by(wanted) <= matched_by(allowed))


@pytest.mark.parametrize(
    ("filters", "wanted", "expected"),
    [
        ((), "a", False),
        (("a/b",), "a/b", True),
        (("a/b",), "a/b/c", False),
        (("a/b",), "a/+", False),
        (("x", "a/+"), "a/b", True),
        (("a/+",), "a/#", False),
        (("#",), "#", True),
        (("+/#",), "#", True),
        (("#",), "$SYS/#", False),
        (("a/+/c",), "a/#", False),
    ],
)
def test_permissions(filters, wanted, expected):
    """A permission is a list of filters; one of them must cover what is wanted."""
    assert may(filters, wanted) is expected


@pytest.mark.parametrize("text", ["a", "/", "a//b", " ", "a b", "$SYS", "ü", "a" * 65_535])
def test_topics(text):
    """Levels may be empty, spaces and any letters are allowed."""
    assert is_topic(text)
    assert is_filter(text)


@pytest.mark.parametrize("text", ["", "a+", "#", "a/#/b", "a\0", "a" * 65_536, "ü" * 32_768])
def test_not_topics(text):
    """Empty, with a wildcard, with U+0000, or longer than 65,535 bytes of UTF-8."""
    assert not is_topic(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("#", True),
        ("+", True),
        ("+/+/#", True),
        ("/#", True),
        ("a#", False),
        ("a/#/", False),
        ("#/", False),
        ("a+/b", False),
        ("+a", False),
        ("", False),
    ],
)
def test_filters(text, expected):
    """A wildcard fills its level, and # is the last."""
    assert is_filter(text) is expected


@given(TOPICS)
def test_a_subject_gives_its_topic_back(topic):
    """Any topic survives the way over NATS; its subject is one that NATS takes."""
    subject = to_subject(topic)
    assert all(NATS_TOKEN.fullmatch(token) for token in subject.split("."))
    assert to_topic(subject) == topic


@given(TOPICS, TOPICS)
def test_two_topics_have_two_subjects(one, other):
    """No topic can be mistaken for another."""
    assert (to_subject(one) == to_subject(other)) is (one == other)


@pytest.mark.parametrize(
    ("topic", "subject"),
    [
        ("spBv1.0/pm500/NDATA/edge1", "spBv1%2E0.pm500.NDATA.edge1"),
        ("/", "%.%"),
        ("a//b", "a.%.b"),
        ("a b/*/>", "a%20b.%2A.%3E"),
        ("100%", "100%25"),
        ("ü", "%C3%BC"),
    ],
)
def test_subjects_are_readable(topic, subject):
    """What needs no escape is left as it is."""
    assert to_subject(topic) == subject


@given(st.text(max_size=20))
def test_other_text_is_no_subject(text):
    """to_topic() takes only what to_subject() makes."""
    try:
        topic = to_topic(text)
    except ValueError:
        return
    assert to_subject(topic) == text
