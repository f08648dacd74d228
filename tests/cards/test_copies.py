import numpy as np
import pytest

from dfd.cards import copies
from dfd.cards.copies import COPIES, copies_of, words_of
from tests.images import picture


def test_every_copy_is_made_and_named() -> None:
    made = list(copies_of(picture(1, 90, 60)))
    assert [change for change, _ in made] == list(COPIES)
    assert all(copy.shape == (60, 90, 3) and copy.dtype == np.uint8 for _, copy in made)
    assert len({copy.tobytes() for _, copy in made}) == len(COPIES)
    assert len({words_of(change) for change, _ in made}) == len(COPIES)


def test_a_size_that_a_format_cannot_hold_leaves_its_copy_out() -> None:
    kinds = {change.kind for change, _ in copies_of(np.zeros((1, 17_000, 3), np.uint8))}
    assert "webp" not in kinds and "jpeg" in kinds


def test_no_webp_of_a_very_large_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copies, "SLOW_PIXELS", 100)
    assert {change.kind for change, _ in copies_of(picture(1))} == {"jpeg", "resize", "web"}
