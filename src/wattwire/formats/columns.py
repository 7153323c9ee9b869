"""Values by name, as messages carry them, into a reading's columns."""

from collections.abc import Sequence
from typing import Final

from wattwire.formats.refusals import refused, shown
from wattwire.formats.shapes import Declared, shape_of
from wattwire.model import Quality, Reading

MAX_TEXT: Final = 65_536
MAX_QUALITY: Final = 32_767  #: what the store's column holds

#: What a message may give as a value; a whole number is decoded as a float.
Value = float | str | bool | None

_NUMBERS: Final = ({float}, {float, type(None)})


def reading_of(
    device: str,
    stream: str,
    names: tuple[str, ...],
    values: Sequence[Value],
    time: int,
    *,
    units: Declared = (),
    kinds: Declared = (),
    quality: int = Quality.GOOD,
) -> Reading:
    """Return one reading: true and false become 1 and 0, text goes to its own column.

    `time` is in microseconds. Raises RefusedError for what the store cannot hold.
    """
    if set(map(type, values)) in _NUMBERS:
        shape = shape_of(device, stream, names, units=units, kinds=kinds)
        return Reading(shape, time, values, None, quality)  # type: ignore[arg-type]
    texts = tuple(value if isinstance(value, str) else None for value in values)
    at = tuple(i for i, text in enumerate(texts) if text is not None)
    for i in at:
        check_text(texts[i] or "", names[i])
    numbers = [None if v is None or isinstance(v, str) else float(v) for v in values]
    shape = shape_of(device, stream, names, at, units=units, kinds=kinds)
    return Reading(shape, time, numbers, texts if at else None, quality)


def check_text(text: str, where: str) -> None:
    """Raise RefusedError for text the store cannot hold: too long, or with a NUL character."""
    if len(text) > MAX_TEXT:
        raise refused(f"a text has at most {MAX_TEXT} characters, not {len(text)}", where)
    if "\0" in text:
        raise refused(f"a text has no NUL character: {shown(text)}", where)


def check_quality(quality: int, where: str) -> int:
    """Return a quality code that the store can hold, or raise RefusedError."""
    if 0 <= quality <= MAX_QUALITY:
        return quality
    raise refused(f"a quality is a whole number from 0 to {MAX_QUALITY}: {quality}", where)
