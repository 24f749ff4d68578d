"""Who may do what: bearer tokens with roles, requests from other sites' pages, and how many requests at a time.

Without tokens the server is open to whoever reaches it, which is this machine (`serve` sees to that). A page of another
site that runs in a browser here reaches it too: so the `Host` must then be a name of this machine (against DNS
rebinding), and a request that changes something must not come from another origin.
"""

from __future__ import annotations

import hmac
import time
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from reconstruction_pipeline.settings import WEB_ROLES, Web

COOKIE = "reconstruct_token"
LOOPBACK = ("localhost", "127.0.0.1", "::1")
SAFE = ("GET", "HEAD", "OPTIONS")
WRONG_TOKENS = (1 / 3, 20.0)
STARTS = (1.0, 40.0)
MOST_CLIENTS = 10_000


class Buckets:
    """Token buckets: `rate` requests a second and client, and at most `burst` at once. In memory, per process."""

    def __init__(self, rate: float, burst: float) -> None:
        self.rate, self.burst = rate, burst
        self._left: dict[str, tuple[float, float]] = {}

    def wait(self, client: str) -> float:
        """Take one; seconds to wait until there is one again, 0 when it was taken."""
        now = time.monotonic()
        left, since = self._left.pop(client, (self.burst, now))
        left = min(self.burst, left + (now - since) * self.rate)
        taken = left >= 1
        self._left[client] = (left - 1 if taken else left, now)  # re-inserted: the oldest come first
        if len(self._left) > MOST_CLIENTS:
            del self._left[next(iter(self._left))]
        return 0.0 if taken else (1 - left) / self.rate


@dataclass
class Guard:
    """The decisions, apart from HTTP; `host` is the address that the server listens on."""

    web: Web
    host: str = "127.0.0.1"
    requests: Buckets = field(init=False)
    starts: Buckets = field(default_factory=lambda: Buckets(*STARTS))
    wrong: Buckets = field(default_factory=lambda: Buckets(*WRONG_TOKENS))

    def __post_init__(self) -> None:
        self.requests = Buckets(self.web.requests_per_second, max(10.0, 4 * self.web.requests_per_second))

    def role(self, headers: Headers) -> str | None:
        """The role of the request's token; "admin" where no tokens are set, None for a wrong or missing one."""
        if not self.web.tokens:
            return "admin"
        given = token_of(headers)
        # Every one is compared, in constant time, so that the time tells nothing.
        found = [role for token, role in self.web.tokens.items() if hmac.compare_digest(token.encode(), given.encode())]
        return found[0] if found else None

    def is_ours(self, headers: Headers) -> bool:
        """Whether the `Host` is a name of this machine; with tokens any will do."""
        return bool(self.web.tokens) or hostname(headers.get("host", "")) in (*LOOPBACK, self.host.strip("[]"))

    def same_origin(self, headers: Headers) -> bool:
        """Whether the request comes from our page or from no page at all, or from an origin that was allowed."""
        origin = headers.get("origin")
        if origin is None or origin in self.web.cors_origins:
            return True
        return urlsplit(origin).netloc == headers.get("host")


def hostname(host: str) -> str:
    """The name in a `Host` header, without the port."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def token_of(headers: Headers) -> str:
    """The bearer token, or the one that the page keeps in its cookie; "" if there is none."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return token.strip()
    try:
        found = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
    except CookieError:
        return ""
    return found.value if found else ""


def allows(role: str | None, needed: str) -> bool:
    """Whether a role includes another: read < upload < admin."""
    return role is not None and WEB_ROLES.index(role) >= WEB_ROLES.index(needed)


class GuardMiddleware:
    """Applies the guard to every request and WebSocket before anything of it is read; leaves the role in its state."""

    def __init__(self, app: ASGIApp, guard: Guard) -> None:
        self.app, self.guard = app, guard

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer it."""
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        client = (scope.get("client") or ("unknown", 0))[0]
        scope.setdefault("state", {})
        scope["state"]["role"] = role = self.guard.role(headers)
        scope["state"]["client"] = client
        if refusal := self._refusal(scope, headers, client, role):
            status, sentence, more = refusal
            await JSONResponse({"detail": sentence}, status, {**SECURITY_HEADERS, **more})(scope, receive, send)
            return
        await self.app(scope, receive, with_security_headers(send) if scope["type"] == "http" else send)

    def _refusal(
        self, scope: Scope, headers: Headers, client: str, role: str | None
    ) -> tuple[int, str, Mapping[str, str]] | None:
        if not self.guard.is_ours(headers):
            return 403, "This server answers only under a name of its own machine; set tokens to open it further.", {}
        changes = scope["type"] == "websocket" or scope["method"] not in SAFE
        if changes and not self.guard.same_origin(headers):
            return 403, "Requests from another site's page are not accepted.", {}
        if role is None and token_of(headers) and (wait := self.guard.wrong.wait(client)):
            return 429, "Too many wrong tokens from this address; wait a little.", retry_after(wait)
        if wait := self.guard.requests.wait(client):
            return 429, "Too many requests from this address; wait a little.", retry_after(wait)
        return None


SECURITY_HEADERS = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin", "X-Frame-Options": "DENY"}


def with_security_headers(send: Send) -> Send:
    """`send` with the headers that every answer carries."""

    async def sender(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            extra = [(name.lower().encode(), value.encode()) for name, value in SECURITY_HEADERS.items()]
            message = {**message, "headers": [*message["headers"], *extra]}
        await send(message)

    return sender


def retry_after(seconds: float) -> dict[str, str]:
    """The header that says how long to wait."""
    return {"Retry-After": str(max(1, round(seconds + 0.5)))}
