"""Heat maps, made in a process of their own: gradients and hundreds of passes must not hold up the verdicts.

The process holds the bundle a second time, from the first heat map on.
"""

import base64
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dfd import machine
from dfd.config import RuntimeConfig
from dfd.data.decode import read_image
from dfd.errors import UserError
from dfd.models.bundle import Bundle, load
from dfd.runtime import Runtime, start
from dfd.serving.problems import unprocessable
from dfd.serving.uploads import File
from dfd.serving.work import memory_for

if TYPE_CHECKING:
    from dfd.explain.maps import Map

SIDE = 1024  # pixels of a map's longer side at most: maps are smooth, and pages show no more
SAMPLES = 200  # passes of the methods that sample


@dataclass(frozen=True)
class Explain:
    """A file, and how to explain it."""

    file: File
    method: str


@dataclass
class Explainer:
    """Handles such jobs for the bundle in a folder. Picklable; the bundle is loaded where it is first needed."""

    folder: Path
    runtime: RuntimeConfig
    threads: int
    max_pixels: int
    _loaded: tuple[Bundle, Runtime] | None = field(default=None, init=False)

    def __call__(self, job: Explain) -> dict[str, Any]:
        """See `schemas.Explanation`. Raises UnusableImage for a bad file, Problem if the method can't be used."""
        try:
            return self._explained(job)
        finally:
            machine.give_back_now()  # what the networks keep of a large picture would come on top of the next one

    def _explained(self, job: Explain) -> dict[str, Any]:
        from dfd.explain.maps import explain  # takes long to import, and the server itself has no use for it

        with machine.bounded_memory(memory_for(self.max_pixels)):
            image = read_image(job.file.data, self.max_pixels)
        bundle, runtime = self._ready()
        try:
            maps = explain(bundle, image, job.method, runtime, SAMPLES, longest=SIDE)
        except UserError as error:
            raise unprocessable(str(error)) from None
        return {"name": job.file.name, "method": job.method, "maps": [_told(one) for one in maps]}

    def _ready(self) -> tuple[Bundle, Runtime]:
        if self._loaded is None:
            import torch

            torch.set_num_threads(self.threads)
            bundle = load(self.folder)
            self._loaded = bundle, start(self.runtime, cpu_bf16=bundle.cpu_bf16)
        return self._loaded


def _told(one: "Map") -> dict[str, Any]:
    from dfd.explain.pictures import heat, png

    picture = heat(one)
    height, width = picture.shape[:2]
    told = {"png": base64.b64encode(png(picture)).decode("ascii"), "width": width, "height": height}
    return {"name": one.network, "share": one.share, **told}
