"""Values that a document does not hold itself: `${ENV:NAME}`, `${FILE:PATH}`, `${SECRET:NAME}`.

Whoever applies a document gives the values. A secret for which none is given stays as it is sealed.
A text that looks like a reference and is none has one more `$` before it.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from wattwire.api.configuration.faults import Faults, below
from wattwire.api.configuration.referred import REFERENCE

_LIKE_ONE: Final = re.compile(r"\$+\{(?:ENV|FILE|SECRET):[^{}]*\}")
_NOT_PLAIN: Final = re.compile(r"[^A-Z0-9]+")
MAX_DEPTH: Final = 32


@dataclass(frozen=True, slots=True)
class Kept:
    """Stands for a secret that is to stay."""

    name: str


def resolve(value: Any, given: Mapping[str, Any], where: str, faults: Faults) -> Any:
    """Put the given values, by `KIND:NAME`, in place of references; secrets not given are Kept."""
    return _resolve(value, given, where, faults, 0)


def _resolve(value: Any, given: Mapping[str, Any], where: str, faults: Faults, depth: int) -> Any:
    if depth > MAX_DEPTH:
        faults.add(where, f"is nested deeper than {MAX_DEPTH}")
        return None
    if isinstance(value, Mapping):
        return {
            name: _resolve(item, given, below(where, name), faults, depth + 1)
            for name, item in value.items()
        }
    if isinstance(value, list):
        return [
            _resolve(item, given, f"{where}[{n}]", faults, depth + 1)
            for n, item in enumerate(value)
        ]
    return _resolve_text(value, given, where, faults) if isinstance(value, str) else value


def _resolve_text(text: str, given: Mapping[str, Any], where: str, faults: Faults) -> Any:
    found = REFERENCE.fullmatch(text)
    if found is None:
        return text[1:] if _LIKE_ONE.fullmatch(text) else text
    kind, name = found.groups()
    if f"{kind}:{name}" in given:
        return given[f"{kind}:{name}"]
    if kind == "SECRET":
        return Kept(name)
    faults.add(where, f"no value was given for {text}", "missing")
    return None


def fill(value: Any, kept: Any, where: str, faults: Faults) -> Any:
    """Put the secrets that are kept at the same places in place of what is Kept."""
    if isinstance(value, Kept):
        if kept is None:
            faults.add(where, f"nothing is kept here: give a value for {value.name}", "missing")
        return kept
    if not isinstance(value, Mapping):
        return value
    branches = kept if isinstance(kept, Mapping) else {}
    return {
        name: fill(item, branches.get(name), below(where, name), faults)
        for name, item in value.items()
    }


def escape(value: Any) -> Any:
    """Return a value with one more `$` before what looks like a reference."""
    if isinstance(value, Mapping):
        return {name: escape(item) for name, item in value.items()}
    if isinstance(value, list):
        return [escape(item) for item in value]
    is_like = isinstance(value, str) and _LIKE_ONE.fullmatch(value)
    return f"${value}" if is_like else value


class Namer:
    """Gives each secret of a document a name of its own."""

    def __init__(self) -> None:
        self._given: set[str] = set()

    def mark(self, secrets: Any, *words: str) -> Any:
        """Return secrets with a reference in place of each; named after the place it stands at."""
        if isinstance(secrets, Mapping):
            return {name: self.mark(item, *words, name) for name, item in secrets.items()}
        return f"${{SECRET:{self._name(words)}}}"

    def _name(self, words: tuple[str, ...]) -> str:
        plain = _NOT_PLAIN.sub("_", " ".join(words).upper()).strip("_")[:900] or "SECRET"
        name = next(n for n in _numbered(plain) if n not in self._given)
        self._given.add(name)
        return name


def _numbered(plain: str) -> Iterator[str]:
    yield plain
    number = 2
    while True:
        yield f"{plain}_{number}"
        number += 1
