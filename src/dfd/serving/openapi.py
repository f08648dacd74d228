"""The parts of the API's description that FastAPI can't see: bodies, which are read as streams, and refusals."""

from typing import Any

from fastapi import FastAPI

from dfd.serving import schemas
from dfd.serving.guard import KEYED
from dfd.serving.requests import Images
from dfd.serving.uploads import FIELD, FORM, JSON

REF = "#/components/schemas/{model}"
KEYS = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
}
REFUSED: dict[int | str, dict[str, Any]] = {
    401: {"model": schemas.Refusal, "description": "No API key, or another one than the server's"},
    403: {"model": schemas.Refusal, "description": "Asked under a foreign host name, or by a page of another site"},
    408: {"model": schemas.Refusal, "description": "The request did not arrive in time"},
    413: {"model": schemas.Refusal, "description": "More bytes than accepted"},
    415: {"model": schemas.Refusal, "description": "A body of another type than accepted"},
    422: {"model": schemas.Unusable, "description": "No picture of the request can be used, or it is not as described"},
    503: {
        "model": schemas.Refusal,
        "description": "Busy, starting or shutting down; ask again",
        "headers": {"Retry-After": {"schema": {"type": "string"}, "description": "seconds to wait"}},
    },
}


def body(most: int) -> dict[str, Any]:
    """What is added to an operation that takes up to `most` pictures."""
    files = {"type": "array", "minItems": 1, "maxItems": most, "items": {"type": "string", "format": "binary"}}
    form = {"type": "object", "properties": {FIELD: files}, "required": [FIELD], "additionalProperties": False}
    images = Images.model_json_schema(ref_template=REF)
    del images["$defs"]
    images["properties"]["images"]["maxItems"] = most
    content = {FORM: {"schema": form, "encoding": {FIELD: {"contentType": "image/*"}}}, JSON: {"schema": images}}
    return {"requestBody": {"content": content, "required": True}}


def complete(app: FastAPI, keyed: bool) -> None:
    """Add to the application's description what `body` refers to and, if there is a key, how it is shown."""
    plain = app.openapi

    def openapi() -> dict[str, Any]:
        found = plain()
        parts = found.setdefault("components", {})
        parts.setdefault("schemas", {}).update(Images.model_json_schema(ref_template=REF)["$defs"])
        if keyed:
            parts["securitySchemes"] = KEYS
            for path, operations in found["paths"].items():
                if path.startswith(KEYED):
                    for operation in operations.values():
                        operation["security"] = [{name: []} for name in KEYS]
        return found

    app.openapi = openapi  # type: ignore[method-assign]
