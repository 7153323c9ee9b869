"""`wattwire doctor`: what is wrong, and what to do about it."""

import asyncio
from collections.abc import Iterable

import typer

from wattwire.cli.checkup import Finding, Level, examine
from wattwire.cli.output import show_json
from wattwire.cli.reach import DataDirOption, JsonOption, load_settings

_MARKS = {Level.OK: "ok  ", Level.WARNING: "warn", Level.FAULT: "FAIL"}


def doctor(data_dir: DataDirOption = None, as_json: JsonOption = False) -> None:
    """Look at everything the hub needs and say what is wrong. Exit code 1 when something is."""
    findings = asyncio.run(examine(load_settings(data_dir)))
    faulty = any(f.level is Level.FAULT for f in findings)
    if as_json:
        show_json({"ok": not faulty, "findings": [f._asdict() for f in findings]})
    else:
        _print(findings)
    raise typer.Exit(1 if faulty else 0)


def _print(findings: Iterable[Finding]) -> None:
    for finding in findings:
        print(f"{_MARKS[finding.level]}  {finding.name}: {finding.detail}")
        if finding.advice:
            print(f"      -> {finding.advice}")
