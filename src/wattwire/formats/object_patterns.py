"""Patterns for the names of channels: which of a reading's values become messages of their own.

`*` is any run of characters, `?` is any one; everything else is itself, upper and lower case
differ, and the whole name must match. A slash is a character like any other here, as names of
channels are no paths.
"""

import re
from collections.abc import Callable, Sequence
from fnmatch import translate
from typing import Final

MAX_OBJECT: Final = 200

#: Whether a name matches one of the patterns.
NameMatcher = Callable[[str], bool]


def compile_objects(patterns: Sequence[str]) -> NameMatcher:
    """Return whether a name matches any of the patterns. Time does not explode for any pattern."""
    compiled = [re.compile(translate(pattern.replace("[", "[[]"))) for pattern in patterns]
    return lambda name: any(pattern.match(name) for pattern in compiled)
