"""What does not fit in a document: everything, each with its place."""

from collections.abc import Sequence
from typing import Any, Final

from pydantic import ValidationError

from wattwire.api.problems import Problem, field_errors

MOST: Final = 500


class Faults:
    """Collects what is wrong, so that all of it is told at once."""

    def __init__(self) -> None:
        self.found: list[dict[str, str]] = []

    def add(self, where: str, message: str, rule: str = "value_error") -> None:
        """Note a fault at a place such as `integrations[3].settings.url`."""
        self.found.append({"field": where, "message": message, "rule": rule})

    def add_invalid(self, where: str, error: ValidationError) -> None:
        """Note what a model found, without the values, which may be secrets."""
        self.found += field_errors(
            error.errors(include_url=False, include_input=False, include_context=False), where
        )

    def add_problem(self, where: str, problem: Problem) -> None:
        """Note what another part of the API found."""
        if not problem.errors:
            self.add(where, str(problem.detail))
        for error in problem.errors:
            self.found.append({**error, "field": below(where, error["field"])})

    def check(self) -> None:
        """Raise Problem 422 when there is anything."""
        if not self.found:
            return
        count = len(self.found)
        detail = "The document does not fit: " + ("1 fault." if count == 1 else f"{count} faults.")
        shown: Sequence[dict[str, Any]] = self.found[:MOST]
        raise Problem(422, detail, errors=shown)


def below(where: str, name: object) -> str:
    """Return the place of a field below another."""
    return f"{where}.{name}" if where else str(name)
