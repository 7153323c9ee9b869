"""Every error has one shape: RFC 9457, `application/problem+json`.

`type` is `urn:wattwire:problem:SLUG`, `errors` names the fields of a request that do not fit.
"""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

import asyncpg
import msgspec
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import Scope

from wattwire.api.contract import IntakeUnavailableError
from wattwire.store.database import DatabaseError

MEDIA_TYPE: Final = "application/problem+json"
PREFIX: Final = "urn:wattwire:problem:"
_MAX_ERRORS: Final = 50
WRITE_PATHS: Final = ("/api/v1/write", "/api/v2/write")
#: SolarNetwork's API, whose clients know errors as `{"success": false, "message": …}`.
SOLARNETWORK_PATHS: Final = ("/solaruser/", "/solarquery/", "/solarin/")
#: Its status and code where they are not HTTP's own: it knows neither 400 nor 413 nor 503.
_SOLARNETWORK_WORDS: Final[dict[int, tuple[int, str | None]]] = {
    400: (422, None), 413: (422, "WEB.00100"), 415: (422, None),
    503: (429, None), 504: (429, "DAO.00200"),
}  # fmt: skip
#: Of InfluxDB's API description; what is not listed is an internal error.
_INFLUX_CODES: Final = {
    400: "invalid", 401: "unauthorized", 403: "forbidden", 404: "not found",
    405: "method not allowed", 413: "request too large", 415: "unsupported media type",
    422: "unprocessable entity", 429: "too many requests", 503: "unavailable",
}  # fmt: skip
_SLUGS: Final = {
    400: "malformed", 401: "unauthenticated", 403: "forbidden", 404: "not-found",
    405: "method-not-allowed", 408: "too-slow", 409: "conflict", 413: "too-large",
    415: "unsupported-media-type", 422: "invalid", 429: "too-many-requests", 500: "internal",
    503: "unavailable", 504: "timeout",
}  # fmt: skip


class FieldError(BaseModel):
    """One field of the request that does not fit."""

    field: str = Field(description="Where in the request.", examples=["settings.url"])
    message: str = Field(description="What is wrong with it.", examples=["Field required"])
    rule: str = Field(description="The rule it broke, stable.", examples=["missing"])


class ProblemBody(BaseModel):
    """What every error looks like (RFC 9457)."""

    model_config = ConfigDict(title="Problem")

    type: str = Field(description="What kind of problem, stable.", examples=[f"{PREFIX}not-found"])
    title: str = Field(description="The same in words.", examples=["Not Found"])
    status: int = Field(description="The HTTP status.", examples=[404])
    detail: str = Field(description="This case, in a sentence.", examples=["There is no device 7."])
    request_id: str = Field(
        description="Names the request in the log.", examples=["9f86d081884c7d65"]
    )
    errors: list[FieldError] = Field(default=[], description="The fields that do not fit.")


class Problem(HTTPException):
    """An answer that is an error. Raise it anywhere under a request."""

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        slug: str | None = None,
        errors: Sequence[Mapping[str, str]] = (),
        headers: Mapping[str, str] | None = None,
        **members: object,
    ) -> None:
        super().__init__(status, detail, headers=dict(headers) if headers else None)
        self.slug = slug or _SLUGS.get(status, "error")
        self.errors = errors
        self.members = members


def not_found(noun: str, key: object) -> Problem:
    """Return the problem that something is not there, or not the caller's: the same answer."""
    return Problem(404, f"There is no {noun} {key}.")


def invalid(field: str, message: str, rule: str = "value_error") -> Problem:
    """Return the problem that one field does not fit."""
    error = {"field": field, "message": message, "rule": rule}
    return Problem(422, f"{field}: {message}", errors=[error])


def problem_body(problem: Problem, request_id: str) -> dict[str, Any]:
    """Return the members of the JSON object."""
    body: dict[str, Any] = {
        "type": PREFIX + problem.slug,
        "title": HTTPStatus(problem.status_code).phrase,
        "status": problem.status_code,
        "detail": problem.detail,
        "request_id": request_id,
        **problem.members,
    }
    if problem.errors:
        body["errors"] = list(problem.errors)
    return body


def problem_response(problem: Problem, scope: Scope) -> Response:
    """Return the problem as a response; writers of line protocol find InfluxDB's members, too."""
    if scope["path"].startswith(SOLARNETWORK_PATHS):
        return _enveloped(problem)
    body = problem_body(problem, scope.get("request_id", ""))
    influx = scope["path"] in WRITE_PATHS
    if influx:
        code = _INFLUX_CODES.get(problem.status_code, "internal error")
        body = {"code": code, "message": problem.detail, **body}
    return Response(
        msgspec.json.encode(body),
        status_code=problem.status_code,
        # InfluxDB's clients look into nothing but application/json.
        media_type="application/json" if influx else MEDIA_TYPE,
        headers=problem.headers,
    )


def _enveloped(problem: Problem) -> Response:
    """Return what SolarNetwork's clients read; its own routes say most of it themselves."""
    internal = problem.status_code == 500  # noqa: PLR2004 - the hub's own fault
    message = "Internal error" if internal else problem.detail
    status, code = _SOLARNETWORK_WORDS.get(problem.status_code, (problem.status_code, None))
    waiting = {"Retry-After": "5"} if status == 429 else {}  # noqa: PLR2004 - too busy
    return Response(
        msgspec.json.encode(
            {"success": False, **({"code": code} if code else {}), "message": message}
        ),
        status_code=status,
        media_type="application/json",
        headers={"Vary": "Accept", **waiting, **(problem.headers or {})},
    )


def as_problem(error: Exception) -> Problem:  # noqa: PLR0911 - a table: one line each
    """Say any exception as a problem; what nobody foresaw is a 500 that tells nothing."""
    match error:
        case Problem():
            return error
        case RequestValidationError():
            return _invalid_request(error)
        case HTTPException():
            return Problem(error.status_code, _sentence(error), headers=error.headers)
        case TimeoutError() | asyncpg.QueryCanceledError():
            return Problem(504, "The hub could not answer in time.")
        case IntakeUnavailableError():
            return _busy("Readings cannot be kept safely at the moment; send them again.")
        case asyncpg.UniqueViolationError():
            return Problem(409, "Something with this name exists already.")
        case asyncpg.DataError():
            return Problem(422, "The request holds a value that cannot be stored.")
        case (
            asyncpg.PostgresConnectionError()
            | asyncpg.InterfaceError()
            | asyncpg.CannotConnectNowError()
            | asyncpg.AdminShutdownError()
            | asyncpg.TooManyConnectionsError()
            | asyncpg.DeadlockDetectedError()
            | asyncpg.SerializationError()
            | asyncpg.CrashShutdownError()
            | DatabaseError()
            | OSError()  # the socket is not there, or refuses
        ):
            return _busy("The database does not answer at the moment.")
        case _:
            return Problem(500, "Something went wrong in the hub; its log has the details.")


def _busy(detail: str) -> Problem:
    return Problem(503, detail, headers={"Retry-After": "5"})


def _sentence(error: HTTPException) -> str:
    sentences = {404: "There is nothing at this address.", 405: "This address has other methods."}
    plain = HTTPStatus(error.status_code).phrase
    return sentences.get(error.status_code, error.detail) if error.detail == plain else error.detail


def _invalid_request(error: RequestValidationError) -> Problem:
    found = error.errors()
    if any(e["type"] == "json_invalid" for e in found):
        return Problem(400, "The body is not JSON.", errors=field_errors(found))
    if any(e["type"] == "model_attributes_type" and e["loc"] == ("body",) for e in found):
        return Problem(422, "The body must be a JSON object, sent as application/json.")
    return Problem(422, "The request does not fit.", errors=field_errors(found))


def field_errors(found: Sequence[Any], prefix: str = "") -> list[dict[str, str]]:
    """Return what pydantic found, without the values, which may be secrets."""
    return [
        {"field": _path(e["loc"], prefix), "message": e["msg"], "rule": e["type"]}
        for e in found[:_MAX_ERRORS]
    ]


def invalid_settings(error: ValidationError, prefix: str) -> Problem:
    """Return the problem that settings do not fit their type's model."""
    found = error.errors(include_url=False, include_input=False, include_context=False)
    return Problem(422, f"The {prefix} do not fit.", errors=field_errors(found, prefix))


def _path(loc: Sequence[Any], prefix: str) -> str:
    parts = [prefix] if prefix else []
    skipped = (
        loc[1:] if loc and loc[0] in {"body", "query", "path", "header"} and not prefix else loc
    )
    for part in skipped:
        if isinstance(part, int) and parts:
            parts[-1] += f"[{part}]"
        else:
            parts.append(str(part))
    return ".".join(parts) or "body"


def install(app: FastAPI) -> None:
    """Make the app answer what its routes raise; what else is raised, `bounds` answers."""

    async def answer(request: Request, error: Exception) -> Response:
        return problem_response(as_problem(error), request.scope)

    for kind in (HTTPException, RequestValidationError):
        app.add_exception_handler(kind, answer)


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the `responses` of a route for these problems, and those every route has."""
    return {
        status: {
            "description": HTTPStatus(status).phrase,
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
        for status in sorted({*statuses, 400, 401, 403, 422, 503})
    }
