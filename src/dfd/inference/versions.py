"""Images together with changed versions of them, each file decoded once a pass."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from dfd.data.changes import Change
from dfd.data.dataset import Draw, Images, image_tensor
from dfd.data.decode import UnusableImage, read_image
from dfd.data.transforms import Joint, Preprocessing


class Versions(Images):
    """n images in C versions as n x C items: item r x C + c is version c of image r; version 0 is the image as it is.

    A process keeps the image that it decoded last, one and no more: in batches of whole images (see `whole_images`)
    each file is read once, and at most one decoded image a worker is in memory. Noise is a function of `seed`, the
    image's seed and the strength: not of the order, the batches or the number of workers.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        image_seeds: Sequence[int],
        changes: Sequence[Change],
        preprocessing: Preprocessing | Joint,
        max_pixels: int,
        seed: int,
    ) -> None:
        super().__init__(paths, preprocessing, max_pixels)
        if len(image_seeds) != len(self.paths):
            raise ValueError(f"{len(self.paths)} paths, but {len(image_seeds)} seeds")
        self.image_seeds, self.changes, self.seed = list(image_seeds), list(changes), seed
        self._kept: tuple[int, np.ndarray | str] | None = None

    @property
    def count(self) -> int:
        """C, the versions of an image, with the unchanged one."""
        return 1 + len(self.changes)

    def __len__(self) -> int:
        return len(self.paths) * self.count

    def __getitem__(self, draw: Draw) -> tuple[int, torch.Tensor | str]:
        row, number = divmod(draw.row, self.count)
        image = self._decoded(row)
        if number == self.count - 1:
            self._kept = None  # a large one need not stay in memory until the next is decoded
        if isinstance(image, str):
            return draw.row, image
        try:
            if number > 0:
                image = self.changes[number - 1](image, self.seed, self.image_seeds[row])
            return draw.row, image_tensor(self.preprocessing(image))
        except UnusableImage as error:
            return draw.row, error.reason
        except MemoryError:
            return draw.row, "does not fit into memory"

    def _decoded(self, row: int) -> np.ndarray | str:
        """The image, or the reason why there is none."""
        if self._kept is None or self._kept[0] != row:
            self._kept = None
            try:
                self._kept = row, read_image(self.paths[row], self.max_pixels)
            except UnusableImage as error:
                self._kept = row, error.reason
        return self._kept[1]


def image_seed(sha256: str) -> int:
    """A seed from an image's content: the same wherever the file lies, and in whatever order."""
    return int(sha256[:16] or "0", 16)


def whole_images(batch_size: int, count: int) -> int:
    """The batch size, made a multiple of the versions of an image: at least one image, else as many as fit."""
    return count * max(1, batch_size // count)
