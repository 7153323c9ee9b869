"""A fake of Pub/Sub's REST API and of Google's token endpoint, because neither can run here.

It says so, and it is strict: it refuses what Google documents that it refuses. Tokens are verified
by google-auth, an independent library; sizes, names, attributes and ordering keys are checked as on
https://cloud.google.com/pubsub/quotas and in the reference of PubsubMessage; refusals have the
words of google.rpc.Status. One bad message refuses the whole request, as there.
"""

import base64
import binascii
import itertools
import json
import re
import time
from dataclasses import dataclass, field

from aiohttp import web
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from google.auth import jwt

AUDIENCES = {"https://pubsub.googleapis.com/"}
TOKEN_AUDIENCE = "https://oauth2.googleapis.com/token"
SCOPES = {
    "https://www.googleapis.com/auth/pubsub",
    "https://www.googleapis.com/auth/cloud-platform",
}
GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
MOST_BYTES = 10_000_000
EMAIL = "hub@test-project.iam.gserviceaccount.com"


class Key:
    """A service account's key as the console hands it out."""

    def __init__(self, email=EMAIL, key_id="kid-1"):
        self.email, self.key_id = email, key_id
        self._private = rsa.generate_private_key(public_exponent=65537, key_size=2048)

    @property
    def public_pem(self):
        return self._private.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )

    @property
    def private_pem(self):
        return self._private.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ).decode()

    def info(self, token_uri=TOKEN_AUDIENCE):
        return {
            "type": "service_account",
            "project_id": "test-project",
            "private_key_id": self.key_id,
            "private_key": self.private_pem,
            "client_email": self.email,
            "client_id": "1",
            "token_uri": token_uri,
            "universe_domain": "googleapis.com",
        }

    def json(self, **changes):
        return json.dumps({**self.info(), **changes})


class RefusedError(Exception):
    """What Google answers instead."""

    def __init__(self, status, name, message):
        super().__init__(message)
        body = {"error": {"code": status, "message": message, "status": name}}
        self.response = lambda: web.json_response(body, status=status)


def invalid(message):
    return RefusedError(400, "INVALID_ARGUMENT", message)


@dataclass
class FakePubSub:
    """Topics, the accounts that may publish to them, and what was published."""

    keys: dict = field(default_factory=dict)  #: Key by its ID
    topics: dict = field(default_factory=dict)  #: topic → emails of its publishers
    messages: list = field(default_factory=list)  #: (topic, message as it came)
    requests: int = 0
    exchanges: int = 0
    tokens: dict = field(default_factory=dict)  #: access token → (email, expires at)
    lives_seconds: int = 3599
    #: The topic's schema: tells whether it takes a message's data.
    schema: object = None
    tls: bool = True
    _numbers: object = field(default_factory=lambda: itertools.count(4985640066378276))

    def add_key(self, key):
        self.keys[key.key_id] = key
        return key

    def app(self):
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.router.add_post("/token", self._token)
        app.router.add_post("/v1/projects/{project}/topics/{topic:[^:/]+}:publish", self._publish)
        return app

    def bodies(self):
        return [base64.b64decode(message.get("data", "")) for _, message in self.messages]

    # --- the token endpoint ---

    async def _token(self, request):
        self.exchanges += 1
        form = await request.post()
        if (
            request.content_type != "application/x-www-form-urlencoded"
            or form["grant_type"] != GRANT
        ):
            return _grant_error("unsupported_grant_type", "Invalid grant_type")
        try:
            claims = self._verified(form["assertion"], {TOKEN_AUDIENCE})
        except ValueError as error:
            return _grant_error("invalid_grant", f"Invalid JWT Signature. {error}")
        if not set(claims.get("scope", "").split()) & SCOPES:
            return _grant_error(
                "invalid_scope", "Invalid OAuth scope or ID token audience provided."
            )
        token = f"ya29.{next(self._numbers)}"
        self.tokens[token] = claims["iss"], time.time() + self.lives_seconds
        granted = {"access_token": token, "expires_in": self.lives_seconds, "token_type": "Bearer"}
        return web.json_response(granted)

    def _verified(self, token, audiences):
        """Return the claims of a JWT that a known key signed. Raises ValueError."""
        certs = {kid: key.public_pem for kid, key in self.keys.items()}
        if not certs or jwt.decode_header(token).get("kid") not in certs:
            raise ValueError("no such key")
        claims = jwt.decode(token, certs=certs, audience=list(audiences))
        key = self.keys[jwt.decode_header(token)["kid"]]
        if claims["iss"] != key.email or claims["exp"] - claims["iat"] > 3600:
            raise ValueError("issuer or lifetime")
        return claims

    # --- publishing ---

    async def _publish(self, request):
        self.requests += 1
        body = await request.read()
        topic = request.path.removeprefix("/v1/").removesuffix(":publish")
        try:
            self._admit(request, topic)
            messages = _messages(body)
            if self.schema is not None and not all(self.schema(_data(m)) for m in messages):
                raise invalid("Invalid data in message: Message failed schema validation.")
        except RefusedError as refusal:
            return refusal.response()
        self.messages += [(topic, message) for message in messages]
        return web.json_response({"messageIds": [str(next(self._numbers)) for _ in messages]})

    def _admit(self, request, topic):
        email = self._caller(request.headers.get("Authorization", ""))
        if topic not in self.topics:
            raise RefusedError(404, "NOT_FOUND", f"Resource not found (resource={topic}).")
        if self.tls and email not in self.topics[topic]:
            raise RefusedError(
                403, "PERMISSION_DENIED", "User not authorized to perform this action."
            )

    def _caller(self, header):
        if not self.tls:  # the emulator
            return ""
        kind, _, token = header.partition(" ")
        email, until = self.tokens.get(token, ("", 0))
        if kind == "Bearer" and until > time.time():
            return email
        try:
            claims = self._verified(token, AUDIENCES)
        except ValueError:
            claims = {}
        if kind != "Bearer" or not claims or claims.get("sub") != claims["iss"]:
            raise RefusedError(
                401, "UNAUTHENTICATED", "Request had invalid authentication credentials."
            )
        return claims["iss"]


def _grant_error(error, description):
    return web.json_response({"error": error, "error_description": description}, status=400)


def _messages(body):
    if len(body) > MOST_BYTES:
        raise invalid("The request is too large: 10 MB at most.")
    try:
        said = json.loads(body)
    except ValueError as error:
        raise invalid(f"Invalid JSON payload received. {error}") from error
    if set(said) != {"messages"} or not isinstance(said["messages"], list):
        raise invalid('Invalid JSON payload received. Unknown name, or no "messages".')
    messages = said["messages"]
    if not 1 <= len(messages) <= 1000:
        raise invalid("The value for message_count is out of range: 1 to 1000.")
    for message in messages:
        _check(message)
    if len({m.get("orderingKey", "") for m in messages}) > 1:
        raise invalid("In a single publish request, all messages must have the same ordering key.")
    return messages


def _check(message):
    if strange := set(message) - {"data", "attributes", "orderingKey"}:
        raise invalid(f"Unknown or forbidden name {strange}.")
    attributes = message.get("attributes", {})
    if not _data(message) and not attributes:
        raise invalid("Message has neither data nor attributes.")
    if len(attributes) > 100:
        raise invalid("More than 100 attributes.")
    for name, value in attributes.items():
        if not isinstance(value, str) or not 1 <= len(name.encode()) <= 256:
            raise invalid("An attribute's name or value.")
        if len(value.encode()) > 1024 or re.match("goog", name):
            raise invalid("An attribute's value is too long, or its name begins with goog.")
    if len(message.get("orderingKey", "").encode()) > 1024:
        raise invalid("The ordering key is too long.")


def _data(message):
    try:
        return base64.b64decode(message.get("data", ""), validate=True)
    except binascii.Error as error:
        raise invalid("Base64 decoding failed.") from error
