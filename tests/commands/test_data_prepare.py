from pathlib import Path

import pytest

from dfd.commands.data_prepare import run
from dfd.config import DataConfig, PrepareConfig
from dfd.errors import EXIT_OK, EXIT_PARTIAL
from tests.images import real_and_fake


@pytest.fixture(autouse=True)
def raw(workdir: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("COLUMNS", "120")
    return real_and_fake(workdir / "data" / "raw" / "mine", 10)


CONFIG = PrepareConfig(name="mine", data=DataConfig(name="mine", fractions=[0.6, 0.2, 0.2]))


def test_what_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(CONFIG, Path("out")) == EXIT_OK
    said = capsys.readouterr().out
    for part in ("mine: 20 images", "mine-fake", "fingerprint: ", "manifest: data/prepared/mine/manifest.parquet"):
        assert part in said
    assert "unusable" not in said


def test_unusable_files_are_named_but_not_all(raw: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(12):
        (raw / "real" / f"bad[red]{number:02d}.jpg").touch()
    assert run(CONFIG, Path("out")) == EXIT_PARTIAL
    said = capsys.readouterr().out
    assert "unusable: 12 images, listed in data/prepared/mine/unusable.csv" in said
    assert "real/bad[red]09.jpg: empty file" in said
    assert "bad[red]10" not in said
    assert "… and 2 more" in said
    assert run(CONFIG, Path("out")) == EXIT_PARTIAL  # and again, when nothing is done
