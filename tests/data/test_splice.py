from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dfd.data.dataset import Draw, Images
from dfd.data.layout import PARTS
from dfd.data.splice import SIDE, best_fit, splice, thumbnail
from dfd.data.spliced import Spliced
from dfd.errors import UserError
from tests.factories import tiny_preprocessing, two_class_folder

sides = st.integers(16, 90)


def smooth(height: int, width: int, seed: int) -> np.ndarray:
    """A picture without edges of its own. uint8 [H, W, 3]"""
    coarse = np.random.default_rng(seed).integers(60, 200, (4, 4, 3)).astype(np.float32)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC).clip(0, 255).astype(np.uint8)


def spliced_pair(height: int, width: int, donor: tuple[int, int], seed: int) -> tuple[np.ndarray, np.ndarray]:
    image, other = smooth(height, width, seed), smooth(*donor, seed + 1)
    rng = np.random.default_rng(seed)
    fit = best_fit(thumbnail(image), thumbnail(other)[None], np.array([0]), rng)
    return image, splice(image, other, fit, rng)


@settings(max_examples=60)
@given(sides, sides, st.tuples(sides, sides), st.integers(0, 10**6))
def test_any_two_pictures_can_be_spliced(height: int, width: int, donor: tuple[int, int], seed: int) -> None:
    image, made = spliced_pair(height, width, donor, seed)
    assert made.shape == image.shape and made.dtype == np.uint8


def test_the_parts_of_a_face_change_and_its_surroundings_do_not() -> None:
    changed = np.zeros((160, 160))
    for seed in range(40):
        image, made = spliced_pair(160, 160, (120, 140), 10 * seed)
        changed += np.abs(made.astype(float) - image).mean(axis=2)
    inside = np.zeros((160, 160), bool)
    for left, top, right, bottom in PARTS.values():
        inside[round(top * 160) : round(bottom * 160), round(left * 160) : round(right * 160)] = True
    corners = np.concatenate([changed[:24].ravel(), changed[:, :16].ravel(), changed[:, -16:].ravel()])
    assert changed[inside].mean() > 4 * corners.mean()


def test_the_donor_is_the_picture_that_fits_and_is_moved_into_place() -> None:
    rng = np.random.default_rng(0)
    faces = [cv2.GaussianBlur(rng.normal(128, 60, (SIDE, SIDE)).astype(np.float32), (0, 0), 2) for _ in range(6)]
    faces[4] = np.roll(faces[0], (2, -3), (0, 1))  # the same face, 2 lower and 3 further left
    fit = best_fit(faces[0], np.stack(faces), np.arange(1, 6), np.random.default_rng(1))
    assert (fit.donor, fit.right * SIDE, fit.down * SIDE) == (4, pytest.approx(3), pytest.approx(-2))


def images_of(root: Path, each: int = 6) -> tuple[Images, np.ndarray]:
    paths = sorted(two_class_folder(root, each=each).rglob("*.png"))
    labels = np.array([int(path.parent.name == "fake") for path in paths])
    return Images(paths, tiny_preprocessing(), 10**6), labels


def test_made_rows_come_after_the_files_and_are_a_function_of_their_seed(tmp_path: Path) -> None:
    images, labels = images_of(tmp_path / "x")
    data = Spliced(images, labels, np.arange(12), made=8)
    assert len(data) == 20
    first, again, other = (data[Draw(15, seed)][1] for seed in (1, 1, 2))
    assert np.array_equal(first, again) and not np.array_equal(first, other)
    fake = int(np.flatnonzero(labels)[0])
    assert np.array_equal(data[Draw(fake, 1)][1], images[Draw(fake, 1)][1])  # what the file holds
    reals = [data[Draw(int(np.flatnonzero(labels == 0)[0]), seed)][1] for seed in range(20)]
    assert len({value.numpy().tobytes() for value in reals}) > 1  # now and then saved again, as splices are


def test_a_face_gets_no_parts_of_an_image_of_its_own_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images, labels = images_of(tmp_path / "x")
    real = np.flatnonzero(labels == 0)
    groups = np.arange(12)
    groups[real[:5]] = 99  # five frames of one video, say, and one other image
    data, read = Spliced(images, labels, groups, made=6), []
    own = Spliced._read
    monkeypatch.setattr(Spliced, "_read", lambda self, row: read.append(row) or own(self, row))
    for row in range(12, 18):
        data[Draw(row, seed=row)]
    pairs = list(zip(read[::2], read[1::2], strict=True))
    assert [first for first, _ in pairs] == real.tolist()  # every real image in its turn
    assert all(groups[first] != groups[second] for first, second in pairs)


def test_splices_need_faces_of_two_groups(tmp_path: Path) -> None:
    images, labels = images_of(tmp_path / "x", each=3)
    with pytest.raises(UserError, match="augment.splices needs real images of two groups"):
        Spliced(images, labels, np.zeros(6, int), made=1)
