"""Generated images as a data set: what is written, what is kept together, and what happens when the disk is full."""

import errno
import io
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image, JpegImagePlugin

from dfd.config import DataConfig
from dfd.data import samples
from dfd.data.combine import combine
from dfd.data.decode import read_image
from dfd.data.prepare import prepare
from dfd.data.samples import Form, load_samples, write_samples
from dfd.errors import UserError
from tests.factories import pixels, two_class_folder

FRACTIONS = [0.6, 0.2, 0.2]


def parts(n: int, size: int = 32, seed: int = 0) -> Iterator[np.ndarray]:
    rng = np.random.default_rng(seed)
    images = np.stack([pixels(rng, True, size) for _ in range(n)])
    yield images[: n // 2]
    yield images[n // 2 :]


def written(folder: Path, n: int = 20, form: Form | None = None, **settings: object) -> samples.Manifest:
    values = {"name": "gan-x", "fractions": FRACTIONS, "seed": 0, "about": {"seed": 3}, **settings}
    return write_samples(folder, parts(n), form or Form(), **values)


def test_all_images_are_fakes_of_one_source_in_the_shares_asked_for(tmp_path: Path) -> None:
    manifest = written(tmp_path)
    table = manifest.table
    assert list(table["split"].value_counts()[["train", "val", "test"]]) == [12, 4, 4]
    assert set(table["source"]) == {"gan-x"}
    assert set(table["label"]) == {1}
    assert manifest.header["about"] == {"seed": 3}
    assert load_samples(f"gan:{tmp_path}").fingerprint == manifest.fingerprint


def test_png_files_hold_the_very_pixels(tmp_path: Path) -> None:
    manifest = written(tmp_path)
    found = [read_image(manifest.file(path), 10**6) for path in manifest.table["path"]]
    assert np.array_equal(np.stack(found), np.concatenate(list(parts(20))))


def test_the_form_is_as_asked_for(tmp_path: Path) -> None:
    manifest = written(tmp_path, form=Form("jpeg", quality=50, side=48))
    assert set(manifest.table["format"]) == {"JPEG"}
    assert set(manifest.table["width"]) == {48}
    image = np.concatenate(list(parts(20)))[0]
    same = io.BytesIO()
    Image.fromarray(image).resize((48, 48), Image.Resampling.LANCZOS).save(same, "jpeg", quality=50)
    assert manifest.file(manifest.table["path"][0]).read_bytes() == same.getvalue()


def test_samples_that_look_alike_are_in_one_split(tmp_path: Path) -> None:
    """A collapsed generator gives the same image again and again."""
    few = np.concatenate(list(parts(4)))
    again = few.repeat(6, axis=0)
    again[:, 0, 0] ^= np.arange(len(again), dtype=np.uint8)[:, None]  # files that differ, pictures that don't
    table = write_samples(tmp_path, [again], Form(), name="x", fractions=FRACTIONS, seed=0, about={}).table
    assert table["group"].nunique() == 4
    assert (table.groupby("group")["split"].nunique() == 1).all()


def test_a_full_disk_is_said_and_leaves_no_half_data_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = Path.write_bytes

    def full(self: Path, data: bytes) -> int:
        if self.name == "000007.png":
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(self, data)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(UserError, match="No space left on device while the samples were written; they are removed"):
        written(tmp_path)
    assert not list(tmp_path.rglob("*.png"))
    with pytest.raises(UserError, match="there are no samples"):
        load_samples(f"gan:{tmp_path}")


@pytest.mark.parametrize(
    ("named", "message"),
    [
        ("other", "data/prepared/other holds no prepared data set; run `dfd data prepare data=other` first"),
        ("a, b", "`dfd data prepare data=folder 'data.name=\"a, b\"' data.source=FOLDER`"),
        ("other+more", "it was made of several, which are to be named one by one"),
        ("gan:nowhere", "there are no samples in nowhere"),
    ],
)
def test_what_can_t_be_added_is_told(workdir: Path, named: str, message: str) -> None:
    two_class_folder(workdir / "raw", each=20)
    with pytest.raises(UserError, match=re.escape(message)):
        prepare(DataConfig(name="own", source="raw", add=[named]), workers=0)


def test_samples_whose_images_are_gone_are_told(tmp_path: Path) -> None:
    manifest = written(tmp_path)
    manifest.file(manifest.table["path"][3]).unlink()
    with pytest.raises(UserError, match="1 of its images are gone"):
        load_samples(f"gan:{tmp_path}")


def test_a_folder_that_was_moved_still_works(tmp_path: Path) -> None:
    written(tmp_path / "old")
    (tmp_path / "old").rename(tmp_path / "new")
    manifest = load_samples(f"gan:{tmp_path / 'new'}")
    assert all(manifest.file(path).is_file() for path in manifest.table["path"])


def test_shares_that_are_none_are_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"fractions=\[0.5, 0.2, 0.2\]"):
        written(tmp_path, fractions=[0.5, 0.2, 0.2])


# Together with a data set


def both(workdir: Path, **settings: object) -> tuple[DataConfig, pd.DataFrame]:
    if not (workdir / "raw").exists():
        two_class_folder(workdir / "raw", each=20)
        written(workdir / "run")
    data = DataConfig(name="own", source="raw", add=["gan:run"], **settings)
    return data, prepare(data, workers=0).table


def test_another_data_set_joins_with_both_classes_in_the_splits_they_have(workdir: Path) -> None:
    two_class_folder(workdir / "raw", each=20)
    two_class_folder(workdir / "elsewhere" / "more", each=20, seed=1)
    own = prepare(DataConfig(name="own", source="raw"), workers=0)
    first = sorted((workdir / "raw" / "real").iterdir())[0]
    shutil.copy(first, workdir / "elsewhere" / "more" / "fake" / "contested.png")  # real here, fake there
    other = prepare(DataConfig(name="other", source="elsewhere/more"), workers=0)
    both = prepare(DataConfig(name="own", source="raw", add=["other"]), workers=0)
    assert both.name == "own+other" and both.header["cautions"] == [
        "2 images left out: they repeat others, or are real here and fake there"
    ]
    assert len(both.table) == len(own.table) + len(other.table) - 2
    splits = pd.concat([own.table, other.table]).drop_duplicates("sha256", keep=False)
    splits = splits.set_index("sha256")[["split", "label"]]
    assert both.table.set_index("sha256")[["split", "label"]].sort_index().equals(splits.sort_index())
    assert all(both.file(path).is_file() for path in both.table["path"])


def test_the_real_images_of_another_data_set_join_without_its_fakes(workdir: Path) -> None:
    two_class_folder(workdir / "raw", each=20)
    two_class_folder(workdir / "elsewhere", each=20, seed=1)
    own = prepare(DataConfig(name="own", source="raw"), workers=0)
    other = prepare(DataConfig(name="other", source="elsewhere"), workers=0)
    both = prepare(DataConfig(name="own", source="raw", add=["real:other"]), workers=0)
    assert both.name == "own+other-real"
    reals = other.table[other.table["label"] == 0]
    joined = pd.concat([own.table, reals]).set_index("sha256")[["split", "label"]]
    assert both.table.set_index("sha256")[["split", "label"]].sort_index().equals(joined.sort_index())
    assert both.header["parts"][1][1] != other.fingerprint
    with pytest.raises(UserError, match="data.add=real:absent: .*run `dfd data prepare data=absent` first"):
        prepare(DataConfig(name="own", source="raw", add=["real:absent"]), workers=0)


def test_samples_join_a_data_set_in_the_splits_they_have(workdir: Path) -> None:
    data, table = both(workdir)
    own, gan = prepare(DataConfig(name="own", source="raw")).table, load_samples("gan:run").table
    assert len(table) == len(own) + len(gan)
    splits = pd.concat([own, gan]).set_index("sha256")["split"]
    assert (table.set_index("sha256")["split"] == splits[table["sha256"]].to_numpy()).all()
    assert table["group"].nunique() == own["group"].nunique() + gan["group"].nunique()
    manifest = prepare(data)
    assert manifest.name == "own+gan-x"
    assert all(manifest.file(path).is_file() for path in manifest.table["path"])
    assert manifest.fingerprint != prepare(DataConfig(name="own", source="raw")).fingerprint


def test_a_picture_that_two_runs_hold_counts_once_and_in_the_later_split(workdir: Path) -> None:
    """The same seed twice, for other numbers of images: the same files, dealt to other splits."""
    both(workdir)
    written(workdir / "again", n=20, fractions=[0.2, 0.4, 0.4], form=Form("png"))
    written(workdir / "jpeg", n=20, fractions=[0.3, 0.4, 0.3], form=Form("jpeg", quality=90))
    data = DataConfig(name="own", source="raw", add=["gan:run", "gan:again", "gan:jpeg"])
    manifest = prepare(data)
    table = manifest.table
    assert not table["sha256"].duplicated().any()
    assert (table.groupby("group")["split"].nunique() == 1).all()
    assert any("they repeat others" in line for line in manifest.header["cautions"])
    where = pd.concat([load_samples(f"gan:{name}").table for name in ("run", "again")])
    rank = where["split"].map({"train": 0, "val": 1, "test": 2})
    latest = rank.groupby(where["sha256"]).max()
    kept = table.set_index("sha256")["split"].map({"train": 0, "val": 1, "test": 2})
    shared = kept.index.intersection(latest.index)
    assert (kept[shared] >= latest[shared]).all()


def test_other_sizes_and_formats_than_the_reals_are_cautioned_of(workdir: Path) -> None:
    data, _ = both(workdir)
    cautions = prepare(data).header["cautions"]
    assert any("are 32 pixels high, the reals 40" in line for line in cautions)
    assert not any("files" in line for line in cautions), "both are PNG"


def test_images_below_the_smallest_side_are_left_out(workdir: Path) -> None:
    both(workdir)
    table = prepare(DataConfig(name="own", source="raw", min_side=40, add=["gan:run"])).table
    assert set(table["width"]) == {32, 40}, "samples are not its own images"


def test_leaving_out_small_images_leaves_the_data_set_itself_alone(workdir: Path) -> None:
    two_class_folder(workdir / "raw", each=20)
    data = DataConfig(name="own", source="raw")
    whole = prepare(data)
    with pytest.raises(UserError, match="data.min_side=10000: no image of own has sides of"):
        prepare(DataConfig(name="own", source="raw", min_side=10**4))
    smaller = prepare(DataConfig(name="own", source="raw", min_side=10))
    assert (smaller.name, smaller.folder.name) == ("own-min10", "own-min10")
    again = prepare(data)
    assert again.header == whole.header and again.table.equals(whole.table)


def test_files_of_an_earlier_call_are_not_taken_in(tmp_path: Path) -> None:
    written(tmp_path, n=20)
    assert len(written(tmp_path, n=6).table) == 6
    assert len(list((tmp_path / "images").iterdir())) == 6


def test_a_set_that_was_last_split_for_its_own_folds_is_not_added_to_one_with_a_test_split(workdir: Path) -> None:
    two_class_folder(workdir / "raw", each=20)
    two_class_folder(workdir / "other", each=20, seed=1)
    prepare(DataConfig(name="other", source="other", fractions=[1, 0, 0]), workers=0)
    told = r"all images of other are in its train split.*data.fractions=\[1.*`dfd data prepare data=other`"
    for named in ("other", "real:other"):
        with pytest.raises(UserError, match=told):
            prepare(DataConfig(name="own", source="raw", add=[named]), workers=0)
    assert len(prepare(DataConfig(name="own", source="raw", fractions=[1, 0, 0], add=["other"]), workers=0).table) == 80


def test_own_real_leaves_the_samples_as_the_only_fakes(workdir: Path) -> None:
    _, table = both(workdir, own="real")
    assert set(table.loc[table["label"] == 1, "source"]) == {"gan-x"}
    assert (table["label"] == 0).sum() == 20


def test_own_real_without_samples_is_told(workdir: Path) -> None:
    two_class_folder(workdir / "raw", each=20)
    with pytest.raises(UserError, match=r"with data.own=real the fakes come from data.add=\[gan:RUN\]"):
        prepare(DataConfig(name="own", source="raw", own="real"))


def test_the_combined_manifest_is_written_once(workdir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data, _ = both(workdir)
    own = prepare(DataConfig(name="own", source="raw"))
    file = workdir / "data" / "prepared" / "own+gan-x" / "manifest.parquet"
    before = file.stat().st_mtime_ns
    combine(own, data)
    assert file.stat().st_mtime_ns == before


def test_an_own_data_set_is_not_prepared_again_for_being_added_to(workdir: Path) -> None:
    both(workdir)
    file = workdir / "data" / "prepared" / "own" / "manifest.parquet"
    before = file.stat().st_mtime_ns
    both(workdir, own="real")
    assert file.stat().st_mtime_ns == before


def photographs(folder: Path, n: int = 12) -> samples.Manifest:
    """Real and fake files of several kinds, prepared: JPEGs of several qualities, a grey one, one of a phone, a PNG."""
    rng = np.random.default_rng(0)
    for label in ("real", "fake"):
        (folder / label).mkdir(parents=True)
        for number in range(n):
            image = Image.fromarray(pixels(rng, label == "fake", 48))
            path = folder / label / f"{number:02}.jpg"
            match number:
                case 0:
                    image.save(path.with_suffix(".png"))
                case 1:
                    image.convert("L").save(path)
                case 2:
                    image.save(path, "MPO", save_all=True, append_images=[image])
                case _:
                    image.save(path, quality=40 + 5 * number, subsampling=number % 3)
    return prepare(DataConfig(name="photos", source=str(folder), root=str(folder.parent / "data")), workers=0)


def redrawn(folder: Path, originals: samples.Manifest) -> samples.Manifest:
    """Nothing like the originals, so that no likeness ties them together."""
    reals = originals.table[originals.table["label"] == 0]
    made = ((row, 255 - read_image(originals.file(row["path"]), 10**6)) for _, row in reals.iterrows())
    return samples.write_redrawn(folder, made, originals, name="redrawn-photos", about={})


def test_what_is_redrawn_has_split_group_and_file_like_its_original(tmp_path: Path) -> None:
    originals = photographs(tmp_path / "photos")
    reals = originals.table[originals.table["label"] == 0]
    manifest = redrawn(tmp_path / "run", originals)
    assert len(manifest.table) == len(reals)
    for (_, row), (_, own) in zip(manifest.table.iterrows(), reals.iterrows(), strict=True):
        assert (row["split"], row["group"]) == (own["split"], own["group"])
        assert row["format"] == own["format"].replace("MPO", "JPEG")
        assert (row["label"], row["source"]) == (1, "redrawn")
        with Image.open(manifest.file(row["path"])) as image, Image.open(originals.file(own["path"])) as original:
            assert (image.size, image.mode) == (original.size, original.mode)
            if row["format"] == "JPEG":
                assert image.quantization == original.quantization
                assert JpegImagePlugin.get_sampling(image) == JpegImagePlugin.get_sampling(original)
    assert load_samples(f"gan:{tmp_path / 'run'}").fingerprint == manifest.fingerprint


def test_original_and_redrawn_stay_in_one_group_when_they_are_combined(tmp_path: Path) -> None:
    originals = photographs(tmp_path / "photos")
    redrawn(tmp_path / "run", originals)
    data = DataConfig(name="photos", root=str(tmp_path / "data"), add=[f"gan:{tmp_path / 'run'}"])
    table = combine(originals, data).table
    drawn, real = (table[table["source"] == source]["group"].tolist() for source in ("redrawn", "photos-real"))
    assert sorted(drawn) == sorted(real)
    assert len(set(drawn)) > 3


def test_what_was_redrawn_from_other_splits_is_refused(tmp_path: Path) -> None:
    originals = photographs(tmp_path / "photos")
    redrawn(tmp_path / "run", originals)
    other = samples.Manifest(originals.table, {**originals.header, "fingerprint": "0123456789abcdef"})
    data = DataConfig(name="photos", root=str(tmp_path / "data"), add=[f"gan:{tmp_path / 'run'}"])
    with pytest.raises(UserError, match=f"with the fingerprint {originals.fingerprint}, which is none of these: 0123"):
        combine(other, data)


@pytest.mark.parametrize("when", ["drawing", "saving"])
def test_a_full_disk_leaves_nothing_redrawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str) -> None:
    originals = photographs(tmp_path / "photos")
    full = OSError(errno.ENOSPC, "No space left on device")

    def until_full() -> Iterator[tuple[pd.Series, np.ndarray]]:
        yield originals.table.iloc[0], np.zeros((48, 48, 3), np.uint8)
        if when == "drawing":
            raise full
        monkeypatch.setattr(Image.Image, "save", raising)
        yield originals.table.iloc[1], np.zeros((48, 48, 3), np.uint8)

    def raising(*_: object, **__: object) -> None:
        raise full

    with pytest.raises(UserError, match="No space left on device while the samples were written"):
        samples.write_redrawn(tmp_path / "run", until_full(), originals, name="redrawn", about={})
    assert not any((tmp_path / "run").iterdir())
