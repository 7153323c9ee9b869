"""What a token may see: all of its organization, or some nodes and sources for some time."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

from wattwire.formats.ant_patterns import Matcher, compile_pattern


@dataclass(frozen=True, slots=True)
class Policy:
    """Limits of a token; None is no limit."""

    node_ids: frozenset[int] | None = None
    source_ids: tuple[str, ...] | None = None  #: Ant patterns
    not_after: datetime | None = None
    matchers: tuple[Matcher, ...] = ()

    @classmethod
    def read(cls, stored: Mapping[str, Any], not_after: datetime | None) -> Self:
        """Return the policy that is stored. An empty list means the same as none."""
        nodes, patterns = stored.get("node_ids"), stored.get("source_ids")
        return cls(
            frozenset(nodes) if nodes else None,
            tuple(patterns) if patterns else None,
            not_after,
            tuple(compile_pattern(pattern) for pattern in patterns or ()),
        )

    def allows_node(self, node_id: int) -> bool:
        """Tell whether the token may see a node."""
        return self.node_ids is None or node_id in self.node_ids

    def allows_source(self, source_id: str) -> bool:
        """Tell whether the token may see a source, by its whole id."""
        return self.source_ids is None or any(m.matches(source_id) for m in self.matchers)

    def covers(self, node_ids: Iterable[int] | None, source_ids: Iterable[str] | None) -> bool:
        """Tell whether filters (None: everything) let through only what the token may see.

        A pattern is covered by the same pattern, or, when it has no wildcard, as a source id.
        """
        nodes, patterns = list(node_ids or ()), list(source_ids or ())
        if self.node_ids is not None and not (nodes and self.node_ids.issuperset(nodes)):
            return False
        return self.source_ids is None or bool(
            patterns and all(self._covers_pattern(pattern) for pattern in patterns)
        )

    def _covers_pattern(self, pattern: str) -> bool:
        if pattern in (self.source_ids or ()):
            return True
        return not {"*", "?"} & set(pattern) and self.allows_source(pattern)
