"""The page of the command line."""

from collections.abc import Iterator
from typing import Any

from wattwire.reference.markdown import NOTICE, code, table


def page(root: Any) -> str:
    """Return the page of all commands below `root`."""
    parts = [_section(path, command) for path, command in walk(root, (root.name or "wattwire",))]
    return (
        f"{NOTICE}# Commands\n\nExit codes: 0 done, 1 refused or failed, 2 not understood, 3 the "
        "hub cannot be reached. Commands work beside a running hub: `--data-dir` finds it, "
        "`WATTWIRE_DATABASE_URL` names its database instead.\n\n" + "\n".join(parts)
    )


def walk(command: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield every command that does something, with the words that call it."""
    if not hasattr(command, "commands"):
        yield path, command
        return
    for name, inner in command.commands.items():
        if not inner.hidden:
            yield from walk(inner, (*path, name))


def _section(path: tuple[str, ...], command: Any) -> str:
    shown = [p for p in command.params if not getattr(p, "hidden", False) and p.name != "help"]
    arguments = [p for p in shown if p.param_type_name == "argument"]
    words = [p.name.upper() if p.required else f"[{p.name.upper()}]" for p in arguments]
    rows = [(_names(p), _default(p), p.help or "") for p in shown]
    return f"## {' '.join(path)}\n\n{command.help or ''}\n\n    {' '.join([*path, *words])}\n\n" + (
        table(("option", "default", "meaning"), rows) if rows else ""
    )


def _names(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return code(parameter.name.upper())
    return ", ".join(map(code, (*parameter.opts, *parameter.secondary_opts)))


def _default(parameter: Any) -> str:
    if parameter.required:
        return "required"
    if getattr(parameter, "multiple", False) or parameter.default is None:
        return ""
    if isinstance(parameter.default, bool):
        return "" if not parameter.secondary_opts else code(parameter.opts[0])
    return code(parameter.default)
