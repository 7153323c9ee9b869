"""Who gets a message, and which retained messages a filter asks for: two trees, pure.

Both walk a topic level by level over the set of nodes reached so far, never by recursion, so that
a topic of thousands of levels costs time and nothing else.
"""

from collections import OrderedDict
from collections.abc import Iterator, MutableMapping
from typing import Final, Generic, TypeVar

from wattwire.mqtt.topics import has_wildcard

S = TypeVar("S")
V = TypeVar("V")

REMEMBERED: Final = 8192  #: topics whose answer a SubscriptionTree remembers


class _Node(Generic[S]):
    """One level of the filters; `here` ends at it, `below` ends in `/#` after it."""

    __slots__ = ("below", "children", "here")

    def __init__(self) -> None:
        self.children: dict[str, _Node[S]] = {}
        self.here: dict[S, int] = {}
        self.below: dict[S, int] = {}

    def is_empty(self) -> bool:
        return not (self.children or self.here or self.below)


class SubscriptionTree(Generic[S]):
    """Filters of subscribers with their granted QoS; S is anything hashable.

    The answer for a topic is remembered until a subscription that could change it changes.
    """

    def __init__(self, remembered: int = REMEMBERED) -> None:
        self._root: _Node[S] = _Node()
        self._answers: OrderedDict[str, tuple[tuple[S, int], ...]] = OrderedDict()
        self._limit = remembered
        self.count = 0  #: subscriptions held

    def add(self, topic_filter: str, subscriber: S, qos: int) -> None:
        """Subscribe, or change the QoS of a subscription."""
        *levels, last = topic_filter.split("/")
        node = self._root
        for level in levels if last == "#" else (*levels, last):
            node = node.children.setdefault(level, _Node())
        place = node.below if last == "#" else node.here
        self.count += subscriber not in place
        place[subscriber] = qos
        self._forget(topic_filter)

    def remove(self, topic_filter: str, subscriber: S) -> bool:
        """Unsubscribe; tell whether there was such a subscription."""
        *levels, last = topic_filter.split("/")
        path = self._path(levels if last == "#" else [*levels, last])
        place: MutableMapping[S, int] = {}
        if path:
            place = path[-1][1].below if last == "#" else path[-1][1].here
        if place.pop(subscriber, None) is None:
            return False
        self.count -= 1
        self._prune(path)
        self._forget(topic_filter)
        return True

    def _path(self, levels: list[str]) -> list[tuple[str, _Node[S]]]:
        """Return the nodes on the way to a filter, or nothing when it is not there."""
        path = [("", self._root)]
        for level in levels:
            node = path[-1][1].children.get(level)
            if node is None:
                return []
            path.append((level, node))
        return path

    @staticmethod
    def _prune(path: list[tuple[str, _Node[S]]]) -> None:
        while len(path) > 1 and path[-1][1].is_empty():
            level, _ = path.pop()
            del path[-1][1].children[level]

    def _forget(self, topic_filter: str) -> None:
        if has_wildcard(topic_filter):
            self._answers.clear()
        else:
            self._answers.pop(topic_filter, None)

    def match(self, topic: str) -> tuple[tuple[S, int], ...]:
        """Return each subscriber of a topic once, with the highest QoS granted to it for it."""
        answer = self._answers.get(topic)
        if answer is None:
            answer = tuple(self._walk(topic).items())
            if len(self._answers) >= self._limit:
                self._answers.popitem(last=False)
            self._answers[topic] = answer
        else:
            self._answers.move_to_end(topic)
        return answer

    def _walk(self, topic: str) -> dict[S, int]:
        found: dict[S, int] = {}
        nodes, wild = [self._root], not topic.startswith("$")
        for level in topic.split("/"):
            following = []
            for node in nodes:
                if wild:
                    _collect(found, node.below)
                reached = (node.children.get(level), node.children.get("+") if wild else None)
                following += [child for child in reached if child is not None]
            nodes, wild = following, True
            if not nodes:
                break
        for node in nodes:
            _collect(found, node.here)
            _collect(found, node.below)
        return found


def _collect(found: dict[S, int], place: dict[S, int]) -> None:
    for subscriber, qos in place.items():
        if qos >= found.get(subscriber, 0):
            found[subscriber] = qos


class _Leaf(Generic[V]):
    __slots__ = ("children", "value")

    def __init__(self) -> None:
        self.children: dict[str, _Leaf[V]] = {}
        self.value: tuple[str, V] | None = None


class TopicTree(Generic[V]):
    """One value per topic, found by filter; used for retained messages."""

    def __init__(self) -> None:
        self._root: _Leaf[V] = _Leaf()
        self._values: dict[str, V] = {}

    def __len__(self) -> int:
        return len(self._values)

    def get(self, topic: str) -> V | None:
        """Return the value of a topic, if it has one."""
        return self._values.get(topic)

    def put(self, topic: str, value: V) -> None:
        """Keep a value, in place of an earlier one."""
        node = self._root
        for level in topic.split("/"):
            node = node.children.setdefault(level, _Leaf())
        node.value = (topic, value)
        self._values[topic] = value

    def discard(self, topic: str) -> V | None:
        """Forget the value of a topic and return it, if it had one."""
        if topic not in self._values:
            return None
        path, levels = [self._root], topic.split("/")
        for level in levels:
            path.append(path[-1].children[level])
        path[-1].value = None
        while levels and not path[-1].children and path[-1].value is None:
            path.pop()
            del path[-1].children[levels.pop()]
        return self._values.pop(topic)

    def find(self, topic_filter: str) -> Iterator[tuple[str, V]]:
        """Yield topic and value of everything a valid filter matches."""
        if not has_wildcard(topic_filter):
            value = self._values.get(topic_filter)
            if value is not None:
                yield topic_filter, value
            return
        levels = topic_filter.split("/")
        nodes = self._reach(levels[:-1] if levels[-1] == "#" else levels)
        if levels[-1] != "#":
            yield from (node.value for node in nodes if node.value is not None)
        elif nodes == [self._root]:
            yield from _below([n for k, n in self._root.children.items() if k[:1] != "$"])
        else:
            yield from _below(nodes)

    def _reach(self, levels: list[str]) -> list[_Leaf[V]]:
        nodes = [self._root]
        for depth, level in enumerate(levels):
            if level == "+":
                nodes = [
                    child
                    for node in nodes
                    for name, child in node.children.items()
                    if depth or not name.startswith("$")
                ]
            else:
                nodes = [node.children[level] for node in nodes if level in node.children]
        return nodes


def _below(nodes: list[_Leaf[V]]) -> Iterator[tuple[str, V]]:
    while nodes:
        node = nodes.pop()
        if node.value is not None:
            yield node.value
        nodes.extend(node.children.values())
