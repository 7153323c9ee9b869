"""Texts in the languages of `messages/*.json`, chosen by `Accept-Language`.

A catalogue has the names and descriptions of services and topics, a label for each setting, and the
translation of each sentence that a setting's own description is in English.
"""

import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final

import msgspec

FOLDER: Final = Path(__file__).parent / "messages"
DEFAULT: Final = "en"
_MAX_HEADER: Final = 1000
_TAG: Final = re.compile(r"[A-Za-z]{2,8}(?:-[A-Za-z0-9]{1,8}){0,4}")
_QUALITY: Final = re.compile(r"q=(0(?:\.\d{0,3})?|1(?:\.0{0,3})?)")


class Catalogue(msgspec.Struct, frozen=True):
    """The texts of one language."""

    services: dict[str, tuple[str, str]]  #: name and description by integration type
    topics: dict[str, tuple[str, str]]
    labels: dict[str, str]  #: by the setting's key
    texts: dict[str, str]  #: by the English sentence

    def label(self, key: str) -> str:
        """Return what a setting is called."""
        return self.labels.get(key, key)

    def text(self, english: str) -> str:
        """Return a sentence in this language, in English where it is not translated."""
        return self.texts.get(english, english)


@cache
def catalogue(language: str) -> Catalogue:
    """Return the texts of a language; of English where there are none."""
    path = FOLDER / f"{language if language in languages() else DEFAULT}.json"
    return msgspec.json.decode(path.read_bytes(), type=Catalogue)


@cache
def languages() -> frozenset[str]:
    """Return the languages there are."""
    return frozenset(path.stem for path in FOLDER.glob("*.json"))


def choose(accept_language: str) -> tuple[str, Catalogue]:
    """Return (the tag to answer with, the texts) for an `Accept-Language` header.

    The best language that there are texts in, under the tag that was asked for. Where there is
    none, SolarNetwork's way: the tag asked for first, with English text.
    """
    wanted = _wanted(accept_language[:_MAX_HEADER])
    for tag in wanted:
        language = tag.partition("-")[0].lower()
        if language in languages():
            return tag, catalogue(language)
    return (wanted[0] if wanted else DEFAULT), catalogue(DEFAULT)


def _wanted(header: str) -> Sequence[str]:
    """Return the tags of a header, the most wanted first; what is no tag is passed over."""
    found: list[tuple[float, str]] = []
    for part in header.split(","):
        tag, _, parameter = part.partition(";")
        quality = _quality(parameter.strip())
        if _TAG.fullmatch(tag.strip()) and quality > 0:
            found.append((quality, tag.strip()))
    return [tag for _, tag in sorted(found, key=lambda one: -one[0])]


def _quality(parameter: str) -> float:
    match = _QUALITY.fullmatch(parameter)
    return float(match[1]) if match else float(not parameter)


def as_told(names: Any) -> dict[str, Any]:
    """Return (name, description) as the two properties that SolarNetwork's lists have."""
    name, description = names
    return {"localizedName": name, "localizedDescription": description}
