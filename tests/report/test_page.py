"""One page that stands alone, shows what it should, and trusts no text."""

import dataclasses
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dfd.config import EvaluationConfig
from dfd.evaluation.metrics import NAMES, measure
from dfd.report.page import ReportContext, render, write_report

VOID = {"meta", "img", "br", "link", "input"}


class Page(HTMLParser):
    """Elements, attributes and text of a page; notes tags that don't close what is open."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


@pytest.fixture
def page(context: ReportContext) -> Page:
    return Page(render(context))


def remade(context: ReportContext, predictions: pd.DataFrame) -> ReportContext:
    metrics = measure(predictions, 0.5, EvaluationConfig(resamples=100))
    return dataclasses.replace(context, predictions=predictions, metrics=metrics)


def test_written_as_utf8_in_one_file(context: ReportContext, tmp_path: Path) -> None:
    path = tmp_path / "new" / "report.html"
    write_report(path, context)
    assert [each.name for each in path.parent.iterdir()] == ["report.html"]
    assert "A &lt;title&gt;" in path.read_text(encoding="utf-8")


def test_elements_are_nested_and_ids_are_unique(page: Page) -> None:
    assert page.open == []
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids)) > 20
    links = [value[1:] for _, attributes in page.tags if (value := attributes.get("href") or "").startswith("#")]
    assert links and set(links) <= set(ids)


def test_nothing_is_asked_from_outside(context: ReportContext, page: Page) -> None:
    for tag, attributes in page.tags:
        assert tag not in {"script", "link", "iframe", "object"}
        for name in ("src", "href", "xlink:href"):
            assert (attributes.get(name) or "#").startswith(("#", "data:image/"))
    assert not re.search(r"url\((?!#)|@import", render(context))


def test_hostile_text_is_shown_and_not_obeyed(page: Page) -> None:
    assert "<script>alert('x')</script>&\"\\n\\udcff\\u202e.jpg" in page.text
    assert "[red]gan<b>" in page.text and "faces & <more>" in page.text and "cut off at <byte> 7" in page.text
    assert not any(name.startswith("on") for _, attributes in page.tags for name in attributes)


def test_every_figure_is_there_with_its_interval(context: ReportContext, page: Page) -> None:
    for key, name in NAMES.items():
        figure = context.metrics["overall"][key]
        assert name in page.text
        if figure["value"] is not None:
            assert f"{figure['low']:.3f} – {figure['high']:.3f}" in page.text
        else:
            assert figure["reason"] in page.text


def test_counts_facts_and_command_are_there(context: ReportContext, page: Page) -> None:
    assert "119 images measured: 60 real, 59 fake; 1 unreadable" in page.text
    for cell in context.metrics["confusion"].values():
        assert f" {cell} " in page.text
    assert "21 ms" in page.text and "x=<y>" in page.text


def test_pictures_have_descriptions_and_tables_headers(page: Page) -> None:
    pictures = [attributes for tag, attributes in page.tags if tag in ("img", "svg")]
    assert len(pictures) == 1 + 4 + 3
    assert all(attributes.get("alt") or attributes.get("aria-label") for attributes in pictures)
    assert all("scope" in attributes for tag, attributes in page.tags if tag == "th")


def test_the_reliability_plot_says_what_it_holds_for_and_what_its_bars_are(page: Page) -> None:
    assert "at their word, on images like these and with as many fakes among them." in page.text
    assert "Bars: 95%, images taken as independent." in page.text


def test_missing_images_are_said_to_be_missing(page: Page) -> None:
    assert "image not found" in page.text


def test_without_history_there_is_no_training_section(context: ReportContext) -> None:
    page = Page(render(dataclasses.replace(context, history=None)))
    assert "training" not in {attributes.get("id") for _, attributes in page.tags}


@pytest.mark.parametrize("label", [0, 1])
def test_one_class_only(context: ReportContext, label: int) -> None:
    table = context.predictions
    page = Page(render(remade(context, table[table["label"] == label])))
    assert f"no {'fake' if label == 0 else 'real'} images" in page.text


def test_nothing_readable(context: ReportContext) -> None:
    table = context.predictions.assign(logit=np.nan, prob=np.nan, verdict=None, error="gone")
    page = Page(render(remade(context, table)))
    assert "no image of known class could be read" in page.text and "120 images could not be read" in page.text


def test_no_rows(context: ReportContext) -> None:
    assert "0 images measured" in Page(render(remade(context, context.predictions.iloc[:0]))).text


def test_the_page_does_not_grow_with_the_data(context: ReportContext) -> None:
    many = pd.concat([context.predictions] * 30, ignore_index=True)
    many["group"] = np.arange(len(many))
    many["logit"] += np.random.default_rng(0).normal(0, 1e-3, len(many))
    assert len(render(remade(context, many))) < 1.6 * len(render(context))
