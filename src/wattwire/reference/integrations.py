"""The page of an integration type: its own words, then what its declarations say."""

from collections.abc import Iterable
from typing import Any

from wattwire.integrations.contract import IntegrationType, Verdict
from wattwire.reference.markdown import NOTICE, code, explained, field_table, span, table


def page(kind: IntegrationType[Any]) -> str:
    """Return the Markdown page of an integration type."""
    parts = [
        NOTICE + (kind.docs or ""),
        f"## Settings\n\nType `{kind.name}`. Secrets are sealed, and never shown again.\n\n"
        + field_table(kind.settings),
        _limits(kind),
        _attempts(kind),
        _answers(kind),
    ]
    return "\n".join(parts)


def _limits(kind: IntegrationType[Any]) -> str:
    limits, presets = kind.limits, kind.presets
    overhead = f", of which each message takes {limits.overhead_bytes:,} beside its body"
    call = (
        f"One call carries at most {_messages(limits.max_messages)} and {limits.max_bytes:,} bytes"
        f"{overhead if limits.overhead_bytes else ''}. Batches are "
        "cut to that. What follows can be changed for each integration (`null`: no limit).\n\n"
    )
    rows = (
        ("`rate_per_minute`", _preset(presets.rate_per_minute), "messages a minute"),
        ("`max_concurrent`", _preset(presets.max_concurrent), "calls under way"),
        ("`max_payload_bytes`", _preset(presets.max_payload_bytes), "bytes of one message"),
    )
    return f"## Limits\n\n{call}{table(('limit', 'preset', 'of'), rows)}"


def _messages(count: int) -> str:
    return "one message" if count == 1 else f"{count} messages"


def _preset(value: int | None) -> str:
    return "none" if value is None else f"{value:,}"


def _attempts(kind: IntegrationType[Any]) -> str:
    unset = kind.settings.model_construct()
    delays = ", ".join(span(delay) for delay in kind.schedule(unset))
    return (
        f"## Attempts\n\nUnless `schedule_seconds` says otherwise the attempts of a message are "
        f"this long after each other: {delays} (± 20 %, and no sooner than the service asks for)."
        " An answer may take "
        f"{span(kind.timeout_seconds(unset))}. Events are written in the format `{kind.format}` "
        "unless the integration names another.\n"
    )


def _answers(kind: IntegrationType[Any]) -> str:
    meanings = explained(Verdict)
    rows = ((code(key), code(verdict), meanings[verdict]) for key, verdict in kind.verdicts.items())
    return (
        "## What answers mean\n\nWhat is not listed is as the type itself says, above. `outcomes` "
        "of an integration changes any line.\n\n" + table(("answer", "verdict", "meaning"), rows)
    )


def index(kinds: Iterable[IntegrationType[Any]]) -> str:
    """Return the list of all types."""
    rows = ((f"[{code(k.name)}]({k.name}.md)", _sentence(k.docs)) for k in kinds)
    return f"{NOTICE}# Integrations\n\nWhere events go.\n\n{table(('type', 'does'), rows)}"


def _sentence(docs: str | None) -> str:
    return (docs or "").strip().split("\n\n")[1].partition(". ")[0].rstrip(".") + "."
