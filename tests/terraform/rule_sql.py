"""A fake of AWS IoT's rule SQL, and it says so: the emulator stores rules and never runs them.

It knows SELECT of `*`, attributes (`a.b`), topic(), topic(n), timestamp(), texts and numbers with
AS; FROM a topic filter; WHERE of comparisons, AND, OR, NOT and parentheses over the same. What is
missing is Undefined, as in AWS: it is left out of the result, and a condition that rests on it is
not true. A statement that holds anything else raises SqlError rather than being guessed at.
Reference: https://docs.aws.amazon.com/iot/latest/developerguide/iot-sql-reference.html
"""

import json
import operator
import re
from dataclasses import dataclass

from paho.mqtt.client import topic_matches_sub

UNDEFINED = object()
_STATEMENT = re.compile(
    r"SELECT (?P<columns>.+?) FROM '(?P<filter>[^']+)'(?: WHERE (?P<where>.+))?"
)
_TOKEN = re.compile(r"\s*(?:(\d+(?:\.\d+)?)|'([^']*)'|(\w+(?:\.\w+)*)|(<>|<=|>=|[=<>*(),]))")
_COMPARE = {"=": operator.eq, "<>": operator.ne, "<": operator.lt, ">": operator.gt,
            "<=": operator.le, ">=": operator.ge}  # fmt: skip


class SqlError(ValueError):
    """A statement outside of what this fake understands."""


@dataclass(frozen=True)
class Context:
    """What a message brings along."""

    topic: str
    payload: dict
    now: int


class Tokens:
    """The tokens of an expression, taken one by one."""

    def __init__(self, text):
        self.items, at = [], 0
        while at < len(text.rstrip()):
            if (found := _TOKEN.match(text, at)) is None:
                raise SqlError(f"not understood: {text[at:]}")
            self.items.append(found.groups())
            at = found.end()

    def take(self, *words):
        """The next token, if it is one of these words or signs."""
        word = (self.items[0][2] or self.items[0][3] or "").upper() if self.items else ""
        if word not in words:
            return None
        self.items.pop(0)
        return word

    def need(self, word):
        if self.take(word) is None:
            raise SqlError(f"{word} is missing before {self.items[:3]}")

    def value(self, context):
        """An expression's value."""
        if not self.items:
            raise SqlError("an expression is missing")
        number, text, name, _ = self.items.pop(0)
        if number is not None:
            return json.loads(number)
        if text is not None:
            return text
        if name is None:
            raise SqlError("an expression is missing")
        if self.take("("):
            return self._call(name, context)
        return _attribute(context.payload, name)

    def _call(self, name, context):
        if name == "timestamp":
            self.need(")")
            return context.now
        if name != "topic":
            raise SqlError(f"the function {name} is not understood")
        if self.take(")"):
            return context.topic
        number = self.value(context)
        self.need(")")
        levels = context.topic.split("/")
        return levels[number - 1] if 1 <= number <= len(levels) else UNDEFINED

    def condition(self, context):
        """OR of ANDs; True, False or UNDEFINED."""
        found = self._all(context)
        while self.take("OR"):
            other = self._all(context)
            found = True if True in {found, other} else _both(found, other, operator.or_)
        return found

    def _all(self, context):
        found = self._one(context)
        while self.take("AND"):
            other = self._one(context)
            found = False if False in {found, other} else _both(found, other, operator.and_)
        return found

    def _one(self, context):
        if self.take("NOT"):
            inner = self._one(context)
            return inner if inner is UNDEFINED else not inner
        if self.take("("):
            inner = self.condition(context)
            self.need(")")
            return inner
        left, sign = self.value(context), self.take(*_COMPARE)
        if sign is None:
            raise SqlError("a comparison is missing")
        return _compared(left, sign, self.value(context))


def _both(left, right, join):
    return UNDEFINED if UNDEFINED in {left, right} else join(left, right)


def _compared(left, sign, right):
    if UNDEFINED in (left, right):
        return UNDEFINED
    if sign not in {"=", "<>"} and type(left) is not type(right):
        return UNDEFINED
    return _COMPARE[sign](left, right)


def _attribute(payload, name):
    for part in name.split("."):
        if not isinstance(payload, dict) or part not in payload:
            return UNDEFINED
        payload = payload[part]
    return payload


def run(sql, context_of, topic):
    """Return the result of a statement for a message, or None if it is not meant for the rule.

    `context_of()` reads the message: only once the topic is known to match.
    """
    if (found := _STATEMENT.fullmatch(sql)) is None:
        raise SqlError(f"not a statement that is understood: {sql}")
    if not topic_matches_sub(found["filter"], topic):
        return None
    context = context_of()
    if found["where"] and _whole(found["where"], Tokens.condition, context) is not True:
        return None
    return _selected(Tokens(found["columns"]), context)


def _whole(text, read, context):
    tokens = Tokens(text)
    found = read(tokens, context)
    if tokens.items:
        raise SqlError(f"not understood: {tokens.items}")
    return found


def _selected(tokens, context):
    result = {}
    while True:
        if tokens.take("*"):
            result |= context.payload
        else:
            value = tokens.value(context)
            tokens.need("AS")
            name = tokens.items.pop(0)[2]
            if value is not UNDEFINED:
                result[name] = value
        if not tokens.items:
            return result
        tokens.need(",")


def substituted(text, context):
    """Fill `${expression}` in a field of an action; LookupError if one has no value."""

    def fill(found):
        value = _whole(found[1], Tokens.value, context)
        if value is UNDEFINED:
            raise LookupError(f"{found[0]} has no value")
        return str(value)

    return re.sub(r"\$\{([^}]*)\}", fill, text)
