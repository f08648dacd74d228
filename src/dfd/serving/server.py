"""The process around the application: its socket, its signals, its end."""

import asyncio
import errno
import logging
import signal
import socket
from types import FrameType

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from dfd.errors import UserError
from dfd.serving.service import Service

log = logging.getLogger(__name__)

HEADER_SECONDS = 10.0  # for the head of a request; a connection without one is closed
KEEP_ALIVE_SECONDS = 30
BACKLOG = 1024
LAST_ANSWERS_SECONDS = 3  # for answers on their way when the process ends


def listen(host: str, port: int) -> socket.socket:
    """A bound socket. Raises UserError."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        bound = socket.socket(family, kind, protocol)
    except OSError as error:
        raise UserError(f"host={host} is no address of this machine: {error.strerror}") from None
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
    except OSError as error:
        bound.close()
        raise UserError(_why_not(error, host, port)) from None
    return bound


def address_of(bound: socket.socket, host: str) -> str:
    """Where a browser finds it, such as http://127.0.0.1:8000."""
    port = bound.getsockname()[1]
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)
    return f"http://{shown}:{port}"


def is_local(bound: socket.socket) -> bool:
    """Whether only this machine can reach it."""
    address = bound.getsockname()[0]
    return address.startswith("127.") or address == "::1"


def _why_not(error: OSError, host: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port={port} is in use on {host}; choose another one, or port=0 for a free one"
    if error.errno == errno.EACCES:
        return f"port={port} may not be opened by this user; choose one above 1023"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"host={host} is no address of this machine; 0.0.0.0 stands for all of them"
    return f"host={host} port={port} can't be opened: {error.strerror}"


class PromptProtocol(H11Protocol):
    """HTTP/1.1 that closes connections on which the head of a request doesn't come."""

    _patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """See asyncio."""
        super().connection_made(transport)
        self._expect()

    def data_received(self, data: bytes) -> None:
        """See asyncio."""
        if self._patience is None and (self.cycle is None or self.cycle.response_complete):
            self._expect()
        before = self.cycle
        super().data_received(data)
        if self.cycle is not before and self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio."""
        super().connection_lost(exc)
        if self._patience is not None:
            self._patience.cancel()

    def _expect(self) -> None:
        self._patience = self.loop.call_later(HEADER_SECONDS, self.transport.close)


class Server(uvicorn.Server):
    """uvicorn with an orderly end.

    On SIGTERM or Ctrl-C readiness goes false and new requests get 503, while those in work have `drain_seconds` to
    finish; only then is the socket closed. A second signal ends it at once.
    """

    def __init__(self, app: object, service: Service) -> None:
        config = uvicorn.Config(
            app,  # type: ignore[arg-type]
            http=PromptProtocol,
            ws="none",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            backlog=BACKLOG,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=LAST_ANSWERS_SECONDS,
        )
        super().__init__(config)
        self._service = service
        self._draining: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """See uvicorn."""
        self._loop = asyncio.get_running_loop()
        await super().startup(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Called for SIGTERM and SIGINT."""
        if self._service.gate.closed or self._loop is None:
            self.should_exit = self.force_exit = True
            return
        self._service.gate.closed = True
        log.info("%s: finishing %d requests", signal.Signals(sig).name, self._service.gate.requests)
        self._loop.call_soon_threadsafe(self._drain)

    def _drain(self) -> None:
        async def drain() -> None:
            end = asyncio.get_running_loop().time() + self._service.config.drain_seconds
            while self._service.gate.requests and asyncio.get_running_loop().time() < end:
                await asyncio.sleep(0.02)
            if self._service.gate.requests:
                log.warning("%d requests were not finished in time", self._service.gate.requests)
            self.should_exit = True

        self._draining = asyncio.get_running_loop().create_task(drain())
