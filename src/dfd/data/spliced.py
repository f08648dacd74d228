"""Training images with spliced fakes besides, which are made anew each time they are drawn."""

import numpy as np

from dfd.data.dataset import Draw, Images
from dfd.data.decode import UnusableImage, read_image
from dfd.data.splice import best_fit, reencoded, splice, thumbnail
from dfd.data.transforms import MIN_SIDE
from dfd.errors import UserError

POOL = 1000  # real images whose faces are put into others: each is looked at once before the training begins


class Spliced(Images):
    """Images, and after them `made` rows of fakes, each a function of its seed and of the real images.

    A face never gets parts of an image of its own group. Real images are saved as JPEG once more as often as fakes are
    spliced ones, which all are: else that alone would tell them.
    """

    def __init__(self, images: Images, labels: np.ndarray, groups: np.ndarray, made: int) -> None:
        super().__init__(images.paths, images.preprocessing, images.max_pixels, images.augmentation)
        self._labels, self._groups, self._made = labels, groups, made
        self._resaved = made / (made + int(labels.sum()))
        self._real = np.flatnonzero(labels == 0)
        drawn = np.random.default_rng(0).permutation(self._real)[:POOL].tolist()
        usable = {row: thumbnail(image) for row in drawn if (image := self._look(row)) is not None}
        self._donors = np.array(list(usable), np.int64)
        if len(set(groups[self._donors])) < 2:
            raise UserError(
                f"augment.splices needs real images of two groups to train on, of at least {MIN_SIDE} pixels a side"
            )
        self._thumbnails = np.stack(list(usable.values()))

    def __len__(self) -> int:
        return len(self.paths) + self._made

    def _pixels(self, draw: Draw) -> np.ndarray:
        rng = np.random.default_rng([draw.seed or 0, 2])
        if draw.row >= len(self.paths):
            return self._spliced(int(self._real[(draw.row - len(self.paths)) % len(self._real)]), rng)
        image = super()._pixels(draw)
        return reencoded(image, rng) if self._labels[draw.row] == 0 and rng.random() < self._resaved else image

    def _spliced(self, row: int, rng: np.random.Generator) -> np.ndarray:
        image = self._look(row)
        if image is None:
            row = int(rng.choice(self._donors))
            image = self._read(row)
        others = np.flatnonzero(self._groups[self._donors] != self._groups[row])
        fit = best_fit(thumbnail(image), self._thumbnails, others, rng)
        return splice(image, self._read(int(self._donors[fit.donor])), fit, rng)

    def _look(self, row: int) -> np.ndarray | None:
        """An image that can be spliced, or None."""
        try:
            image = self._read(row)
        except UnusableImage:
            return None
        return image if min(image.shape[:2]) >= MIN_SIDE else None

    def _read(self, row: int) -> np.ndarray:
        """Raises UnusableImage, with the file's name, since the row is not that of the file."""
        try:
            return read_image(self.paths[row], self.max_pixels)
        except UnusableImage as error:
            raise UnusableImage(f"{self.paths[row]}: {error}") from None
