"""Rows of a manifest as batches of tensors, in an order that depends on the seed and the step alone."""

from collections.abc import Callable, Iterator, Sequence
from copy import copy
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from dfd import machine
from dfd.data.decode import UnusableImage, read_image
from dfd.data.transforms import Augmentation, Joint, Preprocessing
from dfd.errors import UserError


@dataclass(frozen=True)
class Draw:
    """One image of a batch: which row, and the seed of its augmentation (None: no augmentation)."""

    row: int
    seed: int | None = None


def image_tensor(image: np.ndarray) -> torch.Tensor:
    """uint8 [H, W, 3] to uint8 [3, H, W]; in memory the channels come last, as they do in an image."""
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)  # a copy: PIL's arrays are read-only


class Images(Dataset[tuple[int, torch.Tensor | str]]):
    """Files as network inputs: the one way from a file to a tensor.

    An item is (row, uint8 tensor [3, size, size], or [3, 1, P] of a `Joint`), or (row, reason) if the file cannot be
    used. `change` is applied to each image, uint8 RGB [H, W, 3], as if the file held the result; it must be picklable.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        preprocessing: Preprocessing | Joint,
        max_pixels: int,
        augmentation: Augmentation | None = None,
        change: Callable[[np.ndarray], np.ndarray] | None = None,
    ) -> None:
        self.paths = list(paths)
        self.preprocessing = preprocessing
        self.max_pixels = max_pixels
        self.augmentation = augmentation
        self.change = change

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, draw: Draw) -> tuple[int, torch.Tensor | str]:
        try:
            image = self._pixels(draw)
        except UnusableImage as error:
            return draw.row, str(error)
        if self.change is not None:
            image = self.change(image)
        offset = (0.5, 0.5)
        if self.augmentation is not None and draw.seed is not None:
            image = self.augmentation(image, draw.seed)
            offset = tuple(np.random.default_rng([draw.seed, 1]).random(2))
        return draw.row, image_tensor(self.preprocessing(image, offset))

    def changed_by(self, augmentation: Augmentation) -> "Images":
        """The same images under another augmentation."""
        same = copy(self)
        same.augmentation = augmentation
        return same

    def _pixels(self, draw: Draw) -> np.ndarray:
        """What the file holds. Raises UnusableImage."""
        return read_image(self.paths[draw.row], self.max_pixels)


class Copies(Images):
    """Images as their augmentation leaves them: the same each time for one `number`."""

    def __init__(self, images: Images, number: int) -> None:
        super().__init__(images.paths, images.preprocessing, images.max_pixels, images.augmentation)
        self._images, self._number = images, number

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, draw: Draw) -> tuple[int, torch.Tensor | str]:
        return self._images[Draw(draw.row, self._number * 2**32 + draw.row)]


class Features(Dataset[tuple[int, torch.Tensor | str]]):
    """Features computed beforehand, in place of images, for a head over a frozen backbone. [N, F]"""

    def __init__(self, features: torch.Tensor) -> None:
        self.features = features

    def __len__(self) -> int:
        return len(self.features)

    def __getitem__(self, draw: Draw) -> tuple[int, torch.Tensor | str]:
        return draw.row, self.features[draw.row]


@dataclass(frozen=True)
class Batch:
    """Inputs [n, ...] of the readable rows, and the rows that could not be read with the reason."""

    rows: torch.Tensor
    inputs: torch.Tensor
    errors: dict[int, str]

    def pin_memory(self) -> "Batch":
        """Called by the DataLoader, so that the copy to a GPU need not wait."""
        return Batch(self.rows, self.inputs.pin_memory(), self.errors)


def collate(items: list[tuple[int, torch.Tensor | str]]) -> Batch:
    """Stack what could be read; keep the reasons for the rest."""
    good = [(row, value) for row, value in items if not isinstance(value, str)]
    inputs = _stacked([value for _, value in good]) if good else torch.empty(0)
    rows = torch.tensor([row for row, _ in good], dtype=torch.long)
    return Batch(rows, inputs, {row: value for row, value in items if isinstance(value, str)})


def _stacked(values: list[torch.Tensor]) -> torch.Tensor:
    """Images [3, H, W] as a batch [N, 3, H, W], in memory with the channels last; features [F] as [N, F]."""
    if values[0].ndim == 1:
        return torch.stack(values)
    return torch.stack([value.permute(1, 2, 0) for value in values]).permute(0, 3, 1, 2)


class TrainingOrder(Sampler[list[Draw]]):
    """All batches of a training run from `start_step` on, as this rank sees them.

    Each epoch is a new permutation; each draw has its own augmentation seed. Both are functions of
    (seed, epoch), so a run that resumes at any step, with any number of workers, sees what an
    uninterrupted one sees. Every step's batch is cut into world x accumulate equal parts. The last,
    incomplete batch of an epoch is dropped; its images differ from epoch to epoch.
    """

    def __init__(
        self,
        labels: np.ndarray,
        *,
        batch_size: int,
        steps: int,
        seed: int,
        balanced: bool = False,
        start_step: int = 0,
        accumulate: int = 1,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        self.labels = np.asarray(labels)
        self.batch_size = min(batch_size, len(labels) - len(labels) % (world * accumulate))
        if self.batch_size == 0 or self.batch_size % (world * accumulate):
            raise UserError(
                f"trainer.batch_size={batch_size} cannot be cut into {world} ranks x trainer.accumulate={accumulate} "
                f"equal parts of the {len(labels)} training images"
            )
        self.steps, self.start_step, self.seed, self.balanced = steps, start_step, seed, balanced
        self.accumulate, self.rank, self.world = accumulate, rank, world

    @property
    def steps_per_epoch(self) -> int:
        """Whole batches in a pass over the images."""
        return len(self.labels) // self.batch_size

    def __len__(self) -> int:
        return (self.steps - self.start_step) * self.accumulate

    def __iter__(self) -> Iterator[list[Draw]]:
        part = self.batch_size // (self.world * self.accumulate)
        epoch = -1
        for step in range(self.start_step, self.steps):
            if step // self.steps_per_epoch != epoch:
                epoch = step // self.steps_per_epoch
                order, seeds = self._epoch(epoch)
            first = (step % self.steps_per_epoch) * self.batch_size
            for micro in range(self.accumulate):
                begin = first + (micro * self.world + self.rank) * part
                yield [Draw(int(order[i]), int(seeds[i])) for i in range(begin, begin + part)]

    def _epoch(self, epoch: int) -> tuple[np.ndarray, np.ndarray]:
        rng = np.random.default_rng([self.seed, epoch])
        n = len(self.labels)
        order = self._balanced_order(rng, n) if self.balanced else rng.permutation(n)
        return order, rng.integers(2**62, size=n)

    def _balanced_order(self, rng: np.random.Generator, n: int) -> np.ndarray:
        """Both classes equally often; the smaller one's images come again, each about as often as the others."""
        halves = []
        for label, share in ((0, n // 2), (1, n - n // 2)):
            rows = np.flatnonzero(self.labels == label)
            repeats = -(-share // len(rows))
            halves.append(np.concatenate([rng.permutation(rows) for _ in range(repeats)])[:share])
        return rng.permutation(np.concatenate(halves))


def batches_of(rows: range, size: int, rank: int = 0, world: int = 1) -> list[list[Draw]]:
    """The rows in batches, each batch whole on one rank: every row once, batches alike for any `world`."""
    starts = range(rank * size, len(rows), world * size)
    return [[Draw(row) for row in rows[start : start + size]] for start in starts]


def loader(
    data: Dataset, batches: Sampler | list[list[Draw]], workers: int, pin_memory: bool = False, keep: bool = False
) -> DataLoader:
    """A DataLoader over prepared batches; `workers` processes decode ahead of the network.

    `keep`: the processes start now and stay for all passes. Started later, as copies of a process that has grown by
    gigabytes, they cost seconds a pass.
    """
    made: DataLoader = DataLoader(
        data,
        batch_sampler=batches,
        num_workers=workers,
        collate_fn=collate,
        pin_memory=pin_memory,
        worker_init_fn=_start_worker,
        prefetch_factor=2 if workers else None,
        persistent_workers=keep and workers > 0,
    )
    if keep:
        iter(made)
    return made


def _start_worker(_: int) -> None:
    machine.give_way()  # it decodes while the network waits, and doesn't break into it
    cv2.setNumThreads(0)  # one thread a worker: the workers are the parallelism
    machine.give_back_freed()  # a worker starts as a copy of a process that keeps it
