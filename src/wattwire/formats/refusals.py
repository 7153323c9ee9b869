"""How the decoders say no: one clear sentence, bounded in length, and the place it is about."""

import re
from typing import Any, Final, TypeVar

import msgspec

from wattwire.model import RefusedError

MAX_PAYLOAD_BYTES: Final = 1024 * 1024
REASON_LIMIT: Final = 300
WHERE_LIMIT: Final = 200
SHOWN_LIMIT: Final = 80
SHOWN_BITS: Final = 256  #: longer integers are described, not printed

T = TypeVar("T")

_STEP: Final = re.compile(r"\.([A-Za-z_]\w*)|\[(\d+|\.\.\.)\]")
_WORD: Final = re.compile(r"`([a-z]+(?: \| [a-z]+)*)`")
_WORDS: Final = {
    "int": "a whole number",
    "float": "a number",
    "str": "text",
    "bool": "true or false",
    "null": "null",
    "object": "an object",
    "array": "a list",
}
_PHRASES: Final = (
    ("Object missing required field", "the object lacks the required field"),
    ("Object contains unknown field", "the object has an unknown field"),
    ("Number out of range", "the number is out of range"),
    ("Integer value out of range", "the whole number is out of range"),
    ("Expected", "expected"),
)


def refused(reason: str, where: str = "") -> RefusedError:
    """Return the error for a reason and a place; both are cut to their limits and printable."""
    return RefusedError(_printable(reason, REASON_LIMIT), _printable(where, WHERE_LIMIT))


def shown(value: object) -> str:
    """Return a value from outside as short printable text, for use in a reason."""
    if isinstance(value, str | bytes):
        return repr(value[:SHOWN_LIMIT]) + ("…" if len(value) > SHOWN_LIMIT else "")
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int) and value.bit_length() > SHOWN_BITS:
        return f"a whole number of {value.bit_length()} bits"
    if isinstance(value, list | tuple):
        return f"a list of {len(value)}"
    if isinstance(value, dict):
        return f"an object of {len(value)}"
    return "null" if value is None else repr(value)


def check_size(payload: bytes, limit: int = MAX_PAYLOAD_BYTES) -> None:
    """Raise RefusedError when a payload is larger than `limit` bytes."""
    if len(payload) > limit:
        raise refused(f"the payload has {len(payload)} bytes, more than the {limit} allowed")


def decode_json(
    decoder: "msgspec.json.Decoder[T]", payload: bytes, limit: int = MAX_PAYLOAD_BYTES
) -> T:
    """Decode JSON of a known shape. Raises RefusedError with the path of what does not fit."""
    check_size(payload, limit)
    try:
        return decoder.decode(payload)
    except msgspec.ValidationError as error:
        raise _explained(str(error), payload) from None
    except msgspec.DecodeError as error:
        raise refused(f"not JSON: {error}") from None
    except UnicodeDecodeError as error:
        raise refused(f"not JSON: the text is not UTF-8 ({error.reason})") from None
    except RecursionError:
        raise refused("the JSON is nested too deeply") from None


def _printable(text: str, limit: int) -> str:
    text = text if len(text) <= limit else text[: limit - 1] + "…"
    return text if text.isprintable() else "".join(c if c.isprintable() else "?" for c in text)


def _explained(message: str, payload: bytes) -> RefusedError:
    """Turn what msgspec says into a sentence of ours, with the offending value if there is one."""
    text, _, path = message.rpartition(" - at `$")
    rule = text or message
    for theirs, ours in _PHRASES:
        if rule.startswith(theirs):
            rule = ours + rule.removeprefix(theirs)
            break
    rule = _WORD.sub(_in_words, rule) if rule.startswith("expected") else rule.replace("`", "'")
    where, value = _found(payload, path.removesuffix("`"))
    return refused(f"{rule}: {value}" if value and "field" not in rule else rule, where)


def _in_words(match: re.Match[str]) -> str:
    return " or ".join(_WORDS.get(word, word) for word in match[1].split(" | "))


def _found(payload: bytes, path: str) -> tuple[str, str]:
    """Return where in the payload msgspec's path leads, and the value there as text."""
    plain = path.replace("[...]", ".*").lstrip(".")
    try:
        where, value = _walk("", msgspec.json.decode(payload), path)
    except (ValueError, LookupError, TypeError, StopIteration, RecursionError):
        return plain, ""
    return where.lstrip("."), shown(value)


def _walk(where: str, value: Any, path: str) -> tuple[str, Any]:
    for match in _STEP.finditer(path):
        key: str | int = match[1] or match[2]
        if key == "...":
            key = _first_nested(value)
        where += f"[{key}]" if isinstance(value, list) else f".{key}"
        value = value[int(key) if isinstance(value, list) else key]
    return where, value


def _first_nested(value: dict[str, Any]) -> str:
    """Return the first key that holds an object or a list: the only way a plain value can fail."""
    return next(key for key, item in value.items() if isinstance(item, list | dict))
