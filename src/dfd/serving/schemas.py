"""The JSON of answers, for the OpenAPI description."""

from typing import Any

from pydantic import BaseModel, Field

from dfd.cards import card as cards
from dfd.cards.stability import Stability


class Member(BaseModel):
    """The answer of one detector of an ensemble, by its own calibration, or of a model of a fold, by that of all."""

    name: str
    prob: float = Field(ge=0, le=1)
    logit: float
    verdict: str


class Row(BaseModel):
    """The answer for one picture: numbers and a verdict, or an error."""

    name: str
    prob: float | None = Field(ge=0, le=1, description="calibrated probability of a fake")
    logit: float | None = Field(description="the bundle's raw score")
    verdict: str | None = Field(description="real, unsure or fake, of the picture as it is; see the card")
    members: list[Member] = Field(description="of an ensemble; empty for a single network")
    error: str | None = Field(description="why the picture could not be used; null if it could")
    card: "Card | None" = None


class Served(BaseModel):
    """Which detector answers."""

    name: str
    kind: str
    sha256: str
    version: str = Field(description="of dfd")


class Predictions(BaseModel):
    """The answer to a request with one or many pictures, in their order."""

    bundle: Served
    results: list[Row]


class Card(BaseModel):
    """A verdict card; `evidence` and the rest are described in docs/verdict-card.md."""

    version: int
    file: cards.File
    verdict: str = Field(description="final: unsure where changed copies contradict score.verdict")
    reasons: list[str]
    score: cards.Score
    members: list[cards.Member]
    stability: Stability
    evidence: dict[str, Any]
    bundle: dict[str, Any]
    words: list[str]


class Map(BaseModel):
    """A heat map over the upright picture, of its proportions: orange speaks for a fake, blue for a real one."""

    name: str = Field(description="of the network that it explains; 'ensemble' for all together")
    share: float = Field(description="how far the bundle's logit hangs on this network; 1 for a whole")
    png: str = Field(description="RGBA, in base64; lay it over the picture", json_schema_extra={"format": "base64"})
    width: int
    height: int


class Explanation(BaseModel):
    """Where the detectors looked."""

    name: str
    method: str
    maps: list[Map]


class Limits(BaseModel):
    """What is accepted."""

    max_bytes: int
    max_images: int
    max_pixels: int


class Bands(BaseModel):
    """How a probability becomes a verdict."""

    threshold: float
    unsure_low: float
    unsure_high: float


class Description(Served):
    """All about what is served."""

    engine: str
    members: list[str]
    bands: Bands
    data: dict[str, Any]
    metrics: dict[str, Any]
    methods: list[str] = Field(description="of /v1/explain")
    limits: Limits


class Refusal(BaseModel):
    """Why there is no answer."""

    detail: str


class Unusable(Refusal):
    """Why there is no answer; `results` has the reason for each picture."""

    results: list[Row] = []


class Live(BaseModel):
    """Whether the process can do its work: false if only a new one can."""

    live: bool


class Ready(BaseModel):
    """Whether requests will be answered: false before the start is done, from SIGTERM on, and when not live."""

    ready: bool


Row.model_rebuild()
