"""The comparison on screen and as a page: all of it is there, and no text is obeyed."""

import re
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from dfd.evaluation.leaderboard import Leaderboard, leaderboards
from dfd.evaluation.matrix import cross_matrix
from dfd.evaluation.runs import read_runs
from dfd.report import compare_words, plots, words
from dfd.report.compare_page import CompareContext, render, write_compare_page
from dfd.report.compare_table import print_leaderboard, print_matrix
from tests.report.test_page import Page
from tests.runs import scores, write_run

HOSTILE = '[red]--><script>$x$ & "\udcff'


@pytest.fixture
def context(tmp_path: Path) -> CompareContext:
    own = {"trained_on": {"name": "faces", "fingerprint": "faces-print"}}
    runs = [
        write_run(tmp_path / "1", scores(2, 0), "good", **own),
        write_run(tmp_path / "2", scores(1.7, 5), "like it", **own),
        write_run(tmp_path / "3", scores(0.5, 2).iloc[20:], HOSTILE, **own),
        write_run(tmp_path / "4", scores(1, 0, data="new"), "good", data="new", left_out=3),
    ]
    found = read_runs(runs)
    assert not found.damaged
    boards, matrix = leaderboards(found.results, 100, 0), cross_matrix(found.results)
    return CompareContext(boards, matrix, {Path("bad") / "metrics.json": "it is <cut off>"}, 100, 0, "dfd compare <x>")


def printed(context: CompareContext, width: int) -> str:
    console = Console(file=StringIO(), width=width)
    for board in context.boards:
        print_leaderboard(console, board)
    assert context.matrix
    print_matrix(console, context.matrix)
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_the_table_says_who_is_best_and_what_is_real(context: CompareContext) -> None:
    text = printed(context, 170)
    lines = text.splitlines()
    assert any(line.startswith("good") and line.rstrip().endswith("best") for line in lines)
    assert any(line.startswith("like it") and "no real difference" in line for line in lines)
    assert any("[red]--><script>$x$" in line and line.rstrip().endswith("worse") for line in lines)
    assert "180 images that both have scored; 0 only this one, 20 only the best" in " ".join(text.split())
    assert "3 images left out: it was trained on them" in text and "new, test" in text


def test_what_counts_as_own_data_is_said(context: CompareContext) -> None:
    told = "other images of a data set that the detector was trained on, told by its fingerprint or its name. Joined "
    told += "sets count where they share a part, be it the real images alone."
    assert f"Shaded: {told}" in Page(render(context)).text
    assert f"Not bold: {told}" in " ".join(printed(context, 80).split())


@pytest.mark.parametrize("width", [60, 80, 100, 140])
def test_narrow_screens_show_less_and_do_not_break(context: CompareContext, width: int) -> None:
    text = printed(context, width)
    assert max(map(len, text.splitlines())) <= width
    assert ("Brier" in text) == (width >= 140)


def test_the_page_stands_alone_and_obeys_no_text(context: CompareContext) -> None:
    text = render(context)
    page = Page(text)
    assert page.open == []
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    links = [value[1:] for _, attributes in page.tags if (value := attributes.get("href") or "").startswith("#")]
    assert len(ids) == len(set(ids)) and set(links) <= set(ids)
    assert not {"script", "link", "iframe"} & {tag for tag, _ in page.tags}
    assert not re.search(r"url\((?!#)|@import", text)
    assert '[red]--><script>$x$ & "\\udcff' in page.text and "it is <cut off>" in page.text
    assert all("scope" in attributes for tag, attributes in page.tags if tag == "th")


def test_the_page_has_every_figure_difference_and_mark(context: CompareContext) -> None:
    page = Page(render(context))
    for board in context.boards:
        for row in board.rows:
            auroc = row.result.metrics["overall"]["auroc"]
            assert words.interval(auroc) in page.text and row.mark in page.text
            if row.against:
                assert words.signed(row.against.auroc.value) in page.text
    assert "worst source: " in page.text and "3 images left out" in page.text
    assert len([tag for tag, _ in page.tags if tag == "svg"]) == 1  # one board has more than one detector


def test_a_page_without_matrix_and_damage(context: CompareContext, tmp_path: Path) -> None:
    plain = CompareContext(context.boards[:1], None, {}, 100, 0, "")
    write_compare_page(tmp_path / "new" / "compare.html", plain)
    ids = {attributes.get("id") for _, attributes in Page((tmp_path / "new" / "compare.html").read_text()).tags}
    assert not {"across", "damaged"} & ids


def test_sentences(context: CompareContext) -> None:
    board = next(board for board in context.boards if board.data == "faces")
    lines = compare_words.summary(board)
    assert lines[0].startswith("good has the highest AUROC, 0.")
    assert lines[1].startswith("like it can’t be told from it")
    assert lines[2].endswith("is worse than it by more than chance.")
    alone = next(board for board in context.boards if board.data == "new")
    assert compare_words.summary(alone)[0].endswith("There is nothing to compare it with.")


def test_nothing_to_rank_and_few_groups_are_said(tmp_path: Path) -> None:
    one_class = [write_run(tmp_path / n, scores(1, 0)[lambda t: t["label"] == 1], n) for n in "ab"]
    (board,) = leaderboards(read_runs(one_class).results, 100, 0)
    assert compare_words.summary(board) == ["Nothing can be ranked: no AUROC: no real images."]
    assert printed_board(board)
    few = [write_run(tmp_path / f"few-{n}", scores(1, n, images=20), f"few-{n}") for n in range(2)]
    (board,) = leaderboards(read_runs(few).results, 100, 0)
    assert "has 5 independent images or groups" in compare_words.method(board) and "bootstrap" in compare_words.method(
        board
    )


def printed_board(board: Leaderboard) -> str:
    console = Console(file=StringIO(), width=100)
    print_leaderboard(console, board)
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_forest_plot() -> None:
    svg = plots.forest_plot([("a" * 60, 0.9, 0.8, 0.95), ("$b$\n", 0.4, 0.3, 0.5)], "1")
    assert svg and "…" in svg and 'id="forest-1-' in svg and ">$b$\\n<" in svg
    assert plots.forest_plot([], "1") is None


def test_a_label_is_shortened_in_its_middle() -> None:
    assert plots.shortened("x" * 44) == "x" * 44
    found = plots.shortened(f"start-{'x' * 90}-end")
    assert len(found) == 44 and re.fullmatch(r"start-x+…x+-end", found)


@pytest.mark.parametrize(("p", "shown"), [(0.0, "< 0.001"), (0.0004, "< 0.001"), (0.0005, "0.001"), (1.0, "1.000")])
def test_p_values(p: float, shown: str) -> None:
    assert words.p_value(p) == shown


@pytest.mark.parametrize(("value", "shown"), [(0.1, "+0.100"), (-0.1, "−0.100"), (-1e-9, "0.000"), (0, "0.000")])
def test_signed(value: float, shown: str) -> None:
    assert words.signed(value) == shown
