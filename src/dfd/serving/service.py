"""A bundle in use: from files to answers, through worker processes and micro-batches."""

import asyncio
import logging
from pathlib import Path
from typing import Any

import numpy as np

from dfd import __version__, machine
from dfd.cards.card import card_of
from dfd.cards.picture import Picture
from dfd.config import METHODS, ServeConfig
from dfd.data.decode import UnusableImage
from dfd.errors import UserError
from dfd.inference.engine import Engine
from dfd.models.bundle import EnsembleBundle
from dfd.runtime import Runtime
from dfd.serving.batcher import Batcher
from dfd.serving.explaining import Explain, Explainer
from dfd.serving.gate import Gate
from dfd.serving.judging import Answer, Judge
from dfd.serving.metrics import Metrics
from dfd.serving.problems import Busy, unprocessable
from dfd.serving.uploads import File, Upload
from dfd.serving.work import Decode, Open, Preparer, Unpack
from dfd.serving.workers import Died, TookTooLong, Workers

log = logging.getLogger(__name__)

BODIES = 8  # requests of the largest size that may be in memory at once
CARD_IMAGES = 8  # a card asks the networks for the picture and seven copies
CARD_TIME = 4  # … and takes longer to prepare than the picture alone
MAP_SECONDS = 120.0
MAPS_WAITING = 4  # heat maps are made one at a time


class Service:
    """Everything behind the routes. `start` and `close` belong to one event loop."""

    def __init__(self, engine: Engine, folder: Path, runtime: Runtime, config: ServeConfig) -> None:
        self.engine, self.config = engine, config
        self.max_pixels = config.max_pixels or engine.bundle.max_pixels
        self.metrics = Metrics()
        self.gate = Gate(config.queue, BODIES * config.max_bytes)
        self._preparing = 0
        self._judge = Judge(engine, runtime)
        self._batcher: Batcher[np.ndarray, Answer] = Batcher(
            self._judge, config.batch_size, config.wait_ms / 1000, lambda: self._preparing, self.metrics.batch
        )
        preparer = Preparer(engine.joint, self.max_pixels, config.max_images)
        self._workers = Workers(_processes(config.workers), preparer, "decoding")
        threads = max(1, machine.available_cores() // 2)
        self._explaining = Workers(1, Explainer(folder, config.runtime, threads, self.max_pixels), "explaining")
        self._maps = 0
        self.ready = False
        self.metrics.watch(lambda: self.gate.images, lambda: self._batcher.waiting, self.is_ready)

    def is_ready(self) -> bool:
        """Whether requests are let in and can expect an answer."""
        return self.ready and not self.gate.closed and self.is_live()

    def is_live(self) -> bool:
        """False if only a new process can help: the networks have stopped answering."""
        return self._batcher.is_well()

    async def start(self) -> None:
        """Start the processes and run the networks once."""
        self._batcher.start()
        await asyncio.gather(self._workers.start(), asyncio.to_thread(self._judge.warm))
        self.ready = True

    def close(self) -> None:
        """End processes and threads; what is in work is lost."""
        self.gate.closed = True
        self._workers.close()
        self._explaining.close()
        self._batcher.close()

    async def unpack(self, body: bytes) -> Upload:
        """The files in a JSON body. Raises Problem."""
        return await self._workers.run(Unpack(body), self.config.decode_seconds)

    async def rows(self, upload: Upload) -> list[dict[str, Any]]:
        """One row a file, see `schemas.Row`; a file that can't be used has its reason there."""
        make = self._row_with_card if upload.card else self._row
        return list(await asyncio.gather(*(make(file) for file in upload.files)))

    async def card(self, file: File) -> dict[str, Any]:
        """The verdict card, see `schemas.Card`. Raises UnusableImage."""
        return (await self._card(file))[1]

    async def explain(self, file: File, method: str) -> dict[str, Any]:
        """Heat maps, see `schemas.Explanation`. Raises UnusableImage, and Busy if too many are waiting."""
        if self._maps > MAPS_WAITING:
            raise Busy(f"the server is busy: {self._maps} heat maps are in work or waiting", seconds=10)
        self._maps += 1
        try:
            return await self._explaining.run(Explain(file, method), MAP_SECONDS)
        except TookTooLong:
            raise unprocessable(f"method={method} takes longer than {MAP_SECONDS:g} s for this picture here") from None
        finally:
            self._maps -= 1

    async def _row(self, file: File) -> dict[str, Any]:
        try:
            inputs = await self._prepared(Decode(file), self.config.decode_seconds)
            answer = await self._judged(inputs)
        except UnusableImage as error:
            return self.failed(file, error)
        self.metrics.verdicts.labels(answer.verdict).inc()
        return _row_of(file, answer)

    async def _row_with_card(self, file: File) -> dict[str, Any]:
        try:
            answer, card = await self._card(file)
        except UnusableImage as error:
            return {**self.failed(file, error), "card": None}
        return {**_row_of(file, answer), "card": card}

    async def _card(self, file: File) -> tuple[Answer, dict[str, Any]]:
        picture: Picture = await self._prepared(Open(file), CARD_TIME * self.config.decode_seconds)
        answers = await asyncio.gather(*(self._judged(row) for row in picture.inputs))
        values = np.stack([answer.values for answer in answers])
        card = await asyncio.to_thread(lambda: finite(card_of(picture, values, self.engine).to_dict()))
        self.metrics.verdicts.labels(card["verdict"]).inc()
        return answers[0], card

    async def _prepared(self, job: Decode | Open, seconds: float) -> Any:
        self._preparing += 1
        try:
            return await self._workers.run(job, seconds)
        finally:
            self._preparing -= 1

    async def _judged(self, inputs: np.ndarray) -> Answer:
        try:
            answer = await self._batcher.apply(inputs)
        except TimeoutError:
            log.error("no answer of the networks in time")
            raise Busy("the networks did not answer in time", seconds=10) from None
        if not np.isfinite(answer.logit):
            raise UnusableImage("no finite score")
        return answer

    def failed(self, file: File, error: UnusableImage) -> dict[str, Any]:
        """The row of a file that can't be used."""
        reason = "timeout" if isinstance(error, TookTooLong) else "crash" if isinstance(error, Died) else "unusable"
        self.metrics.errors.labels(reason).inc()
        row: dict[str, Any] = {"name": file.name, "prob": None, "logit": None, "verdict": None, "members": []}
        return {**row, "error": error.reason}

    def served(self) -> dict[str, Any]:
        """See `schemas.Served`."""
        bundle = self.engine.bundle
        return {"name": bundle.name, "kind": bundle.kind, "sha256": bundle.sha256, "version": __version__}

    def description(self) -> dict[str, Any]:
        """See `schemas.Description`."""
        bundle, own = self.engine.bundle, self.engine.bundle.calibration
        members = [member.name for member in bundle.members] if isinstance(bundle, EnsembleBundle) else []
        bands = {name: float(getattr(own, name)) for name in ("threshold", "unsure_low", "unsure_high")}
        limits = {name: getattr(self.config, name) for name in ("max_bytes", "max_images")}
        return finite(
            {
                **self.served(),
                "engine": self.engine.describe(),
                "members": members,
                "bands": bands,
                "data": bundle.data,
                "metrics": bundle.metrics,
                "methods": list(METHODS),
                "limits": {**limits, "max_pixels": self.max_pixels},
            }
        )


def _processes(wanted: int) -> int:
    if wanted == 0:
        raise UserError(
            "workers=0: accepted is 1 or more, or -1 for one a core; strangers' files need a process of their own"
        )
    return machine.available_cores() if wanted < 0 else wanted


def _row_of(file: File, answer: Answer) -> dict[str, Any]:
    told = {"prob": answer.prob, "logit": answer.logit, "verdict": answer.verdict, "members": answer.members}
    return {"name": file.name, **told, "error": None}


def finite(value: Any) -> Any:
    """Plain values for JSON, which has no NaN and no infinity: null in their place."""
    if isinstance(value, dict):
        return {str(key): finite(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [finite(one) for one in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value
