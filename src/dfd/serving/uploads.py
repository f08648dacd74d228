"""Pictures as they arrive: bodies read as a stream, within limits of size and time, and never written to disk."""

import asyncio
import unicodedata
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from email.message import Message

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser
from starlette.requests import ClientDisconnect, Request

from dfd.serving.problems import Problem, unprocessable

FIELD = "files"
FORM, JSON = "multipart/form-data", "application/json"
BODY_SECONDS = 60.0  # for the whole body; a proxy in front of the server collects bodies of slower clients
PAUSE_SECONDS = 10.0  # between two parts of it
SLICE = 16_384  # bytes parsed before the event loop does something else: crafted bodies take a microsecond a byte
NAME_LENGTH = 200
LINGER_SECONDS = 2.0
LINGER_BYTES = 64 * 2**20  # of a refused body, read and thrown away: a client that is still sending hears no answer


@dataclass(frozen=True)
class File:
    """Content and what the sender calls it; the name is shown again and never used as a path."""

    name: str
    data: bytes = field(repr=False)


@dataclass(frozen=True)
class Upload:
    """The files of a request, and whether it wants cards."""

    files: list[File]
    card: bool = False


def size_of(request: Request, max_bytes: int) -> int:
    """Bytes that the request's body will take at most. Raises Problem if they are too many."""
    told = request.headers.get("content-length", "")
    size = int(told) if told.isascii() and told.isdigit() else max_bytes
    if size > max_bytes:
        raise too_large(max_bytes)
    return size


def kind_of(request: Request) -> tuple[str, str]:
    """Media type of the body, and the boundary if it is a form. Raises Problem."""
    header = Message()
    header["content-type"] = request.headers.get("content-type", "")
    kind = header.get_content_type() if header["content-type"] else ""
    if kind not in (FORM, JSON):
        raise Problem(415, f"the body is {kind or 'of no stated type'}; accepted are {FORM} and {JSON}")
    boundary = header.get_boundary("") if kind == FORM else ""
    if kind == FORM and not boundary:
        raise unprocessable("the form has no boundary in its Content-Type")
    return kind, boundary


async def read_body(request: Request, max_bytes: int) -> bytes:
    """The whole body. Raises Problem."""
    return b"".join([part async for part in _stream(request, max_bytes)])


async def read_form(request: Request, boundary: str, max_bytes: int, max_images: int) -> Upload:
    """The files of a form. Raises Problem."""
    form = _Form(boundary, max_images)
    async for part in _stream(request, max_bytes):
        for start in range(0, len(part), SLICE):
            form.feed(part[start : start + SLICE])
            if start:
                await asyncio.sleep(0)
    return Upload(form.files())


async def discard(request: Request) -> None:
    """Read on for a while, so that a refused client that is still sending gets to see the answer."""
    if request.headers.get("expect", "").lower() == "100-continue":
        return  # it asks before it sends
    try:
        async with asyncio.timeout(LINGER_SECONDS):
            left = LINGER_BYTES
            async for part in request.stream():
                left -= len(part)
                if left < 0:
                    return
    except (TimeoutError, ClientDisconnect, RuntimeError):  # RuntimeError: it has been read
        return


def too_large(max_bytes: int) -> Problem:
    """413."""
    return Problem(413, f"the request has more than {max_bytes:,} bytes (max_bytes)")


async def _stream(request: Request, max_bytes: int) -> AsyncIterator[bytes]:
    total, parts = 0, request.stream()
    deadline = asyncio.get_running_loop().time() + BODY_SECONDS
    while True:
        try:
            async with asyncio.timeout_at(min(deadline, asyncio.get_running_loop().time() + PAUSE_SECONDS)):
                part = await anext(parts, None)
        except TimeoutError:
            raise Problem(408, "the request did not arrive in time", {"Connection": "close"}) from None
        if part is None:
            return
        total += len(part)
        if total > max_bytes:
            raise too_large(max_bytes)
        yield part


class _Form:
    """The files of a multipart body (RFC 7578), fed in slices."""

    def __init__(self, boundary: str, max_images: int) -> None:
        self._max_images = max_images
        self._files: list[tuple[str, list[bytes]]] = []
        self._header: dict[str, bytes] = {}
        self._name, self._value, self._ended = b"", b"", False
        callbacks = {
            "on_header_field": self._on_header_field,
            "on_header_value": self._on_header_value,
            "on_header_end": self._on_header_end,
            "on_headers_finished": self._on_headers_finished,
            "on_part_data": self._on_part_data,
            "on_end": self._on_end,
        }
        try:
            self._parser = MultipartParser(boundary.encode("latin-1"), callbacks)  # type: ignore[arg-type]
        except (FormParserError, UnicodeEncodeError):
            raise unprocessable("the form has an impossible boundary in its Content-Type") from None

    def feed(self, data: bytes) -> None:
        """Raises Problem."""
        try:
            self._parser.write(data)
        except FormParserError as error:
            raise unprocessable(f"the form is broken: {error}") from None

    def files(self) -> list[File]:
        """All files, once the body has ended. Raises Problem."""
        if not self._ended:
            raise unprocessable("the form ends before its last boundary")
        if not self._files:
            raise unprocessable(f"the form has no file; accepted are one or more in the field {FIELD}")
        return [File(name, b"".join(parts)) for name, parts in self._files]

    def _on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _on_header_end(self) -> None:
        self._header[self._name.decode("latin-1").lower()] = self._value
        self._name, self._value = b"", b""

    def _on_headers_finished(self) -> None:
        header = Message()
        # Browsers send names as UTF-8 bytes (HTML, "multipart/form-data encoding algorithm").
        header["content-disposition"] = " ".join(
            self._header.get("content-disposition", b"").decode("utf-8", "replace").split()
        )
        self._header = {}
        field_name = header.get_param("name", "", "content-disposition")
        if field_name != FIELD:
            raise unprocessable(f"the form's field {plain(str(field_name))!r} is not known; accepted is {FIELD}")
        if len(self._files) == self._max_images:
            raise unprocessable(f"more than {self._max_images} images (max_images)")
        self._files.append((plain(header.get_filename("")), []))

    def _on_part_data(self, data: bytes, start: int, end: int) -> None:
        self._files[-1][1].append(data[start:end])

    def _on_end(self) -> None:
        self._ended = True


def plain(name: str) -> str:
    """A name without its folders and without characters that don't print, of bounded length."""
    last = " ".join(name.replace("\\", "/").rsplit("/", 1)[-1].split())
    # Cc, Cf, Cs …: control and direction characters can make a name look like another one.
    shown = "".join(sign for sign in last if not unicodedata.category(sign).startswith(("C", "Z")) or sign == " ")
    return shown[:NAME_LENGTH]
