"""Hook services: every integration type as SolarNetwork's clients see it.

The type `aws_sqs` is SolarNetwork's own SQS service, under the name its documentation has and under
the one its server has today. The others have the type's name, and the type's settings.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from pydantic import ValidationError

from wattwire.solarnetwork import queues
from wattwire.solarnetwork.masks import mask
from wattwire.solarnetwork.specifiers import Leaf, at, flatten, leaves_of, nest
from wattwire.store import sealing

SQS: Final = "net.solarnetwork.central.user.event.dest.sqs.SqsUserNodeEventHookService"
SQS_TODAY: Final = "net.solarnetwork.central.user.datum.event.dest.sqs.SqsUserNodeEventHookService"
_SQS_TYPE: Final = "aws_sqs"

Flat = dict[str, Any]


def _same(flat: Mapping[str, Any]) -> Flat:
    return dict(flat)


@dataclass(frozen=True, slots=True)
class Service:
    """A hook service."""

    id: str
    kind: Any  #: the integration type
    leaves: tuple[Leaf, ...]  #: the type's settings
    shown: tuple[Leaf, ...]  #: what its form asks for
    secure_keys: frozenset[str]  #: the properties that are shown as digests
    to_settings: Callable[[Mapping[str, Any]], Flat] = _same
    to_properties: Callable[[Mapping[str, Any]], Flat] = _same

    def properties(self, stored: Mapping[str, Any]) -> Flat:
        """Return the properties of stored settings, secrets in clear; defaults are left out."""
        tops = _tops(self.leaves)
        extra = {k: v for k, v in stored.items() if k not in tops and v is not None}
        told: Flat = {}
        for leaf in self.leaves:
            value = at(stored, leaf.key)
            if value is not None and value != leaf.default and value not in ([], {}):
                told[leaf.key] = value
        return self.to_properties(told | extra)

    def masked(self, properties: Mapping[str, Any]) -> Flat:
        """Return properties as they may be shown."""
        secure = self.secure_keys
        return {k: mask(v) if k in secure else v for k, v in properties.items()}

    def stored(self, properties: Mapping[str, Any]) -> tuple[sealing.Tree, sealing.Tree]:
        """Return (settings, secrets) to be stored.

        As SolarNetwork, the hub stores settings that cannot work; delivery says what is wrong.
        """
        tree = nest(self.to_settings(properties), self.leaves)
        try:
            public, secret = sealing.part(self.kind.settings.model_validate(tree))
        except ValidationError:
            return _parted(tree, self.leaves)
        public.pop("type", None)
        return public, secret


def _tops(leaves: tuple[Leaf, ...]) -> set[str]:
    return {leaf.key.partition(".")[0] for leaf in leaves}


def _parted(tree: sealing.Tree, leaves: tuple[Leaf, ...]) -> tuple[sealing.Tree, sealing.Tree]:
    """Part what no model understood: secret is what a form hides, and what nobody knows."""
    flat = flatten(tree, leaves)
    hidden = {leaf.key for leaf in leaves if leaf.secret}
    public = nest({k: v for k, v in flat.items() if k not in hidden}, leaves)
    secret = nest({k: v for k, v in flat.items() if k in hidden}, leaves)
    rest = {k: v for k, v in tree.items() if k not in _tops(leaves)}
    return public, secret | rest


@dataclass(slots=True)
class _Made:
    types: Mapping[str, Any] | None = None
    services: Mapping[str, Service] = field(default_factory=dict)


_MADE: Final = _Made()


def services_of(types: Mapping[str, Any]) -> Mapping[str, Service]:
    """Return the services by their ids: SolarNetwork's first, the others by name.

    Those of the same types are made once: a hub's types do not change while it runs.
    """
    if _MADE.types is not types:
        _MADE.types, _MADE.services = types, _make(types)
    return _MADE.services


def _make(types: Mapping[str, Any]) -> dict[str, Service]:
    rest = sorted(name for name in types if name != _SQS_TYPE)
    found = [_sqs(types[_SQS_TYPE])] if _SQS_TYPE in types else []
    for name in rest:
        leaves = leaves_of(types[name].settings)
        found.append(Service(name, types[name], leaves, leaves, _secrets(leaves)))
    return {service.id: service for service in found}


def _secrets(leaves: tuple[Leaf, ...]) -> frozenset[str]:
    return frozenset(leaf.key for leaf in leaves if leaf.secret)


def _sqs(kind: Any) -> Service:
    leaves = leaves_of(kind.settings)
    by_key = {leaf.key: leaf for leaf in leaves}
    shown = tuple(
        Leaf(word, "string", None, by_key[key].secret, (), "")
        for word, key in queues.RENAMED.items()
    )
    words = {key: word for word, key in queues.RENAMED.items()}
    secure = frozenset(words.get(key, key) for key in _secrets(leaves))
    return Service(SQS, kind, leaves, shown, secure, queues.to_settings, queues.to_properties)


def find_service(services: Mapping[str, Service], identifier: str) -> Service | None:
    """Return the service of an id, by any of its names."""
    return services.get(SQS if identifier in (SQS_TODAY, _SQS_TYPE) else identifier)
