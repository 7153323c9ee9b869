"""What templates may do with values: filters, tests, sums; each bounded by what it is given. Pure.

Filters take the budget first, so that they can refuse before they make something too large.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote

import msgspec
from jinja2.runtime import Undefined
from markupsafe import Markup, escape

MAX_TEXT: Final = 256 * 1024  #: characters of any text, and of the output
MAX_WEIGHT: Final = 10_000  #: values in a list or table, those inside it included
_BITS: Final = 256
_CHARACTERS_A_STEP: Final = 64
_WIDEST_INDENT: Final = 8
#: Of the processor's time, for one rendering: behind the steps, in case one costs too little.
_SECONDS: Final = 0.5
_STEPS_A_LOOK: Final = 1000


class TooMuchError(Exception):
    """A template that would take too long, or write too much."""


class Budget:
    """What one rendering may still do. It is for the thread that made it."""

    def __init__(self, steps: int, characters: int = MAX_TEXT) -> None:
        self._steps = steps
        self._most_characters = self._characters = characters
        self._look_below = steps
        self._ends_at = time.thread_time() + _SECONDS

    def pay(self, steps: int) -> None:
        """Take steps off the budget. Raises TooMuchError when there are none left."""
        self._steps -= steps
        if self._steps < 0:
            raise TooMuchError("the template takes too many steps")
        if self._steps < self._look_below:
            self._look_below = self._steps - _STEPS_A_LOOK
            if time.thread_time() > self._ends_at:
                raise TooMuchError(f"the template takes longer than {_SECONDS:g} s")

    def wrote(self, characters: int) -> None:
        """Note so much output. Raises TooMuchError when it is too much."""
        self._characters -= characters
        if self._characters < 0:
            raise TooMuchError(f"the text is longer than {self._most_characters:,} characters")

    def text(self, value: Any) -> Any:
        """Return what is written for a value: text or a number. Raises TooMuchError, TypeError."""
        if isinstance(value, Undefined):
            return str(value)  # raises: there is no such name
        if isinstance(value, bool):
            return "true" if value else "false"
        if not isinstance(value, str | int | float) and value is not None:
            raise TypeError("a list or table is written with |tojson, |join or a loop")
        if isinstance(value, str):
            self.pay(len(value) // _CHARACTERS_A_STEP)
            return value  # as it is: what is escaped already stays so
        return "null" if value is None else str(value)


def glance(_value: Any) -> int:
    """Return the cost of looking at a value from outside, however much is in it."""
    return 1


def weigh(value: Any) -> int:
    """Return the cost of handling a value. Raises TooMuchError for one that is too large."""
    if isinstance(value, str):
        if len(value) > MAX_TEXT:
            raise TooMuchError(f"a text is longer than {MAX_TEXT:,} characters")
        return 1 + len(value) // _CHARACTERS_A_STEP
    if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() > _BITS:
        raise TooMuchError("a number is too large")
    if not isinstance(value, Mapping | list | tuple):
        return 1
    return _weigh_all(value)


def _weigh_all(value: Any) -> int:
    weight, waiting = 0, [value]
    while waiting:
        found = waiting.pop()
        weight += 1
        if isinstance(found, Mapping):
            waiting.extend(found.values())
        elif isinstance(found, list | tuple):
            waiting.extend(found)
        elif isinstance(found, str):
            weight += len(found) // _CHARACTERS_A_STEP
        if weight + len(waiting) > MAX_WEIGHT:
            raise TooMuchError(f"a list or table has more than {MAX_WEIGHT:,} values")
    return weight


def operate(
    budget: Budget, operator: str, left: Any, right: Any, work: Callable[[Any, Any], Any]
) -> Any:
    """Add, multiply or take a remainder. Texts and lists may be added, not multiplied."""
    budget.pay(weigh(left) + weigh(right))
    numbers = all(isinstance(value, int | float) for value in (left, right))
    alike = operator == "+" and (
        (isinstance(left, str) and isinstance(right, str))
        or (isinstance(left, list) and isinstance(right, list))
    )
    if not (numbers or alike):
        raise TypeError(f"{operator} is for numbers")
    result = work(left, right)
    weigh(result)
    return result


def _plain(value: Any) -> Any:
    """Return a value that JSON has a form for."""
    if isinstance(value, Undefined):
        str(value)  # raises: there is no such name
    return list(value) if isinstance(value, range | type({}.keys()) | type({}.values())) else value


def _tojson(_budget: Budget, value: Any, indent: int | None = None) -> str:
    if indent is not None and not 0 <= indent <= _WIDEST_INDENT:
        raise ValueError(f"an indent is at most {_WIDEST_INDENT}")
    text = msgspec.json.encode(_plain(value))
    return (msgspec.json.format(text, indent=indent) if indent else text).decode()


def _html_tojson(budget: Budget, value: Any, indent: int | None = None) -> Markup:
    """Return JSON that ends no tag and no attribute in quotes, as Jinja's own does."""
    text = _tojson(budget, value, indent)
    for letter in "<>&'":
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    return Markup(text)  # noqa: S704 - nothing in it means anything to HTML any more


def _concat(budget: Budget, values: Sequence[Any]) -> str:
    return _join(budget, values)


def _join(budget: Budget, values: Iterable[Any], separator: str = "") -> str:
    texts = [budget.text(value) for value in values]
    if sum(map(len, texts)) + len(separator) * len(texts) > MAX_TEXT:
        raise TooMuchError(f"a text is longer than {MAX_TEXT:,} characters")
    escaped = any(isinstance(text, Markup) for text in texts)  # then the others must be, too
    return (escape(separator) if escaped else separator).join(texts)


def _replace(_budget: Budget, text: str, old: str, new: str) -> str:
    if not old:
        raise ValueError("replace needs something to look for")
    if len(text) + text.count(old) * len(new) > MAX_TEXT:
        raise TooMuchError(f"a text is longer than {MAX_TEXT:,} characters")
    return text.replace(old, new)


def _default(_budget: Budget, value: Any, instead: Any = "", boolean: bool = False) -> Any:  # noqa: FBT001, FBT002 - Jinja's own signature
    return instead if isinstance(value, Undefined) or (boolean and not value) else value


def _round(_budget: Budget, value: float, digits: int = 0) -> float:
    return round(float(value), max(-30, min(int(digits), 30)))


def _int(_budget: Budget, value: Any, default: int = 0) -> int:
    try:
        return int(float(value)) if isinstance(value, str | float) else int(value)
    except (TypeError, ValueError, OverflowError):
        return default


def _float(_budget: Budget, value: Any, default: float = 0.0) -> float:
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return default


def _sum(_budget: Budget, values: Iterable[Any]) -> Any:
    numbers = list(values)
    if not all(isinstance(value, int | float) for value in numbers):
        raise TypeError("sum is for numbers")
    return sum(numbers)


def _csv(_budget: Budget, value: Any) -> str:
    """Return a field of a CSV row, quoted where it must be."""
    text = "" if value is None else str(value)
    quoted = any(letter in text for letter in '",\r\n')
    return '"' + text.replace('"', '""') + '"' if quoted else text


def _date(_budget: Budget, value: str) -> str:
    return value[:10]


def _sorted(_budget: Budget, values: Iterable[Any], reverse: bool = False) -> list[Any]:  # noqa: FBT001, FBT002 - Jinja's own signature
    return sorted(values, reverse=reverse)


def _unique(_budget: Budget, values: Iterable[Any]) -> list[Any]:
    """Return each value once, in their order; values that are tables or lists are a TypeError."""
    return list(dict.fromkeys(values))


#: Filters by name. `d` and `e` are Jinja's short names.
FILTERS: Final[Mapping[str, Callable[..., Any]]] = {
    "tojson": _tojson,
    "join": _join,
    "replace": _replace,
    "default": _default,
    "d": _default,
    "round": _round,
    "int": _int,
    "float": _float,
    "abs": lambda _, value: abs(value),
    "sum": _sum,
    "min": lambda _, values: min(values),
    "max": lambda _, values: max(values),
    "sort": _sorted,
    "first": lambda _, values: next(iter(values)),
    "last": lambda _, values: list(values)[-1],
    "length": lambda _, values: len(values),
    "count": lambda _, values: len(values),
    "list": lambda _, values: list(values),
    "items": lambda _, table: list(table.items()),
    "dictsort": lambda _, table: sorted(table.items()),
    "string": lambda budget, value: budget.text(value),
    "upper": lambda _, text: text.upper(),
    "lower": lambda _, text: text.lower(),
    "capitalize": lambda _, text: text.capitalize(),
    "title": lambda _, text: text.title(),
    "trim": lambda _, text: text.strip(),
    "truncate": lambda _, text, length=255: text[: max(0, length)],
    "escape": lambda _, text: str(escape(text)),
    "e": lambda _, text: str(escape(text)),
    "urlencode": lambda _, text: quote(str(text), safe=""),
    "csv": _csv,
    "date": _date,
    "unique": _unique,
}
#: In place of those above, where what is written is escaped unless it is Markup.
HTML: Final[Mapping[str, Callable[..., Any]]] = {
    "tojson": _html_tojson,
    "escape": lambda _, text: escape(text),
    "e": lambda _, text: escape(text),
}
#: They look at a value from outside, or hand on one that is there: its weight is no matter.
SHALLOW: Final = frozenset({"count", "d", "default", "first", "length"})
#: Put in by the hub itself; their names cannot be written in a template.
INTERNAL: Final[Mapping[str, Callable[..., Any]]] = {
    "_concat": _concat,
    "_weighed": lambda _, value: value,
}
TESTS: Final = (
    "boolean", "defined", "divisibleby", "eq", "equalto", "even", "false", "float", "ge", "gt",
    "in", "integer", "iterable", "le", "lt", "mapping", "ne", "none", "number", "odd", "sequence",
    "string", "true", "undefined", "==", "!=", "<", "<=", ">", ">=", "greaterthan", "lessthan",
)  # fmt: skip
