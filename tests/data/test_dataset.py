from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dfd.config import AugmentConfig
from dfd.data.dataset import Copies, Draw, Images, TrainingOrder, batches_of, loader
from dfd.data.transforms import Augmentation
from dfd.errors import UserError
from tests.factories import tiny_preprocessing, two_class_folder


def order(n: int = 20, **settings: object) -> TrainingOrder:
    values = {"batch_size": 6, "steps": 9, "seed": 1}
    return TrainingOrder(np.arange(n) % 2, **{**values, **settings})


@given(st.integers(0, 9))
def test_an_order_resumed_at_any_step_goes_on_as_if_uninterrupted(start: int) -> None:
    assert list(order(start_step=start)) == list(order())[start:]


def test_an_epoch_sees_each_image_at_most_once_and_epochs_differ() -> None:
    batches = list(order())
    epochs = [[draw.row for batch in batches[start : start + 3] for draw in batch] for start in (0, 3, 6)]
    assert all(len(rows) == len(set(rows)) == 18 for rows in epochs)
    assert epochs[0] != epochs[1] != epochs[2]


def test_augmentation_seeds_are_never_repeated() -> None:
    seeds = [draw.seed for batch in order() for draw in batch]
    assert len(set(seeds)) == len(seeds)


@pytest.mark.parametrize(("world", "accumulate"), [(2, 1), (1, 3), (3, 2)])
def test_ranks_and_parts_cut_the_same_batches(world: int, accumulate: int) -> None:
    whole = [sorted(draw.row for draw in batch) for batch in order()]
    ranks = [list(order(rank=rank, world=world, accumulate=accumulate)) for rank in range(world)]
    for step, rows in enumerate(whole):
        parts = [part for rank in ranks for part in rank[step * accumulate : (step + 1) * accumulate]]
        assert sorted(draw.row for part in parts for draw in part) == rows


def test_balanced_order_draws_both_classes_equally_often() -> None:
    labels = np.array([1] * 4 + [0] * 36)
    batches = list(TrainingOrder(labels, batch_size=8, steps=5, seed=0, balanced=True))
    rows = [draw.row for batch in batches for draw in batch]
    assert labels[rows].mean() == 0.5
    assert {row: rows.count(row) for row in range(4)} == dict.fromkeys(range(4), 5)


def test_a_batch_that_cannot_be_cut_is_refused() -> None:
    with pytest.raises(UserError, match="batch_size=6 cannot be cut into 4 ranks"):
        order(world=4)


def test_a_batch_larger_than_the_split_becomes_the_whole_split() -> None:
    assert order(n=5, batch_size=32).batch_size == 5


@given(st.integers(0, 40), st.integers(1, 7), st.integers(1, 4))
def test_every_row_is_on_one_rank_once_in_the_same_batches(n: int, size: int, world: int) -> None:
    shares = [batches_of(range(n), size, rank, world) for rank in range(world)]
    assert sorted(draw.row for share in shares for batch in share for draw in batch) == list(range(n))
    assert sorted(map(str, sum(shares, []))) == sorted(map(str, batches_of(range(n), size)))


def images_of(folder: Path, augmentation: Augmentation | None = None) -> Images:
    return Images(sorted(folder.rglob("*.png")), tiny_preprocessing(), 10**6, augmentation)


def test_a_file_that_cannot_be_read_does_not_stop_its_batch(tmp_path: Path) -> None:
    data = images_of(two_class_folder(tmp_path, 3))
    data.paths[1].write_bytes(b"no image")
    (batch,) = loader(data, batches_of(range(6), 6), workers=0)
    assert batch.rows.tolist() == [0, 2, 3, 4, 5]
    assert batch.inputs.shape == (5, 3, 32, 32) and batch.inputs.dtype == torch.uint8
    assert list(batch.errors) == [1]


def test_a_batch_of_bad_files_only_is_empty(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"")
    (batch,) = loader(images_of(tmp_path), batches_of(range(1), 4), workers=0)
    assert len(batch.rows) == 0 and list(batch.errors) == [0]


def test_workers_do_not_change_what_is_loaded(tmp_path: Path) -> None:
    data = images_of(two_class_folder(tmp_path, 4), Augmentation(AugmentConfig(name="x", flip=0.5, jpeg=1, noise=0.5)))
    draws = [[Draw(row, 7 * row) for row in range(start, start + 4)] for start in (0, 4)]
    alone, helped = (list(loader(data, draws, workers)) for workers in (0, 2))
    for one, other in zip(alone, helped, strict=True):
        assert torch.equal(one.inputs, other.inputs)


def test_copies_are_changed_each_in_its_way_and_alike_each_time(tmp_path: Path) -> None:
    paths = sorted((two_class_folder(tmp_path, each=3) / "real").iterdir())
    images = Images(paths, tiny_preprocessing(), 10**6)
    augmentation = Augmentation(AugmentConfig(name="x", noise=1.0))
    first, again, second = (Copies(images.changed_by(augmentation), number) for number in (0, 0, 1))
    for row in range(3):
        plain, one, same, other = (data[Draw(row)][1] for data in (images, first, again, second))
        assert torch.equal(one, same)
        assert not torch.equal(one, other)
        assert not torch.equal(one, plain)
