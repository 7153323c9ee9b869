"""How SolarNetwork answers: one envelope, `success, code, message, errors, data`, nulls left out.

Routes of this room are `EnvelopeRoute`s: whatever they raise that is foreseen becomes an answer of
SolarNetwork's, with its status and its code. The rest is left to the outermost layer of the API.
"""

from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, Final

import asyncpg
import msgspec
from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from wattwire.store.database import DatabaseError

MEDIA_TYPE: Final = "application/json"
_VARY: Final = {"Vary": "Accept"}
_MAX_ERRORS: Final = 50

#: What SolarNetwork says of what its database refused, by the class of the SQL state.
NOT_FOUND: Final = ("DAO.00102", "The requested key was not found.")
DUPLICATE: Final = ("DAO.00101", "An attempt to save a duplicate key has been denied.")
BAD_DATA: Final = (
    "DAO.00103",
    "An invalid query parameter was used, or a required parameter was missing.",
)
INTEGRITY: Final = (
    "DAO.00104",
    (
        "A data integrity violation occurred, such as attempting to save a null value where null "
        "is not allowed."
    ),
)
FOREIGN: Final = (
    "DAO.00105",
    "Attempted to save a reference to a non-existent entity (foreign key violation).",
)
BUSY: Final = ("DAO.00200", "The database is not available at the moment; try again.")
_BUSY_ERRORS: Final = (
    TimeoutError,
    asyncpg.QueryCanceledError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.TooManyConnectionsError,
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
    DatabaseError,
    OSError,  # the socket is not there, or refuses
)


class RefusedError(Exception):
    """An answer that is an error. Raise it anywhere under a request of this face."""

    def __init__(
        self,
        status: int,
        message: str,
        code: str | None = None,
        *,
        errors: Sequence[Mapping[str, Any]] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.errors = errors
        self.headers = headers or {}


def not_found() -> RefusedError:
    """Return the refusal that something is not there, or not the caller's: the same answer."""
    return RefusedError(404, NOT_FOUND[1], NOT_FOUND[0])


def stored_badly(kind: tuple[str, str]) -> RefusedError:
    """Return the refusal of what SolarNetwork's database would not take, such as `BAD_DATA`."""
    return RefusedError(422, kind[1], kind[0])


def illegal(what: str) -> RefusedError:
    """Return the refusal of an argument that cannot be meant."""
    return RefusedError(422, f"Illegal argument: {what}")


def check_json(request: Request) -> None:
    """Raise RefusedError 422 for a body that says it is something else than JSON."""
    said = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if said not in {"", MEDIA_TYPE} and not said.endswith("+json"):
        raise illegal(f"the Content-Type must be {MEDIA_TYPE}, not {said[:100]}")


def answer(data: Any = None, *, status: int = 200) -> Response:
    """Return a success; `data` None is left out. `data` is encoded as it is, nulls included."""
    body = {"success": True} if data is None else {"success": True, "data": data}
    return Response(msgspec.json.encode(body), status, _VARY, MEDIA_TYPE)


def refusal(error: RefusedError) -> Response:
    """Return a refusal as a response."""
    body: dict[str, Any] = {"success": False}
    if error.code is not None:
        body["code"] = error.code
    body["message"] = error.message
    if error.errors:
        body["errors"] = list(error.errors)
    headers = {**_VARY, **error.headers}
    return Response(msgspec.json.encode(body), error.status, headers, MEDIA_TYPE)


def as_refusal(error: Exception) -> RefusedError | None:  # noqa: PLR0911 - a table: one line each
    """Say a foreseen exception as a refusal; None for what nobody foresaw."""
    match error:
        case RefusedError():
            return error
        case RequestValidationError():
            return _invalid(error)
        case asyncpg.UniqueViolationError():
            return stored_badly(DUPLICATE)
        case asyncpg.ForeignKeyViolationError():
            return stored_badly(FOREIGN)
        case asyncpg.IntegrityConstraintViolationError():
            return stored_badly(INTEGRITY)
        case asyncpg.DataError():
            return stored_badly(BAD_DATA)
        case _ if isinstance(error, _BUSY_ERRORS):
            return RefusedError(429, BUSY[1], BUSY[0], headers={"Retry-After": "5"})
        case _:
            return None


def _invalid(error: RequestValidationError) -> RefusedError:
    """Return the refusal of parameters that do not fit, without their values."""
    found = [
        {
            "location": ".".join(str(part) for part in one["loc"][1:]),
            "code": one["type"],
            "message": one["msg"],
        }
        for one in error.errors()[:_MAX_ERRORS]
    ]
    message = ", ".join(f"{one['location']}: {one['message']}" for one in found)
    return RefusedError(422, message, "VAL.00004", errors=found)


#: Every method of an address, which several routes may share.
_METHODS: Final[dict[str, set[str]]] = {}


class EnvelopeRoute(APIRoute):
    """A route whose refusals have SolarNetwork's shape."""

    def __init__(self, path: str, endpoint: Callable[..., Any], **given: Any) -> None:
        super().__init__(path, endpoint, **given)
        _METHODS.setdefault(path, set()).update(self.methods or ())

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request for this address; one of another method hears of all there are."""
        if scope["method"] not in (self.methods or ()):
            raise HTTPException(405, headers={"Allow": ", ".join(sorted(_METHODS[self.path]))})
        await super().handle(scope, receive, send)

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Wrap what FastAPI makes of the route, its dependencies included."""
        inner = super().get_route_handler()

        async def handle(request: Request) -> Response:
            try:
                return await inner(request)
            except Exception as error:
                refused = as_refusal(error)
                if refused is None:
                    raise
                return refusal(refused)

        return handle
