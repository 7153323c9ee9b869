"""Settings of an integration type as SolarNetwork's setting specifiers, and back. Pure.

A specifier has one flat key; a setting inside another is named by its path (`aws.region`).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import msgspec
from pydantic import BaseModel

_PACKAGE: Final = "net.solarnetwork.settings."
_MAX_DEPTH: Final = 5

Tree = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Leaf:
    """One setting."""

    key: str
    kind: str  #: string, integer, number, boolean, array or object
    default: Any
    secret: bool
    choices: tuple[Any, ...]
    description: str

    def specifier(self) -> Tree:
        """Return it as SolarNetwork's clients draw a form from."""
        if self.kind == "boolean":
            return {
                "key": self.key,
                "defaultValue": bool(self.default),
                "trueValue": True,
                "falseValue": False,
                "transient": False,
                "type": f"{_PACKAGE}ToggleSettingSpecifier",
            }
        text: Tree = {
            "key": self.key,
            "defaultValue": "" if self.secret else _text(self.default),
            "secureTextEntry": self.secret,
            "transient": False,
            "type": f"{_PACKAGE}TextFieldSettingSpecifier",
        }
        if self.choices:
            titles = {_text(choice): _text(choice) for choice in self.choices}
            text |= {"type": f"{_PACKAGE}MultiValueSettingSpecifier", "valueTitles": titles}
        return text

    def read(self, given: Any) -> Any:
        """Return a value as the type's model takes it: forms send text for everything."""
        if self.kind in {"array", "object"} and isinstance(given, str):
            return _unpacked(given, as_list=self.kind == "array")
        return given


def _text(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _unpacked(text: str, *, as_list: bool) -> Any:
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return [part.strip() for part in text.split(",")] if as_list else text


@cache
def leaves_of(model: type[BaseModel]) -> tuple[Leaf, ...]:
    """Return the settings of a model in its order, but `type`."""
    schema = model.model_json_schema(mode="validation")
    found = tuple(_walk(schema, schema.get("$defs", {}), "", _MAX_DEPTH))
    return tuple(leaf for leaf in found if leaf.key != "type")


def _walk(schema: Tree, defs: Tree, prefix: str, depth: int) -> Iterator[Leaf]:
    for name, field in schema.get("properties", {}).items():
        key = prefix + name
        options = [_resolved(option, defs) for option in field.get("anyOf", [field])]
        told = next((o for o in options if o.get("type") != "null"), options[0])
        if told.get("properties") and depth:
            yield from _walk(told, defs, f"{key}.", depth - 1)
        else:
            yield _leaf(key, field, told)


def _resolved(option: Tree, defs: Tree) -> Tree:
    name = option.get("$ref", "").rpartition("/")[2]
    return defs[name] if name else option


def _leaf(key: str, field: Tree, told: Tree) -> Leaf:
    inner = told.get("additionalProperties") or told.get("items") or {}
    secret = told.get("format") == "password" or (
        isinstance(inner, Mapping) and inner.get("format") == "password"
    )
    choices = tuple(told.get("enum", ()))
    description = str(field.get("description", told.get("description", "")))
    return Leaf(key, told.get("type", "string"), field.get("default"), secret, choices, description)


def flatten(tree: Mapping[str, Any], leaves: tuple[Leaf, ...]) -> Tree:
    """Return the values of these settings by their flat keys; what is null is left out."""
    found = {leaf.key: at(tree, leaf.key) for leaf in leaves}
    return {key: value for key, value in found.items() if value is not None}


def at(tree: Any, key: str) -> Any:
    """Return the value of a flat key, None where there is none."""
    for name in key.split("."):
        if not isinstance(tree, Mapping):
            return None
        tree = tree.get(name)
    return tree


def nest(flat: Mapping[str, Any], leaves: tuple[Leaf, ...]) -> Tree:
    """Return values by flat keys as the tree that they name; an empty text is no value.

    A key that names no setting stays where it is, for the type's model to complain of.
    """
    known = {leaf.key: leaf for leaf in leaves}
    tree: Tree = {}
    for key, value in flat.items():
        leaf = known.get(key)
        if leaf is None:
            tree[key] = value
        elif value is not None and value != "":
            _put(tree, key, leaf.read(value))
    return tree


def _put(tree: Tree, key: str, value: Any) -> None:
    *path, last = key.split(".")
    for name in path:
        inner = tree.setdefault(name, {})
        if not isinstance(inner, dict):
            return
        tree = inner
    tree[last] = value
