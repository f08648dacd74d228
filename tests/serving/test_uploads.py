import asyncio
from collections.abc import AsyncIterator, Sequence

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.requests import Request

from dfd.serving import uploads
from dfd.serving.problems import Problem
from dfd.serving.uploads import Upload, discard, kind_of, plain, read_body, read_form


def request_of(parts: Sequence[bytes], headers: dict[str, str], pause: float = 0.0) -> Request:
    left = list(parts)

    async def receive() -> dict:
        await asyncio.sleep(pause)
        body = left.pop(0) if left else b""
        return {"type": "http.request", "body": body, "more_body": bool(left)}

    raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    return Request({"type": "http", "method": "POST", "path": "/", "headers": raw}, receive)


def read(parts: Sequence[bytes], kind: str, max_bytes: int = 10**6, max_images: int = 99) -> Upload:
    request = request_of(parts, {"Content-Type": kind})
    return asyncio.run(read_form(request, kind_of(request)[1], max_bytes, max_images))


def cut(body: bytes, places: Sequence[int]) -> list[bytes]:
    ends = sorted({place % (len(body) + 1) for place in places} | {len(body)})
    return [body[start:end] for start, end in zip([0, *ends], ends, strict=False)]


NAMES = st.text(st.characters(categories=("L", "N"), include_characters="._- "), min_size=1, max_size=40)


@settings(max_examples=40)
@given(
    files=st.lists(st.tuples(NAMES, st.binary(max_size=400)), min_size=1, max_size=5),
    places=st.lists(st.integers(0, 5000), max_size=8),
)
def test_what_a_client_puts_into_a_form_comes_out_however_it_is_cut(
    files: list[tuple[str, bytes]], places: list[int]
) -> None:
    sent = httpx.Request("POST", "http://x/", files=[("files", (name, data)) for name, data in files])
    found = read(cut(sent.read(), places), sent.headers["content-type"])
    assert [(file.name, file.data) for file in found.files] == [(plain(name), data) for name, data in files]


@given(body=st.binary(max_size=600), places=st.lists(st.integers(0, 600), max_size=4))
def test_whatever_arrives_is_a_form_or_a_problem(body: bytes, places: list[int]) -> None:
    start = b'--b\r\nContent-Disposition: form-data; name="files"; filename="a"\r\n'
    for content in (body, start + body, start + b"\r\n" + body):
        try:
            read(cut(content, places), "multipart/form-data; boundary=b")
        except Problem as problem:
            assert problem.status in (413, 422)


@pytest.mark.parametrize("boundary", ["", "ü", "x" * 5000, '"'])
def test_a_senseless_boundary_is_a_problem(boundary: str) -> None:
    request = request_of([b""], {})
    request.scope["headers"] = [(b"content-type", f"multipart/form-data; boundary={boundary}".encode())]
    with pytest.raises(Problem, match=r"boundary|broken|ends before"):
        asyncio.run(read_form(request, kind_of(request)[1], 100, 1))


def test_no_more_is_read_than_accepted() -> None:
    taken = []

    async def endless() -> AsyncIterator[bytes]:
        while True:
            taken.append(1)
            yield b"x" * 1000

    async def receive() -> dict:
        return {"type": "http.request", "body": await anext(source), "more_body": True}

    source = endless()
    request = Request({"type": "http", "method": "POST", "path": "/", "headers": []}, receive)
    with pytest.raises(Problem, match="more than 5,000 bytes"):
        asyncio.run(read_body(request, 5000))
    assert len(taken) <= 7


def test_a_body_that_does_not_come_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "PAUSE_SECONDS", 0.05)
    with pytest.raises(Problem, match="did not arrive in time") as told:
        asyncio.run(read_body(request_of([b"x", b"y"], {}, pause=5), 100))
    assert told.value.status == 408


def test_a_body_that_drips_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "BODY_SECONDS", 0.2)
    with pytest.raises(Problem, match="did not arrive in time"):
        asyncio.run(read_body(request_of([b"x"] * 1000, {}, pause=0.02), 10_000))


def test_a_refused_body_is_read_on_for_a_while_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "LINGER_SECONDS", 0.2)
    asyncio.run(discard(request_of([b"x"] * 10**6, {}, pause=0.01)))


@given(name=st.text(max_size=300))
def test_a_name_is_one_line_without_folders(name: str) -> None:
    shown = plain(name)
    assert "/" not in shown and "\\" not in shown and len(shown) <= 200
    assert shown.isprintable()
