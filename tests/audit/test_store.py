from pathlib import Path

import pandas as pd
import pytest

from dfd.audit import store

SCORES = pd.DataFrame({"sha256": ["a", "b", "b"], "fold": [0, 1, 1], "primary": [0.1, 0.5, 0.5]})
FIGURES = {"fingerprint": "f00d", "n": 3}


def test_scores_come_back_for_their_own_data_only(tmp_path: Path) -> None:
    assert store.load_scores(tmp_path, "f00d") is None
    store.save(tmp_path, SCORES, FIGURES)
    found = store.load_scores(tmp_path, "f00d")
    assert found is not None and found["sha256"].tolist() == ["a", "b"] and found["primary"].tolist() == [0.1, 0.5]
    assert store.load_scores(tmp_path, "beef") is None
    assert sorted(path.name for path in (tmp_path / "audit").iterdir()) == ["audit.json", "scores.parquet"]


@pytest.mark.parametrize("name", ["audit.json", "scores.parquet"])
@pytest.mark.parametrize("content", [None, b"", b"{}", b"[1]", b"\xff\xfe"])
def test_a_damaged_audit_is_none(tmp_path: Path, name: str, content: bytes | None) -> None:
    path = store.save(tmp_path, SCORES, FIGURES) / name
    path.unlink() if content is None else path.write_bytes(content)
    assert store.load_scores(tmp_path, "f00d") is None


def test_scores_of_another_audit_are_not_taken(tmp_path: Path) -> None:
    """As after a crash between the two files."""
    place = store.save(tmp_path, SCORES, FIGURES)
    SCORES.assign(primary=0.9).to_parquet(place / "scores.parquet")
    assert store.load_scores(tmp_path, "f00d") is None


def test_what_is_no_json_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        store.save(tmp_path, SCORES, {**FIGURES, "auroc": float("nan")})
