"""A folder of files that give no image, beside good ones of every odd kind: nothing stops, nothing is lost."""

from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from dfd.cli import main
from dfd.data.manifest import Manifest
from tests.commands.conftest import Trained
from tests.images import encoded, hostile, picture

QUICK = ("runtime.device=cpu", "runtime.workers=2")


def odd_but_good(folder: Path) -> set[str]:
    """Images that are unusual and fine."""
    folder.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(picture(1, 64, 64))
    deep = Image.fromarray(picture(2, 64, 64)[..., 0].astype("uint16") * 256)
    frames = [Image.fromarray(picture(seed, 64, 64)) for seed in (3, 4)]
    exif = Image.Exif()
    exif[0x0112] = 6
    contents = {
        "cmyk.jpg": encoded(image.convert("CMYK")),
        "deep.png": encoded(deep, "PNG"),
        "palette.png": encoded(image.convert("P"), "PNG", transparency=3),
        "alpha.png": encoded(image.convert("RGBA"), "PNG"),
        "grey.jpg": encoded(image.convert("L")),
        "turned.jpg": encoded(Image.fromarray(picture(5, 64, 48)), exif=exif),
        "moving.webp": encoded(frames[0], "WEBP", save_all=True, append_images=frames[1:]),
        "Gesicht ü 脸 ([x]).jpg": encoded(Image.fromarray(picture(6, 64, 64))),
        "line\nbreak, good.jpg": encoded(Image.fromarray(picture(7, 64, 64))),
    }
    for name, data in contents.items():
        (folder / name).write_bytes(data)
    return set(contents)


def test_predict_scores_the_good_and_names_the_bad(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(trained.folder)
    reasons, good = hostile(tmp_path / "in"), odd_but_good(tmp_path / "in")
    out = tmp_path / "out.parquet"
    assert main(["predict", str(tmp_path / "in"), f"output={out}", *QUICK]) == 3
    table = pd.read_parquet(out)
    table["name"] = [Path(path).name.replace("\\x0a", "\n") for path in table["path"]]
    assert set(table["name"]) == good | set(reasons)
    rows = table.set_index("name")
    assert rows.loc[sorted(good), "prob"].between(0, 1).all() and rows.loc[sorted(good), "error"].isna().all()
    assert rows.loc[sorted(reasons), "error"].to_dict() == reasons
    assert rows.loc[sorted(reasons), "verdict"].isna().all()


def test_prepare_keeps_the_good_and_lists_the_bad(workdir: Path) -> None:
    reasons, good = hostile(workdir / "raw" / "fake"), odd_but_good(workdir / "raw" / "fake")
    real = workdir / "raw" / "real"
    real.mkdir()
    for seed in range(10, 22):
        (real / f"{seed}.jpg").write_bytes(encoded(Image.fromarray(picture(seed, 64, 64))))
    assert main(["data", "prepare", "data=folder", "data.name=hostile", "data.source=raw"]) == 3
    manifest = Manifest.load(workdir / "data" / "prepared" / "hostile")
    fakes = manifest.table[manifest.table["label"] == 1]
    assert {manifest.file(path).name for path in fakes["path"]} == good
    unusable = pd.read_csv(workdir / "data" / "prepared" / "hostile" / "unusable.csv")
    assert len(unusable) == len(reasons)
