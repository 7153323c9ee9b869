"""Shapes, made once and remembered: the same device, stream and channels give the same object."""

import re
from typing import Final, NamedTuple

from wattwire.formats.kinds import kind_of, unit_of
from wattwire.formats.refusals import refused, shown
from wattwire.formats.remembering import Memory
from wattwire.model import Channel, ChannelKind, Shape

MAX_CHANNELS: Final = 1000
MAX_NAME: Final = 200
MAX_UNIT: Final = 40
MAX_KEY: Final = 255
MEMORY_BYTES: Final = 64 * 1024 * 1024

#: Kinds and units that a message declares, by channel name.
Declared = tuple[tuple[str, str], ...]

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
_Key = tuple[str, str, tuple[str, ...], tuple[int, ...], Declared, Declared]
_REMEMBERED: Final[Memory[_Key, Shape]] = Memory(MEMORY_BYTES)
_LAYOUTS: Final[Memory[tuple[object, ...], "_Layout"]] = Memory(MEMORY_BYTES // 4)


def shape_of(
    device: str,
    stream: str,
    names: tuple[str, ...],
    texts: tuple[int, ...] = (),
    *,
    units: Declared = (),
    kinds: Declared = (),
) -> Shape:
    """Return the shape of readings of `names`, those at the positions `texts` being text.

    Raises RefusedError for names that cannot be kept: empty, too long, with control characters,
    named twice, more than 1,000 of them, or a stream that does not begin with a slash.
    """
    key = (device, stream, names, texts, units, kinds)
    shape = _REMEMBERED.get(key)
    if shape is None:
        check_key(device, "device")
        check_stream(stream)
        layout, weight = _layout(names, texts, units, kinds)
        shape = Shape(device, stream, layout.channels)
        # The layout's own tuples, so that a hundred thousand devices share them.
        key = (device, stream, layout.names, layout.texts, layout.units, layout.kinds)
        _REMEMBERED.put(key, shape, len(device) + len(stream) + weight)
    return shape


def check_key(device: str, where: str) -> None:
    """Raise RefusedError unless `device` can be a device's key: 1 to 255 printable characters."""
    if not 0 < len(device) <= MAX_KEY or _CONTROL.search(device):
        raise refused(
            f"a device key has 1 to {MAX_KEY} characters, none of control: {shown(device)}",
            where,
        )


def check_stream(stream: str) -> None:
    """Raise RefusedError unless `stream` is a path: a slash, then up to 254 characters."""
    if not 1 < len(stream) <= MAX_KEY or stream[0] != "/" or _CONTROL.search(stream):
        raise refused(
            f"a stream is a path such as /power/1 of up to {MAX_KEY} characters: {shown(stream)}",
            "stream",
        )


class _Layout(NamedTuple):
    """What the shapes of all devices of one type have in common."""

    names: tuple[str, ...]
    texts: tuple[int, ...]
    units: Declared
    kinds: Declared
    channels: tuple[Channel, ...]


def _layout(
    names: tuple[str, ...], texts: tuple[int, ...], units: Declared, kinds: Declared
) -> tuple[_Layout, int]:
    """Return what devices of one type share, remembered apart from their shapes.

    With it, what it weighs for the shape that it was made for: that one keeps it alive.
    """
    key = (names, texts, units, kinds)
    layout = _LAYOUTS.get(key)
    if layout is not None:
        return layout, 0
    _check_names(names)
    unit_by, kind_by, text_at = dict(units), dict(kinds), frozenset(texts)
    channels = tuple(
        _channel(name, unit_by, kind_by, text=i in text_at) for i, name in enumerate(names)
    )
    layout = _Layout(names, texts, units, kinds, channels)
    weight = sum(map(len, names)) + 200 * len(names)
    _LAYOUTS.put(key, layout, weight)
    return layout, weight


def _channel(name: str, units: dict[str, str], kinds: dict[str, str], *, text: bool) -> Channel:
    unit = units.get(name) or ("" if text else unit_of(name))
    if len(unit) > MAX_UNIT or _CONTROL.search(unit):
        raise refused(f"a unit has at most {MAX_UNIT} characters: {shown(unit)}", name)
    declared = kinds.get(name)
    kind = ChannelKind(declared) if declared else kind_of(name, unit, text=text)
    return Channel(name, kind, unit)


def _check_names(names: tuple[str, ...]) -> None:
    if not 0 < len(names) <= MAX_CHANNELS:
        raise refused(f"a reading has 1 to {MAX_CHANNELS} channels, not {len(names)}")
    seen = set()
    for name in names:
        if not 0 < len(name) <= MAX_NAME or _CONTROL.search(name):
            raise refused(
                f"a channel name has 1 to {MAX_NAME} characters, none of control: {shown(name)}"
            )
        if name in seen:
            raise refused(f"the channel {shown(name)} is named twice")
        seen.add(name)
