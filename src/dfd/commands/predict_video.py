"""dfd predict on videos: frames are looked at, and their scores over time become one verdict a video."""

from pathlib import Path

import numpy as np
import pandas as pd

from dfd.commands.provenance import command_line
from dfd.config import PredictConfig
from dfd.data.names import to_text
from dfd.errors import EXIT_OK, EXIT_PARTIAL
from dfd.files import replacing
from dfd.inference.engine import Engine
from dfd.inference.predictions import save_predictions
from dfd.report.video_page import VideoContext, write_video_page
from dfd.report.video_table import print_video, print_videos
from dfd.report.words import printable
from dfd.runtime import Runtime
from dfd.video.faces import YuNet
from dfd.video.score import ScoredVideo, score_video
from dfd.video.verdict import longest_fake

FORMATS = (".parquet", ".csv", ".json")


def predict_videos(config: PredictConfig, paths: list[Path], engine: Engine, runtime: Runtime, out: Path) -> int:
    """Score videos; write their tables and a page each. Returns EXIT_PARTIAL if some frames could not be scored.

    Each rank scores its share of the videos.
    """
    finder = YuNet(Path(config.video.faces)) if config.video.faces else None
    max_pixels = config.max_pixels or engine.bundle.max_pixels
    mine = []
    for number, path in list(enumerate(paths, 1))[runtime.rank :: runtime.world]:
        scored = score_video(engine, path, config.video, config.batch_size, max_pixels, finder, runtime)
        page = "video.html" if len(paths) == 1 else f"video-{number}.html"
        if len(scored.frames):
            write_video_page(out / page, _context(scored, config, engine))
        mine.append((number, scored, page if len(scored.frames) else ""))
        if runtime.is_main and len(paths) > 1:
            print(f"video {number} of {len(paths)}: {printable(to_text(path))}", flush=True)
    done = sorted(runtime.gather(mine), key=lambda one: one[0])
    table = pd.DataFrame([_row(scored, page) for _, scored, page in done])
    if runtime.is_main:
        _write(config, table, [scored for _, scored, _ in done], out)
        _show(config, table, [scored for _, scored, _ in done], out)
    return EXIT_PARTIAL if (table["error"].notna() | (table["failed"] > 0)).any() else EXIT_OK


def _row(scored: ScoredVideo, page: str) -> dict[str, object]:
    """A row of the table of videos; times in seconds."""
    failed = scored.frames["error"].notna()
    fake = longest_fake(scored.frames["time"].to_numpy(np.float64), list(scored.frames["verdict"]))
    return {
        "path": to_text(scored.path),
        "logit": scored.verdict.logit,
        "prob": scored.verdict.prob,
        "verdict": scored.verdict.verdict,
        "reason": scored.verdict.reason or None,
        "frames": len(scored.frames),
        "failed": int(failed.sum()),
        **{f"share_{name}": scored.verdict.shares.get(name) for name in ("real", "unsure", "fake")},
        "fake_from": fake[0] if fake else None,
        "fake_to": fake[1] if fake else None,
        "duration": scored.facts.get("duration"),
        "notes": "; ".join(scored.notes) or None,
        "page": page or None,
        "error": scored.error,
    }


def _context(scored: ScoredVideo, config: PredictConfig, engine: Engine) -> VideoContext:
    calibration = engine.bundle.calibration
    return VideoContext(
        video=scored,
        config=config.video,
        threshold=calibration.threshold,
        unsure_band=(calibration.unsure_low, calibration.unsure_high),
        bundle=engine.bundle.name,
        weights=engine.bundle.sha256,
        device=engine.describe(),
        command=command_line(),
    )


def _write(config: PredictConfig, table: pd.DataFrame, videos: list[ScoredVideo], out: Path) -> None:
    frames = pd.concat([one.frames.assign(video=to_text(one.path)) for one in videos], ignore_index=True)
    with replacing(out / "frames.parquet") as temporary:
        frames[["video", *frames.columns.drop("video")]].to_parquet(temporary, index=False)
    for suffix in FORMATS:
        save_predictions(table, out / f"videos{suffix}")
    if config.output:
        save_predictions(table, Path(config.output))


def _show(config: PredictConfig, table: pd.DataFrame, videos: list[ScoredVideo], out: Path) -> None:
    if len(videos) == 1:
        print_video(videos[0], config.video)
    else:
        print_videos(table, config.video)
    pages = table["page"].dropna()
    if len(pages):
        print(
            f"page         {printable(out / pages.iloc[0])}" + (f" and {len(pages) - 1} more" if len(pages) > 1 else "")
        )
    print(f"frames       {printable(out / 'frames.parquet')}")
    print(f"table        {printable(config.output or out / 'videos.csv')}")
