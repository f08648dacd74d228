"""The routes: what is asked, and what is answered. OpenAPI describes them at /openapi.json."""

import base64
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Annotated, Any, Literal

from fastapi import FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from dfd import __version__
from dfd.config import METHODS
from dfd.data.decode import UnusableImage
from dfd.serving import pages, schemas
from dfd.serving.gate import Ticket
from dfd.serving.guard import answer
from dfd.serving.openapi import REFUSED, body, complete
from dfd.serving.problems import Busy, Problem, unprocessable
from dfd.serving.service import CARD_IMAGES, Service
from dfd.serving.uploads import FORM, File, Upload, discard, kind_of, read_body, read_form, size_of

Result = dict[str, Any]
Method = Literal[METHODS]  # type: ignore[valid-type]


def make_app(service: Service, keyed: bool = False) -> FastAPI:
    """The application around a service, without the guard; `keyed`: the guard asks for a key."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await service.start()
        try:
            yield
        finally:
            service.close()

    app = FastAPI(
        title="dfd",
        version=__version__,
        description="Is this picture of a face a deepfake? Verdicts, verdict cards and heat maps of one detector.",
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
    )
    _add_predicting(app, service)
    _add_watching(app, service)
    pages.add(app)
    _add_errors(app)
    complete(app, keyed)
    return app


def paths_of(app: FastAPI) -> set[str]:
    """The paths of all routes, which are names in figures and the log."""
    return {str(getattr(route, "path", "")) for route in app.routes}


def _add_predicting(app: FastAPI, service: Service) -> None:
    most = service.config.max_images

    @app.post("/v1/predict", response_model=schemas.Predictions, responses=REFUSED, openapi_extra=body(most))
    async def predict(
        request: Request, card: Annotated[bool, Query(description="also make the verdict card of each picture")] = False
    ) -> JSONResponse:
        """The probability of a fake and the verdict for one picture or many.

        A picture that can't be used has its reason in its row. If no picture of the request can, the status is 422.
        """

        async def work(upload: Upload, ticket: Ticket) -> Response:
            wanted = Upload(upload.files, upload.card or card)
            ticket.hold(len(wanted.files) * (CARD_IMAGES if wanted.card else 1))
            rows = await service.rows(wanted)
            request.scope["seen"].errors = sum(row["error"] is not None for row in rows)
            if all(row["error"] is not None for row in rows):
                raise unprocessable(_all_unusable(rows), results=rows)
            return JSONResponse({"bundle": service.served(), "results": rows})

        return await _answered(service, request, work)

    @app.post("/v1/card", response_model=schemas.Card, responses=REFUSED, openapi_extra=body(1))
    async def card(request: Request) -> JSONResponse:
        """All that is known of one picture: verdict, its stability, the members' answers, what the file tells."""

        async def work(upload: Upload, ticket: Ticket) -> Response:
            file = only(upload)
            ticket.hold(CARD_IMAGES)
            try:
                return JSONResponse(await service.card(file))
            except UnusableImage as error:
                raise _unusable(service, request, file, error) from None

        return await _answered(service, request, work)

    @app.post(
        "/v1/explain",
        response_model=schemas.Explanation,
        responses={**REFUSED, 200: {"content": {"image/png": {"schema": {"type": "string", "format": "binary"}}}}},
        openapi_extra=body(1),
    )
    async def explain(
        request: Request,
        method: Annotated[Method, Query(description="how the map is made")] = METHODS[0],
        format: Annotated[
            Literal["json", "png"], Query(description="json: the maps of all networks; png: the one of the whole")
        ] = "json",
    ) -> Response:
        """Heat maps of one picture: which parts speak for a fake, and which for a real one."""

        async def work(upload: Upload, ticket: Ticket) -> Response:
            file = only(upload)
            try:
                found = await service.explain(file, method)
            except UnusableImage as error:
                raise _unusable(service, request, file, error) from None
            if format == "png":
                return Response(base64.b64decode(found["maps"][0]["png"]), media_type="image/png")
            return JSONResponse(found)

        return await _answered(service, request, work)


def _add_watching(app: FastAPI, service: Service) -> None:
    @app.get("/v1/bundle", response_model=schemas.Description, responses={k: REFUSED[k] for k in (401, 403)})
    async def bundle() -> JSONResponse:
        """Which detector answers here, how it was measured, and what is accepted."""
        return JSONResponse(service.description())

    @app.get(
        "/v2/health/live", response_model=schemas.Live, responses={403: REFUSED[403], 503: {"model": schemas.Live}}
    )
    async def live() -> JSONResponse:
        """The process can do its work (KServe, Triton).

        503 if only a new process can: a forward pass without an end, too many that failed in a row, or their thread
        has ended. Never because it is busy, starting or ending.
        """
        alive = service.is_live()
        return JSONResponse({"live": alive}, 200 if alive else 503)

    @app.get(
        "/v2/health/ready", response_model=schemas.Ready, responses={403: REFUSED[403], 503: {"model": schemas.Ready}}
    )
    async def ready() -> JSONResponse:
        """Requests are let in (KServe, Triton).

        503 while the server starts, while it shuts down, and when it is not live; not when it is busy.
        """
        ready = service.is_ready()
        return JSONResponse({"ready": ready}, 200 if ready else 503)

    @app.get(
        "/metrics",
        response_class=Response,
        responses={200: {"content": {"text/plain": {}}}, **{k: REFUSED[k] for k in (401, 403)}},
    )
    async def metrics() -> Response:
        """Figures for Prometheus."""
        return Response(service.metrics.text(), media_type="text/plain; version=0.0.4")


def _add_errors(app: FastAPI) -> None:
    @app.exception_handler(Problem)
    async def problem(_: Request, error: Problem) -> JSONResponse:
        return answer(error)

    @app.exception_handler(Exception)
    async def bug(_: Request, error: Exception) -> JSONResponse:
        return answer(Problem(500, "an error of the server; its log says more"))

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        return answer(unprocessable(f"{first['loc'][-1]}: {first['msg']}"))

    @app.exception_handler(HTTPException)
    async def http(_: Request, error: HTTPException) -> JSONResponse:
        return answer(Problem(error.status_code, str(error.detail), error.headers))


async def _answered(service: Service, request: Request, work: Callable[[Upload, Ticket], Awaitable[Response]]) -> Any:
    """Let the request in, read it, do its work. Raises Problem."""
    if not service.ready and not service.gate.closed:
        raise Busy("the server is starting")
    max_bytes = service.config.max_bytes
    try:
        size = size_of(request, max_bytes)
        kind, boundary = kind_of(request)
        with service.gate.enter(size) as ticket:
            if kind == FORM:
                upload = await read_form(request, boundary, max_bytes, service.config.max_images)
            else:
                upload = await service.unpack(await read_body(request, max_bytes))
            seen = request.scope["seen"]
            seen.images, seen.bytes = len(upload.files), sum(len(file.data) for file in upload.files)
            return await work(upload, ticket)
    except UnusableImage as error:  # a JSON body that took the worker's time or life
        raise unprocessable(f"the request {error.reason}") from None
    except Problem:
        await discard(request)
        raise


def only(upload: Upload) -> File:
    """The file of a request for one. Raises Problem."""
    if len(upload.files) != 1:
        raise unprocessable(f"{len(upload.files)} images; accepted is one")
    return upload.files[0]


def _unusable(service: Service, request: Request, file: File, error: UnusableImage) -> Problem:
    request.scope["seen"].errors = 1
    return unprocessable(f"the picture can't be used: {error.reason}", results=[service.failed(file, error)])


def _all_unusable(rows: list[Result]) -> str:
    if len(rows) == 1:
        return f"the picture can't be used: {rows[0]['error']}"
    return f"none of the {len(rows)} pictures can be used; results has the reasons"
