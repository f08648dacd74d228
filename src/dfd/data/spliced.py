"""Training images with spliced fakes besides, which are made anew each time they are drawn."""

import numpy as np

from dfd.data.dataset import Draw, Images
from dfd.data.decode import UnusableImage, read_image
from dfd.data.splice import best_fit, reencoded, splice, thumbnail
from dfd.data.transforms import MIN_SIDE
from dfd.errors import UserError

POOL = 1000  # real images that fakes are made of: each is looked at once before the training begins
RESAVED = 0.5  # chance of a real image to be saved as JPEG once more, as all spliced ones are


class Spliced(Images):
    """Images, and after them `made` rows of fakes, each a function of its seed and of the real images in `pool`."""

    def __init__(self, images: Images, labels: np.ndarray, made: int) -> None:
        super().__init__(images.paths, images.preprocessing, images.max_pixels, images.augmentation)
        self._labels = labels
        real = np.flatnonzero(labels == 0)
        drawn = np.random.default_rng(0).permutation(real)[:POOL]
        seen = {int(row): self._thumbnail(int(row)) for row in drawn}
        usable = {row: small for row, small in seen.items() if small is not None}
        if len(usable) < 2:
            raise UserError(f"augment.splices needs two real images of at least {MIN_SIDE} pixels a side to train on")
        self._pool, self._thumbnails = list(usable), np.stack(list(usable.values()))
        self._made = made

    def __len__(self) -> int:
        return len(self.paths) + self._made

    def _thumbnail(self, row: int) -> np.ndarray | None:
        try:
            image = read_image(self.paths[row], self.max_pixels)
        except UnusableImage:
            return None
        return thumbnail(image) if min(image.shape[:2]) >= MIN_SIDE else None

    def _pixels(self, draw: Draw) -> np.ndarray:
        rng = np.random.default_rng([draw.seed or 0, 2])
        if draw.row < len(self.paths):
            image = super()._pixels(draw)
            return reencoded(image, rng) if self._labels[draw.row] == 0 and rng.random() < RESAVED else image
        own = (draw.row - len(self.paths)) % len(self._pool)
        fit = best_fit(own, self._thumbnails, rng)
        image, donor = (read_image(self.paths[self._pool[place]], self.max_pixels) for place in (own, fit.donor))
        return splice(image, donor, fit, rng)
