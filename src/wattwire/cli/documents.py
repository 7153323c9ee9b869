"""YAML as plain data, within bounds: what JSON can hold, nothing that runs, nothing that explodes.

Read as YAML 1.2 reads it: `yes`, `on`, `12:30` and `2025-06-01` are texts. Written so that readers
of YAML 1.1 understand the same.
"""

import re
from collections.abc import Hashable
from typing import Any, ClassVar, Final

import msgspec
import yaml
from yaml.events import AliasEvent

MAX_BYTES: Final = 16 * 1024 * 1024
MAX_NODES: Final = 1_000_000
MAX_DEPTH: Final = 40
_TAG: Final = "tag:yaml.org,2002:"
_PLAIN: Final = {
    "null": (r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    "bool": (r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    "int": (r"[-+]?[0-9]{1,300}", list("-+0123456789")),
    "float": (
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", list("-+0123456789."),
    ),
}  # fmt: skip


class DocumentError(Exception):
    """A text is no document. The message says where and why."""


class _Loader(yaml.SafeLoader):  # type: ignore[misc]  # the library has no types
    """The safe loader, without dates, binaries and sets, and with bounds."""

    yaml_implicit_resolvers: ClassVar[dict[str, Any]] = {}
    yaml_constructors: ClassVar[dict[str | None, Any]] = {
        tag: make
        for tag, make in yaml.SafeLoader.yaml_constructors.items()
        if tag in {None, *(f"{_TAG}{kind}" for kind in ("null", "bool", "str", "seq", "map"))}
    }

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._nodes = 0
        self._depth = 0
        self._sizes: dict[int, int] = {}

    def compose_node(self, parent: Any, index: Any) -> Any:
        """Count what is composed, aliases with all that they stand for."""
        if self.check_event(AliasEvent):
            return self._compose_alias(parent, index)
        before = self._nodes
        self._count(1)
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise DocumentError(f"it is nested deeper than {MAX_DEPTH}")
        node = super().compose_node(parent, index)
        self._depth -= 1
        self._sizes[id(node)] = self._nodes - before
        return node

    def _compose_alias(self, parent: Any, index: Any) -> Any:
        node = super().compose_node(parent, index)
        size = self._sizes.get(id(node))
        if size is None:
            raise DocumentError("an alias stands for what it is part of")
        self._count(size)
        return node

    def _count(self, nodes: int) -> None:
        self._nodes += nodes
        if self._nodes > MAX_NODES:
            raise DocumentError(f"it has more than {MAX_NODES:,} values, its aliases written out")


def _mapping(loader: Any, node: Any) -> dict[str, Any]:
    """Make a mapping whose keys are texts, each there once."""
    made: dict[str, Any] = {}
    for key_node, value_node in node.value:
        key: Hashable = loader.construct_object(key_node, deep=True)
        place = f"line {key_node.start_mark.line + 1}"
        if not isinstance(key, str):
            raise DocumentError(f"{place}: a name must be a text: put it in quotes")
        if key in made:
            raise DocumentError(f"{place}: {key} is there twice")
        made[key] = loader.construct_object(value_node, deep=True)
    return made


_Loader.add_constructor(f"{_TAG}map", _mapping)
_Loader.add_constructor(f"{_TAG}int", lambda loader, node: int(loader.construct_scalar(node)))
_Loader.add_constructor(f"{_TAG}float", lambda loader, node: float(loader.construct_scalar(node)))


class _Dumper(yaml.SafeDumper):  # type: ignore[misc]  # the library has no types
    """The safe dumper, with blocks for texts of several lines, and without aliases."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - as the library calls it
        """Write everything out."""
        return True


def _text(dumper: Any, text: str) -> Any:
    lines = text.split("\n")
    style = None if len(lines) == 1 else "|"
    if not all(line.isprintable() for line in lines):  # other line ends, which readers would fold
        style = '"'
    return dumper.represent_scalar(f"{_TAG}str", text, style=style)


_Dumper.add_representer(str, _text)
for _name, (_pattern, _starts) in _PLAIN.items():
    _Loader.add_implicit_resolver(f"{_TAG}{_name}", re.compile(f"^(?:{_pattern})$"), _starts)
    _Dumper.add_implicit_resolver(f"{_TAG}{_name}", re.compile(f"^(?:{_pattern})$"), _starts)


def read_document(raw: bytes) -> dict[str, Any]:
    """Return the mapping that YAML or JSON describes. Raises DocumentError."""
    if len(raw) > MAX_BYTES:
        raise DocumentError(f"it is larger than {MAX_BYTES // 1024**2} MiB")
    found = _json(raw) or _yaml(raw)
    if not isinstance(found, dict):
        raise DocumentError("it must be a mapping")
    return found


def _json(raw: bytes) -> Any:
    """Return what JSON describes, quickly; None when it is none."""
    try:
        return msgspec.json.decode(raw)
    except (msgspec.DecodeError, RecursionError):
        return None


def _yaml(raw: bytes) -> Any:
    try:
        loader = _Loader(raw.decode())
        try:
            return loader.get_single_data()
        finally:
            loader.dispose()
    except UnicodeDecodeError as error:
        raise DocumentError("it is not UTF-8") from error
    except yaml.YAMLError as error:
        raise DocumentError(" ".join(str(error).split())[:500]) from error
    except (ValueError, RecursionError) as error:
        raise DocumentError(f"it cannot be read: {error}") from error


def write_document(document: dict[str, Any]) -> str:
    """Return a document as YAML."""
    text: str = yaml.dump(
        document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100,
        default_flow_style=False,
    )  # fmt: skip
    return text
