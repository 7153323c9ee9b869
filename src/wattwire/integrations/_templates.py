"""Templates that a customer writes: Jinja without anything that runs, bounded in size and time.

What is left of Jinja is `{{ … }}`, `if`, `for` and filters on data. There are no calls, no methods,
no assignments and no macros, so that a template cannot hold on to what it makes; each turn of a
loop and each filter looks at the clock. A name that does not exist is an error.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence, Sized
from functools import wraps
from typing import Any, Final

import jinja2
import msgspec
from jinja2 import nodes
from jinja2.runtime import LoopContext
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import htmlsafe_json_dumps

from wattwire.integrations._http import printable

LONGEST_SOURCE: Final = 50_000
LONGEST_TEXT: Final = 1_000_000
_SECONDS: Final = 0.5
#: `a ~ b` copies: so many of them cannot make much of what is bounded itself.
_MOST_CONCATENATIONS: Final = 50
_MOST_DIGITS: Final = 15
_FILTERS: Final = (
    "abs", "capitalize", "count", "d", "default", "dictsort", "e", "escape", "first", "float",
    "int", "items", "last", "length", "list", "lower", "max", "min", "sort", "string", "sum",
    "title", "trim", "truncate", "unique", "upper", "urlencode",
)  # fmt: skip
_NODES: Final = (
    nodes.Template, nodes.Output, nodes.TemplateData, nodes.Name, nodes.Const, nodes.Getattr,
    nodes.Getitem, nodes.Slice, nodes.Filter, nodes.Test, nodes.If, nodes.For, nodes.CondExpr,
    nodes.Compare, nodes.Operand, nodes.And, nodes.Or, nodes.Not, nodes.Concat, nodes.Add,
    nodes.Sub, nodes.Mul, nodes.Div, nodes.FloorDiv, nodes.Mod, nodes.Neg, nodes.Pos, nodes.Tuple,
    nodes.List, nodes.Keyword,
)  # fmt: skip


#: What goes wrong in a template that was read well, with data that do not suit it.
_CANNOT_BE_WRITTEN: Final = (
    jinja2.TemplateError, ArithmeticError, AssertionError, AttributeError, LookupError, TypeError,
    ValueError,
)  # fmt: skip


class TemplateError(ValueError):
    """The template cannot be read, or not with these data; the message tells why."""


class Template:
    """One template, checked. Raises TemplateError for one that cannot be read."""

    def __init__(self, source: str, *, html: bool = False) -> None:
        if len(source) > LONGEST_SOURCE:
            raise TemplateError(f"longer than {LONGEST_SOURCE:,} characters")
        self._environment = _DataOnly(html=html)
        try:
            tree = self._environment.parse(source)
            self._environment.check(tree)
            self._template = self._environment.from_string(tree)
        except jinja2.TemplateError as error:
            where = f" in line {error.lineno}" if hasattr(error, "lineno") else ""
            raise TemplateError(f"{error}{where}") from error
        except (RecursionError, SyntaxError, MemoryError) as error:
            raise TemplateError("nested too deeply") from error

    def render(self, data: Mapping[str, Any], longest: int = LONGEST_TEXT) -> str:
        """Return the text for these data.

        Raises TemplateError when a name does not exist, when the text gets longer than `longest`
        characters, or when it takes longer than half a second.
        """
        self._environment.begin()
        try:
            return _bounded(self._template.generate(data), longest)
        except TemplateError:
            raise
        except _CANNOT_BE_WRITTEN as error:
            raise TemplateError(printable(str(error) or type(error).__name__, 300)) from error


class _DataOnly(ImmutableSandboxedEnvironment):
    """Jinja that sees mappings and sequences, and calls nothing."""

    intercepted_binops = frozenset("*%+")

    def __init__(self, *, html: bool) -> None:
        super().__init__(autoescape=html, undefined=jinja2.StrictUndefined, trim_blocks=True)
        self._ends_at = 0.0
        chosen: dict[str, Callable[..., Any]] = {name: self.filters[name] for name in _FILTERS}
        chosen |= {"join": _join, "replace": _replace, "round": _round, "tojson": _tojson}
        self.filters = {name: self._watched(call) for name, call in chosen.items()}
        self.globals = {}
        self.begin()

    def begin(self) -> None:
        """Give the next rendering its time."""
        self._ends_at = time.monotonic() + _SECONDS

    def tick(self) -> str:
        """Write nothing, once more, unless the time is over."""
        if time.monotonic() > self._ends_at:
            raise TemplateError(f"it takes longer than {_SECONDS:g} s")
        return ""

    def check(self, tree: nodes.Template) -> None:
        """Raise TemplateError for what a template may not do; put a tick into each loop."""
        for node in tree.find_all(nodes.Node):
            if not isinstance(node, _NODES):
                raise TemplateError(f"line {node.lineno}: {_word(node)} cannot be used here")
        if sum(len(c.nodes) for c in tree.find_all(nodes.Concat)) > _MOST_CONCATENATIONS:
            raise TemplateError(f"more than {_MOST_CONCATENATIONS} values joined by ~")
        for loop in list(tree.find_all(nodes.For)):
            if loop.recursive:
                raise TemplateError(f"line {loop.lineno}: a loop cannot be recursive")
            call = nodes.Call(nodes.EnvironmentAttribute("tick"), [], [], None, None)
            loop.body.insert(0, nodes.Output([call], lineno=loop.lineno))

    def getattr(self, obj: Any, attribute: str) -> Any:
        """Return a part of the data: there are no attributes but a loop's own."""
        if isinstance(obj, LoopContext):
            return super().getattr(obj, attribute)
        return self.getitem(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        """Return a part of the data by its name or number."""
        try:
            if isinstance(obj, Mapping | Sequence):
                return obj[argument]
        except (LookupError, TypeError):
            pass
        return self.undefined(obj=obj, name=argument)

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        """Calculate with numbers only: text times a million is a way to fill the memory."""
        if not (isinstance(left, int | float) and isinstance(right, int | float)):
            raise TemplateError(f"{operator} is for numbers; text is joined by ~")
        return super().call_binop(context, operator, left, right)

    def _watched(self, call: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(call)  # what Jinja is to pass to it is marked on the function
        def watched(*given: Any, **named: Any) -> Any:
            self.tick()
            result = call(*given, **named)
            if isinstance(result, Sized):
                _check_length(len(result))
            return result

        return watched


def _word(node: nodes.Node) -> str:
    return {"Call": "a call", "Assign": "set", "Pow": "**"}.get(
        type(node).__name__, type(node).__name__.lower()
    )


def _bounded(parts: Iterable[str], longest: int) -> str:
    kept, size = [], 0
    for part in parts:
        kept.append(part)
        size += len(part)
        _check_length(size, longest)
    return "".join(kept)


def _check_length(size: int, longest: int = LONGEST_TEXT) -> None:
    if size > longest:
        raise TemplateError(f"the text is longer than {longest:,} characters")


def _join(value: Iterable[Any], separator: str = "") -> str:
    texts = list(map(str, value))
    _check_length(sum(map(len, texts)) + len(texts) * len(separator))
    return str(separator).join(texts)


def _replace(value: object, old: str, new: str) -> str:
    text, old, new = str(value), str(old), str(new)
    _check_length(len(text) + text.count(old) * len(new))
    return text.replace(old, new)


def _round(value: float, digits: int = 0) -> float:
    return round(value, max(-_MOST_DIGITS, min(digits, _MOST_DIGITS)))


@jinja2.pass_eval_context
def _tojson(context: nodes.EvalContext, value: object) -> str:
    """Return JSON in one line: a wish for an indent could be a large one."""
    text = msgspec.json.encode(value).decode()
    return htmlsafe_json_dumps(value) if context.autoescape else text
