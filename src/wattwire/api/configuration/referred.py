"""Which values a document refers to. Apart from what fills them in: the command line needs this."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

REFERENCE: Final = re.compile(r"\$\{(ENV|FILE|SECRET):([^{}]{1,1000})\}")


def referred(value: Any) -> Iterator[tuple[str, str]]:
    """Yield (kind, name) of every reference in a document that is nested no deeper than allowed."""
    if isinstance(value, str) and (found := REFERENCE.fullmatch(value)):
        yield found[1], found[2]
    branches = value.values() if isinstance(value, Mapping) else ()
    for item in value if isinstance(value, list) else branches:
        yield from referred(item)
