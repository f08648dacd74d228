import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch

from dfd.config import ChangesConfig, RuntimeConfig
from dfd.data.changes import Change, changes_of
from dfd.data.dataset import Draw, Images
from dfd.data.decode import read_image
from dfd.inference import versions
from dfd.inference.forward import compute_logits
from dfd.inference.versions import Versions, image_seed, whole_images
from dfd.models.detector import build
from dfd.runtime import start
from tests.factories import tiny_model, tiny_preprocessing, two_class_folder

CHANGES = changes_of(ChangesConfig(jpeg=[30], noise=[5, 20], crop=[0.5]))
C = 1 + len(CHANGES)
BROKEN = 3


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = two_class_folder(tmp_path_factory.mktemp("images"), each=4)
    found = sorted(folder.rglob("*.png"))
    found[BROKEN].write_bytes(b"not an image")
    return found


def versions_of(paths: list[Path], seed: int = 0) -> Versions:
    seeds = [image_seed(hashlib.sha256(path.read_bytes()).hexdigest()) for path in paths]
    return Versions(paths, seeds, CHANGES, tiny_preprocessing(), 10**6, seed)


def logits_of(data: Images, batch_size: int, workers: int = 0) -> tuple[np.ndarray, dict[int, str]]:
    torch.manual_seed(0)
    detector = build(tiny_model(), tiny_preprocessing())
    runtime = start(RuntimeConfig(device="cpu", precision="fp32", workers=workers), cpu_bf16=False)
    return compute_logits(detector, data, batch_size, runtime)


def test_version_0_is_the_image_as_it_is_and_the_others_are_its_changes(paths: list[Path]) -> None:
    data, plain = versions_of(paths), Images(paths, tiny_preprocessing(), 10**6)
    assert len(data) == len(paths) * C
    number, unchanged = data[Draw(2 * C)]
    assert number == 2 * C and torch.equal(unchanged, plain[Draw(2)][1])
    image = read_image(paths[2], 10**6)
    for place, change in enumerate(CHANGES, start=1):
        number, tensor = data[Draw(2 * C + place)]
        expected = tiny_preprocessing()(change(image, 0, data.image_seeds[2]))
        assert number == 2 * C + place and np.array_equal(tensor.numpy(), expected.transpose(2, 0, 1))
        assert not torch.equal(tensor, unchanged)


@pytest.mark.parametrize("batch_size", [C, 3 * C])
def test_each_file_is_decoded_once_a_pass(paths: list[Path], batch_size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Path] = []

    def counted(path: Path, max_pixels: int) -> np.ndarray:
        read.append(path)
        return read_image(path, max_pixels)

    monkeypatch.setattr(versions, "read_image", counted)
    data = versions_of(paths)
    logits_of(data, batch_size)
    assert read == paths
    assert data._kept is None  # no image stays behind
    logits_of(data, batch_size)
    assert read == paths * 2


def test_the_reason_of_an_unreadable_file_stands_for_all_its_versions(paths: list[Path]) -> None:
    logits, errors = logits_of(versions_of(paths), C)
    assert errors == dict.fromkeys(range(BROKEN * C, (BROKEN + 1) * C), "not an image")
    assert np.isnan(logits.reshape(-1, C)).any(axis=1).tolist() == [row == BROKEN for row in range(len(paths))]


def test_a_change_that_fails_has_its_own_reason(paths: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(versions.Change.__call__.__globals__["LONGEST"], "JPEG", 39)  # the images have 40
    _, errors = logits_of(versions_of(paths[:2]), C)
    assert errors == {row * C + 1: "40 pixels a side: JPEG holds 39" for row in range(2)}


def test_memory_that_runs_out_is_a_reason(paths: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    def hungry(self: Change, image: np.ndarray, *seed: int) -> np.ndarray:
        raise MemoryError

    monkeypatch.setattr(Change, "__call__", hungry)
    _, errors = logits_of(versions_of(paths[:1]), C)
    assert errors == dict.fromkeys(range(1, C), "does not fit into memory")


def test_neither_workers_nor_order_matter(paths: list[Path]) -> None:
    alone, errors = logits_of(versions_of(paths), C)
    together, errors_together = logits_of(versions_of(paths), C, workers=2)
    assert np.array_equal(alone, together, equal_nan=True) and errors == errors_together
    data = versions_of(paths)
    tensors = {number: data[Draw(number)][1] for number in reversed(range(len(data)))}
    again = versions_of(paths[::-1])  # noise goes with the image, not with its place
    for row in set(range(len(paths))) - {BROKEN}:
        for place in range(C):
            other = again[Draw((len(paths) - 1 - row) * C + place)][1]
            assert torch.equal(tensors[row * C + place], other)


def test_the_seed_changes_the_noise_and_nothing_else(paths: list[Path]) -> None:
    first, second = versions_of(paths, seed=0), versions_of(paths, seed=1)
    same = [torch.equal(first[Draw(place)][1], second[Draw(place)][1]) for place in range(C)]
    assert same == [True, *(change.kind != "noise" for change in CHANGES)]


def test_seeds_come_from_the_content() -> None:
    assert image_seed("ff" * 32) == 2**64 - 1
    assert image_seed("0" * 64) == image_seed("") == 0


@pytest.mark.parametrize(("batch_size", "count", "expected"), [(32, 2, 32), (32, 39, 39), (1, 2, 2), (32, 5, 30)])
def test_batches_hold_whole_images(batch_size: int, count: int, expected: int) -> None:
    assert whole_images(batch_size, count) == expected


def test_each_path_needs_a_seed(paths: list[Path]) -> None:
    with pytest.raises(ValueError, match="8 paths, but 1 seeds"):
        Versions(paths, [0], CHANGES, tiny_preprocessing(), 10**6, 0)
