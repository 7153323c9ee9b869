"""Templates that people write, rendered within bounds: no way out, no endless loop or text.

Jinja's sandbox keeps templates away from Python's insides, but not from `'a' * 10**9` or a loop in
a loop in a loop; and what is rendered here is rendered by a hub that has other things to do. So a
template is read into its tree first, and whatever is not on the list of what is known to be bounded
is refused there: macros, blocks, includes, recursive loops, powers. Attributes, methods and filters
are those that are listed. What remains pays for each step from a budget, by the size of the code in
a loop and of the values that it handles. The budget is counted, not timed: the same event gives the
same answer on a busy machine. Behind it stands a clock of the processor's time, which is no other
when others are busy.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import chain
from typing import Any, Final, cast

import jinja2
from jinja2 import StrictUndefined, TemplateSyntaxError, Undefined, nodes, pass_context
from jinja2.exceptions import SecurityError
from jinja2.runtime import Context, LoopContext
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace
from jinja2.visitor import NodeTransformer

from wattwire.formats import template_filters as filters
from wattwire.formats.template_filters import Budget, TooMuchError, weigh

MAX_NODES: Final = 5000
MAX_STEPS: Final = 100_000
MAX_RANGE: Final = 1000
_LONGEST_REASON: Final = 300
_BUDGET: Final = "_budget"

_DATA: Final[tuple[type[nodes.Node], ...]] = (
    nodes.Template, nodes.Output, nodes.TemplateData, nodes.Name, nodes.Const, nodes.Getattr,
    nodes.Getitem, nodes.Slice, nodes.Filter, nodes.Test, nodes.If, nodes.For, nodes.CondExpr,
    nodes.Compare, nodes.Operand, nodes.And, nodes.Or, nodes.Not, nodes.Concat, nodes.Add,
    nodes.Sub, nodes.Mul, nodes.Div, nodes.FloorDiv, nodes.Mod, nodes.Neg, nodes.Pos, nodes.Tuple,
    nodes.List, nodes.Keyword,
)  # fmt: skip
_CODE: Final[tuple[type[nodes.Node], ...]] = (
    *_DATA, nodes.Call, nodes.Dict, nodes.Pair, nodes.Assign, nodes.AssignBlock, nodes.NSRef,
    nodes.With, nodes.FilterBlock,
)  # fmt: skip
_WORDS: Final[Mapping[type[nodes.Node], str]] = {
    nodes.Macro: "macros",
    nodes.CallBlock: "call blocks",
    nodes.Block: "blocks",
    nodes.FromImport: "import",
    nodes.Pow: "powers",
    nodes.ScopedEvalContextModifier: "autoescape",
    nodes.Call: "calls",
    nodes.Assign: "set",
    nodes.AssignBlock: "set",
    nodes.Dict: "tables",
    nodes.FilterBlock: "filter blocks",
}
_METHODS: Final[Mapping[type, frozenset[str]]] = {
    dict: frozenset({"items", "keys", "values", "get"}),
    str: frozenset({"upper", "lower", "strip", "startswith", "endswith", "split"}),
    LoopContext: frozenset({"cycle", "changed"}),
}


@dataclass(frozen=True, slots=True)
class Rules:
    """What templates of a kind may do, and how much."""

    html: bool = False  #: whether what is written into it is escaped
    code: bool = False  #: whether there are `set`, `with`, `range`, `namespace` and methods
    longest_source: int = 50_000  #: characters
    longest_text: int = filters.MAX_TEXT  #: characters of what is rendered


class TemplateError(ValueError):
    """A template that cannot be read, or not with these data; the message is one line.

    `line` is where in the template, `name` which of several it was.
    """

    def __init__(self, reason: str, line: int | None = None, name: str = "") -> None:
        self.reason, self.line, self.name = _one_line(reason), line, name
        where = [name] if name else []
        where += [] if line is None else [f"line {line}"]
        super().__init__(": ".join([", ".join(where), self.reason] if where else [self.reason]))


class Template:
    """A template that has been read. Making one raises TemplateError for a bad one."""

    def __init__(self, source: str, rules: Rules = Rules()) -> None:
        self._longest = rules.longest_text
        if len(source) > rules.longest_source:
            raise TemplateError(f"is longer than {rules.longest_source:,} characters")
        environment = _environment(rules)
        try:
            tree = _Bounds(rules).visit(_read(environment, source))
            self._template = environment.from_string(tree)
        except TemplateSyntaxError as error:
            raise TemplateError(error.message or "cannot be read", error.lineno) from None
        except jinja2.TemplateError as error:
            raise TemplateError(str(error)) from None
        except (RecursionError, SyntaxError, MemoryError, ValueError, OverflowError):
            raise TemplateError("is nested too deeply, or has a number that is too long") from None

    def render(self, known: Mapping[str, Any], longest: int | None = None) -> str:
        """Return the text, of at most `longest` characters where that is less than the rules say.

        Raises TemplateError with the line where the template failed.
        """
        most = self._longest if longest is None else min(longest, self._longest)
        budget = Budget(MAX_STEPS, most)
        parts = []
        try:
            for part in self._template.generate({**known, _BUDGET: budget}):
                budget.wrote(len(part))
                parts.append(part)
        except Exception as error:  # noqa: BLE001 - whatever a person's template runs into
            raise TemplateError(_reason(error), _line_of(error)) from None
        return "".join(parts)


def _read(environment: "_Environment", source: str) -> nodes.Template:
    tree = environment.parse(source)
    if sum(1 for _ in chain([tree], tree.find_all(nodes.Node))) > MAX_NODES:
        raise TemplateSyntaxError(f"a template has at most {MAX_NODES} parts", 1)
    return tree


def _reason(error: Exception) -> str:
    if isinstance(error, TooMuchError | jinja2.TemplateError):
        return str(error)
    if isinstance(error, RecursionError):
        return "is nested too deeply"
    return f"{type(error).__name__}: {error}"


def _one_line(text: str) -> str:
    shown = "".join(c if c.isprintable() else " " for c in text[: 4 * _LONGEST_REASON])
    return " ".join(shown.split())[:_LONGEST_REASON]


def _line_of(error: Exception) -> int | None:
    """Return the line of the template: Jinja has put it into the traceback, in place of its own."""
    found, trace = None, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == "<template>":
            found = trace.tb_lineno
        trace = trace.tb_next
    return found


class _Bounds(NodeTransformer):
    """Refuses what has no bound, and lets loops, lists and joined texts pay for what they do."""

    def __init__(self, rules: Rules) -> None:
        self._allowed = _CODE if rules.code else _DATA

    def generic_visit(self, node: nodes.Node, *args: Any, **kwargs: Any) -> nodes.Node:
        kind = type(node)
        if kind not in self._allowed:
            words = _WORDS.get(kind, kind.__name__.lower())
            raise TemplateSyntaxError(f"{words} cannot be used here", node.lineno)
        if isinstance(node, nodes.Name) and node.name.startswith("_"):
            raise TemplateSyntaxError("names do not begin with _", node.lineno)
        if isinstance(node, nodes.Filter) and (node.name or "").startswith("_"):
            raise TemplateSyntaxError(f"No filter named {node.name!r}.", node.lineno)
        visited: nodes.Node = super().generic_visit(node, *args, **kwargs)
        return visited

    def visit_For(self, node: nodes.For) -> nodes.Node:  # noqa: N802 - the visitor's way of naming
        if node.recursive:
            raise TemplateSyntaxError("recursive loops cannot be used here", node.lineno)
        cost = sum(1 for _ in node.find_all(nodes.Node))
        self.generic_visit(node)
        node.iter = _filter(node.iter, "_steps", nodes.Const(cost))
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:  # noqa: N802 - as above
        self.generic_visit(node)
        return _filter(nodes.List(node.nodes, lineno=node.lineno), "_concat")

    def visit_Compare(self, node: nodes.Compare) -> nodes.Node:  # noqa: N802 - as above
        self.generic_visit(node)
        node.expr = _filter(node.expr, "_weighed")
        for operand in node.ops:
            operand.expr = _filter(operand.expr, "_weighed")
        return node

    def visit_Test(self, node: nodes.Test) -> nodes.Node:  # noqa: N802 - as above
        self.generic_visit(node)
        node.node = _filter(node.node, "_weighed")
        node.args = [_filter(argument, "_weighed") for argument in node.args]
        return node

    def visit_Getitem(self, node: nodes.Getitem) -> nodes.Node:  # noqa: N802 - as above
        part = node.arg
        self.generic_visit(node)
        return _filter(node, "_weighed") if isinstance(part, nodes.Slice) else node

    def visit_List(self, node: nodes.List) -> nodes.Node:  # noqa: N802 - as above
        self.generic_visit(node)
        return _filter(node, "_weighed")

    def visit_Dict(self, node: nodes.Dict) -> nodes.Node:  # noqa: N802 - as above
        self.generic_visit(node)
        return _filter(node, "_weighed")

    def visit_Tuple(self, node: nodes.Tuple) -> nodes.Node:  # noqa: N802 - as above
        self.generic_visit(node)
        return node if node.ctx == "store" else _filter(node, "_weighed")


def _filter(node: nodes.Node, name: str, *arguments: nodes.Expr) -> nodes.Filter:
    return nodes.Filter(
        cast("nodes.Expr", node), name, list(arguments), [], None, None, lineno=node.lineno
    )


def _budget(context: Context) -> Budget:
    budget: Budget = context[_BUDGET]
    return budget


@pass_context
def _steps(context: Context, values: Iterable[Any], cost: int) -> Iterator[Any]:
    budget = _budget(context)
    for value in values:
        budget.pay(cost)
        yield value


@pass_context
def _finalized(context: Context, value: Any) -> Any:
    """Return what is written for a value of an expression: text and numbers, nothing else."""
    return _budget(context).text(value)


def _paying(work: Callable[..., Any], weight: Callable[[Any], int]) -> Callable[..., Any]:
    """Return a filter that pays for what it is given and for what it returns."""

    @pass_context
    def paid(context: Context, value: Any, *args: Any, **kwargs: Any) -> Any:
        budget = _budget(context)
        given = list(value) if isinstance(value, Iterator) else value
        for part in (given, *args, *kwargs.values()):
            budget.pay(weight(part))
        result = work(budget, given, *args, **kwargs)
        budget.pay(weight(result))
        return result

    return paid


class _Environment(ImmutableSandboxedEnvironment):
    """Jinja with a short list of filters, tests and functions, each of which is bounded."""

    intercepted_binops = frozenset({"+", "*", "%", "**"})

    def __init__(self, rules: Rules) -> None:
        super().__init__(
            undefined=StrictUndefined, autoescape=rules.html, optimized=False, cache_size=0,
            finalize=_finalized, keep_trailing_newline=True, trim_blocks=True, lstrip_blocks=True,
        )  # fmt: skip
        self._code = rules.code
        self.globals = {"range": _range, "namespace": Namespace} if rules.code else {}
        chosen = {**filters.FILTERS, **(filters.HTML if rules.html else {}), **filters.INTERNAL}
        self.filters = {
            name: _paying(work, filters.glance if name in filters.SHALLOW else weigh)
            for name, work in chosen.items()
        }
        self.filters["_steps"] = _steps
        self.tests = {name: self.tests[name] for name in filters.TESTS}

    def getattr(self, obj: Any, attribute: str) -> Any:
        """Return an entry of a table before its method: `data.values` is what the data calls so.

        There are no attributes but the listed methods, and what a loop or a namespace knows.
        """
        if isinstance(obj, Mapping) and attribute in obj:
            return obj[attribute]
        own = isinstance(obj, LoopContext | Namespace) and not attribute.startswith("_")
        if own or _is_listed(obj, attribute):
            return super().getattr(obj, attribute)
        return self.undefined(obj=obj, name=attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        """Return a part of the data by its name or number."""
        try:
            if isinstance(obj, Mapping | Sequence):
                return obj[argument]
        except (LookupError, TypeError):
            pass
        return self.undefined(obj=obj, name=argument)

    def is_safe_callable(self, obj: Any) -> bool:
        """Tell whether this is one of the few functions and methods that are bounded."""
        if not self._code:
            return False
        if obj is _range or obj is Namespace:
            return True
        return _is_listed(getattr(obj, "__self__", None), getattr(obj, "__name__", ""))

    def call(self, context: Context, function: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Call a function or method that may be called; it pays for its owner and its arguments."""
        if not self.is_safe_callable(function):
            unknown = isinstance(function, Undefined)
            name = function._undefined_name if unknown else type(function).__name__  # noqa: SLF001 - Jinja's documented way to ask
            raise SecurityError(f"{name!r} is not safely callable")
        owner = getattr(function, "__self__", None)
        _budget(context).pay(sum(map(weigh, (owner, *args, *kwargs.values()))))
        return super().call(context, function, *args, **kwargs)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Add, multiply or divide within bounds."""
        return filters.operate(_budget(context), operator, left, right, self.binop_table[operator])


@cache
def _environment(rules: Rules) -> _Environment:
    return _Environment(rules)


def _is_listed(owner: Any, method: str) -> bool:
    return any(isinstance(owner, kind) and method in some for kind, some in _METHODS.items())


def _range(*bounds: int) -> range:
    found = range(*bounds)
    if len(found) > MAX_RANGE:
        raise SecurityError(f"a range has at most {MAX_RANGE} numbers")
    return found
