"""Markdown of what models say about themselves. Pure."""

import inspect
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import Enum
from types import UnionType
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

#: Stands at the top of each page.
NOTICE: Final = (
    "<!-- Written by `make docs` from the code it describes. Change the code instead. -->\n"
)

_BOUNDS: Final = (("ge", "≥ {}"), ("gt", "> {}"), ("le", "≤ {}"), ("lt", "< {}"))
_LENGTHS: Final = (("min_length", "at least {} long"), ("max_length", "at most {} long"))
_COMMENTED: Final = re.compile(r'^\s*\w+ = "([^"]+)"\s*#: (.+)$', re.MULTILINE)


def table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table; cells may hold anything that Markdown takes on one line."""
    lines = [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
    lines += [f"| {' | '.join(map(_cell, row))} |" for row in rows]
    return "\n".join(lines) + "\n"


def _cell(value: object) -> str:
    return re.sub(r"\s+", " ", str(value)).strip().replace("|", "\\|")


def code(value: object) -> str:
    """Return a value as code, nothing for nothing."""
    text = "" if value is None else str(value)
    return f"`{text}`" if text else ""


def explained(words: type[Enum]) -> Mapping[str, str]:
    """Return what the `#:` comments beside the words of an enumeration say, by word."""
    return dict(_COMMENTED.findall(inspect.getsource(words)))


def fields(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Yield every field that a person fills in; nested ones as `outer.inner` or `outer[].inner`."""
    for name, field in model.model_fields.items():
        inner = _model_in(field.annotation)
        if inner is not None:
            yield f"{prefix}{name}", field
            many = "[]" if get_origin(field.annotation) in {tuple, list} else ""
            yield from fields(inner, f"{prefix}{name}{many}.")
        elif name != "type" or get_origin(field.annotation) is not Literal:
            yield f"{prefix}{name}", field


def _model_in(annotation: Any) -> type[BaseModel] | None:
    for part in (annotation, *get_args(annotation)):
        if isinstance(part, type) and issubclass(part, BaseModel):
            return part
    return None


def field_table(model: type[BaseModel]) -> str:
    """Return the settings of a model as a table."""
    return table(
        ("field", "", "default", "meaning"),
        (
            (code(name), kind_of(field), default_of(field), _meaning(field))
            for name, field in fields(model)
        ),
    )


def kind_of(field: FieldInfo) -> str:
    """Return in words what a field takes: text, number, one of some words; with its bounds."""
    words = [_kind(field.annotation)]
    for name, form in (*_BOUNDS, *_LENGTHS):
        words += [
            form.format(getattr(bound, name)) for bound in field.metadata if hasattr(bound, name)
        ]
    return ", ".join(words)


def _kind(annotation: Any) -> str:
    if get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin in {Union, UnionType}:
        return next(_kind(part) for part in parts if part is not type(None))
    if origin is Literal:
        return " or ".join(code(part) for part in parts)
    if origin in {tuple, list, frozenset}:
        return f"list of {_kind(parts[0])}".removesuffix(" of as below")
    if origin is dict:
        return f"table of {_kind(parts[1])}"
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return " or ".join(code(word.value) for word in annotation)
    return _NAMES.get(annotation, _name(annotation))


_NAMES: Final[Mapping[Any, str]] = {
    str: "text",
    int: "whole number",
    float: "number",
    bool: "`true` or `false`",
    SecretStr: "secret",
}


def _name(annotation: Any) -> str:
    name = str(getattr(annotation, "__name__", annotation))
    return {"Path": "path", "IPv4Network": "network"}.get(name, "as below")


def default_of(field: FieldInfo) -> str:
    """Return the default as code; `required` when there is none."""
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if isinstance(value, Enum):
        value = value.value
    if isinstance(value, bool):
        value = str(value).lower()
    return "" if value in (None, (), {}, []) else code(value)


def _meaning(field: FieldInfo) -> str:
    example = f" For example `{field.examples[0]}`." if field.examples else ""
    return f"{field.description or ''}{example}"


def span(seconds: float) -> str:
    """Return a number of seconds in the largest unit that keeps it whole."""
    for unit, name in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= unit and seconds % unit == 0:
            return f"{seconds / unit:g} {name}"
    return f"{seconds:g} s"
