"""The web page's files, read once and served as they are."""

from pathlib import Path

from fastapi import FastAPI
from fastapi.responses import Response

PAGE = Path(__file__).with_name("page")
FILES = {
    "/": ("index.html", "text/html"),
    "/docs": ("docs.html", "text/html"),
    "/app.js": ("app.js", "text/javascript"),
    "/docs.js": ("docs.js", "text/javascript"),
    "/style.css": ("style.css", "text/css"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}


def add(app: FastAPI) -> None:
    """Add the page's routes."""
    for path, (name, kind) in FILES.items():
        _add_file(app, path, (PAGE / name).read_bytes(), kind)


def _add_file(app: FastAPI, path: str, content: bytes, kind: str) -> None:
    async def file() -> Response:
        return Response(content, media_type=kind, headers={"Cache-Control": "no-cache"})

    app.add_api_route(path, file, methods=["GET", "HEAD"], include_in_schema=False)
