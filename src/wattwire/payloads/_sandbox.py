"""Templates that people write, rendered within bounds: no code, no endless loop, no endless text.

Jinja's sandbox keeps templates away from Python's insides, but not from `'a' * 10**9` or a loop in
a loop in a loop; and what is rendered here is rendered in the event loop of a hub that has other
things to do. So a template is read into its tree first, and whatever is not known to be bounded is
refused there: macros, blocks, includes, recursive loops, powers, and methods and filters that are
not on a list. What remains pays for each step from a budget, by the size of the code in a loop and
of the values that it handles. The budget is counted, not timed: the same event gives the same
answer on a busy machine.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain
from typing import Any, Final, cast

from jinja2 import StrictUndefined, TemplateError, TemplateSyntaxError, nodes, pass_context
from jinja2.exceptions import SecurityError
from jinja2.runtime import Context, LoopContext
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace
from jinja2.visitor import NodeTransformer

from wattwire.payloads import _filters
from wattwire.payloads._filters import Budget, TooMuchError, weigh
from wattwire.payloads.contract import RenderError

MAX_NODES: Final = 5000
MAX_STEPS: Final = 100_000
MAX_RANGE: Final = 1000
_BUDGET: Final = "_budget"

_REFUSED: Final[Mapping[type[nodes.Node], str]] = {
    nodes.Macro: "macros",
    nodes.CallBlock: "call blocks",
    nodes.Block: "blocks",
    nodes.Extends: "extends",
    nodes.Include: "include",
    nodes.Import: "import",
    nodes.FromImport: "import",
    nodes.Pow: "powers",
    nodes.ScopedEvalContextModifier: "autoescape",
}
_METHODS: Final[Mapping[type, frozenset[str]]] = {
    dict: frozenset({"items", "keys", "values", "get"}),
    str: frozenset({"upper", "lower", "strip", "startswith", "endswith", "split"}),
    LoopContext: frozenset({"cycle", "changed"}),
}


class _Bounds(NodeTransformer):
    """Refuses what has no bound, and lets loops, lists and joined texts pay for what they do."""

    def generic_visit(self, node: nodes.Node, *args: Any, **kwargs: Any) -> nodes.Node:
        for kind, words in _REFUSED.items():
            if isinstance(node, kind):
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


def _paying(work: Callable[..., Any]) -> Callable[..., Any]:
    """Return a filter that pays for what it is given and for what it returns."""

    @pass_context
    def paid(context: Context, value: Any, *args: Any, **kwargs: Any) -> Any:
        budget = _budget(context)
        given = list(value) if isinstance(value, Iterator) else value
        for part in (given, *args, *kwargs.values()):
            budget.pay(weigh(part))
        result = work(budget, given, *args, **kwargs)
        budget.pay(weigh(result))
        return result

    return paid


class _Environment(ImmutableSandboxedEnvironment):
    """Jinja with a short list of filters, tests and functions, each of which is bounded."""

    intercepted_binops = frozenset({"+", "*", "%", "**"})

    def __init__(self) -> None:
        super().__init__(
            undefined=StrictUndefined, autoescape=False, optimized=False, finalize=_finalized,
            cache_size=0, keep_trailing_newline=True, trim_blocks=True, lstrip_blocks=True,
        )  # fmt: skip
        self.globals = {"range": _range, "namespace": Namespace}
        self.filters = {name: _paying(work) for name, work in _filters.FILTERS.items()}
        self.filters |= {"_steps": _steps}
        self.filters |= {name: _paying(work) for name, work in _filters.INTERNAL.items()}
        self.tests = {name: self.tests[name] for name in _filters.TESTS}

    def getattr(self, obj: Any, attribute: str) -> Any:
        """Return an entry of a table before its method: `data.values` is what the data calls so."""
        if isinstance(obj, dict) and attribute in obj:
            return obj[attribute]
        return super().getattr(obj, attribute)

    def is_safe_callable(self, obj: Any) -> bool:
        """Tell whether this is one of the few functions and methods that are bounded."""
        if obj is _range or obj is Namespace:
            return True
        owner, name = getattr(obj, "__self__", None), getattr(obj, "__name__", "")
        return any(isinstance(owner, kind) and name in some for kind, some in _METHODS.items())

    def call(self, context: Context, function: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Call a function or method that may be called; it pays for its owner and its arguments."""
        if self.is_safe_callable(function):
            owner = getattr(function, "__self__", None)
            _budget(context).pay(sum(map(weigh, (owner, *args, *kwargs.values()))))
        return super().call(context, function, *args, **kwargs)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Add, multiply or divide within bounds."""
        return _filters.operate(_budget(context), operator, left, right, self.binop_table[operator])


def _range(*bounds: int) -> range:
    found = range(*bounds)
    if len(found) > MAX_RANGE:
        raise SecurityError(f"a range has at most {MAX_RANGE} numbers")
    return found


class Template:
    """A template that has been read. Making one raises RenderError with the line for a bad one."""

    def __init__(self, source: str) -> None:
        environment = _Environment()
        try:
            tree = _Bounds().visit(_read(environment, source))
            self._template = environment.from_string(tree)
        except TemplateSyntaxError as error:
            raise RenderError(error.message or "cannot be read", error.lineno) from None
        except TemplateError as error:
            raise RenderError(str(error)) from None
        except (RecursionError, SyntaxError, MemoryError, ValueError, OverflowError):
            raise RenderError("is nested too deeply, or has a number that is too long") from None

    def render(self, known: Mapping[str, Any]) -> str:
        """Return the text. Raises RenderError with the line where the template failed."""
        budget = Budget(MAX_STEPS)
        parts = []
        try:
            for part in self._template.generate({**known, _BUDGET: budget}):
                budget.wrote(len(part))
                parts.append(part)
        except RenderError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever a person's template runs into
            raise RenderError(_reason(error), _line_of(error)) from None
        return "".join(parts)


def _read(environment: _Environment, source: str) -> nodes.Template:
    tree = environment.parse(source)
    if sum(1 for _ in chain([tree], tree.find_all(nodes.Node))) > MAX_NODES:
        raise TemplateSyntaxError(f"a template has at most {MAX_NODES} parts", 1)
    return tree


def _reason(error: Exception) -> str:
    if isinstance(error, TooMuchError | TemplateError):
        return str(error)
    if isinstance(error, RecursionError):
        return "is nested too deeply"
    return f"{type(error).__name__}: {str(error)[:200]}"


def _line_of(error: Exception) -> int | None:
    """Return the line of the template: Jinja has put it into the traceback, in place of its own."""
    found, trace = None, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == "<template>":
            found = trace.tb_lineno
        trace = trace.tb_next
    return found
