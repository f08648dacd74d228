"""The JSON of requests, for the checks on them and for the OpenAPI description."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from dfd.serving.uploads import plain

BASE64 = "^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Image(_Strict):
    """One picture of a JSON request. There is no field for addresses: the server fetches nothing."""

    data: str = Field(
        description="the file, in base64",
        json_schema_extra={"format": "image-base64", "pattern": BASE64, "contentEncoding": "base64"},
    )
    name: Annotated[str, AfterValidator(plain)] = Field("", description="what to call it in the answer")


class Images(_Strict):
    """A JSON request."""

    images: list[Image] = Field(min_length=1)
    card: bool = Field(False, description="also make the verdict card of each picture")
