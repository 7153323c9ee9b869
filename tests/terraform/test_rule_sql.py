"""The fake of rule SQL: what it answers is what AWS documents, and it does not guess."""

import pytest
import rule_sql
from rule_sql import Context, SqlError

TOPIC = "spBv1.0/pm500/DDATA/north/pm-7"
PAYLOAD = {"timestamp": 5, "a": {"b": 2}, "text": "x"}


def run(sql, topic=TOPIC, payload=PAYLOAD):
    return rule_sql.run(sql, lambda: Context(topic, payload, 99), topic)


@pytest.mark.parametrize(
    ("columns", "result"),
    [
        ("*", PAYLOAD),
        ("topic(1) AS x, topic(5) AS y, topic() AS z", {"x": "spBv1.0", "y": "pm-7", "z": TOPIC}),
        ("a.b AS b, timestamp AS t, timestamp() AS now", {"b": 2, "t": 5, "now": 99}),
        ("*, 'y' AS text", PAYLOAD | {"text": "y"}),
        ("missing AS m, topic(6) AS n, 1 AS one", {"one": 1}),
    ],
)
def test_what_is_selected(columns, result):
    """Levels count from 1, later columns win, and what is undefined is left out."""
    assert run(f"SELECT {columns} FROM '#'") == result


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ("topic(4) = 'north'", True),
        ("topic(4) <> 'north'", False),
        ("timestamp >= 5 AND a.b < 3", True),
        ("timestamp > 5 OR NOT text = 'y'", True),
        ("(timestamp > 5 OR text = 'x') AND topic(2) = 'pm500'", True),
        ("missing = 1", False),
        ("NOT missing = 1", False),
        ("missing = 1 OR text = 'x'", True),
        ("text > 5", False),
    ],
)
def test_what_a_condition_lets_through(condition, holds):
    """NOT binds before AND before OR; what rests on something undefined does not hold."""
    assert (run(f"SELECT * FROM '#' WHERE {condition}") is not None) is holds


@pytest.mark.parametrize(
    ("pattern", "matches"),
    [("spBv1.0/pm500/DDATA/+/+", True), ("spBv1.0/pm500/DDATA/+", False),
     ("spBv1.0/#", True), ("spBv1.0/pm501/#", False)],
)  # fmt: skip
def test_which_topics_a_rule_reads(pattern, matches):
    """By MQTT's filters; of a message of another topic not even the payload is read."""
    unread = [] if matches else None
    found = rule_sql.run(
        f"SELECT 1 AS one FROM '{pattern}'",
        (lambda: Context(TOPIC, {}, 0)) if unread == [] else pytest.fail,
        TOPIC,
    )

    assert found == ({"one": 1} if matches else None)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT *",
        "SELECT * FROM topic",
        "SELECT clientid() AS c FROM '#'",
        "SELECT topic(3) FROM '#'",
        "SELECT * topic(3) AS t FROM '#'",
        "SELECT a + 1 AS n FROM '#'",
        "SELECT * FROM '#' WHERE isUndefined(a)",
        "SELECT * FROM '#' WHERE a.b",
        "SELECT * FROM '#' WHERE a.b = 1 text",
        "SELECT VALUE * FROM '#'",
        "UPDATE x SET y FROM '#'",
    ],
)
def test_what_is_not_understood_is_refused(sql):
    """Another function, another operator, a column without a name: no guess is made."""
    with pytest.raises(SqlError):
        run(sql)


def test_substitution():
    """`${…}` is filled from the message; what has no value is an error, as AWS reports it."""
    context = Context(TOPIC, PAYLOAD, 99)

    assert rule_sql.substituted("${topic(5)}-${a.b}", context) == "pm-7-2"
    with pytest.raises(LookupError):
        rule_sql.substituted("${topic(9)}", context)
