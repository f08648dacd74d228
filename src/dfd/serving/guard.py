"""What every request goes through: who may ask, what browsers may do with the answer, figures and the log."""

import hmac
import logging
import re
import time
import uuid
from dataclasses import dataclass

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dfd.serving.logs import Log
from dfd.serving.metrics import Metrics
from dfd.serving.problems import Problem

log = logging.getLogger(__name__)

HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' blob: data:; object-src 'none'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
KEYED = ("/v1/", "/metrics")  # the page itself, the API's description and health hold nothing of anybody
ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
LOCAL = ("localhost", "127.0.0.1", "::1")
CLOSED = 499  # in log and figures: the client left before the answer (nginx's code)


@dataclass
class Seen:
    """What the log tells of a request."""

    id: str
    images: int = 0
    bytes: int = 0
    errors: int = 0


class Guard:
    """ASGI middleware around the whole application.

    `key`: what requests to KEYED paths must show; None: nothing. `local`: only this machine's own names are accepted as
    host, so that no foreign page can reach a server at 127.0.0.1 under a name of its own (DNS rebinding).
    """

    def __init__(
        self, app: ASGIApp, metrics: Metrics, log: Log, routes: set[str], key: str | None, local: bool
    ) -> None:
        self._app, self._metrics, self._log, self._routes = app, metrics, log, routes
        self._key, self._local = key, local

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        seen = Seen(_id(headers))
        scope["seen"] = seen
        status, start = CLOSED, time.monotonic()

        async def sent(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                out = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    out.setdefault(name, value)
                out["X-Request-ID"] = seen.id
                out.setdefault("Cache-Control", "no-store")
            await send(message)

        try:
            await self._within(scope, headers, receive, sent)
        finally:
            self._tell(scope, seen, status, time.monotonic() - start)

    async def _within(self, scope: Scope, headers: Headers, receive: Receive, send: Send) -> None:
        try:
            self._check(scope, headers)
            await self._app(scope, receive, send)
        except Problem as problem:
            await answer(problem)(scope, receive, send)
        except ClientDisconnect:
            pass
        except Exception:  # the application has answered with 500 and passes it on for this
            log.exception("request %s failed", scope["seen"].id)

    def _check(self, scope: Scope, headers: Headers) -> None:
        """Raise Problem for a request that may not be made."""
        if self._local and _host(headers.get("host", "")) not in LOCAL:
            raise Problem(403, "this server answers under localhost and 127.0.0.1 alone (host)")
        if scope["method"] not in ("GET", "HEAD") and headers.get("sec-fetch-site") in ("cross-site", "same-site"):
            raise Problem(403, "pages of other sites may not use this server")
        if self._key is not None and scope["path"].startswith(KEYED) and not _shows(headers, self._key):
            raise Problem(
                401,
                "an API key is needed: Authorization: Bearer KEY, or X-API-Key: KEY",
                {"WWW-Authenticate": "Bearer"},
            )

    def _tell(self, scope: Scope, seen: Seen, status: int, seconds: float) -> None:
        route = scope["path"] if scope["path"] in self._routes else "other"
        method = scope["method"] if scope["method"] in ("GET", "HEAD", "POST") else "other"
        self._metrics.requests.labels(route, method, str(status)).inc()
        self._metrics.seconds.labels(route).observe(seconds)
        if status == 503 and not route.startswith("/v2/"):
            self._metrics.shed.labels(route).inc()
        if route.startswith("/v2/") and status == 200:
            return  # a probe every few seconds, all alike
        counted = {"images": seen.images, "bytes": seen.bytes, "errors": seen.errors}
        told = {"id": seen.id, "route": route, "method": method, "status": status, "ms": round(1000 * seconds, 1)}
        self._log.write("request", **told, **counted)


def answer(problem: Problem) -> JSONResponse:
    """A problem as a response."""
    return JSONResponse({"detail": problem.detail, **problem.more}, problem.status, problem.headers)


def _id(headers: Headers) -> str:
    """The sender's own id if it is harmless, so that logs of several services fit together; else a new one."""
    told = headers.get("x-request-id", "")
    return told if ID.fullmatch(told) else uuid.uuid4().hex


def _host(header: str) -> str:
    """A Host header without its port."""
    if header.startswith("["):
        return header[1:].partition("]")[0]
    return header.rpartition(":")[0] if ":" in header else header


def _shows(headers: Headers, key: str) -> bool:
    scheme, _, told = headers.get("authorization", "").partition(" ")
    shown = told.strip() if scheme.lower() == "bearer" else headers.get("x-api-key", "")
    return hmac.compare_digest(shown.encode("utf-8", "surrogateescape"), key.encode("utf-8", "surrogateescape"))
