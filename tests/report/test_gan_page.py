"""The page of a GAN's training, its pictures, curves and words, from a small made-up history."""

from base64 import b64decode
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from dfd.gan.pictures import grid, save_picture
from dfd.report import gan_pictures
from dfd.report.gan_page import GanContext, render, write_gan_page
from dfd.report.gan_plots import draw_all
from dfd.report.gan_words import COLUMNS, Course, cautions, course, summary, value_of
from tests.report.test_page import Page

SIDE, TICKS = 16, 12
SECTIONS = ["meaning", "samples", "strips", "time", "curves", "ticks", "origin"]
LABEL = "FD(tiny)"
HOSTILE = "<script>alert('x')</script>"


def history(**columns: Any) -> pd.DataFrame:
    """A training that goes well and is still getting better, with some columns replaced."""
    tick = np.arange(1, TICKS + 1)
    values: dict[str, Any] = {name: np.linspace(0.1, 0.3, TICKS) for name in COLUMNS}
    falling = {"kimg": 20.0 * tick, "fd": 400.0 / tick, "kid": 0.1 / tick, "diversity": 0.95, "collapsed": 0.0}
    values |= falling | {"real_sign": 0.3, "fake_sign": -0.3, "r_t": [np.nan, *[0.3] * (TICKS - 1)]}
    return pd.DataFrame({"tick": tick, **values, **columns})


def made(best: int = TICKS, target: float | None = 0.6, **columns: Any) -> Course:
    return course(history(**columns), best, LABEL, target, 1000)


def said(run: Course) -> str:
    return " ".join(summary(run))


def numbered(count: int, columns: int) -> np.ndarray:
    """A grid in which the image of each number has the colour of it."""
    colours = np.stack([5 * np.arange(count), np.full(count, 60), 250 - 5 * np.arange(count)], axis=1)
    return grid(np.ones((count, SIDE, SIDE, 3), np.uint8) * colours[:, None, None].astype(np.uint8), columns)


def decoded(uri: str) -> np.ndarray:
    return np.asarray(Image.open(BytesIO(b64decode(uri.partition(",")[2]))))


def draw(folder: Path, kimg: float) -> None:
    save_picture(gan_pictures.file_of(folder, "samples", kimg), numbered(48, 8))
    save_picture(gan_pictures.file_of(folder, "strips", kimg), numbered(48, 20))


@pytest.fixture
def context(tmp_path: Path) -> GanContext:
    table = history()
    for kimg in table["kimg"]:
        draw(tmp_path, kimg)
    save_picture(tmp_path / "reals.png", numbered(48, 8))
    facts = {"Networks": {"Resolution": "16 <px>"}}
    return GanContext("Training of faces", table, TICKS, LABEL, tmp_path, facts, "dfd gan train\n x=<y>", 0.6, 1000)


@pytest.fixture
def short(context: GanContext) -> GanContext:
    """Few columns, so that few curves have to be drawn."""
    return replace(context, history=context.history[["tick", "kimg", "fd", "gradient_d"]])


def test_the_page_is_whole_and_needs_nothing_else(context: GanContext, tmp_path: Path) -> None:
    write_gan_page(tmp_path / "gan.html", context)
    text = (tmp_path / "gan.html").read_text(encoding="utf-8")
    page = Page(text)
    assert page.open == []
    assert [attributes["id"] for tag, attributes in page.tags if tag == "section"] == SECTIONS
    links = [attributes["href"] for tag, attributes in page.tags if tag == "a"]
    assert links == [f"#{name}" for name in SECTIONS]
    for tag, attributes in page.tags:
        assert tag not in {"script", "link", "iframe", "object"}
        assert (attributes.get("src") or "data:image/jpeg;base64,").startswith("data:image/jpeg;base64,")
        assert tag != "img" or attributes["alt"]
        assert tag != "svg" or attributes["aria-label"]
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert text.count("<svg") == 10 and text.count("<img") == 3 + gan_pictures.SHOWN
    assert "x=&lt;y&gt;" in text and "16 &lt;px&gt;" in text
    assert f"{LABEL} 33.33, kept" in page.text
    assert text.count('<li class="kept">') == 1 and "<b>240 kimg" in text.partition('<li class="kept">')[2][:80]


def test_text_is_escaped(short: GanContext) -> None:
    facts = {HOSTILE: {HOSTILE: HOSTILE}}
    text = render(replace(short, title=HOSTILE, label=HOSTILE, command=HOSTILE, facts=facts))
    assert "<script" not in text and "&lt;script&gt;" in text


@pytest.mark.parametrize("first", [0, 1])
def test_missing_columns_do_not_break_the_page(context: GanContext, first: int) -> None:
    dropped, emptied = COLUMNS[first::4], COLUMNS[first + 2 :: 4]
    table = context.history.drop(columns=list(dropped)).assign(**dict.fromkeys(emptied, np.nan))
    page = Page(render(replace(context, history=table)))
    assert page.open == [] and "nan" not in page.text.split()


@pytest.mark.parametrize("column", COLUMNS)
def test_words_without_a_column(column: str) -> None:
    run = course(history().drop(columns=column), 5, LABEL, 0.6, None)
    assert "nan" not in " ".join([*summary(run), *cautions(run)]).replace("(", " ").split()


def test_a_history_of_ticks_alone_and_no_pictures(context: GanContext, tmp_path: Path) -> None:
    page = Page(render(replace(context, history=context.history[["tick"]], pictures=tmp_path / "gone")))
    assert [attributes["id"] for tag, attributes in page.tags if tag == "section"] == ["meaning", "ticks", "origin"]


def test_infinite_figures_are_left_out(short: GanContext) -> None:
    table = short.history.assign(fd=short.history["fd"].replace(400.0, np.inf))
    text = Page(render(replace(short, history=table))).text
    assert "inf" not in text.split() and "It was 200.00 at the first" in text


def test_damaged_pictures_are_left_out(short: GanContext) -> None:
    (short.pictures / "reals.png").write_bytes(b"no picture")
    gan_pictures.file_of(short.pictures, "strips", 240.0).unlink()
    gan_pictures.file_of(short.pictures, "samples", 20.0).write_bytes(b"")
    page = Page(render(short))
    shown = [attributes["alt"] for tag, attributes in page.tags if tag == "img"]
    assert "Real training images" not in shown and "Samples after 20 kimg" not in shown
    assert "strips" not in {attributes.get("id") for _, attributes in page.tags}


def test_a_long_table_is_folded_and_the_kept_tick_is_marked(short: GanContext) -> None:
    assert "<details>" not in render(short)
    long = pd.concat([short.history] * 2).assign(tick=np.arange(1, 2 * TICKS + 1))
    text = render(replace(short, history=long, best_tick=5))
    assert "<details><summary>24 ticks" in text
    assert [row.split("</th>")[0][-1] for row in text.split('<tr class="kept ')[1:]] == ["5"]


def test_pictures_are_cut_between_images(tmp_path: Path) -> None:
    draw(tmp_path, 1.0)
    half = decoded(gan_pictures.half_grid(gan_pictures.file_of(tmp_path, "samples", 1.0)) or "")
    scale = -(-gan_pictures.WIDTH // (4 * (SIDE + 1) - 1))
    assert half.shape == (scale * (6 * (SIDE + 1) - 1), scale * (4 * (SIDE + 1) - 1), 3)
    strips = decoded(gan_pictures.strips(gan_pictures.file_of(tmp_path, "strips", 1.0)) or "")
    width = 9 * (SIDE + 1) - 1
    assert strips.shape[1] == -(-gan_pictures.WIDTH // width) * width
    row = decoded(gan_pictures.over_time(tmp_path, made(best=1, kimg=1.0).ticks[:1], 1)[0].picture)
    assert row.shape[0] / row.shape[1] == SIDE / (8 * (SIDE + 1) - 1)
    centres = row[row.shape[0] // 2, row.shape[1] // 16 :: row.shape[1] // 8]
    assert np.abs(centres[:, 0].astype(int) - 5 * np.arange(8)).max() < 12


def test_large_pictures_are_made_smaller(tmp_path: Path) -> None:
    save_picture(tmp_path / "reals.png", np.zeros((2000, 8 * 500 - 1, 3), np.uint8))
    assert decoded(gan_pictures.half_grid(tmp_path / "reals.png") or "").shape[1] == gan_pictures.WIDTH


def test_the_ticks_shown_hold_first_kept_last_and_collapse(context: GanContext) -> None:
    collapsed = (np.arange(TICKS) >= 7).astype(float)
    shown = gan_pictures.over_time(context.pictures, made(collapsed=collapsed).ticks, 6)
    ticks = [each.tick for each in shown]
    assert len(ticks) == gan_pictures.SHOWN and ticks == sorted(set(ticks)) and {1, 6, 8, TICKS} <= set(ticks)


def test_curves_need_values_and_mark_the_kept_tick() -> None:
    assert [plot.title for plot in draw_all(made(r1=np.nan, path_length=np.nan, loss_d=np.nan))] == [
        *(LABEL, "KD(tiny)", "Diversity", "Augmentation", "The discriminator’s verdicts", "Losses", "Gradient norms"),
        "Speed",
    ]
    losses = next(plot for plot in draw_all(made(loss_d=np.nan)) if plot.title == "Losses")
    assert losses.key == [("generator", "var(--fake)")] and "discriminator" not in losses.svg
    fd = draw_all(made(best=7))[0].svg
    assert "400.00 at the first tick, 33.33 at the last, 57.14 at the kept one" in fd


@pytest.mark.parametrize(
    ("best", "fd", "words"),
    [
        (12, 400.0 / np.arange(1, 13), "was still falling: the last quarter of the training lowered it by 25%"),
        (12, np.linspace(90, 50, 12), "was still falling"),
        (12, [90, 70, *[50.1] * 9, 50], "smallest at the end, but hardly fell"),
        (5, [90, 80, 70, 60, 50, *[51] * 7], "had settled"),
        (1, [50, *[90] * 11], "was never below that of the first tick"),
        (5, [90, 80, 70, 60, 50, *[100] * 7], "then rose, to 2.0 times its smallest"),
        (10, [*np.linspace(90, 60, 9), 40, 90, 90], "then rose, to 2.2 times its smallest"),
    ],
)
def test_words_about_the_course(best: int, fd: Any, words: str) -> None:
    told = said(made(best=best, fd=np.asarray(fd, float)))
    assert words in told and f"{LABEL} {float(fd[best - 1]):.2f}, the smallest of 12 ticks" in told
    assert (
        sum(each in told for each in ("still falling", "hardly fell", "had settled", "then rose", "never below")) == 1
    )


def test_words_about_a_single_tick() -> None:
    told = said(course(history()[:1], 1, "FID", None, None))
    assert "one tick" in told and "still falling" not in told


@pytest.mark.parametrize(
    ("p", "words"),
    [
        ([0.0] * 12, "No augmentation"),
        ([0.25] * 12, "p = 0.250, from start to end"),
        (np.linspace(0, 0.5, 12), "ended at 0.500, still rising"),
        ([*np.linspace(0, 0.5, 11), 0.4], "ended at 0.400."),
        ([0, *[0.2] * 10, 0], "ended at 0, after up to 0.200"),
        ([*np.linspace(0, 1, 11), 1], "ended at 1.000."),
    ],
)
def test_words_about_the_augmentation(p: Any, words: str) -> None:
    assert words in said(made(p=p))


@pytest.mark.parametrize(
    ("r_t", "target", "words"),
    [
        (
            0.9,
            0.6,
            "took 95.0% of the training images that it saw for real: r_t 0.90, above the target of 0.6. It overfits",
        ),
        (0.65, 0.6, "overfitting is held where it should be"),
        (0.3, 0.6, "no sign of overfitting"),
        (0.3, 0.1, "above the target of 0.1"),
        (0.9, None, "above the usual target of 0.6"),
    ],
)
def test_words_about_overfitting(r_t: float, target: float | None, words: str) -> None:
    assert words in said(made(target=target, real_sign=r_t))
    assert words in said(made(target=target, real_sign=np.nan, r_t=r_t))


def test_words_about_collapse() -> None:
    assert "No mode collapse" in said(made())
    assert "collapse" not in said(made(collapsed=np.nan))
    late, diversity = np.r_[np.zeros(9), np.ones(3)], np.r_[np.full(9, 0.9), np.full(3, 0.2)]
    told = said(made(best=5, collapsed=late, diversity=diversity))
    assert "Mode collapse at 200 kimg" in told and "down to 0.20), up to the end" in told and "from before it" in told
    assert "kept generator is collapsed, too" in said(made(best=12, collapsed=late, diversity=diversity))
    short = np.r_[0, 1, np.zeros(10)]
    told = said(made(best=12, collapsed=short))
    assert "in 1 of 12 ticks" in told and "from after it" in told


def test_words_about_diversity() -> None:
    assert "they are less varied" in said(made(diversity=0.5))
    assert "about as varied" in said(made(diversity=0.97))
    assert "more varied" in said(made(diversity=1.3))


def test_cautions_name_the_figure_and_its_samples() -> None:
    told = " ".join(cautions(made()))
    assert "This is no FID" in told and "on 1,000 samples" in told and "leak" not in told and "--fid" in told
    inception = " ".join(cautions(course(history(p=0.9), 1, "FID", None, None)))
    assert "no FID" not in inception and "limited number" in inception and "leak" in inception


def test_figures_as_text() -> None:
    shown = {
        ("fd", 1234.5): "1,234.50",
        ("kid", -0.00123): "−0.00123",
        ("kimg", 0.512): "0.5",
        ("kimg", 1000.0): "1,000",
    }
    shown |= {
        ("kimg", 20.0): "20",
        ("r_t", -0.5): "−0.50",
        ("loss_d", 1.23456): "1.23",
        ("images_per_s", 170.46): "170.5",
    }
    assert {key: value_of(*key) for key in shown} == shown
    assert value_of("p", float("nan")) == "–"
