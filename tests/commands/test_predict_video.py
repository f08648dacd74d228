"""`dfd predict` on videos, from files to tables, page and screen."""

import json
import signal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from dfd.cli import main
from dfd.models.bundle import find, load
from dfd.video import reader
from tests.commands.conftest import Refused, Trained, newest_run
from tests.factories import pixels, tiny_ensemble
from tests.video.clips import number_picture, write_clip, write_sound
from tests.video.yunet import write_spot_finder

QUICK = ("runtime.device=cpu", "runtime.workers=0", "runtime.precision=fp32")


def half_fake(number: int) -> np.ndarray:
    """Twenty frames like the real images, then twenty like the fake ones."""
    return pixels(np.random.default_rng(number // 5), fake=number >= 20)


def write_half_fake(path: Path, fake: bool | None = None) -> Path:
    def paint(number: int) -> np.ndarray:
        return half_fake(number if fake is None else number % 20 + 20 * fake)

    return write_clip(path, 40, "ffv1", paint, pix_fmt="bgr0")


@pytest.fixture
def work(trained: Trained, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(trained.folder)
    return trained.folder


def predict(work: Path, *arguments: str | Path) -> tuple[int, Path, pd.DataFrame, pd.DataFrame]:
    """Exit code, run folder, table of videos, table of frames."""
    code = main(["predict", *map(str, arguments), *QUICK])
    run = newest_run(work, "predict", "predict")
    return code, run, pd.read_parquet(run / "videos.parquet"), pd.read_parquet(run / "frames.parquet")


def test_frames_get_the_scores_that_the_same_pictures_get_as_files(work: Path, tmp_path: Path) -> None:
    path = write_half_fake(tmp_path / "a.mkv")
    code, _, videos, frames = predict(work, path, "video.frames=8", "batch_size=3")
    assert code == 0 and list(frames["frame"]) == [2, 7, 12, 17, 22, 27, 32, 37]
    for number in frames["frame"]:
        Image.fromarray(half_fake(number)).save(tmp_path / f"{number:02}.png")
    main(["predict", str(tmp_path / "*.png"), f"output={tmp_path / 'images.csv'}", *QUICK])
    images = pd.read_csv(tmp_path / "images.csv")
    assert np.allclose(frames["logit"], images["logit"], atol=2e-2)
    assert videos["logit"][0] == pytest.approx(frames["logit"].mean(), abs=1e-4)
    calibration = load(find(None)).calibration
    assert videos["prob"][0] == pytest.approx(float(calibration.prob(videos["logit"][0])), abs=1e-6)


def test_a_change_on_the_way_is_seen_and_makes_it_unsure(
    work: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, run, videos, frames = predict(work, write_half_fake(tmp_path / "a.mkv"), "video.frames=40")
    early, late = frames["prob"][:20], frames["prob"][20:]
    assert late.min() > early.max() and len(frames) == 40
    row = videos.iloc[0]
    assert row["share_real"] > 0.25 and row["share_fake"] > 0.25 and row["verdict"] == "unsure"
    assert row["fake_from"] >= 20 / 25 - 1e-6 and row["duration"] == pytest.approx(1.6)
    shown = capsys.readouterr().out
    assert "rule         mean logit of the frames" in shown and "fitted on single images" in shown
    page = (run / "video.html").read_text()
    assert 'id="timeline"' in page and page.count("data:image/jpeg;base64,") == 12
    assert "http://" not in page.replace("http://www.w3.org", "") and "<script" not in page


def test_every_table_holds_the_same_and_output_is_one_of_them(work: Path, tmp_path: Path) -> None:
    path = write_half_fake(tmp_path / "a.mkv")
    _, run, videos, _ = predict(work, path, "video.frames=4", f"output={tmp_path / 'out.json'}")
    (row,) = json.loads((tmp_path / "out.json").read_text())
    assert row == json.loads((run / "videos.json").read_text())[0]
    assert row["prob"] == pytest.approx(videos["prob"][0]) == pd.read_csv(run / "videos.csv")["prob"][0]


def test_several_videos_have_a_row_and_a_page_each(
    work: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in").mkdir()
    write_half_fake(tmp_path / "in" / "a [red]real.mkv", fake=False)
    write_half_fake(tmp_path / "in" / "b\x1b[31m\n.mkv", fake=True)
    write_sound(tmp_path / "in" / "c.mp4")
    (tmp_path / "in" / "d.mp4").write_bytes(b"nothing of the kind")
    code, run, videos, frames = predict(work, tmp_path / "in", "video.frames=5")
    assert code == 3 and len(videos) == 4 and len(frames) == 10
    assert videos["prob"][0] < videos["prob"][1]
    assert list(videos["error"][2:]) == [
        "no video in it",
        "not a video of a known format (Invalid data found when processing input)",
    ]
    assert videos["verdict"][2:].isna().all() and videos["prob"][2:].isna().all()
    assert sorted(page.name for page in run.glob("*.html")) == ["video-1.html", "video-2.html"]
    assert set(frames["video"]) == set(videos["path"][:2])
    shown = capsys.readouterr().out
    assert "\x1b[31m" not in shown and "a [red]real.mkv" in shown.replace("\n", "") and "2 without a verdict" in shown


def test_images_and_videos_go_together(work: Path, tmp_path: Path) -> None:
    path = write_half_fake(tmp_path / "a.mkv")
    code, run, videos, _ = predict(work, path, "images/real/000.png", "images/fake/000.png", "video.frames=3")
    assert code == 0 and len(videos) == 1 and len(pd.read_parquet(run / "predictions.parquet")) == 2


@pytest.mark.parametrize("aggregate", ["mean", "median", "top"])
def test_the_rule_is_the_one_that_was_asked_for(work: Path, tmp_path: Path, aggregate: str) -> None:
    path = write_half_fake(tmp_path / "a.mkv")
    _, _, videos, frames = predict(work, path, "video.frames=10", f"video.aggregate={aggregate}")
    logits = frames["logit"].astype(np.float64)
    expected = {"mean": logits.mean(), "median": logits.median(), "top": logits.max()}[aggregate]
    assert videos["logit"][0] == pytest.approx(expected, abs=1e-4)


def test_faces_are_cut_out_and_frames_without_one_say_so(work: Path, tmp_path: Path) -> None:
    def paint(number: int) -> np.ndarray:
        frame = np.zeros((160, 320, 3), np.uint8)
        if number >= 5:
            frame[64:80, 160:176] = 255
        return frame

    path = write_clip(tmp_path / "a.mkv", 10, "ffv1", paint, pix_fmt="bgr0")
    faces = write_spot_finder(tmp_path / "faces.onnx")
    code, run, videos, frames = predict(work, path, "video.frames=10", f"video.faces={faces}")
    assert code == 3
    assert list(frames["error"][:5]) == ["no face"] * 5 and frames["error"][5:].isna().all()
    assert all(box is None for box in frames["box"][:5])
    x, y, width, height = frames["box"][9]
    assert width == height == 42 and x < 160 and x + width > 168 and y < 64 and y + height > 72
    assert videos["failed"][0] == 5 and videos["verdict"][0] is not None


def test_a_video_without_any_face_has_no_verdict(
    work: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_clip(tmp_path / "a.mkv", 4, "ffv1", lambda _: np.zeros((64, 64, 3), np.uint8), pix_fmt="bgr0")
    faces = write_spot_finder(tmp_path / "faces.onnx")
    code, run, videos, frames = predict(work, path, f"video.faces={faces}")
    assert code == 3 and videos["verdict"][0] is None and videos["error"][0] == "no face (4 frames)"
    assert "no verdict: no face (4 frames)" in capsys.readouterr().out
    assert "no face" in (run / "video.html").read_text()


def test_an_ensemble_scores_videos_too(work: Path, tmp_path: Path) -> None:
    from dfd.models import bundle as bundles

    bundles.save(tiny_ensemble(), tmp_path / "both")
    path = write_half_fake(tmp_path / "a.mkv")
    code, _, videos, frames = predict(work, path, f"bundle={tmp_path / 'both'}", "video.frames=4")
    assert code == 0 and frames["prob"].between(0, 1).all() and len(frames) == 4


def test_frames_that_a_crash_keeps_from_coming_count_as_failed(
    work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_half_fake(tmp_path / "a.mkv", fake=False)
    exactly, pictures = reader._Messages._exactly, []

    def crash(messages: reader._Messages, size: int) -> bytes | None:
        if size:
            pictures.append(size)
        if len(pictures) == 2:
            messages._process.send_signal(signal.SIGSEGV)
            messages.end = "the decoder crashed (signal 11)"
            return None
        return exactly(messages, size)

    monkeypatch.setattr(reader._Messages, "_exactly", crash)
    code, _, videos, frames = predict(work, path, "video.frames=8")
    assert code == 3 and list(frames["error"].isna()) == [True] + [False] * 7
    assert set(frames["error"][1:]) == {"the decoder crashed (signal 11)"}
    row = videos.iloc[0]
    assert row["failed"] == 7 and row["verdict"] == "unsure"
    assert row["reason"] == "only 1 of 8 frames could be scored"


def test_a_frame_with_too_many_pixels_is_not_decoded(work: Path, tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mp4", 3, paint=lambda n: number_picture(n, 96, 96))
    code, _, videos, frames = predict(work, path, "max_pixels=9215")
    assert code == 3 and videos["error"][0] == "9,216 pixels a frame, limit 9,215 (max_pixels)" and len(frames) == 0


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("video.frames=0", "video.frames=0 is too small: accepted is 1 to 10000"),
        ("video.sampling=random", "video.sampling=random is not one of the choices: uniform, scenes"),
        ("video.aggregate=max", "video.aggregate=max is not one of the choices: mean, median, top"),
        ("video.faces=nowhere.onnx", "video.faces=nowhere.onnx: no such file"),
        ("video.seconds=0", "video.seconds=0.0 is too small: accepted is 1 to 86400"),
    ],
)
def test_a_mistake_is_one_message(work: Path, tmp_path: Path, refused: Refused, setting: str, message: str) -> None:
    path = write_half_fake(tmp_path / "a.mkv")
    assert message in refused(["predict", str(path), setting, *QUICK])
